"""The OpenAPI 3.1 document of an application, from the same declarations that serve it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema

from ..service.bus import MessageBus
from .components import ACCEPTED, FOLLOW_PATH, FOLLOW_TAG, HEADERS, PARAMETERS, SCHEMAS
from .failures import responses
from .operations import Writer
from .placing import Site
from .security import OPEN, Guard

VERSION = "3.1.0"
"""The version of OpenAPI that the document is written in."""

CONVENTIONS = (
    "White space around a text is removed before anything else is done with it. "
    "Requests may have only what is described here; answers may get further fields. "
    "What is answered to a GET is answered to a HEAD, without the body."
)
"""What holds for every operation; it follows the description of the application."""


class _Converter(OpenAPIConverter):
    """Tells what the docstring of a message or value says, too."""

    def schema2jsonschema(self, schema: Schema | type[Schema]) -> dict[str, Any]:
        # Not with apispec's own option: a schema that is described with it is no longer closed.
        written: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return {**({"description": schema.__doc__} if schema.__doc__ else {}), **written}


class Described(MarshmallowPlugin):
    """Writes schemas with what the docstring of their class says."""

    Converter = _Converter


def document(
    app: Flask,
    *,
    title: str,
    version: str,
    description: str = "",
    server: str = "/",
    bus: MessageBus | None = None,
    guard: Guard = OPEN,
) -> dict[str, Any]:
    """Write the document of every `Entrypoints` that is registered with the application.

    `server` is the URL that the paths begin at. `bus` knows which permission each message requires, None requires
    none; `guard` says which credentials are accepted.
    """
    site = Site(app, bus, guard)
    plugin = Described(schema_name_resolver=named)
    info = {"description": "\n\n".join(filter(None, (description, CONVENTIONS)))}
    spec = APISpec(title, version, VERSION, plugins=[plugin], info=info, servers=[{"url": server}])
    _share(spec, guard)
    assert plugin.converter is not None  # noqa: S101 - `APISpec` has seen to it
    all_placed = {placed.id: placed for placed in site.placed()}
    writer = Writer(plugin.converter, guard, all_placed)
    tags = [{"name": name, **({"description": said} if said else {})} for name, said in site.tags().items()]
    for placed in site.placed():
        spec.path(placed.path, operations={placed.endpoint.method.lower(): writer.operation(placed)})
    if any(placed.may_wait for placed in all_placed.values()):
        spec.path(FOLLOW_PATH, operations={"get": writer.follow()})
        tags.append(FOLLOW_TAG)
    return _in_order({**spec.to_dict(), "tags": tags})


def as_text(written: Mapping[str, Any]) -> str:
    """Write a document as it is served and printed: the same text for the same declarations."""
    return f"{json.dumps(written, indent=1)}\n"


def _share(spec: APISpec, guard: Guard) -> None:
    for name, schema in SCHEMAS.items():
        spec.components.schema(name, dict(schema))
    for name, parameter in PARAMETERS.items():
        spec.components.parameter(name, "header", dict(parameter))
    for name, header in HEADERS.items():
        spec.components.header(name, dict(header))
    for name, scheme in guard.schemes.items():
        spec.components.security_scheme(name, dict(scheme))
    spec.components.response("Accepted", ACCEPTED)
    for name, response in responses():
        spec.components.response(name, response)


def named(schema: type[Schema] | Schema) -> str:
    """Name a schema in the document, by its class."""
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__


_ORDER = ("openapi", "info", "servers", "tags", "paths", "components")


def _in_order(written: Mapping[str, Any]) -> dict[str, Any]:
    return {name: written[name] for name in sorted(written, key=_ORDER.index)}
