"""Which project an application is part of: its name, its version, and what it is for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple


class Project(NamedTuple):
    """A project as its pyproject.toml has it; `summary` is empty where it says nothing."""

    name: str
    version: str = "0"
    summary: str = ""


def project_of(package: str) -> Project:
    """Find the project of a package: what is installed, then pyproject.toml in the current folder, then its name."""
    return next(_known(package.partition(".")[0]))


def _known(package: str) -> Iterator[Project]:
    for each in (*_containing(package), *_named(package)):
        yield Project(each["Name"], each["Version"], each.get("Summary") or "")
    said = _written()
    if "name" in said:
        yield Project(said["name"], said.get("version", "0"), said.get("description", ""))
    yield Project(package)


def _containing(package: str) -> Iterator[Any]:
    # `packages_distributions` would read the lists of all files, for most of a second.
    for each in metadata.distributions():
        if package in (each.read_text("top_level.txt") or "").split():
            yield each.metadata


def _named(package: str) -> Iterator[Any]:
    try:
        yield metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return


def _written() -> Mapping[str, Any]:
    path = Path("pyproject.toml")
    if not path.is_file():
        return {}
    said: Mapping[str, Any] = tomllib.loads(path.read_text("utf-8")).get("project", {})
    return said
