"""Turns answers into responses: one table says which status, and msgspec writes the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from flask import Response, request, url_for

from ..domain.messages import Created, Message, Page
from .conditions import Versions, tag

STATUSES: Mapping[type, int] = {Created: 201, NoneType: 204}
"""The status of each kind of answer; any other is `OTHERWISE`."""

Locator = Callable[[Any, Message], str]
"""Says where a created thing can be read; it is given what was created, and the message."""

OTHERWISE = 200
"""The status of an answer that is not in the table."""

_JSON = "application/json"
_encoder = msgspec.json.Encoder(decimal_format="string")


def respond(
    answer: Any, message: Message, location: Locator | None = None, versions: Versions = MappingProxyType({})
) -> Response:
    """Make the response of an answer; `location` says where the created thing can be read.

    `versions` names the field that makes the `ETag`, for each kind of answer that has one.
    """
    if answer is None:
        response = Response(status=STATUSES[NoneType])
        del response.headers["Content-Type"]  # there is nothing that it could speak of
        return response
    if type(answer) is Created:
        response = Response(_encoder.encode(answer.value), STATUSES[Created], content_type=_JSON)
        if versions:
            tag(response, answer.value, versions)
        if location is not None:
            response.headers["Location"] = location(answer.value, message)
        return response
    response = Response(_encoder.encode(answer), OTHERWISE, content_type=_JSON)
    if versions:
        tag(response, answer, versions)
    if type(answer) is Page and answer.cursor is not None:
        response.headers["Link"] = f'<{_next_page(answer.cursor)}>; rel="next"'
    return response


def locate(endpoint: str, variables: Callable[[], frozenset[str]]) -> Locator:
    """Make the function that says where a created thing can be read: at an endpoint of the same blueprint.

    Its path's variables are fields of what was created, or else of the message.
    """

    def location(created: Any, message: Message) -> str:
        values = {
            name: msgspec.to_builtins(getattr(created if hasattr(created, name) else message, name))
            for name in variables()
        }
        return url_for(f"{request.blueprint}.{endpoint}", **values)

    return location


def _next_page(cursor: str) -> str:
    pairs = parse_qsl(request.query_string.decode(), keep_blank_values=True)
    others = [(name, value) for name, value in pairs if name != "cursor" and value]
    path = quote(f"{request.root_path}{request.path}", safe="/:@!$&'()*+,;=~")
    return f"{path}?{urlencode([*others, ('cursor', cursor)])}"
