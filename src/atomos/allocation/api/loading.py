"""Sends rows to a running service: in lanes by SKU, patient with restarts, every row accounted for."""

from __future__ import annotations

import csv
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx2

from atomos.core.domain import AtomosError

from .lanes import in_lanes
from .rows import BATCHES, LINES, Kind, Request, Row, count_rows, read_rows

OUTCOMES: Mapping[str, tuple[str, ...]] = {
    "batch": ("created", "already_there", "rejected", "failed"),
    "line": ("allocated", "already_allocated", "out_of_stock", "rejected", "failed"),
}
"""What can become of a row that was sent, or refused, by the name of its kind."""

_PASSING = frozenset((429, 502, 503, 504))
_NOT_ALLOWED = frozenset((401, 403))
_TRIES_OF_A_FAILURE = 3
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_PROBLEM = "application/problem+json"


class Stopped(AtomosError):
    """The load stopped before its end. Run the same command again: it goes on where it stopped."""


class Outcome(NamedTuple):
    """What became of a row: one of `OUTCOMES`, and the reason where it was rejected or failed."""

    name: str
    reason: str = ""


class Load(NamedTuple):
    """What to send, and where to. Either file may be None.

    `patience` is in seconds; `run` is a part of every idempotency key; `rejects` is written anew. `token` is sent
    with every request, None where the service asks for none.
    """

    url: str
    batches: Path | None
    lines: Path | None
    rejects: Path
    concurrency: int = 4
    patience: float = 60.0
    run: str = ""
    token: str | None = None


class Progress(NamedTuple):
    """Who is told how far a load is: `begins` with a kind and its number of rows, `ended` after each row."""

    begins: Callable[[Kind, int], None] = lambda _kind, _rows: None
    ended: Callable[[], None] = lambda: None


class Report:
    """The account of a load: how many rows each file has, and what became of each of them."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.counts: dict[str, Counter[str]] = {"batch": Counter(), "line": Counter()}
        self.seconds = 0.0
        self.stopped: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every row was judged; those that the service failed at were not."""
        return self.stopped is None and not any(counts["failed"] for counts in self.counts.values())

    @property
    def rate(self) -> float:
        """Rows a second."""
        ended = sum(sum(counts.values()) for counts in self.counts.values())
        return ended / self.seconds if self.seconds else 0.0

    def of(self, kind: str) -> dict[str, int]:
        """Give the account of one kind of row: the outcomes and `not_sent` add up to `rows`."""
        rows, counts = self.rows.get(kind, 0), self.counts[kind]
        return {
            "rows": rows,
            **{n: counts[n] for n in OUTCOMES[kind]},
            "not_sent": rows - sum(counts.values()),
        }


