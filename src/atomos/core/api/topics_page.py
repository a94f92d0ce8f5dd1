"""A page to read the AsyncAPI document, `/docs/topics`, which needs no other host and no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .topics_fields import Field, Schemas, as_json

DOCUMENT, PAGE, STYLE = "/asyncapi.json", "/docs/topics", "/docs/topics.css"
"""Where the document is, and the page with its style."""

_OURS = Path(__file__).with_name("static")
_JSON = "application/json"
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_LEFT_OUT = ("bindingVersion", "arguments")


class Told(NamedTuple):
    """A message as the page tells it: its tables by their titles, and an example. `type` is empty of a foreign one."""

    type: str
    tables: Mapping[str, Sequence[Field]]
    example: str


def add_topics(blueprint: Blueprint, document: str, *, page: bool = True) -> None:
    """Add the document to a blueprint and, unless `page` is false, the page."""

    @blueprint.get(DOCUMENT)
    def asyncapi() -> Response:
        return Response(document, content_type=_JSON)

    if not page:
        return
    text = render(json.loads(document))

    @blueprint.get(PAGE)
    def topics() -> Response:
        response = Response(text, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    @blueprint.get(STYLE)
    def topics_style() -> Response:
        return send_from_directory(_OURS, "topics.css")


def render(document: Mapping[str, Any]) -> str:
    """Write the page of a document. Whatever is in it is escaped."""
    jinja = Environment(loader=FileSystemLoader(_OURS), autoescape=True, undefined=StrictUndefined)
    schemas, components = Schemas(document), document["components"]
    messages = {key: _told(key, message, schemas) for key, message in components["messages"].items()}
    places = {name: list(_place(each, document)) for name, each in document["operations"].items()}
    said: str = jinja.get_template("topics.html").render(
        document=document, messages=messages, places=places, key=_key
    )
    return said


def _key(reference: str) -> str:
    return reference.rpartition("/")[2]


def _told(key: str, message: Mapping[str, Any], schemas: Schemas) -> Told:
    payload = message["payload"]
    body = as_json(schemas.example(payload))
    if "headers" in message:
        headers = message["headers"]
        tables = {"Headers": list(schemas.fields(headers)), "Data": list(schemas.fields(payload))}
        lines = [f"content-type: {message['contentType']}"]
        lines += [f"{name}: {value}" for name, value in schemas.example(headers).items()]
        return Told(key, tables, "\n".join((*lines, "", body)))
    if "data" not in payload.get("properties", {}):
        return Told("", {"Members": list(schemas.fields(payload))}, body)
    data = payload["properties"]["data"]
    attributes = list(schemas.fields(payload, without="data"))
    return Told(key, {"Attributes": attributes, "Data": list(schemas.fields(data))}, body)


def _place(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say where an operation's topic is: the channel's address, bindings and extensions, and the operation's own."""
    channel = document["channels"][_key(operation["channel"]["$ref"])]
    yield "address", channel["address"]
    for each in (channel, operation):
        for name, said in each.items():
            if name == "bindings" or name.startswith("x-"):
                yield from _flat(name.removeprefix("bindings").removeprefix("x-"), said)


def _flat(name: str, said: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(said, Mapping):
        yield name, str(said).lower() if isinstance(said, bool) else str(said)
        return
    for inner, each in said.items():
        if inner not in _LEFT_OUT:
            yield from _flat(f"{name} {inner}".strip(), each)
