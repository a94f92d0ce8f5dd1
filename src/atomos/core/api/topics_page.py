"""A page to read the AsyncAPI document, `/docs/topics`, which needs no other host and no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined

DOCUMENT, PAGE, STYLE = "/asyncapi.json", "/docs/topics", "/docs/topics.css"
"""Where the document is, and the page with its style."""

_OURS = Path(__file__).with_name("static")
_JSON = "application/json"
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "pattern": "matches {}",
    "const": "is {}",
    "enum": "one of {}",
    "format": "{}",
}


class Field(NamedTuple):
    """A field of a message as a row of a table."""

    name: str
    kind: str
    needed: bool
    said: str


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
    messages = document["components"]["messages"]
    rows = {key: list(_fields(message, document)) for key, message in messages.items()}
    examples = {key: _example(message, document) for key, message in messages.items()}
    said: str = jinja.get_template("topics.html").render(
        document=document, rows=rows, examples=examples, key=lambda ref: ref.rpartition("/")[2]
    )
    return said


def _fields(message: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Field]:
    payload = message["payload"]
    data = payload.get("properties", {}).get("data", payload)
    schema = _resolved(data, document)
    needed = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        field = _resolved(each, document)
        limits = (text.format(_text(field[limit])) for limit, text in _LIMITS.items() if limit in field)
        said = "; ".join(filter(None, (field.get("description", ""), *limits)))
        yield Field(name, _kind(field), name in needed, said)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    name = reference.rpartition("/")[2]
    found: Mapping[str, Any] = document["components"]["schemas"].get(name, schema)
    return found


def _kind(field: Mapping[str, Any]) -> str:
    kind = field.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _example(message: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Write an event as it travels, with the examples that the fields declare, and else a word for their kind."""
    return json.dumps(_sample(message["payload"], document), indent=2, ensure_ascii=False)


def _sample(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, document)
    if "const" in schema:
        return schema["const"]
    if examples := schema.get("examples") or schema.get("enum"):
        return examples[0]
    if properties := schema.get("properties"):
        return {name: _sample(each, document) for name, each in properties.items()}
    kind = _kind(schema).partition(" ")[0]
    return {"array": [], "object": {}, "boolean": True, "integer": 1, "number": 1.5}.get(kind, "...")
