"""Finds the application: the declarative container that `--app`, ATOMOS_APP or pyproject.toml names."""

from __future__ import annotations

import os
import tomllib
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

from dependency_injector import containers

from atomos.core.service.diagnostics import Diagnosed


class NoApplication(Diagnosed):
    """No application is named, or its name does not lead to a container."""

    code = "ATM051"


def find_container(app: str | None = None) -> type[containers.DeclarativeContainer]:
    """Import the container that a name, `package.module:Container`, leads to. Raises `NoApplication`.

    None takes ATOMOS_APP, then [tool.atomos] app in the current folder's pyproject.toml.
    """
    name = app or os.environ.get("ATOMOS_APP") or _from_pyproject()
    if not name:
        raise NoApplication(f"None is named: {Path.cwd()} has no pyproject.toml with [tool.atomos] app.")
    module, _, attribute = name.partition(":")
    try:
        container = getattr(import_module(module), attribute)
    except Exception as error:
        raise NoApplication(f"{name!r} cannot be imported: {_told(error, module)}.") from error
    if not (isinstance(container, type) and issubclass(container, containers.DeclarativeContainer)):
        raise NoApplication(f"{name!r} is {container!r}, which is no declarative container.")
    return container


def _from_pyproject() -> Any:
    path = Path("pyproject.toml")
    if not path.is_file():
        return None
    return tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("atomos", {}).get("app")


def _told(error: Exception, module: str) -> str:
    """Say what happened, after the last line of the application's own package that led to it."""
    package = module.partition(".")[0]
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package != __name__.partition(".")[0]
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places, said = [(error.filename, error.lineno or 0)], error.msg
    else:
        said = str(error).rstrip(".")
    place = f"{os.path.relpath(places[-1][0])}:{places[-1][1]}: " if places else ""
    return f"{place}{type(error).__name__}: {said}"
