"""Links of a document: from what was created to where it can be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_origin

from .endpoints import Endpoint
from .placing import Placed


def links(placed: Placed, bodies: tuple[Any, ...], others: Mapping[str, Placed]) -> dict[str, Any]:
    """Write the link from an answer to the endpoint that shows what was created; empty where there is none.

    `others` are all endpoints by their ids. The path's variables are told by the answer, or else by the request.
    """
    endpoint = placed.endpoint
    target = others.get(f"{placed.tag}.{endpoint.location}")
    if endpoint.location is None or target is None:
        return {}
    names = sorted(target.endpoint.variables)
    parameters = {name: _expression(name, endpoint, bodies) for name in names}
    link = {"operationId": target.id, "parameters": parameters, "description": target.endpoint.summary}
    return {target.endpoint.name: link}


def _expression(name: str, endpoint: Endpoint, bodies: tuple[Any, ...]) -> str:
    if all(name in _fields(body) for body in bodies):
        return f"$response.body#/{name}"
    if name in endpoint.variables:
        return f"$request.path.{name}"
    return f"$request.body#/{name}" if endpoint.has_body else f"$request.query.{name}"


def _fields(kind: Any) -> frozenset[str]:
    plain = get_origin(kind) or kind
    return (
        frozenset(each.name for each in dataclasses.fields(plain))
        if dataclasses.is_dataclass(plain)
        else frozenset()
    )
