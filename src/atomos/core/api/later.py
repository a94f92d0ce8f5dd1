"""`Prefer: respond-async` (RFC 7240): the event is stored, and its sender does not wait for what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Response, url_for
from werkzeug.exceptions import HTTPException

from ..service.following import Progress

ENDPOINT = "atomos.show_message"
"""The name of the view that shows how far an event has come."""

RETRY_SECONDS = "1"
"""After so long it is worth to look again."""

_LATER = re.compile(r"(?:^|,)\s*respond-async\s*(?:[;,]|$)", re.IGNORECASE)


def prefers_later(environ: Mapping[str, Any]) -> bool:
    """Whether the sender does not want to wait: `Prefer: respond-async` (RFC 7240)."""
    given = environ.get("HTTP_PREFER")
    return given is not None and _LATER.search(given) is not None


def accept(message_id: str) -> NoReturn:
    """End the request with 202: the event is stored, and its sender may look how far it has come."""
    headers = {
        "Location": url_for(ENDPOINT, message_id=message_id),
        "Preference-Applied": "respond-async",
        "Retry-After": RETRY_SECONDS,
    }
    body = json.dumps({"id": message_id, "state": Progress.WAITING})
    raise HTTPException(response=Response(body, 202, headers, content_type="application/json"))
