"""Writes the operations of an OpenAPI document: parameters, body, answers, failures, and who may."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_origin

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from werkzeug.http import HTTP_STATUS_CODES

from ..domain.messages import Created, Page
from .answering import STATUSES
from .components import (
    CONTENT_HEADERS,
    CORRELATION,
    FOLLOW,
    FOLLOW_FAILURES,
    KEY,
    MATCH,
    NONE_MATCH,
    PARAMETERS,
    PREFER,
    TEXT,
    TRACE,
    headers,
    reference,
)
from .endpoints import Endpoint
from .failures import failure, failures
from .linking import links
from .placing import Placed
from .schemas import Shapes
from .security import Guard


class Writer:
    """Writes the operations of one document. `converter` keeps the schemas that they share."""

    def __init__(self, converter: OpenAPIConverter, guard: Guard, others: Mapping[str, Placed]) -> None:
        self._fields = converter
        self._guard = guard
        self._others = others
        self._requests = Shapes()
        self._answers = Shapes(open_=True)

    def operation(self, placed: Placed) -> dict[str, Any]:
        """Write the operation of an endpoint."""
        endpoint = placed.endpoint
        written = {
            "operationId": placed.id,
            "tags": [placed.tag],
            "summary": endpoint.summary,
            "description": _description(placed),
            "parameters": list(self._parameters(placed)),
            "requestBody": self._body(endpoint) if endpoint.has_body else None,
            "responses": self._responses(placed),
            "security": self._security(placed.permission),
        }
        return {name: value for name, value in written.items() if value not in (None, "")}

    def follow(self) -> dict[str, Any]:
        """Write the operation that shows how far an event has come."""
        failed = {str(status): failure(status) for status in FOLLOW_FAILURES}
        security = {"security": said} if (said := self._security("")) else {}
        return {**FOLLOW, "responses": {**FOLLOW["responses"], **failed}, **security}

    def _security(self, permission: str) -> list[dict[str, list[str]]] | None:
        if not self._guard.schemes:
            return None
        scopes = [permission] if permission else []
        either: list[dict[str, list[str]]] = [{name: scopes} for name in self._guard.schemes]
        return either if permission and self._guard.required else [{}, *either]

    def _parameters(self, placed: Placed) -> Iterator[dict[str, Any] | str]:
        endpoint = placed.endpoint
        yield from self._of_url(endpoint)
        yield from (CORRELATION, TRACE)
        if endpoint.emits:
            yield _needed(KEY) if endpoint.needs_key else KEY
        if placed.may_wait:
            yield PREFER
        if endpoint.emits or endpoint.versions:
            yield MATCH
        if endpoint.versions and not endpoint.emits:
            yield NONE_MATCH

    def _of_url(self, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
        if endpoint.reads is not None:
            for name in sorted(endpoint.variables):
                yield {"name": name, "in": "path", "required": True, "schema": TEXT}
            return
        for name, field in self._requests.message(endpoint.message, endpoint.texts).fields.items():
            if name in endpoint.texts:
                schema = self._fields.field2property(field)
                is_path = name in endpoint.variables
                yield {
                    "name": name,
                    "in": "path" if is_path else "query",
                    "required": is_path or field.required,
                    # An empty parameter is absent.
                    **({} if is_path or field.required else {"allowEmptyValue": True}),
                    **({"example": schema["examples"][0]} if "examples" in schema else {}),
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
        description = written.pop("description", None)
        return {
            **({"description": description} if description else {}),
            "required": bool(written.get("required")),
            "content": {"application/json": {"schema": written}},
        }

    def _responses(self, placed: Placed) -> dict[str, Any]:
        endpoint = placed.endpoint
        written = {
            status: self._success(placed, status, bodies) for status, bodies in endpoint.bodies.items()
        }
        if placed.may_wait:
            written[202] = reference("responses", "Accepted")
        if endpoint.versions and not endpoint.emits:
            written[304] = {"description": HTTP_STATUS_CODES[304], "headers": headers(CORRELATION, "ETag")}
        return {**{str(status): written[status] for status in sorted(written)}, **failures(placed)}

    def _success(self, placed: Placed, status: int, bodies: tuple[Any, ...]) -> dict[str, Any]:
        endpoint = placed.endpoint
        schemas = [
            self._fields.field2property(self._answers.field(body)) for body in bodies if body is not NoneType
        ]
        written: dict[str, Any] = {
            "description": HTTP_STATUS_CODES[status],
            "headers": headers(*_sent(endpoint, status, bodies)),
        }
        if schemas:
            schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
            written["content"] = {"application/json": {"schema": schema}}
        if status == STATUSES[Created] and (linked := links(placed, bodies, self._others)):
            written["links"] = linked
        return written


def _sent(endpoint: Endpoint, status: int, bodies: tuple[Any, ...]) -> Iterator[str]:
    yield CORRELATION
    if any(body is not NoneType for body in bodies):
        yield from CONTENT_HEADERS
    if status == STATUSES[Created] and endpoint.location:
        yield "Location"
    if any((get_origin(body) or body) in endpoint.versions for body in bodies):
        yield "ETag"
    if any(get_origin(body) is Page for body in bodies):
        yield "Link"


def _description(placed: Placed) -> str:
    _, _, rest = inspect.cleandoc(placed.endpoint.view.__doc__ or "").partition("\n")
    needs = f"It requires the permission `{placed.permission}`." if placed.permission else ""
    return "\n\n".join(said for said in (rest.strip(), needs) if said)


def _needed(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", **PARAMETERS[name], "required": True}
