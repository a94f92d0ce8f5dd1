"""The AsyncAPI 3.0 document of an application: its topics, from the same messages as OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from apispec import APISpec

from ..domain.messages import Message
from ..service.cloud_events import type_of
from ..service.messaging import TopicPlace
from ..service.routes import JoinedRoutes, Route, topic_of
from ..service.translating import Translation
from .attributes import attributes_taken, attributes_written
from .kinds import Unfit
from .openapi import VERSION as OPENAPI
from .openapi import Described, named
from .schemas import Shapes

VERSION = "3.0.0"
"""The version of AsyncAPI that the document is written in."""

STRUCTURED, JSON = "application/cloudevents+json", "application/json"

_PROTOCOLS = {
    "amqp": "amqp",
    "amqps": "amqps",
    "redis": "redis",
    "rediss": "redis",
    "nats": "nats",
    "tls": "nats",
}
_SUMMARIES = {"send": "Publishes to {topic}.", "receive": "Reads {topic}."}


class Wire(NamedTuple):
    """How events travel: where the broker is (None: that is not told), and in which mode of CloudEvents.

    `place` says where a topic is on it. `source` is the CloudEvents source of what is published, None where that is
    not known.
    """

    url: str | None = None
    mode: Literal["structured", "binary"] = "structured"
    place: Callable[[str], TopicPlace] = TopicPlace
    source: str | None = None


def document(
    routes: JoinedRoutes,
    *,
    title: str,
    version: str,
    description: str = "",
    wire: Wire = Wire(),  # noqa: B008 - a constant
) -> dict[str, Any]:
    """Write the document of every topic that is published to or read. No credentials are in it."""
    spec = APISpec(title, version, OPENAPI, plugins=[Described(schema_name_resolver=named)])
    rows = _rows(routes)
    messages = _messages(rows, wire, spec)
    schemas = spec.to_dict().get("components", {}).get("schemas", {})
    for schema in schemas.values():
        # What comes over HTTP is closed; of an event there may be more than whoever reads it knows.
        schema.pop("additionalProperties", None)
    return {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version, **({"description": description} if description else {})},
        **_servers(wire),
        "defaultContentType": STRUCTURED if wire.mode == "structured" else JSON,
        "channels": {
            topic: _channel(topic, rows, wire) for topic in dict.fromkeys(topic for topic, _ in rows)
        },
        "operations": dict(sorted(_operations(rows, routes, wire))),
        "components": {"messages": dict(sorted(messages.items())), "schemas": dict(sorted(schemas.items()))},
    }


def _rows(routes: JoinedRoutes) -> list[tuple[str, Route]]:
    """Give what is published and read, by topic and message: where a table says it changes no text."""
    rows = [(topic_of(row.name), row) for row in routes.rows if row.kind in ("topic", "subscription")]
    return sorted(rows, key=lambda each: (each[0], _key(each[1]), each[1].kind, each[1].context))


def _key(row: Route) -> str:
    if isinstance(row.target, Translation):
        return f"{topic_of(row.name)}.foreign"
    return type_of(row.message.wire_name, row.message.wire_version)


def _channel(topic: str, rows: Sequence[tuple[str, Route]], wire: Wire) -> dict[str, Any]:
    keys = dict.fromkeys(_key(row) for of, row in rows if of == topic)
    place = wire.place(topic)
    return {
        "address": place.address,
        **({"description": place.how} if place.how else {}),
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in keys},
        **place.channel,
    }


def _operations(
    rows: Sequence[tuple[str, Route]], routes: JoinedRoutes, wire: Wire
) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, action in (("topic", "send"), ("subscription", "receive")):
        for topic in dict.fromkeys(topic for topic, row in rows if row.kind == kind):
            its = [row for of, row in rows if of == topic and row.kind == kind]
            said = list(dict.fromkeys(sentence for row in its for sentence in _said(row, routes)))
            place, keys = wire.place(topic), dict.fromkeys(map(_key, its))
            yield (
                f"{action}.{topic}",
                {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "summary": _SUMMARIES[action].format(topic=topic),
                    **({"description": " ".join(said)} if said else {}),
                    "messages": [{"$ref": f"#/channels/{topic}/messages/{key}"} for key in keys],
                    **(place.send if kind == "topic" else place.receive),
                },
            )


def _said(row: Route, routes: JoinedRoutes) -> Iterator[str]:
    """Say what a client has to know beside the message."""
    if row.kind == "topic":
        key = f"`{row.by}`" if row.by else "what the event is about"
        yield f"{row.message.__name__} keeps the order of {key}, which is its `partitionkey`."
        if row.policy.optional:
            yield "Nobody has to read it."
    elif permission := routes.requires.get(row.message):
        yield f"{row.message.__name__} requires the permission `{permission}`."


def _messages(rows: Sequence[tuple[str, Route]], wire: Wire, spec: APISpec) -> dict[str, Any]:
    shapes, written = Shapes(), {}
    heard = {_key(row) for _, row in rows if row.kind == "subscription"}
    for _, row in rows:
        if isinstance(row.target, Translation):
            written[_key(row)] = _foreign(row)
        elif _key(row) not in written:
            # Two contexts may each have an event of that name; the wire knows them apart.
            is_taken = row.message.__name__ in spec.components.schemas
            name = _key(row) if is_taken else row.message.__name__
            spec.components.schema(name, **_data(row.message, shapes))
            # What others publish as well is told as it is taken, which says less.
            is_ours = _key(row) not in heard
            needs_data = bool(spec.components.schemas[name].get("required"))
            written[_key(row)] = _message(row.message, name, needs_data, wire, is_ours)
    return written


def _data(event: type[Message], shapes: Shapes) -> dict[str, Any]:
    try:
        return {"schema": shapes.message(event)}
    except Unfit as unfit:
        # Between services there may be what HTTP has no form for; that must not keep the service from starting.
        return {"component": {"type": "object", "description": f"Its fields cannot be told here: {unfit}."}}


def _message(event: type[Message], name: str, needs_data: bool, wire: Wire, is_ours: bool) -> dict[str, Any]:
    text = cleandoc(event.__doc__ or "").partition("\n")
    said = {
        "name": event.wire_name,
        "title": event.__name__,
        "summary": text[0],
        **({"description": text[2].strip()} if text[2].strip() else {}),
    }
    data = {"$ref": f"#/components/schemas/{name}"}
    type_ = type_of(event.wire_name, event.wire_version)
    needed, attributes = attributes_written(type_, wire.source) if is_ours else attributes_taken(type_)
    if wire.mode == "binary":
        headers = {f"ce-{name}": each for name, each in attributes.items()}
        return {
            **said,
            "contentType": JSON,
            "correlationId": {"location": "$message.header#/ce-correlationid"},
            "headers": _object([f"ce-{name}" for name in needed], headers),
            "payload": data,
        }
    content = {**attributes, "datacontenttype": {"type": "string", "const": JSON}, "data": data}
    needed = (
        *needed,
        *(["datacontenttype"] if is_ours else []),
        *(["data"] if is_ours or needs_data else []),
    )
    return {
        **said,
        "contentType": STRUCTURED,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": _object(needed, content),
    }


def _object(needed: Sequence[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(needed), "properties": properties}


def _foreign(row: Route) -> dict[str, Any]:
    return {
        "name": f"{topic_of(row.name)}.foreign",
        "title": f"What becomes {row.message.__name__}",
        "summary": "Written by another service in its own way, and translated here.",
        "contentType": JSON,
        "payload": _members(row.target),
    }


def _members(translation: Translation) -> dict[str, Any]:
    """Tell the members without which nothing of another service's is taken."""
    said: dict[str, list[str]] = {}
    for name, what in (
        (translation.identified_by, "A repeat has the same, and is dropped."),
        (translation.ordered_by, "What has the same is kept in order."),
    ):
        if name is not None:
            said.setdefault(name, []).append(what)
    payload = {"description": "The other service says what it is."}
    if not said:
        return payload
    # Longer ones are not taken, and null is none.
    plain = {"type": ["string", "number", "boolean"], "maxLength": 500}
    return {
        **payload,
        **_object(
            sorted(said), {name: {**plain, "description": " ".join(said[name])} for name in sorted(said)}
        ),
    }


def _servers(wire: Wire) -> dict[str, Any]:
    scheme, _, rest = (wire.url or "").partition("://")
    if scheme not in _PROTOCOLS:
        return {}  # a database is nowhere that others could connect to
    # A cluster of NATS is several URLs, or hosts, with commas between them; elsewhere one is part of a password.
    urls = rest.split(",") if _PROTOCOLS[scheme] == "nats" else [rest]
    parts = [urlsplit(each if "://" in each else f"{scheme}://{each}") for each in urls]
    if any("@" in each.path + each.query + each.fragment for each in parts):
        return {}  # a password with a character that ends a host: what stands there is not for others
    servers = [
        {
            "host": each.netloc.rpartition("@")[2],
            **({"pathname": each.path} if len(each.path) > 1 else {}),
            "protocol": _PROTOCOLS[scheme],
        }
        for each in parts
    ]
    names = ["broker", *(f"broker-{number}" for number in range(2, len(servers) + 1))]
    return {"servers": dict(zip(names, servers, strict=True))}
