"""How much of a recipient a worker claims, how often, and what it leaves to others."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import NamedTuple

from .delivery import Claimed, Rows

MOST_A_CLAIM = 500
"""So many rows are claimed at once, at the most, unless a claim is dear however few it finds."""

MOST_A_DEAR_CLAIM = 5_000
"""So many rows are claimed at once then, at the most."""

_BUFFER_SECONDS = 0.25
_PORTION_SECONDS = 0.01
_LONG_PORTION_SECONDS = 0.1
_CLAIM_SHARE = 10.0
_ROW_IS_WORTH = 0.001
_CHEAP_ROW = 0.000_05
_DEAR_ROW = 0.000_1
_FULL = 0.8
_WORTH_DOUBLING = 0.75
_WORTH_TRYING_AGAIN = 2.0
_FIRST_REST = 0.2
_LONGEST_REST = 10.0
_UNREAD_SECONDS = 30.0
_MOST_NAMED = 1000
_MOST_UNREAD = 100_000


class _Size(NamedTuple):
    """How many rows one claim is made for, and what the last full one took: for each row, and in all, in seconds."""

    most: int = MOST_A_CLAIM
    each: float = inf
    seconds: float = 0.0


_USUAL = _Size()


class Pace:
    """Claims what the threads can begin within a quarter of a second; a dear claim rests for ten times what it took.

    So a recipient whose claims are dear, with a million rows behind a broken service, costs others little. A claim
    that found rows is as dear as what it took beyond a millisecond for each.

    A claim that takes long however few it finds, as beside a transaction that somebody left open, when it passes by
    all that is dead and cannot be removed, is made for twice as many rows as long as that makes each row cheaper; and
    there is more in hand meanwhile.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._seconds: dict[str, float] = {}
        self._rested: dict[str, float] = {}
        self._sizes: dict[str, _Size] = {}
        self._failed: dict[str, int] = {}
        self._passed_by: set[str] = set()

    def room(self, recipient: str, in_hand: int, running: float = 0.0, others: int = 0) -> int:
        """Say how many rows to claim beside those in hand: none while there is enough to do.

        `running` is for how many seconds the longest of them has been worked on, `others` is how many other
        recipients have rows in hand: what waits for a thread is shared out among them, the threads are not.
        """
        each = max(self._seconds.get(recipient, _BUFFER_SECONDS / 10), running, 1e-6)
        size = self._sizes.get(recipient, _USUAL)
        buffer = max(_BUFFER_SECONDS, 4 * size.seconds) / (1 + others)
        most = min(size.most, self._threads + int(self._threads * buffer / each))
        return max(0, most - in_hand) if in_hand < self._threads or in_hand <= most // 2 else 0

    def rest(self, recipient: str) -> float:
        """Say for how many seconds this recipient is not to be claimed again."""
        return max(0.0, self._rested.get(recipient, 0.0) - monotonic())

    def portion(self, recipient: str, queued: int) -> int:
        """Say how many of so many queued runs a thread takes together: those of a hundredth of a second, at least one.

        Where there are enough for all threads it takes those of a tenth: the lease is written anew after each portion.
        """
        each = max(1e-6, self._seconds.get(recipient, _LONG_PORTION_SECONDS))
        share = min(queued // self._threads, int(_LONG_PORTION_SECONDS / each))
        return max(1, int(_PORTION_SECONDS / each), share)

    def claimed(self, recipient: str, seconds: float, rows: int = 0, *, passed_by: bool = False) -> None:
        """Note what a claim took, and how many rows it found.

        `passed_by`: it found none but suspects, and there are some in hand already.
        """
        dear = max(0.0, seconds - rows * _ROW_IS_WORTH)
        self._resize(recipient, seconds, rows)
        self._failed.pop(recipient, None)
        self._rested[recipient] = monotonic() + min(_LONGEST_REST, dear * _CLAIM_SHARE)
        # In this order: whoever ends the suspects in between finds its rest.
        (self._passed_by.add if passed_by else self._passed_by.discard)(recipient)

    def end_rest(self) -> bool:
        """Let those rest no more who were passed by: no suspects are in hand now. Say whether there were any."""
        passed_by = list(self._passed_by)
        for recipient in passed_by:
            self._passed_by.discard(recipient)
            self._rested.pop(recipient, None)
        return bool(passed_by)

    def failed(self, recipient: str) -> None:
        """Note that a claim failed: the next one has to wait, longer each time."""
        self._passed_by.discard(recipient)
        self._failed[recipient] = failures = self._failed.get(recipient, 0) + 1
        self._rested[recipient] = monotonic() + min(_LONGEST_REST / 5, _FIRST_REST * 2.0 ** min(failures, 10))

    def worked(self, recipient: str, seconds: float, rows: int) -> None:
        """Note what a run of rows took."""
        each = seconds / max(1, rows)
        self._seconds[recipient] = 0.8 * self._seconds.get(recipient, each) + 0.2 * each

    def _resize(self, recipient: str, seconds: float, rows: int) -> None:
        size = self._sizes.get(recipient, _USUAL)
        if rows < _FULL * size.most:
            return  # one that found little says little
        each = seconds / rows
        if each < _CHEAP_ROW:
            self._sizes.pop(recipient, None)
        elif each > _DEAR_ROW and each < _WORTH_DOUBLING * size.each:
            self._sizes[recipient] = _Size(min(MOST_A_DEAR_CLAIM, 2 * size.most), each, seconds)
        elif each > _WORTH_TRYING_AGAIN * size.each:
            self._sizes[recipient] = size._replace(each=inf)


class Unread:
    """Rows that this build cannot read. They stay ready for one that can; this one looks again in a while."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, tuple[str | None, float]]] = {}

    def add(self, claimed: Claimed) -> None:
        """Note one; the rest of its key waits with it."""
        rows = self._rows.setdefault(claimed.fence.recipient, {})
        rows[claimed.fence.seq] = claimed.ordering_key, monotonic() + _UNREAD_SECONDS

    def of(self, recipient: str) -> Rows:
        """Give those of a recipient that are not to be claimed now."""
        now = monotonic()
        rows = {seq: row for seq, row in self._rows.get(recipient, {}).copy().items() if row[1] > now}
        self._rows[recipient] = rows
        keys = tuple(sorted({key for key, _ in rows.values() if key is not None}))
        if len(rows) <= _MOST_NAMED:
            return Rows(tuple(rows), keys)
        # Too many to be named one by one. What is not one of them, and comes before the last, waits as long as they do.
        return Rows((), keys, max(rows))

    def is_full(self, recipient: str) -> bool:
        """Whether there are so many that this recipient is better left alone for a while."""
        return len(self._rows.get(recipient, ())) >= _MOST_UNREAD and bool(self.of(recipient).until)
