"""What a worker has in hand: the batches that it claimed, and what is left of each lease as rows end."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple

from .delivery import Batch, Claimed, Rows

_SETTLED_SECONDS = 0.5

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
        self._forsaken: set[int] = set()
        self._lock = threading.RLock()
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

    @property
    def has_suspects(self) -> bool:
        """Whether there are suspects in it that are still in the lease."""
        return self.batch.is_suspect and not self._lost and bool(self._left)

    def runs(self) -> list[Run]:
        """Sort the rows into runs that may go side by side."""
        runs: dict[object, list[Claimed]] = defaultdict(list)
        for each in self.batch.claimed:
            runs[each.ordering_key if each.ordering_key is not None else each.fence.seq].append(each)
        return [tuple(run) for run in runs.values()]

    def forsake(self, rows: Iterable[Claimed]) -> None:
        """Give rows up that someone still works on: what comes of them does not count."""
        self._forsaken.update(each.fence.seq for each in rows)

    def is_forsaken(self, row: Claimed) -> bool:
        """Whether a row was given up while someone worked on it."""
        return row.fence.seq in self._forsaken

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
    def changing(self) -> Iterator[None]:
        """Keep other changes of the lease waiting until this one is settled, however often it is tried.

        One that failed may have been committed unheard: another in between would take back into the lease what
        others have by now.
        """
        with self._lock:
            yield

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
        # A change under way may be what ended it. One that takes long must not keep other leases from renewal.
        is_settled = self._lock.acquire(timeout=_SETTLED_SECONDS)
        try:
            return bool(self._left)
        finally:
            if is_settled:
                self._lock.release()


class Tray:
    """Runs of one batch that a thread took together, to carry them out one after the other.

    Any thread may take back what was not begun. `row` is the one that is being worked on since `begun` (on the
    monotonic clock), None after the last; `run` is the run that it is in, `taken` counts the rows of all runs so far.
    `done` and `leaving` are as in `Ended`.
    """

    def __init__(self, held: Held, runs: Iterable[Run], since: float) -> None:
        self.held = held
        self.since = since
        self.begun = self.noted = monotonic()
        self.run: Run = ()
        self.taken = 0
        self.row: Claimed | None = None
        self.done: list[Claimed] = []
        self.leaving: list[Claimed] = []
        self._runs = deque(runs)

    def next(self) -> Run | None:
        """Take the next run; None when there is none."""
        try:
            self.run = self._runs.popleft()
        except IndexError:  # the last one may have been taken back just now
            return None
        self.taken += len(self.run)
        return self.run

    def begin(self, row: Claimed) -> None:
        """Note which row is being worked on."""
        self.begun = monotonic()
        self.row = row

    def has_more(self) -> bool:
        """Whether there are runs that were not begun."""
        return bool(self._runs)

    def take_back(self) -> list[Run]:
        """Take back what was not begun."""
        back = []
        while self._runs:
            try:
                back.append(self._runs.popleft())
            except IndexError:
                break
        return back

    def note(self) -> None:
        """Let the batch know what ended, so that it can be written down."""
        self.noted = monotonic()
        if self.done or self.leaving:
            self.held.end(done=self.done, leaving=self.leaving)
            self.done, self.leaving = [], []


class InHand:
    """All batches in the hands of a worker, until their last run has ended."""

    def __init__(self) -> None:
        self._rows: dict[Held, int] = {}
        self._of: dict[str, int] = defaultdict(int)
        self._busy = 0
        self._are_suspects_asked_for = False
        self._lock = threading.Lock()

    def add(self, held: Held) -> None:
        """Take a batch in hand."""
        with self._lock:
            self._count(held, len(held.batch.claimed))

    def end(self, held: Held, rows: int) -> None:
        """Note that so many rows of a batch have ended."""
        with self._lock:
            self._count(held, -rows)

    def may_have_suspects(self) -> bool:
        """Whether the next claim may be of suspects; `claimed` has to follow.

        There is one batch of them at a time in a worker: a row that kills takes few others with it, and none of
        those that go alone.
        """
        with self._lock:
            is_free = not self._are_suspects_asked_for and not any(held.has_suspects for held in self._rows)
            self._are_suspects_asked_for = self._are_suspects_asked_for or is_free
            return is_free

    def claimed(self) -> None:
        """Note that the claim that might have been of suspects is over, and in hand what it gave."""
        self._are_suspects_asked_for = False

    def of(self, recipient: str) -> int:
        """Say how many rows of a recipient are in hand."""
        return self._of[recipient]

    def beside(self, recipient: str) -> int:
        """Say how many other recipients have rows in hand."""
        with self._lock:
            return self._busy - (self._of[recipient] > 0)

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
        before = self._of[held.batch.recipient]
        self._of[held.batch.recipient] = before + rows
        self._busy += (before + rows > 0) - (before > 0)
        left = self._rows.pop(held, 0) + rows
        if left > 0:
            self._rows[held] = left

    def _held(self) -> list[Held]:
        with self._lock:
            return list(self._rows)
