"""What the pages name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *(f"docs/adr/{p.name}" for p in (ROOT / "docs/adr").glob("*.md")),
]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = re.findall(r"`((?:tests|src|docs|config|docker|benchmarks)/[\w./-]+)`", text)
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [target for target in linked if not ((ROOT / page).parent / target).exists()]
    assert missing == []


def test_the_readme_opens_with_one_sentence_and_shows_code_before_line_thirty() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert lines[0] == "# Atomos"
    assert any(line.startswith("```python") for line in lines[:30])
