"""Reads a request into its message: the path, then either the query string or the JSON body, never both."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import Request
from marshmallow import Schema
from marshmallow.fields import List
from werkzeug.exceptions import BadRequest, NotAcceptable, UnsupportedMediaType

from ..domain.errors import InvalidMessage, Problem
from ..domain.messages import Message
from .schemas import escaped, maker

Reader = Callable[[Request, dict[str, Any]], Message]
"""Makes the message of a request; it is given the path's variables too."""

QUERY_METHODS = frozenset(("GET", "HEAD", "DELETE"))
"""The methods whose requests have no body: their fields come from the query string."""

_MOST_PARAMETERS = 1000
_DEEPEST = 64
_TOO_DEEP = f"The body is nested deeper than {_DEEPEST} levels."
_MOST_VALUES = 10_000
_TOO_MANY = f"The body has more than {_MOST_VALUES:,} values; send it in parts."
_NO_COMMAS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^,"]++', re.DOTALL)
_NO_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^\[\]{}"]++', re.DOTALL)


def query_reader(message: type[Message], schema: Schema) -> Reader:
    """Make the reader of an endpoint whose fields come from the query string."""
    make = maker(message, schema)
    names = frozenset(schema.fields)
    lists = frozenset(name for name, field in schema.fields.items() if isinstance(field, List))

    def read(request: Request, path: dict[str, Any]) -> Message:
        environ = request.environ
        if environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
            raise BadRequest(
                f"A {request.method} takes its fields from the query string; leave the body out."
            )
        _check_path(request, path)
        if not environ.get("QUERY_STRING"):
            return make(path)
        pairs = _pairs(request)
        _refuse(message, _repeated(pairs, lists), "is given more than once")
        _refuse(
            message, {name for name, _ in pairs if name in path}, "comes from the path; leave it out here"
        )
        return make({**_parameters(pairs, names, lists), **path})

    return read


def body_reader(message: type[Message], schema: Schema) -> Reader:
    """Make the reader of an endpoint whose fields come from the JSON body."""
    make = maker(message, schema)

    def read(request: Request, path: dict[str, Any]) -> Message:
        if request.environ.get("QUERY_STRING"):
            named = {name for name, _ in _pairs(request)}
            _refuse(message, named, "is in the query string, which is not read; the JSON body is")
        body = _json_body(request, message)
        if not path:
            return make(body)
        _check_path(request, path)
        if not path.keys().isdisjoint(body):
            _refuse(message, path.keys() & body.keys(), "comes from the path; leave it out of the body")
        return make({**body, **path})

    return read


def given_reader(message: type[Message], reads: Callable[[Any], Message]) -> Reader:
    """Make the reader of an endpoint whose author reads the request."""

    def read(request: Request, _: dict[str, Any]) -> Message:
        made = reads(request)
        if type(made) is not message:
            raise TypeError(f"{reads.__qualname__} gave {made!r}, and its view takes {message.__name__}.")
        return made

    return read


def check_accept(request: Request) -> None:
    """Refuse a request that would not take JSON. Raises `NotAcceptable`."""
    accept = request.environ.get("HTTP_ACCEPT")
    if accept is None or accept in ("*/*", "application/json"):
        return
    if request.accept_mimetypes and not request.accept_mimetypes.best_match(["application/json"]):
        raise NotAcceptable("The answer is application/json, which the header Accept rules out.")


def _refuse(message: type[Message], names: Iterable[str], detail: str) -> None:
    if problems := tuple(Problem(f"/{escaped(name)}", detail) for name in sorted(names)):
        raise InvalidMessage(message.__name__, problems)


def _check_path(request: Request, path: dict[str, Any]) -> None:
    # Werkzeug writes U+FFFD for bytes that are not UTF-8, and nothing is stored that nobody sent.
    if path and "\ufffd" in request.path:
        try:
            request.environ["PATH_INFO"].encode("latin-1").decode()
        except UnicodeDecodeError:
            raise BadRequest("The path is not UTF-8, percent-encoded.") from None


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        text = request.environ["QUERY_STRING"].encode("latin-1").decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except UnicodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None
    except ValueError:
        raise BadRequest(f"The query string has more than {_MOST_PARAMETERS} parameters.") from None


def _repeated(pairs: Iterable[tuple[str, str]], lists: frozenset[str]) -> list[str]:
    return [name for name, count in Counter(n for n, _ in pairs if n not in lists).items() if count > 1]


def _parameters(
    pairs: Iterable[tuple[str, str]], names: frozenset[str], lists: frozenset[str]
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if not value.strip() and name in names:
            continue  # an empty parameter is absent
        if name in lists:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return given


class _Doubled(Exception):
    """A JSON object names a member twice."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Doubled
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant)


def _json_body(request: Request, message: type[Message]) -> dict[str, Any]:
    data = request.get_data()
    if request.environ.get("wsgi.input_terminated"):
        request.stream.read(1)  # a body of unknown length is cut at the limit: only a further byte is refused
    if not data:
        return {}
    if request.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body has to be sent as it is, without a Content-Encoding.")
    if request.environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise UnsupportedMediaType("The body has to be JSON, sent with Content-Type: application/json.")
    body = _decode(message, data)
    if not isinstance(body, dict):
        raise InvalidMessage(message.__name__, (Problem("", "must be an object"),))
    return body


def _decode(message: type[Message], data: bytes) -> Any:
    try:
        text = data.decode()
        _check_count(text)
        _check_depth(text)
        return _parsed(message, text)
    except InvalidMessage:
        raise
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    except ValueError:
        raise BadRequest("The body is not JSON: it has a number that is NaN, infinite or too long.") from None


def _check_count(text: str) -> None:
    # Each value that is wrong costs as much as a hundred that are right, and a body may have half a million.
    if text.count(",") >= _MOST_VALUES and len(_NO_COMMAS.sub("", text)) >= _MOST_VALUES:
        raise BadRequest(_TOO_MANY)


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return
    brackets = _NO_BRACKETS.sub("", text)
    for _ in range(_DEEPEST):
        outer = brackets.replace("[]", "").replace("{}", "")
        if outer == brackets:
            return  # there is no more, or what is left does not fit: then the parser says where
        brackets = outer
    if brackets:
        raise BadRequest(_TOO_DEEP)


def _parsed(message: type[Message], text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except _Doubled:
        doubled = json.loads(text, object_pairs_hook=_Pairs)
        raise InvalidMessage(message.__name__, tuple(_twice(doubled))) from None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its members, doubled ones too."""


def _twice(value: Any, pointer: str = "") -> Iterator[Problem]:
    if isinstance(value, _Pairs):
        for name, count in Counter(name for name, _ in value).items():
            if count > 1:
                yield Problem(f"{pointer}/{escaped(name)}", "is given more than once")
        for name, inner in value:
            yield from _twice(inner, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _twice(inner, f"{pointer}/{index}")
