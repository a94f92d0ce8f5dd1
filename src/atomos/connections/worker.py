"""A gunicorn worker whose threads no slow client can hold: they get whole requests, and leave whole answers."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, ClassVar, NamedTuple, cast

import structlog
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from .arriving import Allowed, CutOff
from .connection import WAITING, Connection, Stage
from .refusals import TooMuch, TooSlow, refuse

_READ_BYTES = 65_536
_MOST_HELD_BYTES = 67_108_864
_SWEEP_SECONDS = 0.25
_LINGER_SECONDS = 2.0
_STOP_SECONDS = 3.0
_LINGER_BYTES = 1_048_576
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOBODY_THERE = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED))
_NO_MORE_FILES = frozenset((errno.EMFILE, errno.ENFILE))

_log = structlog.get_logger("atomos.connections")


class Limits(NamedTuple):
    """How long a client may take, in seconds, and how large the body of its request may be.

    `head` is for the first line and the header fields, `body` for what comes after them, `answer` for taking what
    it is told.
    """

    head: float = 10.0
    body: float = 30.0
    answer: float = 30.0
    body_bytes: int = 1_048_576


class PatientWorker(ThreadWorker):
    """Reads requests and sends answers in its loop, where a slow client costs a socket and no thread.

    `limits` is for a subclass to say. TLS is not spoken: that is for what stands in front.
    """

    limits: ClassVar[Limits] = Limits()
    _is_quitting = False

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse TLS, which this worker cannot read. Raises `RuntimeError`, which gunicorn tells."""
        if cfg.is_ssl:
            raise RuntimeError(f"{cls.__name__} speaks no TLS; let a proxy in front of it do that.")
        super().check_config(cfg, log)

    def init_process(self) -> None:
        """Begin without connections, and serve."""
        self.cfg.set("sendfile", False)  # answers are kept until their client has taken them
        self._allowed = Allowed(self.cfg, self.limits.body_bytes)
        self._most_held = max(_MOST_HELD_BYTES, 2 * self.limits.body_bytes)
        self._connections: set[Connection] = set()
        self._held = 0
        self._sweep_due = 0.0
        super().init_process()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End at once. Ctrl-C is told to this process itself, and then by gunicorn: the second time counts no more."""
        # gunicorn ends its threads here, too: for ever, where the signal interrupts who holds the lock for that.
        if not self._is_quitting:
            self._is_quitting = True
            Worker.handle_quit(self, sig, frame)

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; where there are too many, the one that has waited longest makes room."""
        if self.nr_conns >= self.worker_connections - 1:
            self._make_room()
        try:
            link, client = listener.accept()
        except OSError as error:
            if error.errno in _NO_MORE_FILES:
                self._make_room()
            elif error.errno not in _NOBODY_THERE:
                raise
            return
        connection = Connection(link, client, listener.getsockname(), self._allowed)
        self._connections.add(connection)
        self.nr_conns += 1
        self._enter(connection, Stage.RESTING, self.limits.head)
        self._watch(connection, EVENT_READ, self._read)

    def handle(self, conn: Any) -> bool:
        """Let the application answer a whole request, in a thread; say whether the connection stays open."""
        keeps, head = False, conn.arriving.head
        try:
            conn.arriving.read_body()
            head._expected_100_continue = False  # it was told already, else its body would not be here
            keeps = bool(self.handle_request(head, conn))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            conn.sock.unsent[:] = refuse(error, conn.client, with_body=not conn.arriving.is_of_head)
        with suppress(OSError):
            conn.push()  # most answers go at once, and need not wait for the loop
        return keeps

    def finish_request(self, conn: Any, fs: Future[bool]) -> None:
        """Go on with a connection whose request was answered; in the loop."""
        conn.keeps = not fs.cancelled() and fs.exception() is None and fs.result()
        conn.arriving.begin()
        self._take_step(self._send, conn)

    def murder_pending(self) -> None:
        """End what has taken too long."""
        now = time.monotonic()
        if now < self._sweep_due:
            return
        self._sweep_due = now + _SWEEP_SECONDS
        for each in [c for c in self._connections if c.until <= now and c.stage is not Stage.HANDLED]:
            if each.stage in WAITING and each.arriving.is_begun:
                self._refuse(each, TooSlow())
            else:
                self._drop(each)

    def murder_keepalived(self, force: bool = False) -> None:
        """End every connection that nobody works on, when the worker ends."""
        for each in [c for c in self._connections if force and c.stage is not Stage.HANDLED]:
            self._drop(each)

    def _cap_keepalive(self, deadline: float) -> None:
        # gunicorn asks for this when the worker begins to stop.
        for each in self._connections:
            is_early = each.stage in (Stage.RESTING, Stage.HEAD)
            each.until = min(each.until, deadline if is_early else deadline + _STOP_SECONDS)

    def _enter(self, conn: Connection, stage: Stage, seconds: float) -> None:
        conn.enter(stage, seconds if self.alive else min(seconds, _STOP_SECONDS))

    def _watch(self, conn: Connection, events: int, step: Callable[[Connection], None]) -> None:
        self.poller.register(conn.link, events, partial(self._on_event, step, conn, conn.stage))

    def _unwatch(self, conn: Connection) -> None:
        with suppress(KeyError, ValueError):
            self.poller.unregister(conn.link)

    def _on_event(self, step: Callable[[Connection], None], conn: Connection, stage: Stage, _: Any) -> None:
        # What came at the same time may have closed it, or answered it.
        if conn.stage is stage or (stage in WAITING and conn.stage in WAITING):
            self._take_step(step, conn)

    def _take_step(self, step: Callable[[Connection], None], conn: Connection) -> None:
        try:
            step(conn)
        except OSError:
            self._drop(conn)  # the client is gone
        except Exception as error:  # noqa: BLE001 - one connection must not end the loop, which is all others'
            _log.error("http.failed", correlation_id=None, method="", route="", exc_info=error)
            self._drop(conn)

    def _read(self, conn: Connection) -> None:
        try:
            data = conn.link.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if data:
            self._take(conn, data)
        elif conn.arriving.is_begun:
            self._refuse(conn, CutOff())
        else:
            self._drop(conn)

    def _take(self, conn: Connection, data: bytes) -> None:
        try:
            is_whole = conn.arriving.take(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            self._refuse(conn, error)
            return
        if is_whole:
            self._unwatch(conn)
            conn.stage = Stage.HANDLED
            self.enqueue_req(cast(Any, conn))
            return
        self._count(conn)
        if conn.arriving.head is not None and conn.stage is not Stage.BODY:
            self._enter(conn, Stage.BODY, self.limits.body)
            if conn.arriving.wants_more:
                conn.link.send(_CONTINUE)
        elif conn.stage is Stage.RESTING:
            self._enter(conn, Stage.HEAD, self.limits.head)
        if self._held > self._most_held:
            waiting = [each for each in self._connections if each.stage in WAITING]
            self._refuse(max(waiting, key=lambda each: each.held), TooMuch())

    def _send(self, conn: Connection) -> None:
        self._unwatch(conn)
        self._count(conn)
        if not conn.push():
            if conn.stage is not Stage.ANSWER:
                self._enter(conn, Stage.ANSWER, self.limits.answer)
            self._watch(conn, EVENT_WRITE, self._send)
        elif conn.keeps:
            self._begin(conn)
        else:
            conn.link.shutdown(socket.SHUT_WR)
            self._enter(conn, Stage.CLOSING, _LINGER_SECONDS)
            self._watch(conn, EVENT_READ, self._drain)

    def _begin(self, conn: Connection) -> None:
        self._enter(conn, Stage.RESTING, self.cfg.keepalive)
        if conn.arriving.is_begun:
            self._take(conn, b"")
        if conn.stage in WAITING:
            self._watch(conn, EVENT_READ, self._read)

    def _drain(self, conn: Connection) -> None:
        # Closing a socket with unread data would take back the answer, too.
        with suppress(BlockingIOError, InterruptedError):
            data = conn.link.recv(_READ_BYTES)
            conn.drained += len(data)
            if not data or conn.drained > _LINGER_BYTES:
                self._drop(conn)

    def _refuse(self, conn: Connection, error: Exception) -> None:
        conn.sock.unsent[:] = refuse(error, conn.client, with_body=not conn.arriving.is_of_head)
        conn.keeps = False
        conn.arriving.received.clear()
        self._take_step(self._send, conn)

    def _make_room(self) -> None:
        if idle := [each for each in self._connections if each.stage is not Stage.HANDLED]:
            self._drop(min(idle, key=lambda each: each.since))

    def _count(self, conn: Connection) -> None:
        held = len(conn.arriving.received)
        self._held += held - conn.held
        conn.held = held

    def _drop(self, conn: Connection) -> None:
        if conn.stage is Stage.CLOSED:
            return
        self._unwatch(conn)
        conn.stage = Stage.CLOSED
        conn.arriving.received.clear()
        self._count(conn)
        self._connections.discard(conn)
        self.nr_conns -= 1
        conn.link.close()
