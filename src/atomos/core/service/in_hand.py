"""What a worker has in hand: the batches that it claimed, and what is left of each lease as rows end."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple

from .delivery import Batch, Claimed, Rows

Run = tuple[Claimed, ...]
"""Rows of one key, to be carried out one after the other; a row without a key is a run of its own."""


class Ended(NamedTuple):
    """Rows that ended since they were last written down: `done` are to be completed, `leaving` only leave."""

    done: list[Claimed]
    leaving: list[Claimed]


class Held:
    """A batch in the hands of a worker.

    `until` is when its lease runs out unless it is renewed, on this process's monotonic clock.
    """

    def __init__(self, batch: Batch, until: float) -> None:
        self.batch = batch
        self._until = until
        self._abandoned = False
        self._lost = False
        self._left = {each.fence.seq: each.ordering_key for each in batch.claimed}
        self._lock = threading.Lock()
        self._ended = Ended([], [])
        self._is_being_written = False
        self._noting = threading.Lock()

    @property
    def may_begin(self) -> bool:
        """Whether another row of it may be begun."""
        # What a stalled process still has in hand may be someone else's by now.
        return not self._abandoned and monotonic() < self._until

    @property
    def is_lost(self) -> bool:
        """Whether its lease is somebody else's, or is left to run out."""
        return self._lost

    def runs(self) -> list[Run]:
        """Sort the rows into runs that may go side by side."""
        runs: dict[object, list[Claimed]] = defaultdict(list)
        for each in self.batch.claimed:
            runs[each.ordering_key if each.ordering_key is not None else each.fence.seq].append(each)
        return [tuple(run) for run in runs.values()]

    def end(self, *, done: Iterable[Claimed] = (), leaving: Iterable[Claimed] = ()) -> None:
        """Note rows that ended, to be written down with the next turn."""
        with self._noting:
            self._ended.done.extend(done)
            self._ended.leaving.extend(leaving)

    def take_turn(self) -> Ended | None:
        """Take what ended, to write it down; None when there is nothing, or another thread is writing.

        That thread will see to what ends meanwhile: it takes another turn after `end_turn`.
        """
        with self._noting:
            if self._is_being_written or not any(self._ended):
                return None
            self._is_being_written = True
            taken, self._ended = self._ended, Ended([], [])
            return taken

    def end_turn(self) -> None:
        """Let another turn be taken."""
        with self._noting:
            self._is_being_written = False

    @contextmanager
    def leaving(self, rows: Iterable[Claimed]) -> Iterator[Rows]:
        """Take rows out of the lease: enter it around the statement that does so, which is given the rest.

        One change at a time, so that an older state never overwrites a newer one; what fails changes nothing.
        """
        with self._lock:
            over = {each.fence.seq for each in rows}
            left = {seq: key for seq, key in self._left.items() if seq not in over}
            keys = {key for key in left.values() if key is not None}
            yield Rows(tuple(left), tuple(sorted(keys)))
            self._left = left

    def renewed(self, until: float) -> None:
        """Note that its lease was prolonged."""
        self._until = until

    def abandon(self) -> None:
        """Begin nothing more of it."""
        self._abandoned = True

    def lose(self) -> bool:
        """Leave the rest of its lease to whoever has it now; say whether there was a rest."""
        self._abandoned = self._lost = True
        with self._lock:
            return bool(self._left)


class InHand:
    """All batches in the hands of a worker, until their last run has ended."""

    def __init__(self) -> None:
        self._rows: dict[Held, int] = {}
        self._of: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def add(self, held: Held) -> None:
        """Take a batch in hand."""
        with self._lock:
            self._count(held, len(held.batch.claimed))

    def end(self, held: Held, run: Run) -> None:
        """Note that a run has ended."""
        with self._lock:
            self._count(held, -len(run))

    def of(self, recipient: str) -> int:
        """Say how many rows of a recipient are in hand."""
        return self._of[recipient]

    def leases(self) -> list[int]:
        """Name the leases that are worth a renewal."""
        return [held.batch.lease for held in self._held() if not held.is_lost]

    def renewed(self, asked: Collection[int], found: Collection[int], until: float) -> list[Batch]:
        """Note which leases were prolonged; give the batches that were lost."""
        lost = []
        for held in self._held():
            if held.batch.lease in found:
                held.renewed(until)
            elif held.batch.lease in asked and held.lose():
                lost.append(held.batch)
        return lost

    def abandon(self) -> None:
        """Begin nothing more of anything."""
        for held in self._held():
            held.abandon()

    def _count(self, held: Held, rows: int) -> None:
        self._of[held.batch.recipient] += rows
        left = self._rows.pop(held, 0) + rows
        if left > 0:
            self._rows[held] = left

    def _held(self) -> list[Held]:
        with self._lock:
            return list(self._rows)
