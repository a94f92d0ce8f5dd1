"""Connections to RabbitMQ: where it is, and one channel on a connection of its own."""

from __future__ import annotations

import math
import os
import select
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, NamedTuple

import amqp
from amqp.exceptions import AMQPError, FrameSyntaxError, NotFound
from amqp.method_framing import frame_handler
from kombu.utils.url import parse_url

from ....service.ports import Unavailable

Frame = tuple[int, int, bytes]
"""The kind of a frame, its channel, and what is in it."""

ERRORS = (AMQPError, OSError)
"""What a connection that is gone raises, and one on which the server refuses something."""

_PORTS = {"amqp": 5672, "amqps": 5671}
_CLOSE_SECONDS = 1.0
_HEADER, _BEFORE_PROPERTIES, _NO_PROPERTIES = 2, 12, bytes(2)
_UNREADABLE = (
    *(ValueError, ArithmeticError, LookupError, RecursionError, struct.error, FrameSyntaxError),
    # A time that is none.
    OSError,
)
_URL_MISTAKE = (
    "The URL of RabbitMQ is not amqp://USER:PASSWORD@HOST:PORT/VHOST (or amqps). "
    "What is special in user, password or virtual host is written as %40, %2F and so on."
)


class Place(NamedTuple):
    """Where a RabbitMQ is, and how long it may take to answer, in seconds."""

    name: str
    options: dict[str, Any]
    timeout: float
    heartbeat: float

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what goes wrong with a connection into `Unavailable`."""
        try:
            yield
        except ERRORS as error:
            raise self.away(reason(error)) from error

    def away(self, why: str) -> Unavailable:
        """Make the error that says why it is not there, without the credentials."""
        return Unavailable(f"RabbitMQ at {self.name} is not available: {why}.")


def place_of(url: str, timeout: float, heartbeat: float) -> Place:
    """Read a URL. Raises `ValueError`, which does not show it: it holds a password."""
    try:
        read = parse_url(url)
        scheme, host, port = read["transport"], read["hostname"] or "localhost", read["port"]
        port = port or _PORTS[scheme]
    except (KeyError, ValueError):
        raise ValueError(_URL_MISTAKE) from None
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = {
        "host": name,
        "userid": read["userid"] or "guest",
        "password": read["password"] or "guest",
        "login_method": "PLAIN",
        "virtual_host": read["virtual_host"] or "/",
        "ssl": _tls(host, read.get("ssl") or {}) if scheme == "amqps" else False,
        "connect_timeout": timeout,
        # Whole seconds, and zero would switch them off.
        "heartbeat": math.ceil(heartbeat),
    }
    return Place(name, options, timeout, heartbeat)


class Link:
    """One channel on a connection of its own. One thread uses it at a time, in the process that made it."""

    def __init__(self, place: Place, purpose: str) -> None:
        self.place = place
        self.used_at = monotonic()
        self._process = os.getpid()
        # The library is not typed.
        self.connection: Any = _connected(place, purpose)
        try:
            self.channel = self.connection.channel()
        except BaseException:
            self.close()
            raise
        # Bodies are bytes, whatever a sender says of their encoding.
        self.channel.auto_decode = False
        self._socket = self.connection.transport.sock
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    @property
    def is_ours(self) -> bool:
        """Whether it was made in this process, and not before a fork."""
        return self._process == os.getpid()

    def is_well(self) -> bool:
        """Whether it may still be used after it was left alone: the server has said nothing against it."""
        if not self.is_ours or monotonic() - self.used_at > self.place.heartbeat:
            return False
        with suppress(*ERRORS):
            while self.read(0):
                pass
            return True
        return False

    def read(self, seconds: float) -> bool:
        """Take in one frame, and say whether one came within so many seconds."""
        if not self._has_more() and not self._poll.poll(seconds * 1000):
            return False
        # What has begun to come is waited for as long as the timeout says.
        self.connection.blocking_read()
        return True

    def beat(self) -> None:
        """Send a heartbeat where one is due; raise an error where the server has sent none for too long."""
        # Those of the server stand behind what was not read yet.
        while self.read(0):
            pass
        self.connection.heartbeat_tick()

    def close(self) -> None:
        """Close it in good order where the server answers at once. That of another process stays as it is."""
        if not self.is_ours:
            return
        with suppress(*ERRORS):
            if self.connection.connected:
                self.connection.transport.sock.settimeout(_CLOSE_SECONDS)
                self.connection.close()
        self.connection.collect()

    def _has_more(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0


def reason(error: BaseException) -> str:
    """Say in a few words what went wrong, without a full stop."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    said = error.reply_text if isinstance(error, AMQPError) else str(error)
    return str(said or type(error).__name__).strip().rstrip(".")


def is_not_there(error: BaseException) -> bool:
    """Whether the server refused something because an exchange or a queue does not exist."""
    return isinstance(error, NotFound)


def _connected(place: Place, purpose: str) -> Any:
    # Operators see the name.
    named = {"connection_name": f"atomos {purpose} (process {os.getpid()})"}
    connection: Any = amqp.Connection(**place.options, client_properties=named, frame_handler=_forgiving)
    try:
        connection.connect()
    except BaseException:
        connection.collect()
        raise
    # It holds for every wait: the library's own would be endless.
    connection.transport.sock.settimeout(place.timeout)
    return connection


def _forgiving(connection: Any, callback: Callable[..., None]) -> Callable[[Frame], bool]:
    """Read frames as the library does; of a message whose properties cannot be read, the body alone.

    It would come again and again otherwise, and end every connection that reads it.
    """
    read = frame_handler(connection, callback)

    def forgiving(frame: Frame) -> bool:
        try:
            return bool(read(frame))
        except _UNREADABLE:
            kind, channel, payload = frame
            if kind != _HEADER:
                raise
            return bool(read((kind, channel, payload[:_BEFORE_PROPERTIES] + _NO_PROPERTIES)))

    return forgiving


def _tls(host: str, said: dict[str, Any]) -> dict[str, Any]:
    """Check the server's certificate unless the URL says otherwise (`ssl_cert_reqs=none`)."""
    given = {name.removeprefix("ssl_"): value for name, value in said.items()}
    return {"server_hostname": host, "cert_reqs": ssl.CERT_REQUIRED, **given}
