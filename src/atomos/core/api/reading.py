"""Reads a request into its message: the path, then either the query string or the JSON body, never both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import request
from marshmallow import Schema, ValidationError
from marshmallow.fields import List
from werkzeug.exceptions import BadRequest, NotAcceptable, UnsupportedMediaType

from ..domain.errors import InvalidMessage, Problem
from ..domain.messages import Message

Reader = Callable[[dict[str, Any]], Message]
"""Makes the message of the current request; it is given the path's variables."""

QUERY_METHODS = frozenset(("GET", "HEAD", "DELETE"))
"""The methods whose requests have no body: their fields come from the query string."""

_MOST_PARAMETERS = 1000


def query_reader(message: type[Message], schema: Schema) -> Reader:
    """Make the reader of an endpoint whose fields come from the query string."""
    lists = frozenset(name for name, field in schema.fields.items() if isinstance(field, List))

    def read(path: dict[str, Any]) -> Message:
        environ = request.environ
        if environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
            raise BadRequest(
                f"A {environ['REQUEST_METHOD']} takes its fields from the query string; leave the body out."
            )
        given = _parameters(message, schema, lists, path) if environ.get("QUERY_STRING") else {}
        return _made(message, schema, {**given, **_decoded(path)})

    return read


def body_reader(message: type[Message], schema: Schema) -> Reader:
    """Make the reader of an endpoint whose fields come from the JSON body."""

    def read(path: dict[str, Any]) -> Message:
        if request.environ.get("QUERY_STRING"):
            _refuse_parameters(message)
        body = _json_body(message)
        if path and not path.keys().isdisjoint(body):
            _refuse_all(message, path.keys() & body.keys(), "comes from the path; leave it out of the body")
        return _made(message, schema, {**body, **_decoded(path)})

    return read


def given_reader(message: type[Message], reads: Callable[[Any], Message]) -> Reader:
    """Make the reader of an endpoint whose author reads the request."""

    def read(_: dict[str, Any]) -> Message:
        made = reads(request)
        if type(made) is not message:
            raise TypeError(f"{reads.__qualname__} gave {made!r}, and its view takes {message.__name__}.")
        return made

    return read


def check_accept() -> None:
    """Refuse a request that would not take JSON. Raises `NotAcceptable`."""
    accept = request.environ.get("HTTP_ACCEPT")
    if accept is None or accept in ("*/*", "application/json"):
        return
    if request.accept_mimetypes and not request.accept_mimetypes.best_match(["application/json"]):
        raise NotAcceptable("The answer is application/json, which the header Accept rules out.")


def _made(message: type[Message], schema: Schema, given: dict[str, Any]) -> Message:
    try:
        loaded: Any = schema.load(given)
    except ValidationError as error:
        raise InvalidMessage(message.__name__, tuple(_problems(error.messages))) from None
    return message(**loaded)


def _problems(messages: Any, pointer: str = "") -> Iterator[Problem]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _problems(inner, pointer if key == "_schema" else f"{pointer}/{_escaped(key)}")
        return
    for each in messages:
        yield Problem(pointer, str(each))


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _refuse_all(message: type[Message], names: Iterable[str], detail: str) -> NoReturn:
    raise InvalidMessage(
        message.__name__, tuple(Problem(f"/{_escaped(name)}", detail) for name in sorted(names))
    )


def _decoded(path: dict[str, Any]) -> dict[str, Any]:
    # Werkzeug writes U+FFFD for bytes that are not UTF-8, and nothing is stored that nobody sent.
    if path and "\ufffd" in request.path:
        try:
            request.environ["PATH_INFO"].encode("latin-1").decode()
        except UnicodeDecodeError:
            raise BadRequest("The path is not UTF-8, percent-encoded.") from None
    return path


def _pairs() -> list[tuple[str, str]]:
    try:
        text = request.environ["QUERY_STRING"].encode("latin-1").decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except UnicodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None
    except ValueError:
        raise BadRequest(f"The query string has more than {_MOST_PARAMETERS} parameters.") from None


def _parameters(
    message: type[Message], schema: Schema, lists: frozenset[str], path: Mapping[str, Any]
) -> dict[str, Any]:
    pairs = _pairs()
    names = [name for name, _ in pairs if name not in lists]
    if len(set(names)) != len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        _refuse_all(message, twice, "is given more than once")
    if path and any(name in path for name, _ in pairs):
        both = {name for name, _ in pairs if name in path}
        _refuse_all(message, both, "comes from the path; leave it out of the query string")
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        elif value.strip() or name not in schema.fields:  # an empty parameter is absent
            given[name] = value
    return given


def _refuse_parameters(message: type[Message]) -> NoReturn:
    names = {name for name, _ in _pairs()}
    if not names:
        raise BadRequest("The query string is not read; leave it out.")
    _refuse_all(message, names, "is in the query string, which is not read; the JSON body is")


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


def _json_body(message: type[Message]) -> dict[str, Any]:
    data = request.get_data()
    if not data:
        return {}
    if request.environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise UnsupportedMediaType("The body has to be JSON, sent with Content-Type: application/json.")
    body = _decode(message, data)
    if not isinstance(body, dict):
        raise InvalidMessage(message.__name__, (Problem("", "must be an object"),))
    return body


def _decode(message: type[Message], data: bytes) -> Any:
    try:
        text = data.decode()
        try:
            return _DECODER.decode(text)
        except _Doubled:
            doubled = json.loads(text, object_pairs_hook=_Pairs)
            raise InvalidMessage(message.__name__, tuple(_twice(doubled))) from None
    except InvalidMessage:
        raise
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    except ValueError:
        raise BadRequest(
            "The body is not JSON: a number in it is NaN or infinite, or has too many digits."
        ) from None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its members, doubled ones too."""


def _twice(value: Any, pointer: str = "") -> Iterator[Problem]:
    if isinstance(value, _Pairs):
        for name, count in Counter(name for name, _ in value).items():
            if count > 1:
                yield Problem(f"{pointer}/{_escaped(name)}", "is given more than once")
        for name, inner in value:
            yield from _twice(inner, f"{pointer}/{_escaped(name)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _twice(inner, f"{pointer}/{index}")
