"""How gunicorn is started: with the project's own files where it has them, with the package's otherwise."""

from __future__ import annotations

from pathlib import Path

OWN_APP, OWN_SETTINGS = "wsgi.py", "config/gunicorn.conf.py"
"""The files of a project in place of `atomos.wsgi` and `atomos.gunicorn`; its settings may begin with those."""


def gunicorn(folder: Path) -> tuple[str, ...]:
    """Give the arguments with which Python serves the project in a folder, which has to be the current one."""
    app = "wsgi:app" if (folder / OWN_APP).is_file() else "atomos.wsgi:app"
    settings = OWN_SETTINGS if (folder / OWN_SETTINGS).is_file() else "python:atomos.gunicorn"
    return ("-m", "gunicorn", app, "-c", settings)
