"""Where the sender of an event that is handled later sees how far it has come."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response

from ..domain import errors
from ..domain.errors import DomainError
from ..service.bus import MessageBus
from ..service.envelope import Principal
from ..service.following import TAKEN_BACK, Followed, Progress
from .later import RETRY_SECONDS
from .problems import KINDS, TYPE, Kind

_TAKEN_BACK = Kind(
    "taken-back",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Taken back",
    "It was taken back before it was done. Send it again if it is still wanted.",
)


def show(bus: MessageBus, message_id: UUID, principal: Principal) -> Response:
    """Say how far an event has come. Raises `UnknownMessage`."""
    followed = bus.follow(str(message_id), principal)
    response = Response(
        json.dumps({"id": str(message_id), **_told(followed)}), content_type="application/json"
    )
    if followed.state is Progress.WAITING:
        response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _told(followed: Followed) -> dict[str, Any]:
    said: dict[str, Any] = {"state": followed.state}
    if followed.state is Progress.DONE:
        said["result"] = None if followed.answer is None else json.loads(followed.answer)["value"]
    elif followed.state is Progress.FAILED:
        kind = _kind(followed.kind)
        said["problem"] = {
            "type": TYPE + kind.slug,
            "title": kind.title,
            "status": kind.status,
            "detail": kind.detail or followed.said,
        }
    return said


def _kind(name: str | None) -> Kind:
    if name == TAKEN_BACK:
        return _TAKEN_BACK
    return KINDS[Exception if name is None else getattr(errors, name, DomainError)]
