"""Requests with an `Idempotency-Key`, and a client that repeats them until there is an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from atomos.testing.processes import Service, wait_until

PATIENCE = 5.0
"""For so long a repeat waits for the first, and is told to come again then."""

OWN = ("Date", "Server", "Connection")
"""What each answer has of its own; all other headers belong to what was answered."""

_SECONDS = 60.0


class Request(NamedTuple):
    """What a client sends, and sends again."""

    method: str
    path: str
    body: dict[str, Any]
    key: str
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


class Answer(NamedTuple):
    """What a client is told."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def at_once() -> None:
    """Wait for nobody."""


class Client:
    """Sends requests, each on a connection of its own, so that any process may get it."""

    def __init__(self, service: Service) -> None:
        self._port = service.port
        self.refused: list[float] = []
        self.cut_off = 0

    def ask(self, request: Request, ready: Callable[[], object] = at_once) -> Answer:
        """Send it once the other one is `ready` too; where the first is still in flight, again."""
        while True:
            started = time.monotonic()
            answer = self.send(request, ready)
            waited = time.monotonic() - started
            if answer.status != 409:
                return answer
            assert answer.json["type"] == "urn:atomos:problem:in-flight", answer
            assert waited >= PATIENCE * 0.9, f"gave up after {waited:.2f} s"
            self.refused.append(waited)
            time.sleep(float(answer.headers["Retry-After"]))
            ready = at_once  # the other one does not come a second time

    def insist(self, request: Request) -> Answer:
        """Send it, and again while nobody answers: the process that had it is gone, and another one begins."""
        told: list[Answer] = []

        def is_told() -> bool:
            try:
                told.append(self.send(request))
            except (OSError, HTTPException):
                self.cut_off += 1
            return bool(told)

        wait_until(is_told, _SECONDS, "an answer")
        return told[0]

    def send(self, request: Request, ready: Callable[[], object] = at_once) -> Answer:
        """Send it once."""
        headers = {**request.headers, "Idempotency-Key": request.key}
        if request.body:
            headers["Content-Type"] = "application/json"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        try:
            connection.connect()
            ready()
            body = json.dumps(request.body) if request.body else None
            connection.request(request.method, request.path, body, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name not in OWN}
            return Answer(answer.status, kept, answer.read())
        finally:
            connection.close()


def batches(count: int) -> list[Request]:
    """Bring a batch of each SKU into stock."""
    path = "/allocation/batches"
    return [
        Request("POST", path, {"reference": f"b{n}", "sku": f"sku-{n}", "quantity": 1000}, f"batch-{n}")
        for n in range(count)
    ]


def lines(numbers: Sequence[int], skus: int) -> list[Request]:
    """Order one of so many SKUs in turn, each for an order of its own."""
    return [
        Request(
            "POST", f"/allocation/orders/o{n}/lines", {"sku": f"sku-{n % skus}", "quantity": 1}, f"line-{n}"
        )
        for n in numbers
    ]
