"""The connection to a NATS server, and the thread with the event loop that its library needs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

from ...service.errors import MissingExtra
from ...service.ports import Unavailable

try:
    from nats.aio.client import Client
except ImportError as missing:
    raise MissingExtra("nats", "broker.url is a NATS") from missing

from nats.aio.msg import Msg
from nats.errors import BadHeaderError, BadSubjectError, Error
from nats.js import JetStreamContext
from nats.js.errors import APIError

T = TypeVar("T")

_PING_SECONDS = 10
_AGAIN_SECONDS = 0.05
_MORE_SECONDS = 5.0


class Session:
    """One connection, from when it is made until it is lost; it is not made anew.

    `lost` is done when it is over. Answers come to what `listen` was given.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self.client = client
        self.timeout = timeout
        self.streams: JetStreamContext = client.jetstream(timeout=timeout)
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox = client.new_inbox()
        self._heard: dict[str, Callable[[str, Msg], None]] = {}
        self._numbers = count()

    async def begin(self) -> None:
        """Subscribe to the answers."""
        await self.client.subscribe(f"{self._inbox}.*.*", cb=self._hear)

    def listen(self, hear: Callable[[str, Msg], None]) -> str:
        """Give an address; what comes to `ADDRESS.LABEL` is given to `hear`, with the label."""
        number = str(next(self._numbers))
        self._heard[number] = hear
        return f"{self._inbox}.{number}"

    def forget(self, address: str) -> None:
        """Hear no more of what comes to an address."""
        self._heard.pop(address.rpartition(".")[2], None)

    async def close(self) -> None:
        """Close the connection, whatever its state."""
        self.end()
        with suppress(Exception):
            await self.client.close()

    def end(self) -> None:
        """Note that the connection is over."""
        if not self.lost.done():
            self.lost.set_result(None)

    async def _hear(self, message: Msg) -> None:
        _, number, label = message.subject.rsplit(".", 2)
        if (hear := self._heard.get(number)) is not None:
            hear(label, message)


Work = Callable[[Session], Coroutine[Any, Any, T]]
"""What is done with a connection, on the loop."""


class Link:
    """Runs work on the loop's thread, which the first work starts in each process, and keeps one connection.

    A connection that was lost, or on which an answer did not come in time, is left; the next work makes a new one.
    `timeout` is in seconds, for a connection and for each work.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.timeout = timeout
        self._url = url
        hosts = ", ".join(each.rpartition("@")[2].rpartition("//")[2].rstrip("/") for each in url.split(","))
        self._away = (
            f"NATS at {hosts} (broker.url) does not answer: it refused a connection, closed it, or did not reply in "
            "time."
        )
        self._start = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._session: Session | None = None
        self._connect = asyncio.Lock()

    def run(self, work: Work[T], *, on: Session | None = None, seconds: float | None = None) -> T:
        """Run work and give what it gives. Raises `Unavailable` when it takes longer than so many seconds.

        `on` is the connection that it needs, None takes any; `seconds` is the timeout, unless it is given.
        """
        longest = self.timeout if seconds is None else seconds
        waiting = asyncio.run_coroutine_threadsafe(self._run(work, on, longest), self._running())
        try:
            return waiting.result(longest + self.timeout + _MORE_SECONDS)
        except TimeoutError as error:  # the loop itself stands still
            raise Unavailable(self._away) from error

    def call(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something on the loop's thread, where it runs, and do not wait for it."""
        with self._start, suppress(RuntimeError):
            if self._loop is not None and self._pid == os.getpid():
                asyncio.run_coroutine_threadsafe(work(), self._loop)

    def close(self) -> None:
        """Close the connection, and end the thread."""
        with self._start:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._leave(), loop).result(self.timeout)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_MORE_SECONDS)
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._start:
            if self._loop is None or self._pid != os.getpid():
                # The connection and the loop of the process that was forked are not ours to close.
                self._session, self._connect, self._pid = None, asyncio.Lock(), os.getpid()
                self._loop = loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="atomos-nats", daemon=True)
                self._thread.start()
            return self._loop

    async def _run(self, work: Work[T], on: Session | None, seconds: float) -> T:
        session = on or await self._connected()
        if session.lost.done():
            raise Unavailable(self._away)
        task = asyncio.ensure_future(work(session))
        both: set[asyncio.Future[Any]] = {task, session.lost}
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        try:
            if task.done():
                return task.result()
            task.cancel()
        except APIError as error:
            raise Unavailable(f"NATS refused: {str(error.description or error).rstrip('.')}.") from error
        except (BadSubjectError, BadHeaderError) as error:
            raise Unavailable(f"NATS takes no such name, {str(error).removeprefix('nats: ')}.") from error
        except (Error, OSError, TimeoutError) as error:
            await self._leave(session)
            raise Unavailable(self._away) from error
        await self._leave(session)
        raise Unavailable(self._away)

    async def _connected(self) -> Session:
        async with self._connect:
            if self._session is None or self._session.lost.done() or not self._session.client.is_connected:
                await self._leave()
                self._session = await self._new()
            return self._session

    async def _new(self) -> Session:
        client = Client()
        session = Session(client, self.timeout)
        try:
            async with asyncio.timeout(self.timeout):
                await self._join(client, session)
                self._check_secrecy(client)
                await session.begin()
        except (Unavailable, Error, OSError, TimeoutError) as error:
            await session.close()
            if isinstance(error, Unavailable):
                raise
            if "authorization" in str(error).lower():
                raise Unavailable("NATS refused the user or the password: correct broker.url.") from error
            raise Unavailable(self._away) from error
        return session

    async def _join(self, client: Client, session: Session) -> None:
        async def over() -> None:
            session.end()

        async def quiet(_: Exception) -> None:
            """Whoever waits is told."""

        # It does not reconnect by itself: it would send again what was given up, and ask again what is over.
        await client.connect(
            self._url.split(","),
            name="atomos",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=_AGAIN_SECONDS,  # type: ignore[arg-type]
            connect_timeout=self.timeout,  # type: ignore[arg-type]
            ping_interval=_PING_SECONDS,
            closed_cb=over,
            disconnected_cb=over,
            error_cb=quiet,
        )

    def _check_secrecy(self, client: Client) -> None:
        # The library encrypts when the server asks for it, and else not, whatever the URL says.
        if self._url.startswith("tls:") and not client._server_info.get("tls_required"):
            raise Unavailable(
                "NATS does not encrypt, and broker.url begins with tls: let the server require TLS."
            )

    async def _leave(self, session: Session | None = None) -> None:
        """Close a connection; None: the one that is kept."""
        left = session or self._session
        if left is not None and left is self._session:
            self._session = None
        if left is not None:
            await left.close()
