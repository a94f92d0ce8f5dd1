"""How commands print what they found: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def as_json(command: F) -> F:
    """Give a command the option `--json`, which it gets as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def examples(*lines: str) -> str:
    """Write the examples at the end of a command's help; each stays on its line."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def say_json(data: Any) -> None:
    """Print data as JSON, its keys sorted."""
    click.echo(json.dumps(data, indent=2, sort_keys=True))


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
