"""Conditions of a request: `ETag` from a version, and `If-Match` and `If-None-Match` against it (RFC 9110)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_origin, get_type_hints

from flask import Response
from werkzeug.exceptions import BadRequest, PreconditionFailed

from ..domain.constraints import is_version
from .compressing import SUFFIX

Versions = Mapping[type, str]
"""The field of each kind of answer that holds its version."""

ANY: frozenset[int] = frozenset()
"""What `If-Match: *` expects: something that is there, whatever its version."""

_NONE = frozenset((0,))
_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"\s*(?:\*|{_TAG}(?:\s*,\s*{_TAG})*)\s*")
_VERSION = re.compile(r'"([1-9][0-9]{0,18})"')
_EXPECTED = 'tags such as "7", in quotes and separated by commas, or *; it is {given!r}'


def versions_in(bodies: Iterable[Any]) -> dict[type, str]:
    """Find the field of type `Version` in each kind of answer that has one."""
    found: dict[type, str] = {}
    for body in bodies:
        kind = get_origin(body) or body
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            hints = get_type_hints(kind, include_extras=True)
            found.update((kind, name) for name, hint in hints.items() if is_version(hint))
    return found


def expected(environ: Mapping[str, Any]) -> frozenset[int] | None:
    """Say which versions a change is meant for: `If-Match`; None where it is absent. Raises `BadRequest`."""
    if "HTTP_IF_NONE_MATCH" in environ:
        raise BadRequest("The header If-None-Match is for GET and HEAD; a change takes If-Match.")
    given = environ.get("HTTP_IF_MATCH")
    if given is None:
        return None
    if _is_any(given, "If-Match"):
        return ANY
    tags = map(_VERSION.fullmatch, _tags(given))
    return frozenset(int(match[1]) for match in tags if match) or _NONE


def tag(response: Response, answer: Any, versions: Versions) -> None:
    """Give a response the tag of its answer's version, if it has one."""
    if (name := versions.get(type(answer))) is not None and (version := getattr(answer, name)) is not None:
        response.headers["ETag"] = f'"{version}"'


def conditional(environ: Mapping[str, Any], response: Response) -> Response:
    """Compare the answer to a question with what its sender has. Raises `PreconditionFailed` and `BadRequest`."""
    current = response.headers.get("ETag")
    given = environ.get("HTTP_IF_MATCH")
    if given is not None and not _is_any(given, "If-Match") and current not in _tags(given):
        raise PreconditionFailed("What is there has another version than the header If-Match names.")
    given = environ.get("HTTP_IF_NONE_MATCH")
    if current is None or given is None:
        return response
    if _is_any(given, "If-None-Match") or current in _tags(given.replace("W/", "")):
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Type"], response.headers["Content-Length"]
    return response


def _tags(given: str) -> list[str]:
    # Compressed or not, it is the same version.
    return [
        tag.removesuffix(SUFFIX) + '"' if tag.endswith(SUFFIX) else tag for tag in re.findall(_TAG, given)
    ]


def _is_any(given: str, header: str) -> bool:
    if not _TAGS.fullmatch(given):
        raise BadRequest(f"The header {header} takes {_EXPECTED.format(given=given[:100])}.")
    return given.strip() == "*"
