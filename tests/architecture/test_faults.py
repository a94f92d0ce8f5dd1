"""The page of faults names tests that exist, and the table of failpoints the places that are passed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from atomos.core.service.failpoints import FAILPOINTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/faults.md"
CHOSEN = {f"{what}.{where}" for what in ("retrying", "burial") for where in ("inside", "after")}
"""Failpoints whose names are put together where they are passed."""


def named_in_tests() -> set[str]:
    found = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^ *def (test_\w+)", found, re.MULTILINE))


def passed() -> Iterator[str]:
    for path in (ROOT / "src/atomos/core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "failpoint"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value)


def test_every_test_that_the_page_of_faults_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+", PAGE.read_text("utf-8")))
    assert len(named) > 10
    assert sorted(named - named_in_tests()) == []


def test_every_fault_names_a_test_its_invariants_and_its_database() -> None:
    table = PAGE.read_text("utf-8").split("## The table")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line.count("|") == 5]
    faults = rows[2:]
    assert len(faults) > 40
    assert [
        row for row in faults if "test_" not in row[1] and "the first of these tests (" not in row[1]
    ] == []
    assert [row for row in faults if not (row[2] and row[3])] == []


def test_every_failpoint_of_the_table_is_passed_at_one_place_and_no_other_is() -> None:
    names = list(passed())
    assert sorted(names) == sorted(set(names))
    assert set(names) | CHOSEN == set(FAILPOINTS)


def test_every_failpoint_is_explained_in_one_sentence() -> None:
    assert [name for name, said in FAILPOINTS.items() if not re.fullmatch(r"[A-Z].*\.", said)] == []
