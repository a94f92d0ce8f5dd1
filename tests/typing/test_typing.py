"""Type checkers say of each line of the snippets what its comment says, and nothing of the others.

`# R: int` is the type that `reveal_type` gives. `# E: arg-type reportArgumentType` is the code of mypy's
error and the rule of pyright's, with commas where there are several; who finds nothing is left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNIPPETS = sorted((ROOT / "tests/typing/snippets").glob("*.py"))

Said = dict[tuple[Path, int], str]
"""What is said of a file's line."""


@pytest.fixture(scope="module")
def mypy() -> Said:
    """What mypy says, in one run, with the settings of `make types`."""
    return together(mypy_says())


@pytest.fixture(scope="module")
def pyright() -> Said:
    """What pyright says, in one run, with the settings of `make types`."""
    return together(pyright_says())


def mypy_says() -> Iterator[tuple[str, int, str]]:
    for line in run("mypy", "--output", "json", *map(str, SNIPPETS)).splitlines():
        said = json.loads(line)
        text = revealed(said["message"], "Revealed type is") if said["severity"] == "note" else said["code"]
        if text:
            yield said["file"], said["line"], text


def pyright_says() -> Iterator[tuple[str, int, str]]:
    for said in json.loads(run("pyright", "--outputjson", *map(str, SNIPPETS)))["generalDiagnostics"]:
        is_type = said["severity"] == "information"
        text = revealed(said["message"], 'Type of ".*" is') if is_type else said.get("rule", said["message"])
        yield said["file"], said["range"]["start"]["line"] + 1, text


def run(tool: str, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ran.stdout, ran.stderr
    return ran.stdout


def revealed(message: str, before: str) -> str:
    found = re.fullmatch(rf'{before} "(.*)"', message, re.DOTALL)
    return plain(found[1]) if found else ""


def plain(type_: str) -> str:
    """Write a type as both would: without modules, and the members of a union sorted."""
    return " | ".join(sorted(re.sub(r"[\w.]+\.(?=\w)", "", type_).split(" | ")))


def together(said: Iterator[tuple[str, int, str]]) -> Said:
    lines: dict[tuple[Path, int], set[str]] = defaultdict(set)
    for file, line, text in said:
        lines[ROOT / file, line].add(text)
    return {where: ",".join(sorted(texts)) for where, texts in lines.items()}


def expected(path: Path, of_pyright: bool) -> dict[int, str]:
    comments = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if found := re.search(r"# R: (.+)$", line):
            comments[number] = plain(found[1])
        elif found := re.search(r"# E: (.+)$", line):
            names = [name for name in re.split("[ ,]", found[1]) if name.startswith("report") is of_pyright]
            comments[number] = ",".join(sorted(names))
    return {number: comment for number, comment in comments.items() if comment}


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_mypy_says_what_the_comments_say(mypy: Said, path: Path) -> None:
    assert of(path, mypy) == expected(path, of_pyright=False)


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_pyright_says_what_the_comments_say(pyright: Said, path: Path) -> None:
    assert of(path, pyright) == expected(path, of_pyright=True)


def of(path: Path, said: Said) -> dict[int, str]:
    return {line: text for (file, line), text in sorted(said.items()) if file == path}
