"""The tutorial does what it says, from an empty folder on, and exposing something costs as little as it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import PROJECT
from .tutorial import Block, PageIsWrong, Terminals, blocks, write

PAGES = sorted((PROJECT / "docs/tutorial").glob("[0-9]-*.md"))
EXPOSING, SOMETHING_NEW = "Expose what it can already do", "Something new"
VIEW_LINES, LINE = 4, 110


KINDS = {
    "library/domain/events.py": "event",
    "library/domain/commands.py": "command",
    "library/service/handlers.py": "handler",
    "library/api/blueprint.py": "view",
}
"""What a statement of these files is; that of any other is known by its file."""

Things = set[tuple[str, str]]
"""All statements of a project but its imports, and each row of its tables: what it is, and its code."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The empty folder that a reader begins with."""
    made = tmp_path / "city-library"
    made.mkdir()
    return made


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_file_command_and_answer_of_the_pages_is_right(folder: Path) -> None:
    with Terminals(folder) as terminals:
        for block in all_blocks():
            if block.kind == "console":
                terminals.run(block)
            else:
                write(block, folder)


def test_exposing_what_a_context_can_do_is_a_view_an_event_and_a_row_in_each_of_two_tables(
    folder: Path,
) -> None:
    before, after = around(EXPOSING, folder)
    assert kinds(after - before) == {"event": 1, "view": 1, "row of triggers": 1, "row of requires": 1}
    assert before - after == set()


def test_something_new_adds_its_command_its_handler_and_its_row_beside_its_rule(folder: Path) -> None:
    before, after = around(SOMETHING_NEW, folder)
    exposed = {"event": 1, "view": 1, "row of triggers": 1, "row of requires": 1}
    made = {"command": 1, "handler": 1, "row of commands": 1, "row of records": 1}
    assert kinds(after - before) == {**exposed, **made, "library/domain/model.py": 2}
    assert kinds(before - after) == {"library/domain/model.py": 1}, "the aggregate has one more method"


def test_a_view_has_four_lines_at_most(folder: Path) -> None:
    write_all(folder, lambda _: True)
    path = folder / "library/api/blueprint.py"
    views = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef)]
    lines = path.read_text("utf-8").splitlines()
    sizes = {
        view.name: view.end_lineno - view.decorator_list[0].lineno + 1 for view in views if view.end_lineno
    }
    assert len(sizes) == 5
    assert {name: size for name, size in sizes.items() if size > VIEW_LINES} == {}
    assert [line for line in lines if len(line) > LINE or ";" in line] == []


