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
    *(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    # Alone on its line it is a file that the reader of the tutorial writes.
    ours = re.sub(r"(?m)^`[^`]+`$", "", text)
    named = re.findall(r"`((?:tests|src|docs|config|docker|benchmarks)/[\w./-]+)`", ours)
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [target for target in linked if not ((ROOT / page).parent / target).exists()]
    assert missing == []


def test_the_index_names_every_page_of_the_documentation() -> None:
    text = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {page for page in PAGES if page.startswith("docs/") and not page.startswith("docs/adr/0")}
    linked = {f"docs/{target}" for target in re.findall(r"\]\(([^)#]+)\)", text)}
    assert sorted(pages - linked) == ["docs/README.md"]


def test_the_readme_opens_with_one_sentence_and_shows_code_before_line_thirty() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert lines[0] == "# Atomos"
    assert any(line.startswith("```python") for line in lines[:30])
