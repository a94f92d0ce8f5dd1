"""A page to read the document and to try it, `/docs`, which needs no other host: Swagger UI, from a package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import NotFound

PATH = "/docs"
"""Where the page is, and below it what it loads."""

_OURS = Path(__file__).with_name("static")
_THEIRS = Path(str(files("flask_swagger_ui"))) / "dist"
_FILES: Mapping[str, Path] = {
    "docs.js": _OURS,
    "favicon-32x32.png": _THEIRS,
    "swagger-ui-bundle.js": _THEIRS,
    "swagger-ui.css": _THEIRS,
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{server}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_page(blueprint: Blueprint, server: str) -> None:
    """Add the page to a blueprint. It may ask its own host, and the one that the paths of the document begin at."""
    policy = policy_for(server)

    @blueprint.get(PATH)
    def docs() -> Response:
        page = send_from_directory(_OURS, "docs.html")
        page.headers["Content-Security-Policy"] = policy
        return page

    @blueprint.get(f"{PATH}/<name>")
    def docs_file(name: str) -> Response:
        if name not in _FILES:
            raise NotFound
        return send_from_directory(_FILES[name], name)


def policy_for(server: str) -> str:
    """Write the page's Content-Security-Policy: nothing inline, and nothing from elsewhere."""
    parts = urlsplit(server)
    return _POLICY.format(server=f" {parts.scheme}://{parts.netloc}" if parts.netloc else "")