class Rejects:
    """The file of rows that were not taken: file, line, reason, and the row as it was."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise Stopped(f"{path} cannot be written: {error}. Name another file with --rejects.") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(("file", "line", "reason", "row"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: Row, reason: str) -> None:
        """Write one row down, at once: the loader may be killed."""
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row.cells)
        self._writer.writerow((row.file, row.line, reason, text.getvalue()))
        self._file.flush()


class Sender:
    """Sends requests to a service, again and again while it is away. For threads to share."""

    def __init__(self, load: Load, stopping: threading.Event) -> None:
        self._url = load.url.rstrip("/")
        self._patience = load.patience
        self._stopping = stopping
        limits = httpx2.Limits(max_connections=load.concurrency, max_keepalive_connections=load.concurrency)
        credentials = {} if load.token is None else {"Authorization": f"Bearer {load.token}"}
        self._client = httpx2.Client(limits=limits, timeout=30.0, headers=credentials)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def find(self) -> None:
        """Make sure that the URL leads to the service. Raises `Stopped`."""
        response = self._patiently(lambda: self._client.get(f"{self._url}/allocation/batches?limit=1"))
        if response.status_code in _NOT_ALLOWED:
            raise self._refused(response)
        if response.status_code != httpx2.codes.OK or "items" not in _document(response):
            raise self._strange(response)

    def send(self, kind: Kind, request: Request) -> Outcome:
        """Send the request of a row, and say what became of it. Raises `Stopped`."""
        headers = {"Idempotency-Key": request.key}
        url = f"{self._url}{request.path}"
        response = self._patiently(lambda: self._client.post(url, json=request.body, headers=headers))
        if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            return Outcome("failed", f"{response.status_code} {_detail(response)}")
        if response.is_client_error and response.headers.get("content-type", "").startswith(_PROBLEM):
            if response.status_code in _NOT_ALLOWED:
                raise self._refused(response)
            return Outcome("rejected", f"{response.status_code} {_detail(response)}")
        if response.status_code not in (httpx2.codes.OK, httpx2.codes.CREATED):
            raise self._strange(response)
        return Outcome(_judged(kind, response))

    def _patiently(self, ask: Callable[[], httpx2.Response]) -> httpx2.Response:
        pause, failures, given_up = _FIRST_PAUSE, 0, None
        while True:
            answer, wait = _asked(ask), 0.0
            if isinstance(answer, httpx2.Response):
                failures += answer.is_server_error and answer.status_code not in _PASSING
                if not _may_pass(answer) or failures >= _TRIES_OF_A_FAILURE:
                    return answer
                wait = _retry_after(answer)
            now = time.monotonic()
            given_up = given_up or now + self._patience
            if now >= given_up:
                raise self._gone(answer)
            jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311
            if self._stopping.wait(min(given_up - now, max(wait, jittered))):
                raise Stopped
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _gone(self, answer: httpx2.Response | str) -> Stopped:
        said = answer if isinstance(answer, str) else f"{answer.status_code} {_detail(answer)}"
        return Stopped(
            f"{self._url} could not be used for {self._patience:g} s ({said}). What was sent is kept: "
            "run the same command again when the service is back, and it goes on where it stopped."
        )

    def _refused(self, response: httpx2.Response) -> Stopped:
        return Stopped(
            f"{self._url} does not allow it: {_detail(response)} Nothing more was sent. Give --key-file a file "
            "with an API key that may stock:read, stock:write and orders:write."
        )

    def _strange(self, response: httpx2.Response) -> Stopped:
        asked = f"{response.request.method} {response.request.url}"
        return Stopped(
            f"{asked} was answered with {response.status_code}, which is not how the service answers. "
            "Give --url the address that it is served at, such as http://127.0.0.1:8000."
        )


def carry_out(load: Load, report: Report, progress: Progress = Progress()) -> None:  # noqa: B008 - a constant
    """Send all batches, then all lines, and account for them in the report.

    Rows of one SKU are sent one after the other, in the order of the file, whatever the concurrency. Raises
    `UnusableFile` before anything is sent; what stops it later is said in the report.
    """
    files = [
        (kind, path) for kind, path in ((BATCHES, load.batches), (LINES, load.lines)) if path is not None
    ]
    report.rows = {kind.name: count_rows(path, kind) for kind, path in files}
    started, stopping = time.monotonic(), threading.Event()
    sender = Sender(load, stopping)
    try:
        with Rejects(load.rejects) as rejects:
            sender.find()
            for kind, path in files:
                progress.begins(kind, report.rows[kind.name])
                work = _Work(kind, sender, report, rejects, progress)
                in_lanes(read_rows(path, kind, load.run), work.carry_out, load.concurrency, stopping)
    except Stopped as error:
        report.stopped = str(error)
    except KeyboardInterrupt:
        report.stopped = str(Stopped())
    finally:
        report.seconds = time.monotonic() - started
        sender.close()


class _Work:
    """What is done with one row, in the thread of its lane."""

    def __init__(
        self, kind: Kind, sender: Sender, report: Report, rejects: Rejects, progress: Progress
    ) -> None:
        self._kind = kind
        self._sender = sender
        self._counts = report.counts[kind.name]
        self._rejects = rejects
        self._progress = progress
        self._lock = threading.Lock()

    def carry_out(self, row: Row) -> None:
        outcome = Outcome("rejected", row.reason)
        if row.request is not None:
            outcome = self._sender.send(self._kind, row.request)
        with self._lock:
            if outcome.reason:
                self._rejects.add(row, outcome.reason)
            self._counts[outcome.name] += 1
            self._progress.ended()


def _judged(kind: Kind, response: httpx2.Response) -> str:
    is_new = response.status_code == httpx2.codes.CREATED
    if kind is BATCHES:
        return "created" if is_new else "already_there"
    if _document(response).get("batch") is None:
        return "out_of_stock"
    return "allocated" if is_new else "already_allocated"


def _asked(ask: Callable[[], httpx2.Response]) -> httpx2.Response | str:
    try:
        return ask()
    except httpx2.TransportError as error:
        return f"{type(error).__name__}: {error}"


def _may_pass(response: httpx2.Response) -> bool:
    # Whoever says when to come back says that it may be otherwise then: also a 409 of two that met.
    return response.is_server_error or response.status_code in _PASSING or "retry-after" in response.headers


def _retry_after(response: httpx2.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 0.0


def _detail(response: httpx2.Response) -> str:
    document = _document(response)
    errors = document.get("errors") or ()
    fields = "; ".join(f"{each['pointer'].lstrip('/')} {each['detail']}" for each in errors)
    return fields or str(document.get("detail") or response.reason_phrase)


def _document(response: httpx2.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
