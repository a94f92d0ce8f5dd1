"""The page of security names tests that exist."""

from __future__ import annotations

import re

from .test_faults import ROOT, named_in_tests


def test_every_test_that_the_page_of_security_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+", (ROOT / "docs/security.md").read_text("utf-8")))
    assert len(named) > 50
    assert sorted(named - named_in_tests()) == []


def test_every_row_says_how_it_is_met_and_what_shows_it() -> None:
    lines = (ROOT / "docs/security.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert len(rows) > 60
    shown = ("test_", "does not apply", "the table of", "shown by")
    unshown = [row for row in rows if not any(each in row[-1] for each in shown) and "see API" not in row[-2]]
    assert unshown == []
    assert [row for row in rows if "not yet" in row[-1]] == []
