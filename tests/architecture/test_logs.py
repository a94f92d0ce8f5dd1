"""The page of logs names every action that the code logs, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from atomos.core.adapters.logs import FROM_LIBRARIES
from atomos.core.api.problems import KINDS
from atomos.core.service.delivery import Status

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/logs.md"
LOGGERS = {"_log", "_LOG"}
CHOSEN = {
    FROM_LIBRARIES,
    *(f"delivery.{status.value}" for status in (Status.RETRYING, Status.DEAD, Status.PARKED)),
    *(f"http.{kind.slug}" for kind in KINDS.values() if kind.status == 503),
}
"""Actions whose names are put together where they are logged."""


def strings_in(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def logged() -> Iterator[str]:
    for path in (ROOT / "src/atomos/core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and getattr(called.value, "id", "") in LOGGERS:
                yield from (text for each in node.args for text in strings_in(each))
            elif isinstance(called, ast.Name) and called.id == "_Step":
                yield from (text for text in strings_in(node) if re.fullmatch(r"[a-z]+\.[a-z_]+", text))


def test_every_action_that_is_logged_is_on_the_page_and_no_other() -> None:
    told = set(re.findall(r"`([a-z]+\.[a-z_]+)`", PAGE.read_text("utf-8").split("## Security")[1]))
    settings = {"notifications.kind"}
    actions = {text for text in logged() if re.fullmatch(r"[a-z]+\.[a-z_]+", text)} | CHOSEN
    assert len(actions) > 30
    assert told - settings == actions | {"http.failed"}
