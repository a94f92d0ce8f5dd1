"""Reading a stream of Redis as one consumer of a group: first what is pending, then what is new."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, NamedTuple

from ...service.messaging import Consumer, Taken
from ...service.ports import Unavailable
from .redis_wire import Fields, message_of, redis, told_plainly

READER = "atomos"
"""The consumer's name in every group: the application has one reader of a subscription at a time."""

TRIM_AFTER = 1_000
"""So many acknowledged messages are removed from a stream at once, about."""

_BLOCK_SECONDS = 1.0
_FIRST = b"0-0"

Entry = tuple[bytes, Fields]


class Reads(NamedTuple):
    """What a consumer reads, and how: `batch` pending entries are claimed at once, `timeout` is in seconds."""

    key: str
    group: str
    declares: bool
    batch: int
    timeout: float


def make_group(client: Any, key: str, group: str) -> None:
    """Make a group, and its stream, where they are not there; it begins with the oldest entry."""
    try:
        client.xgroup_create(key, group, id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


class RedisConsumer(Consumer):
    """Reads one group of a stream, over a connection of its own; `others` is for what closes it meanwhile."""

    def __init__(self, client: Any, others: Any, reads: Reads) -> None:
        self._redis = client
        self._others = others
        self._reads = reads
        self._client_id = 0
        self._is_closed = False
        self._lock = threading.RLock()
        # The pending entry to go on after, None when all of them were read.
        self._after: bytes | None = _FIRST
        self._newest = _FIRST
        # What is not acknowledged, in order; when all pending entries were read, no others are pending.
        self._held: dict[bytes, None] = {}
        self._untrimmed = 0

    def begin(self) -> None:
        """Take over what the group has pending, whoever held it. Raises `Unavailable`."""
        key, group = self._reads.key, self._reads.group
        with self._closing_on_errors():
            if self._reads.declares:
                make_group(self._redis, key, group)
            self._client_id = self._redis.client_id()
            cursor = self._claim(_FIRST)
            while cursor != _FIRST:
                cursor = self._claim(cursor)
            self._newest = _last_delivered(self._redis, key, group)
            trim(self._redis, key)

    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        """Take the next messages, pending ones first; empty after so many seconds, and when it is closed meanwhile."""
        until = monotonic() + seconds
        with self._lock, self._closing_on_errors():
            self._check_open()
            if most == 0:  # Redis would take it for no limit
                self._redis.ping()
                return ()
            while not self._is_closed:
                if taken := self._take(most):
                    return taken
                if (left := until - monotonic()) <= 0:
                    break
                self._wait(left)
        return ()

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """Acknowledge these entries in one command. Raises `Unavailable`."""
        if not taken:
            return
        with self._lock, self._closing_on_errors():
            self._check_open()
            self._settle([each.tag for each in taken])
            self._untrimmed += len(taken)
            if self._untrimmed >= TRIM_AFTER:
                self._untrimmed = 0
                trim(self._redis, self._reads.key)

    def close(self) -> None:
        """Stop reading: what is pending is the next reader's at once."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(redis.RedisError, OSError):
            self._others.client_unblock(self._client_id)
        if self._lock.acquire(timeout=2 * _BLOCK_SECONDS):
            self._lock.release()
        self._redis.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(
                f"The reader of {self._reads.key} as {self._reads.group} is closed: read it anew."
            )

    def _take(self, most: int) -> list[Taken]:
        while self._after is not None:
            entries = self._hold(self._redis.execute_command(*self._reading(most, self._after)))
            self._after = entries[-1][0] if entries else None
            if taken := self._present(entries):
                return taken
        return self._present(self._new(most))

    def _new(self, most: int) -> list[Entry]:
        """Read what nobody of the group has read, unless more is pending than what is held here.

        Then somebody else has read: a process that was stopped, so that this one took its place, may go on and read
        before it notices. What it took comes first, when the group is read anew.
        """
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.execute_command(*self._reading(most, b">"))
        pipeline.xpending(self._reads.key, self._reads.group)
        read, pending = pipeline.execute()
        entries = self._hold(read)
        held = len(self._held), next(iter(self._held), None), next(reversed(self._held), None)
        if (pending["pending"], pending["min"], pending["max"]) != held:
            raise Unavailable(f"Somebody else reads {self._reads.key} as {self._reads.group}: read it anew.")
        if entries:
            self._newest = entries[-1][0]
        return entries

    def _hold(self, reply: Any) -> list[Entry]:
        # One stream was asked for; without entries it is not in the reply.
        entries: list[Entry] = list(reply[0][1]) if reply else []
        self._held.update((entry_id, None) for entry_id, _ in entries)
        return entries

    def _reading(self, most: int, after: bytes) -> tuple[Any, ...]:
        group, key = self._reads.group, self._reads.key
        return ("XREADGROUP", "GROUP", group, READER, "COUNT", most, "STREAMS", key, after)

    def _present(self, entries: Sequence[Entry]) -> list[Taken]:
        """Leave out, and acknowledge, what was removed from the stream before it was read."""
        if gone := [entry_id for entry_id, fields in entries if not fields]:
            self._settle(gone)
        return [Taken(message_of(fields), entry_id) for entry_id, fields in entries if fields]

    def _settle(self, entry_ids: Sequence[bytes]) -> None:
        self._redis.xack(self._reads.key, self._reads.group, *entry_ids)
        for each in entry_ids:
            self._held.pop(each, None)

    def _wait(self, seconds: float) -> None:
        """Wait until there is something new, without taking it; not for long, so that a lost group is noticed."""
        block = max(1, int(1000 * min(seconds, _BLOCK_SECONDS, self._reads.timeout / 2)))
        self._redis.execute_command(
            "XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", self._reads.key, self._newest
        )

    def _claim(self, cursor: bytes) -> bytes:
        key, group, batch = self._reads.key, self._reads.group, self._reads.batch
        # Not JUSTID: the library reads its answer without the cursor.
        given = (key, group, READER, 0, cursor, "COUNT", batch)
        return bytes(self._redis.execute_command("XAUTOCLAIM", *given)[0])

    @contextmanager
    def _closing_on_errors(self) -> Iterator[None]:
        try:
            with told_plainly(self._redis, f"read {self._reads.key} as {self._reads.group}"):
                yield
        except Unavailable:
            self._is_closed = True
            self._redis.close()
            raise


def trim(client: Any, key: str) -> None:
    """Remove from a stream, about, what all its groups have acknowledged."""
    needed = []
    for group in client.xinfo_groups(key):
        oldest = client.xpending(key, group["name"])["min"] if group["pending"] else None
        needed.append(oldest or group["last-delivered-id"])
    # As numbers: "9-1" is older than "10-0".
    first = min(needed, key=lambda each: [int(part) for part in each.split(b"-")])
    client.xtrim(key, minid=first, approximate=True)


def _last_delivered(client: Any, key: str, group: str) -> bytes:
    found = [each["last-delivered-id"] for each in client.xinfo_groups(key) if each["name"] == group.encode()]
    return bytes(found[0])
