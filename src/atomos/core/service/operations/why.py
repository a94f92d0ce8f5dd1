"""Why a delivery waits: the claim's own rule, asked about one row, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from ..delivery import ALONE, Status
from .stored import OVER, Lease, Registered, StoredDelivery, StoredMessage, StoredWorker, stamp

_ONE_AT_A_TIME = "and a worker has one such claim at a time"
MOST_AHEAD = 1000
"""How far the deliveries in front of one are counted."""


class Around(NamedTuple):
    """One delivery, with all that the claim rule looks at.

    `registered` is its recipient's row (None: it has none), `leases` all of that recipient, `holder` another row of
    its key that is retrying or parked, `ahead` how many ready ones of its recipient come before it, at most
    `MOST_AHEAD` and one.
    """

    delivery: StoredDelivery
    registered: Registered | None
    leases: Sequence[Lease]
    holder: StoredDelivery | None
    ahead: int


class Reason(NamedTuple):
    """One reason: a stable code, and a sentence. `holds` is false where the claim rule is not what keeps it."""

    code: str
    said: str
    holds: bool = True


class Verdict(NamedTuple):
    """Why a delivery waits. `claimable`: a claim with room gives it, once it has given what is in front of it."""

    recipient: str
    status: str
    attempts: int
    ordering_key: str | None
    claimable: bool
    reasons: tuple[Reason, ...]


class Explanation(NamedTuple):
    """A message, and a verdict for each of its deliveries, in the order in which they were written."""

    message: StoredMessage
    verdicts: tuple[Verdict, ...]


def judge(around: Around, message: StoredMessage, workers: Sequence[StoredWorker], now: datetime) -> Verdict:
    """Say whether a claim would give this delivery, and if it would not, everything that keeps it."""
    row = around.delivery
    if row.status in OVER:
        reasons: list[Reason] = [_over(row)]
    else:
        reasons = [*_by_its_state(row, now), *_by_its_recipient(around, now)]
        if row.status == Status.READY:
            reasons += _by_leases_and_key(around)
    claimable = not any(reason.holds for reason in reasons)
    if claimable:
        reasons.append(_turn(around))
    if row.status not in OVER:
        reasons += _nobody(row.recipient, message, workers)
    return Verdict(row.recipient, row.status, row.attempts, row.ordering_key, claimable, tuple(reasons))


def _over(row: StoredDelivery) -> Reason:
    when = f" at {stamp(row.completed_at)}" if row.completed_at else ""
    tries = f"after attempt {row.attempts}" if row.attempts else "without an attempt"
    if row.status == Status.DONE:
        return Reason("done", f"done{when}, {tries}")
    return Reason(row.status, f"{row.status}{when}, {tries}: {row.last_error or 'nothing is noted'}")


def _by_its_state(row: StoredDelivery, now: datetime) -> Iterator[Reason]:
    until = stamp(row.until) if row.until else "a time that is missing"
    if row.until is not None and row.until <= now:
        until += ", which has come: the next look makes it ready"
    if row.status == Status.RETRYING:
        yield Reason("backing-off", f"backing off after attempt {row.attempts}, {_kind(row)}, until {until}")
    elif row.status == Status.SCHEDULED:
        yield Reason("scheduled", f"scheduled for {until}")
    elif row.status == Status.PARKED:
        said = f"parked{_since(row)} after attempt {row.attempts}, {row.last_error or 'nothing is noted'}"
        holds = "it waits" if row.ordering_key is None else "it holds its key"
        yield Reason("parked", f"{said}; {holds} until someone decides")
    elif row.status != Status.READY:
        yield Reason("unknown", f"{row.status!r} is no state of a delivery; see `atomos audit`")


def _by_its_recipient(around: Around, now: datetime) -> Iterator[Reason]:
    row, register = around.delivery, around.registered
    if register is None:
        yield Reason("unregistered", f"{row.recipient} is not in the register: no worker ever had it")
        return
    if register.paused_at is not None:
        by, why = register.paused_by or "someone", register.paused_why or "no reason given"
        yield Reason("paused", f"paused by {by} since {stamp(register.paused_at)}: {why}")
    if row.status == Status.READY:
        yield from _by_its_limits(register, around.leases, now)


def _by_its_limits(register: Registered, leases: Sequence[Lease], now: datetime) -> Iterator[Reason]:
    in_leases = sum(len(lease.seqs) for lease in leases)
    if register.probe_at is not None and register.probe_at > now:
        yield Reason("probing", f"probing: one at a time, the next at {stamp(register.probe_at)}")
    elif register.probing:
        if in_leases:
            yield Reason("probing", f"probing: one at a time, and {leases[0].worker} has one")
    elif register.at_once is not None and in_leases >= register.at_once:
        yield Reason("at-once", f"most at once reached: {in_leases} of {register.at_once} are in leases")


def _by_leases_and_key(around: Around) -> Iterator[Reason]:
    row, holder = around.delivery, around.holder
    mine = next((lease for lease in around.leases if row.seq in lease.seqs), None)
    if mine is not None:
        yield Reason("leased", f"leased by {mine.worker} until {stamp(mine.until)}")
    if row.ordering_key is None:
        return
    if mine is None and (other := next((x for x in around.leases if row.ordering_key in x.keys), None)):
        said = f"behind a leased row of its key {row.ordering_key}, which {other.worker} has until "
        yield Reason("key-leased", said + stamp(other.until))
    if holder is not None:
        state = f"parked{_since(holder)}"
        if holder.status == Status.RETRYING:
            state = f"backing off until {stamp(holder.until) if holder.until else 'a time that is missing'}"
        yield Reason("held", f"behind message {holder.message_id} of {row.ordering_key}, {state}")


def _turn(around: Around) -> Reason:
    lost = _apart(around.delivery.losses)
    if not around.ahead:
        return Reason("next", f"its turn is next{lost}", holds=False)
    many = f"more than {MOST_AHEAD}" if around.ahead > MOST_AHEAD else str(around.ahead)
    return Reason("turn", f"{many} ready in front of it{lost}", holds=False)


def _apart(losses: int) -> str:
    if not losses:
        return ""
    if losses < ALONE:
        return f"; it is claimed in a small group, because a worker was lost with it, {_ONE_AT_A_TIME}"
    return f"; it is claimed alone, because workers were lost with it, {losses} times, {_ONE_AT_A_TIME}"


def _nobody(recipient: str, message: StoredMessage, workers: Sequence[StoredWorker]) -> Iterator[Reason]:
    live = [worker for worker in workers if worker.alive]
    having = [worker for worker in live if recipient in worker.recipients]
    form = f"{message.name} {message.version}"
    if not live:
        yield Reason("nobody", "no worker is alive", holds=False)
    elif not having:
        yield Reason("nobody", f"no live worker has the recipient {recipient}", holds=False)
    elif not any(form in worker.reads for worker in having):
        said = f"no live worker that has {recipient} can read {message.name} version {message.version}"
        yield Reason("unreadable", said, holds=False)


def _kind(row: StoredDelivery) -> str:
    return (row.last_error or "nothing is noted").partition(":")[0]


def _since(row: StoredDelivery) -> str:
    try:
        return f" since {stamp(datetime.fromisoformat(row.errors[0]['at']))}"
    except (IndexError, KeyError, ValueError):
        return ""
