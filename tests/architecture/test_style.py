"""Our own rules of style, where no tool has them: sizes, names, opening sentences."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src/atomos"
FILES = sorted(path for path in SRC.rglob("*.py") if "templates" not in path.parts)

FILE_LINES, FUNCTION_LINES = 250, 40

NO_NAMES = {"Abstract", "Base", "Impl", "Manager", "Utils", "Util", "Common", "Helper", "Helpers"}
NOT_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def code_lines(path: Path) -> frozenset[int]:
    """Number the lines that hold code: no comment, no docstring, and not blank."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    code = {line for t in tokens if t.type not in NOT_CODE for line in range(t.start[0], t.end[0] + 1)}
    return frozenset(code - set(docstring_lines(tree_of(path))))


def docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            yield f"{said(path)}:{node.lineno} {node.name}", len(code_lines(path).intersection(lines)) + 1


def said(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_exempt(path: Path) -> bool:
    return "migrations" in path.parts


def test_every_module_opens_with_one_sentence() -> None:
    first = {said(path): (ast.get_docstring(tree_of(path)) or "").partition("\n")[0] for path in FILES}

    assert {name: line for name, line in first.items() if not re.fullmatch("[A-Z`].*[.]", line)} == {}


def test_no_file_is_longer_than_it_may_be() -> None:
    sizes = {said(path): len(code_lines(path)) for path in FILES if not is_exempt(path)}

    assert {name: size for name, size in sizes.items() if size > FILE_LINES} == {}


def test_no_function_is_longer_than_it_may_be() -> None:
    sizes = {name: size for path in FILES if not is_exempt(path) for name, size in functions(path)}

    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}


def test_most_files_and_functions_are_small() -> None:
    assert median(len(code_lines(path)) for path in FILES) <= 75
    assert median(size for path in FILES for _, size in functions(path)) <= 7


def test_names_say_what_a_thing_does_and_not_that_it_is_a_thing() -> None:
    classes = {
        f"{said(path)}:{node.lineno} {node.name}": re.findall("[A-Z][a-z]*", node.name)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
    }
    modules = {said(path): path.stem.title().split("_") for path in FILES}

    named = {**classes, **modules}
    assert [name for name, words in named.items() if NO_NAMES.intersection(words)] == []


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

    assert [said(path) for path in FILES if marks.search(path.read_text("utf-8"))] == []
