"""Publishing: hands batches of deliveries to a broker, and says of each what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from ..domain.errors import DomainError
from .declaring import Declaring
from .delivery import Claimed
from .executor import outcome_of
from .failpoints import failpoint
from .in_hand import Run, Tray
from .messaging import Broker, NotRouted, Outcome
from .plans import Flow
from .ports import Unavailable
from .receiving import WireForm
from .routes import topic_of

if TYPE_CHECKING:  # the handover has a publishing, and gives it its trays
    from .handover import Handover


class Refused(NamedTuple):
    """The first delivery of a run that was not confirmed, with those behind it that were not either, and why."""

    rows: Run
    error: Exception


class Published(NamedTuple):
    """What became of a batch: `done` was confirmed; of each run in `refused` something was not.

    `away` is why the broker could not be asked, None when it answered. Then `left` are the runs of which it may have
    something or nothing.
    """

    done: tuple[Claimed, ...]
    refused: tuple[Refused, ...]
    left: tuple[Run, ...] = ()
    away: Exception | None = None


class Publishing:
    """Publishes to topics. `broker` is a provider, so that an override takes effect at once."""

    def __init__(
        self, flow: Flow, form: WireForm, broker: Callable[[], Broker], declaring: Declaring
    ) -> None:
        self._flow = flow
        self._form = form
        self._broker = broker
        self._declaring = declaring
        topics = (name for name, row in flow.routes.recipients().items() if row.kind == "topic")
        self._meters = {name: flow.meter(name) for name in topics}

    def takes(self, recipient: str) -> bool:
        """Whether deliveries to this recipient are published."""
        return recipient in self._meters

    def carry_out(self, tray: Tray, handover: Handover) -> int:
        """Publish all runs of a tray together, and have noted what became of each; say how many rows ended.

        One wait for the broker's confirmations is for all of them.
        """
        held = tray.held
        runs = [rows for run in iter(tray.next, None) if (rows := _readable(tray, run, handover))]
        if not held.may_begin:
            tray.leaving.extend(chain.from_iterable(runs))
            runs = []
        published = self.publish(held.batch.recipient, runs)
        tray.done.extend(published.done)
        if published.done or any(isinstance(each.error, DomainError) for each in published.refused):
            handover.went_well(held)  # an answer that is about the message is one, too
        tray.note()
        handover.write_down(held)
        ended = len(published.done)
        for rows, error in published.refused:
            ended += handover.fail(held, rows, error)
        if published.away is not None and published.left:
            # None of these rows was at fault: the first one says when to try again, the others are free.
            first, *others = published.left
            tray.leaving.extend(chain.from_iterable(others))
            handover.fail(held, first, published.away, counts=False)
        tray.note()
        return ended

    def publish(self, recipient: str, runs: Sequence[Run]) -> Published:
        """Publish runs of readable rows, in the order of their commits, and wait for every confirmation.

        What stands behind a refused row of its key was sent with it, unless the route says `in_step`: then of each
        key one message at a time is sent, and nothing behind one that was refused. An unexpected error is of one
        message: they are sent one by one then, what had been sent before once more.
        """
        sent = _Sent()
        waves = _in_step(runs) if self._flow.recipient(recipient).policy.in_step else iter([list(runs)])
        for wave in waves:
            try:
                self._publish(recipient, sorted(sent.sendable(wave), key=lambda row: row.fence.seq), sent)
            except Unavailable as error:
                left = tuple(filter(None, (sent.undone(run) for run in runs if not sent.is_refused(run))))
                return Published(tuple(sent.done), sent.refused(runs), left, error)
        return Published(tuple(sent.done), sent.refused(runs))

    def _publish(self, recipient: str, rows: Sequence[Claimed], sent: _Sent) -> None:
        outcomes: Sequence[Exception | None]
        try:
            outcomes = self._send(recipient, rows)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said of one message
            if len(rows) > 1:
                # It must not keep the others waiting.
                for row in rows:
                    self._publish(recipient, tuple(sent.sendable([(row,)])), sent)
                return
            outcomes = [error]
        is_optional = self._flow.recipient(recipient).policy.optional
        for row, outcome in zip(rows, outcomes, strict=True):
            nowhere = isinstance(outcome, NotRouted)
            sent.note(row, None if nowhere and is_optional else outcome)
            if nowhere and not is_optional:
                self._declaring.again()

    def _send(self, recipient: str, rows: Sequence[Claimed]) -> Sequence[Outcome]:
        if not rows:
            return ()
        failpoint("publish.before")
        started, meter = perf_counter(), self._meters[recipient]
        try:
            self._declaring.once()
            outcomes = self._broker().publish(topic_of(recipient), [self._form.write(row) for row in rows])
        except Exception:
            meter.handled("failed", perf_counter() - started)
            raise
        failpoint("publish.after")
        each = (perf_counter() - started) / len(rows)
        for outcome in outcomes:
            meter.handled("ok" if outcome is None else outcome_of(outcome), each)
        return outcomes


def _readable(tray: Tray, run: Run, handover: Handover) -> Run:
    """Give what this build can read of a run; what it cannot leaves the lease, and the rest of its key with it."""
    for place, claimed in enumerate(run):
        if claimed.message is None:
            handover.leave_unread(claimed, claimed.problem)
            tray.leaving.extend(run[place:])
            return run[:place]
    return run


class _Sent:
    """What is known so far of the rows of a batch."""

    def __init__(self) -> None:
        self.done: list[Claimed] = []
        self._seqs: set[int] = set()
        self._errors: dict[int, Exception] = {}
        self._keys: set[str | None] = set()

    def note(self, row: Claimed, outcome: Exception | None) -> None:
        if outcome is None:
            self.done.append(row)
            self._seqs.add(row.fence.seq)
        else:
            self._errors[row.fence.seq] = outcome
            self._keys.add(row.ordering_key)

    def is_refused(self, run: Run) -> bool:
        return any(row.fence.seq in self._errors for row in run)

    def undone(self, run: Run) -> Run:
        return tuple(row for row in run if row.fence.seq not in self._seqs)

    def refused(self, runs: Sequence[Run]) -> tuple[Refused, ...]:
        rows = [self.undone(run) for run in runs if self.is_refused(run)]
        return tuple(Refused(run, self._errors[run[0].fence.seq]) for run in rows)

    def sendable(self, wave: Sequence[Run]) -> Iterator[Claimed]:
        for row in chain.from_iterable(wave):
            if row.ordering_key is None or row.ordering_key not in self._keys:
                yield row


def _in_step(runs: Sequence[Run]) -> Iterator[list[Run]]:
    for place in range(max(map(len, runs), default=0)):
        yield [run[place : place + 1] for run in runs if place < len(run)]
