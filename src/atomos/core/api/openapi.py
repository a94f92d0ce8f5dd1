"""The OpenAPI 3.1 document of an application, from the same declarations that serve it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from types import NoneType
from typing import Any, NamedTuple, get_origin

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema

from ..domain.messages import Created, Page
from .answering import STATUSES
from .components import (
    ACCEPTED,
    BODY_FAILURES,
    CORRELATION,
    EVENT_FAILURES,
    FAILURES,
    FOLLOW,
    HEADERS,
    KEY,
    MATCH,
    NONE_MATCH,
    PARAMETERS,
    PREFER,
    PROBLEM,
    PROGRESS,
    TEXT,
    VERSION_FAILURES,
)
from .emitting import KEYED_METHODS
from .endpoints import Endpoint
from .entrypoints import Entrypoints
from .problems import MEDIA_TYPE
from .schemas import Shapes

VERSION = "3.1.0"
"""The version of OpenAPI that the document is written in."""

_CONVERTER = re.compile(r"<(?:[^<>:]*:)?(\w+)>")


class _Placed(NamedTuple):
    """An endpoint where an application has it: its path, with every prefix, and an id."""

    endpoint: Endpoint
    path: str
    id: str
    tag: str


def document(app: Flask, *, title: str, version: str, description: str = "") -> dict[str, Any]:
    """Write the document of every `Entrypoints` that is registered with the application."""
    plugin = MarshmallowPlugin(schema_name_resolver=_named)
    info = {"description": description} if description else {}
    spec = APISpec(title, version, VERSION, plugins=[plugin], info=info)
    writer = _Writer(spec, plugin)
    for placed in _placed(app):
        spec.path(
            _template(placed.path), operations={placed.endpoint.method.lower(): writer.operation(placed)}
        )
    if any(placed.endpoint.emits for placed in _placed(app)):
        spec.path("/messages/{message_id}", operations={"get": FOLLOW})
    return spec.to_dict()


def _placed(app: Flask) -> Iterator[_Placed]:
    for name, blueprint in app.blueprints.items():
        if not isinstance(blueprint, Entrypoints):
            continue
        for endpoint in blueprint.endpoints:
            for rule in app.url_map.iter_rules(f"{name}.{endpoint.name}"):
                yield _Placed(endpoint, rule.rule, rule.endpoint, name)


def _template(path: str) -> str:
    return _CONVERTER.sub(r"{\1}", path)


def _named(schema: type[Schema] | Schema) -> str:
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__


class _Writer:
    """Writes the operations of one document, and the components that they share."""

    def __init__(self, spec: APISpec, plugin: MarshmallowPlugin) -> None:
        assert plugin.converter is not None  # noqa: S101 - `APISpec` has seen to it
        self._fields = plugin.converter
        self._requests = Shapes()
        self._answers = Shapes(open_=True)
        spec.components.schema("Problem", PROBLEM)
        spec.components.schema("Progress", PROGRESS)
        spec.components.response("Accepted", ACCEPTED)
        for name, parameter in PARAMETERS.items():
            spec.components.parameter(name, "header", parameter)
        for name, header in HEADERS.items():
            spec.components.header(name, header)
        for status in (*FAILURES, *BODY_FAILURES, *EVENT_FAILURES, *VERSION_FAILURES):
            spec.components.response(_problem_name(status), _problem(status))

    def operation(self, placed: _Placed) -> dict[str, Any]:
        endpoint = placed.endpoint
        _, _, rest = inspect.cleandoc(endpoint.view.__doc__ or "").partition("\n")
        written: dict[str, Any] = {
            "operationId": placed.id,
            "tags": [placed.tag],
            "summary": endpoint.summary,
            **({"description": rest.strip()} if rest.strip() else {}),
            "parameters": self._parameters(endpoint),
            "responses": self._responses(endpoint),
        }
        if endpoint.has_body and (body := self._body(endpoint)):
            written["requestBody"] = body
        return written

    def _parameters(self, endpoint: Endpoint) -> list[dict[str, Any] | str]:
        keyed = endpoint.emits and endpoint.method in KEYED_METHODS
        conditions = [MATCH] if endpoint.emits else [MATCH, NONE_MATCH]
        return [
            *self._of_url(endpoint),
            CORRELATION,
            *([_key(endpoint), PREFER] if keyed else []),
            *(conditions if _has_versions(endpoint) else []),
        ]

    def _of_url(self, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
        if endpoint.reads is not None:
            yield from (
                {"name": n, "in": "path", "required": True, "schema": TEXT}
                for n in sorted(endpoint.variables)
            )
            return
        for name, field in self._requests.message(endpoint.message, endpoint.texts).fields.items():
            if name in endpoint.texts:
                is_path = name in endpoint.variables
                schema = self._fields.field2property(field)
                yield {
                    "name": name,
                    "in": "path" if is_path else "query",
                    "required": is_path or field.required,
                    "schema": schema,
                }

    def _body(self, endpoint: Endpoint) -> dict[str, Any] | None:
        if endpoint.reads is not None:
            return {"content": {"*/*": {"schema": {}}}}
        schema = self._requests.message(endpoint.message, endpoint.texts)
        for name in endpoint.texts:
            del schema.fields[name]
        if not schema.fields:
            return None
        written = self._fields.schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return {
            "required": bool(written.get("required")),
            "content": {"application/json": {"schema": written}},
        }

    def _responses(self, endpoint: Endpoint) -> dict[str, Any]:
        failures = [*FAILURES, *(BODY_FAILURES if endpoint.has_body else ())]
        failures += EVENT_FAILURES if endpoint.emits else ()
        failures += VERSION_FAILURES if _has_versions(endpoint) else ()
        written = {
            str(status): self._success(endpoint, status, bodies) for status, bodies in endpoint.bodies.items()
        }
        problems = {
            str(status): _reference("responses", _problem_name(status)) for status in sorted(failures)
        }
        if endpoint.emits:
            written["202"] = _reference("responses", "Accepted")
        elif endpoint.versions:
            tag = {"ETag": _reference("headers", "Tag"), CORRELATION: _reference("headers", "Correlation")}
            written["304"] = {"description": HTTPStatus(304).phrase, "headers": tag}
        return {**dict(sorted(written.items())), **problems}

    def _success(self, endpoint: Endpoint, status: int, bodies: tuple[Any, ...]) -> dict[str, Any]:
        headers = {CORRELATION: _reference("headers", "Correlation")}
        if status == STATUSES[Created] and endpoint.location:
            headers["Location"] = _reference("headers", "Location")
        if any((get_origin(body) or body) in endpoint.versions for body in bodies):
            headers["ETag"] = _reference("headers", "Tag")
        if any(get_origin(body) is Page for body in bodies):
            headers["Link"] = _reference("headers", "Next")
        written: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": headers}
        schemas = [
            self._fields.field2property(self._answers.field(body)) for body in bodies if body is not NoneType
        ]
        if schemas:
            schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
            written["content"] = {"application/json": {"schema": schema}}
        return written


def _key(endpoint: Endpoint) -> dict[str, Any] | str:
    return {"name": KEY, "in": "header", "required": True, **PARAMETERS[KEY]} if endpoint.needs_key else KEY


def _has_versions(endpoint: Endpoint) -> bool:
    # What is deleted has a version too, which its reader knows.
    return bool(endpoint.versions) or endpoint.method == "DELETE"


def _problem_name(status: int) -> str:
    return re.sub("[^A-Za-z]", "", HTTPStatus(status).phrase.title())


def _problem(status: int) -> dict[str, Any]:
    headers: dict[str, Any] = {CORRELATION: _reference("headers", "Correlation")}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"description": "Which credentials are taken.", "schema": TEXT}
    if status in (HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = _reference("headers", "Retry")
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": _reference("schemas", "Problem")}},
    }


def _reference(section: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{name}"}