def test_the_code_of_the_pages_is_as_ours_has_to_be(folder: Path) -> None:
    write_all(folder, lambda _: True)
    tool = Path(sys.executable).with_name("ruff")
    for task in (["format", "--check"], ["check", "--select", "E,F,W,I,B,UP,SIM,RUF,N,D100,D101,D102,D103"]):
        ran = subprocess.run(
            [tool, *task, "--isolated", "--line-length", str(LINE), "library"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nx = 1\n```\n", "page.md:1: a file has its path above it"),
        ("`a.py`\n\n```console\n$ true\n```\n", "page.md:3: a file has its path above it"),
        ("    ```console\n    $ true\n    ```\n```console\n", "a block is not closed"),
        ("`a.py`\n\n```python\nx = 1\n```\n`a.py`\n\n```python\nx = 1\n```\n", "and is there already"),
        (
            "`a.py`\n\n```python\nx = 1\n```\n`a.py`\n\n```diff\n-x = 2\n+x = 3\n```\n",
            "what a.py has 0 times",
        ),
        (
            "`a.py`\n\n```python\nx = 1\nx = 1\n```\n`a.py`\n\n```diff\n x = 1\n+y\n```\n",
            "what a.py has 2 times",
        ),
        ("`a.py`\n\n```python\nx = 1\n```\n`a.py`\n\n```diff\n x = 1\n```\n", "what a.py has 1 times"),
        ("`a.py`\n\n```python\nx = 1\n```\n`a.py`\n\n```diff\nx = 1\n```\n", "begins with a space, - or +"),
        ("```console\n$ echo one\ntwo\n```\n", "The page says:\ntwo\nand this came:\none"),
        ("```console\n$ echo one\n```\n", "The page says:\n\nand this came:\none"),
        ("```console\n$ true\none\n```\n", "The page says:\none\nand this came:\n"),
        ("```console\n$ echo one; echo two >&2\none\n```\n", "and this came:\none\ntwo"),
        ("```console\n$ printf 'one\\n\\n'\none\n```\n", "and this came:\none\n"),
        ("```console\n$ exit\n```\n", "ended the terminal"),
        ("```console\n^C\n```\n", "nothing runs"),
        ("```console\n$ atomos run\nAtomos serves.\n```\n", "None is named"),
    ],
)
def test_a_page_that_is_wrong_is_told_by_its_line(folder: Path, text: str, said: str) -> None:
    page = folder.parent / "page.md"
    page.write_text(text, "utf-8")
    with Terminals(folder) as terminals, pytest.raises(PageIsWrong) as told:
        for block in blocks(page):
            if block.kind == "console":
                terminals.run(block)
            else:
                write(block, folder)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("came", "printed", "is_right"),
    [
        ("at 2026-11-28T18:30:32Z", "at 2025-01-01T00:00:00.123Z", True),
        ("01a2236c-558c-7243-96cd-99d0680c9d08", "01a2236d-558c-7243-96cd-99d0680c9d09", True),
        ("This is key 7xsx476ithfm of desk.", "This is key abcdefghijkl of desk.", True),
        ("3 passed in 2.90s", "3 passed in 0.10s", True),
        ("3 passed in 2.90s", "2 passed in 2.90s", False),
        ("reader-01", "reader-02", False),
        ("on 2026-11-28", "on 2026-11-29", False),
    ],
)
def test_only_what_nobody_can_foretell_may_differ(
    folder: Path, came: str, printed: str, is_right: bool
) -> None:
    block = Block("page.md:1", "", "console", "", f"$ echo '{came}'\n{printed}\n")
    with Terminals(folder) as terminals:
        if is_right:
            terminals.run(block)
        else:
            with pytest.raises(PageIsWrong):
                terminals.run(block)


def all_blocks() -> list[Block]:
    assert len(PAGES) == 3
    return [block for page in PAGES for block in blocks(page)]


def write_all(folder: Path, is_wanted: Callable[[Block], bool]) -> None:
    for block in all_blocks():
        if block.kind != "console" and is_wanted(block):
            write(block, folder)


def around(heading: str, folder: Path) -> tuple[Things, Things]:
    """Give what there is before a chapter, and after it."""
    headings = list(dict.fromkeys(block.heading for block in all_blocks()))
    earlier = headings[: headings.index(heading)]
    write_all(folder, lambda block: block.heading in earlier)
    before = things(folder)
    write_all(folder, lambda block: block.heading == heading)
    return before, things(folder)


def kinds(found: Things) -> Counter[str]:
    return Counter(kind for kind, _ in found)


def things(folder: Path) -> Things:
    return {each for path in folder.rglob("*.py") for each in things_of(path, str(path.relative_to(folder)))}


def things_of(path: Path, name: str) -> Iterator[tuple[str, str]]:
    for node in parsed(path).body:
        code = ast.unparse(node)
        if code.startswith("ROUTES = ") and isinstance(node, ast.Assign):
            yield from rows(node.value)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            yield KINDS.get(name, name), code


def rows(table: ast.expr) -> Iterator[tuple[str, str]]:
    assert isinstance(table, ast.Call)
    for said in table.keywords:
        assert isinstance(said.value, ast.Dict)
        for key, value in zip(said.value.keys, said.value.values, strict=True):
            assert key is not None
            yield f"row of {said.arg}", f"{ast.unparse(key)}: {ast.unparse(value)}"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
