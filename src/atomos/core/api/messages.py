"""Where the sender of an event that is handled later sees how far it has come."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from flask import Response

from ..domain import errors
from ..domain.errors import DomainError
from ..service.bus import MessageBus
from ..service.envelope import Principal
from ..service.following import Followed, Progress
from .later import RETRY_SECONDS
from .problems import KINDS, TYPE


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
        refused = getattr(errors, followed.kind, DomainError) if followed.kind else Exception
        kind = KINDS[refused]
        said["problem"] = {
            "type": TYPE + kind.slug,
            "title": kind.title,
            "status": kind.status,
            "detail": kind.detail or followed.said,
        }
    return said
