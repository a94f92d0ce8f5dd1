"""Writes the reference pages that are made from the code; see `COMMAND`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from atomos.core.service import REGISTRY

FOLDER = Path(__file__).parents[2] / "docs/reference"

COMMAND = ".venv/bin/python -m tests.architecture.reference"
"""What brings the pages up to date."""

PUBLIC = (
    "atomos.core.adapters",
    "atomos.core.api",
    "atomos.core.domain",
    "atomos.core.service",
    "atomos.testing",
)
"""The modules whose `__all__` is the public API; every other module is private."""


def api() -> str:
    """List the public names, one a line, sorted."""
    names = [f"{module}.{name}" for module in PUBLIC for name in import_module(module).__all__]
    return "".join(f"{name}\n" for name in sorted(names))


def diagnostics() -> str:
    """Describe every diagnostic, by code."""
    entries = [
        f"## {entry.code}: {entry.title}\n\n{entry.cause}\n\n**Remedy:** {entry.remedy}\n"
        for _, entry in sorted(REGISTRY.items())
    ]
    return "\n".join([_HEAD, *entries])


_HEAD = """# Diagnostics

What can be wrong, why, and what to do. Errors, `atomos verify` and logs name these codes; a code keeps its
meaning.

This page is made from the registry in `atomos.core.service.diagnostics`.
"""

PAGES: Mapping[str, Callable[[], str]] = {"api.txt": api, "diagnostics.md": diagnostics}
"""What writes each page of the folder."""


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), "utf-8")
