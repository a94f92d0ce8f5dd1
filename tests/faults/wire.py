"""A wire between an application and PostgreSQL, which a test cuts at a commit, holds up, or severs."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy import make_url

_MOST = 65536
_PARTS = frozenset((b"P", b"B", b"D", b"E", b"C", b"H"))
_COMMIT = b"COMMIT\0"


@dataclass(frozen=True)
class Cut:
    """A commit to be cut: of a transaction in which all of `having`, and none of `lacking`, was said.

    `heard`: the server commits, and its answer is lost; otherwise the server never hears of it.
    """

    having: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    heard: bool = True

    def fits(self, said: str) -> bool:
        """Whether this is such a transaction."""
        return all(each in said for each in self.having) and not any(each in said for each in self.lacking)


class Wire:
    """Forwards to the server of `url` whatever comes to `port`: entered, it does; left, all is closed.

    `cuts` are done once each, in any order; `done` says which were. `url` is the way through the wire.
    """

    def __init__(self, url: str) -> None:
        server = make_url(url)
        self._server = (str(server.host), int(server.port or 5432))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}  # what is encrypted cannot be looked into
        through = server.set(host="127.0.0.1", port=self.port).update_query_dict(plain)
        self.url = through.render_as_string(hide_password=False)
        self.cuts: list[Cut] = []
        self.done: list[Cut] = []
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="wire", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # closing it alone would let one more in
        self._listening.close()
        self._flowing.set()
        self.sever()

    @property
    def connections(self) -> int:
        """How many there are through it."""
        with self._lock:
            return len(self._pairs)

    def hold(self) -> None:
        """Forward nothing, in either direction, and close nothing: the other side has vanished."""
        self._flowing.clear()

    def let_go(self) -> None:
        """Forward again, what was held up first."""
        self._flowing.set()

    def sever(self) -> None:
        """Close every connection, on both sides."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            for forward in (self._forward_up, self._forward_down):
                threading.Thread(target=self._until_closed, args=(forward, pair), daemon=True).start()

    def _until_closed(self, forward: Callable[[_Pair], None], pair: _Pair) -> None:
        with suppress(OSError):
            forward(pair)
        pair.close()
        with self._lock:
            self._pairs.discard(pair)

    def _forward_up(self, pair: _Pair) -> None:
        is_between = True
        for message in _messages(pair.client):
            # Half a statement would stay with the server for ever: only keepalives end it, which are answered here.
            if is_between:
                self._flowing.wait()
            is_between = message[:1] not in _PARTS
            cut = self._cut_of(pair, message)
            if cut is None:
                pair.server.sendall(message)
                continue
            pair.is_cut = True
            if not cut.heard:
                return
            pair.server.sendall(message)

    def _forward_down(self, pair: _Pair) -> None:
        while data := pair.server.recv(_MOST):
            if pair.is_cut:  # the server has answered: it has committed
                return
            self._flowing.wait()
            pair.client.sendall(data)

    def _cut_of(self, pair: _Pair, message: bytes) -> Cut | None:
        said = pair.transaction_ended_by(message)
        with self._lock:
            found = next((each for each in self.cuts if said is not None and each.fits(said)), None)
            if found is not None:
                self.cuts.remove(found)
                self.done.append(found)
        return found


@dataclass(eq=False)
class _Pair:
    """The two sides of one connection, and what was said in its transaction."""

    client: socket.socket
    server: socket.socket
    is_cut: bool = False
    _prepared: dict[bytes, bytes] = field(default_factory=dict)
    _said: list[bytes] = field(default_factory=list)

    def close(self) -> None:
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def transaction_ended_by(self, message: bytes) -> str | None:
        """Note what is said; at a commit, give all that was said since the last."""
        kind, body = message[:1], message[5:]
        if kind == b"P":  # a statement under a name
            name, statement, _ = body.split(b"\0", 2)
            self._prepared[name] = statement
        elif kind == b"B":  # a name that was given to a statement
            self._said.append(self._prepared.get(body.split(b"\0", 2)[1], b""))
        elif kind == b"Q" and body == _COMMIT:
            said, self._said = self._said, []
            return b"; ".join(said).decode()
        elif kind == b"Q":
            self._said = [] if body.startswith((b"BEGIN", b"ROLLBACK")) else [*self._said, body]
        return None


def _messages(client: socket.socket) -> Iterator[bytes]:
    """Read a client's messages whole: the first has no letter for its kind."""
    held, letter = b"", 0
    while data := client.recv(_MOST):
        held += data
        while len(held) >= letter + 4:
            length = letter + struct.unpack_from("!i", held, letter)[0]
            if len(held) < length:
                break
            yield held[:length]
            held, letter = held[length:], 1
