"""Claiming: what one claim does, and threads that claim for several recipients, for each one claim at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from .delivery import Deliveries, Waiting
from .in_hand import Held, InHand
from .pace import Pace, Unread
from .waking import Wake

_TURN_SECONDS = 1.0


class Claims:
    """Claims for a worker: one batch of suspects at a time, and meanwhile what is behind none of them.

    Recipients have their suspects claimed in turns. Who does not come when it is its turn, within a second, lost it.

    `lease` is how long a claim lasts without a renewal, in seconds.
    """

    def __init__(
        self,
        worker: str,
        lease: float,
        deliveries: Deliveries,
        in_hand: InHand,
        pace: Pace,
        unread: Unread,
        wake: Wake,
    ) -> None:
        self._worker = worker
        self._lease = lease
        self._deliveries = deliveries
        self._in_hand = in_hand
        self._pace = pace
        self._unread = unread
        self._wake = wake
        self._had_suspects: dict[str, float] = {}
        self._passed_by: set[str] = set()
        self._free_since = 0.0
        self._sharing = threading.Lock()

    def claim(self, recipient: str, room: int) -> Held | None:
        """Claim at most `room` rows of a recipient, and take them in hand; None where there are none."""
        held, passed_by = self._claim(recipient, room, suspects=self._may_have_suspects(recipient))
        if passed_by and self._may_have_suspects(recipient):
            # Those in hand ended meanwhile, and whoever ended them could not know of this claim.
            held, _ = self._claim(recipient, room, suspects=True)
        return held

    def ended(self, held: Held, rows: int) -> None:
        """Note that so many rows of a batch ended: after the last suspect, who was passed by is looked at again."""
        self._in_hand.end(held, rows)
        if held.batch.is_suspect and not held.has_suspects:
            self._free_since = monotonic()
            self._look_again()

    def _claim(self, recipient: str, room: int, *, suspects: bool) -> tuple[Held | None, bool]:
        """Give what was found, and whether there was nothing but suspects, which were passed by."""
        until, held = monotonic() + self._lease, None
        try:
            unread = self._unread.of(recipient)
            batch = self._deliveries.claim(recipient, room, self._worker, unread, suspects=suspects)
            rows = len(batch.claimed)
            # After a loss claims are small: no rest between them.
            seconds = 0.0 if batch.is_suspect else batch.seconds
            passed_by = batch.passed_by and not rows
            self._pace.claimed(recipient, seconds, rows, passed_by=passed_by)
            if rows:
                held = Held(batch, until)
                self._in_hand.add(held)
            if batch.is_suspect:
                self._had_suspects[recipient] = monotonic()
            if batch.passed_by:
                with self._sharing:
                    self._passed_by.add(recipient)
        finally:
            if suspects:
                self._in_hand.claimed()
                if held is None or not held.has_suspects:
                    self._look_again()
        return held, passed_by

    def _may_have_suspects(self, recipient: str) -> bool:
        """Whether its claim may be of suspects: not while there are some in hand, nor when it is another one's turn."""
        with self._sharing:
            if not self._in_hand.may_have_suspects():
                return False
            if self._is_anothers_turn(recipient):
                self._in_hand.claimed()
                return False
            self._passed_by.discard(recipient)
            return True

    def _is_anothers_turn(self, recipient: str) -> bool:
        if monotonic() - self._free_since > _TURN_SECONDS:
            self._passed_by.clear()  # who did not come has no room, or none any more
        last = self._had_suspects.get(recipient, 0.0)
        return any(self._had_suspects.get(other, 0.0) < last for other in self._passed_by)

    def _look_again(self) -> None:
        if self._pace.end_rest():
            self._wake.set()


class Claimers:
    """Threads that claim what is waiting, so that a claim that takes long, or fails, holds up no other recipient.

    There are `threads` of them, and each needs a connection of the log's. `claim` must not raise, and says whether
    it found something. `wake` is set when there may be more.
    """

    def __init__(self, threads: int, claim: Callable[[Waiting], bool], wake: Wake) -> None:
        self._claim = claim
        self._wake = wake
        self._missed: set[str] = set()
        self._asked: SimpleQueue[Waiting | None] = SimpleQueue()
        self._busy: set[str] = set()
        self._threads = [
            threading.Thread(target=self._go_on, name=f"atomos-claim-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, waiting: Waiting) -> None:
        """Have a recipient claimed, once a thread is free; only the thread that looks asks."""
        self._busy.add(waiting.recipient)
        self._asked.put(waiting)

    def is_busy(self, recipient: str, *, woken: bool) -> bool:
        """Whether a claim of it is asked for or under way.

        Who was `woken` for what that claim may not see any more is woken again when it has ended.
        """
        if woken and recipient in self._busy:
            self._missed.add(recipient)
        return recipient in self._busy

    def end(self) -> None:
        """Begin no claim any more, once those that were asked for have ended."""
        for _ in self._threads:
            self._asked.put(None)

    def join(self, until: float) -> None:
        """Wait for the threads, until an instant of the monotonic clock."""
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    def _go_on(self) -> None:
        while (waiting := self._asked.get()) is not None:
            found = False
            try:
                found = self._claim(waiting)
            finally:
                self._busy.discard(waiting.recipient)
            if found or waiting.recipient in self._missed:
                self._missed.discard(waiting.recipient)
                self._wake.set([waiting.recipient])
