"""Workers that claim, complete, fail, stall and die at random, beside operators, against the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import text

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.dialects import dialect_of
from atomos.core.domain import Event
from atomos.core.service import LeaseLost
from atomos.core.service.delivery import (
    NO_ROWS,
    Batch,
    Claimed,
    Delivery,
    Failure,
    Record,
    Rows,
    Status,
)
from atomos.core.service.envelope import Envelope, new_id
from atomos.core.service.waking import Wake

from .claim_evidence import BEGIN, Evidence, LogView, SeenLease, SeenRow, Unfenced, Unlike
from .claim_model import ClaimModel, Row

LEASE = 10
RECIPIENTS = ("mail", "stock")
KEYS = ("red", "green", "blue", None)
WORKERS = ("ana", "ben", "cho")
TABLES = ("atomos_delivery", "atomos_message", "atomos_lease", "atomos_recipient")

OFTEN = {
    "claim": 12,
    "send": 8,
    "complete": 8,
    "fail": 5,
    "obey": 4,
    "pass_time": 4,
    "renew": 2,
    "put_back": 2,
    "resume": 2,
    "free": 1,
    "die": 1,
    "pause": 1,
    "discard": 1,
    "not_yet": 3,
    "limit": 1,
    "probe": 2,
    "works_again": 2,
    "put_back_in_flight": 2,
}
"""What happens, and how often."""


class Noted(Event, name="simulation.noted"):
    """Something to deliver."""


@dataclass
class Hand:
    """A batch as its worker sees it: `runs` are rows not begun, by key; `left` is what it seems to hold."""

    worker: str
    lease: int
    recipient: str
    runs: dict[object, list[Claimed]] = field(default_factory=dict)
    left: dict[int, str | None] = field(default_factory=dict)

    def take(self, run: list[Claimed], many: int) -> list[Claimed]:
        """Begin with the first rows of a run."""
        taken, run[:many] = run[:many], []
        self.runs = {key: run for key, run in self.runs.items() if run}
        return taken

    def leaving(self, rows: Sequence[Claimed]) -> Rows:
        """Take rows out of the lease; give what is left."""
        for each in rows:
            self.left.pop(each.fence.seq, None)
        return Rows(tuple(self.left), tuple(sorted({key for key in self.left.values() if key is not None})))


class Simulation:
    """What happens with one seed. Where it `compares`, the log must answer and look as the model does."""

    def __init__(self, database: Database, seed: int, *, compares: bool = True) -> None:
        self.random = Random(seed)
        self.compares = compares
        self.model = ClaimModel(LEASE)
        self.view = LogView(database)
        self.evidence = Evidence(self.view)
        self.hands: list[Hand] = []
        self.database = database
        codec = Codec([Noted])
        self.log = SqlMessageLog(database, codec, Wake())
        self.deliveries = SqlDeliveries(database, codec, LEASE, now=self.clock)
        with database.transaction() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"delete from {table}")  # noqa: S608
        self.deliveries.enrol(RECIPIENTS)

    def clock(self) -> datetime:
        """The time that the database is given."""
        return BEGIN + timedelta(seconds=self.model.now)

    def run(self, steps: int) -> None:
        """Take so many steps, then let everything come to its end. Raises `Broken`."""
        for step in self.random.choices([*OFTEN], weights=[*OFTEN.values()], k=steps):
            getattr(self, step)()
            self.check()
        self.settle()

    def send(self) -> None:
        """A transaction commits some messages, at once or for later."""
        records = []
        for _ in range(self.random.randint(1, 3)):
            later = self.random.random() < 0.15
            until = self.clock() + timedelta(seconds=self.random.randint(1, 20)) if later else None
            key = self.random.choice(KEYS)
            deliveries = tuple(Delivery(recipient, key, until) for recipient in RECIPIENTS)
            records.append(Record("event", _envelope(key), Noted(), deliveries))
        self.log.append(records)
        for seq, row in self.view.rows().items():
            if seq not in self.model.rows:
                self.model.rows[seq] = Row(seq, row.recipient, row.key, row.status, row.until)
                if row.status == "scheduled":
                    self.evidence.excused.add(seq)

    def claim(self) -> None:
        """A worker that has room looks, tidies where it must, and claims."""
        recipient, room, suspects = (
            self.random.choice(RECIPIENTS),
            self.random.randint(1, 7),
            self.random.random(),
        )
        self.claim_from(recipient, room, self.some_unread(), suspects=suspects < 0.7)

    def claim_from(
        self, recipient: str, room: int, without: Rows = NO_ROWS, *, suspects: bool = True
    ) -> bool:
        """Claim; say whether there was anything."""
        found = self.deliveries.waiting([recipient])
        self.same(bool(found), self.model.worth_a_look(recipient), "waiting")
        for waiting in found:
            self.same(waiting.overdue, self.model.overdue(recipient), "overdue")
            if waiting.overdue:
                self.deliveries.tidy(recipient)
                self.model.tidy(recipient)
        before = self.view.rows()
        worker = self.random.choice(WORKERS)
        batch = self.deliveries.claim(recipient, room, worker, without, suspects=suspects)
        seqs = [each.fence.seq for each in batch.claimed]
        if seqs:
            self.evidence.claimed(recipient, seqs, before)
            self.hands.append(_hand(worker, batch))
        self.same(
            seqs, self.model.claim(recipient, room, without.seqs, without.keys, suspects=suspects), "claim"
        )
        self.same(batch.losses, before[seqs[0]].losses if seqs else 0, "losses")
        self.same(batch.probing and bool(seqs), recipient in self.model.probed and bool(seqs), "probing")
        if seqs:
            self.model.take(batch.lease, recipient, seqs)
        return bool(seqs)

    def complete(self) -> None:
        """A worker completes the first rows of a run, or all of it."""
        for hand, run in self.any_run():
            self.complete_some(hand, hand.take(run, self.random.randint(1, len(run))))

    def complete_some(self, hand: Hand, rows: Sequence[Claimed]) -> None:
        """Complete rows, and take them out of the lease."""
        fences, left = [each.fence for each in rows], hand.leaving(rows)
        before, leases = self.view.rows(), self.view.leases()
        held = self.deliveries.complete(fences, left)
        self.evidence.completed(fences, before, leases)
        self.same(held, self.model.complete(hand.lease, [each.seq for each in fences]), "complete")
        self.model.keep(hand.lease, left.seqs, left.keys)
        if held < len(rows) or not left.seqs:
            self.hands.remove(hand)

    def obey(self) -> None:
        """A command's own transaction completes the delivery that led to it; the lease is as it was."""
        for hand, run in self.any_run():
            [claimed] = hand.take(run, 1)
            before, leases = self.view.rows(), self.view.leases()
            messages, held = self.view.messages(), True
            try:
                self.log.append([Record("command", _envelope(None), Noted())], claimed.fence)
            except LeaseLost:
                held = False
            self.evidence.completed([claimed.fence], before, leases)
            if self.view.messages() != messages + held:
                raise Unfenced(
                    "a command was stored whose delivery was lost, or it was not, and that was held"
                )
            self.same(held, self.model.complete(hand.lease, [claimed.fence.seq]) == 1, "obey")
            if not held or not hand.runs:
                self.leave(hand, hand.leaving([]) if hand.runs else NO_ROWS)

    def fail(self) -> None:
        """The first row of a run fails, in one way or another; the rest of its key leaves with it."""
        for hand, run in self.any_run():
            rows = hand.take(run, len(run))
            status = self.random.choice([Status.RETRYING] * 4 + [Status.PARKED, Status.DEAD])
            pause = self.random.randint(1, 15) if status is Status.RETRYING else None
            counts = self.random.random() < 0.8
            fence, left = rows[0].fence, hand.leaving(rows)
            held = self.deliveries.fail(fence, Failure(status, "broken", pause, counts), left)
            self.same(held, self.model.fail(hand.lease, fence.seq, status.value, pause, counts), "fail")
            self.model.keep(hand.lease, left.seqs, left.keys)
            if not held or not left.seqs:
                self.hands.remove(hand)

    def not_yet(self) -> None:
        """The first row of a run has to wait: nothing is counted or noted, and it holds its key."""
        for hand, run in self.any_run():
            rows = hand.take(run, len(run))
            fence, left, pause = rows[0].fence, hand.leaving(rows), self.random.randint(1, 15)
            held = self.deliveries.fail(fence, Failure(Status.RETRYING, None, pause, counts=False), left)
            self.same(
                held, self.model.fail(hand.lease, fence.seq, "retrying", pause, counts=False), "not yet"
            )
            self.model.keep(hand.lease, left.seqs, left.keys)
            if not held or not left.seqs:
                self.hands.remove(hand)

    def limit(self) -> None:
        """Another build begins, whose routes say another most at once of a recipient, or none."""
        for recipient in RECIPIENTS:
            self.set_limit(recipient, self.random.choice([None, 1, 2, 4]))

    def probe(self) -> None:
        """Everything that a recipient did has failed."""
        recipient, pause = self.random.choice(RECIPIENTS), self.random.randint(1, 6)
        self.deliveries.probe(recipient, pause)
        self.model.probed[recipient] = self.model.now + pause

    def works_again(self) -> None:
        """A probe went well."""
        recipient = self.random.choice(RECIPIENTS)
        self.deliveries.probe(recipient, None)
        self.model.probed.pop(recipient, None)

    def put_back_in_flight(self) -> None:
        """An operator puts back what is dead or parked, and its key is in someone's hands just now."""
        in_flight = {(lease.recipient, key) for lease in self.model.leases.values() for key in lease.keys}
        for row in self.model.rows.values():
            if row.status in ("dead", "parked") and (row.recipient, row.key) in in_flight:
                self.decide_on(row, "ready")

    def free(self) -> None:
        """A worker that stops gives back a run."""
        for hand, run in self.any_run():
            self.leave(hand, hand.leaving(hand.take(run, len(run))))

    def leave(self, hand: Hand, left: Rows) -> None:
        """Let a lease hold no more than this."""
        self.deliveries.keep(hand.lease, left)
        self.model.keep(hand.lease, left.seqs, left.keys)
        if not left.seqs:
            self.hands.remove(hand)

    def renew(self) -> None:
        """A worker prolongs its leases."""
        worker = self.random.choice(WORKERS)
        leases = [hand.lease for hand in self.hands if hand.worker == worker]
        self.same(set(self.deliveries.renew(leases)), self.model.renew(leases), "renew")

    def die(self) -> None:
        """A worker is killed, with all it has in hand."""
        worker = self.random.choice(WORKERS)
        self.hands = [hand for hand in self.hands if hand.worker != worker]

    def pause(self) -> None:
        """An operator pauses a recipient."""
        self.set_pause(self.random.choice(RECIPIENTS), paused=True)

    def resume(self) -> None:
        """An operator lets a recipient go on."""
        self.set_pause(self.random.choice(RECIPIENTS), paused=False)

    def put_back(self) -> None:
        """An operator puts back what is dead or parked."""
        self.decide(("dead", "parked"), "ready")

    def discard(self) -> None:
        """An operator discards something, be it in someone's hands or not."""
        self.decide(("ready", "retrying", "parked", "dead", "scheduled"), "discarded")

    def pass_time(self) -> None:
        """Time passes, for everyone; a lease that nobody renews may run out."""
        self.model.now += self.random.choice([1, 2, 3, 4, LEASE])

    def settle(self) -> None:
        """All workers are gone, and operators put everything right: now everything must come to its end."""
        self.hands.clear()
        for recipient in RECIPIENTS:
            self.set_pause(recipient, paused=False)
            self.set_limit(recipient, None)
            self.deliveries.probe(recipient, None)
            self.model.probed.pop(recipient, None)
        for row in self.model.rows.values():
            if row.status in ("dead", "parked"):
                self.decide_on(row, "ready")
        self.model.now += 100
        while sum(self.claim_from(recipient, 50) for recipient in RECIPIENTS):
            while self.hands:
                self.complete()
            self.check()
        self.evidence.all_is_over_in_order()

    def check(self) -> None:
        """No key is in two leases, and the log is as the model says."""
        self.evidence.keys_are_in_one_lease()
        rows = {
            row.seq: SeenRow(row.recipient, row.key, row.status, row.until, row.attempts, row.losses)
            for row in self.model.rows.values()
        }
        leases = {n: SeenLease(o.recipient, o.until, o.seqs, o.keys) for n, o in self.model.leases.items()}
        self.same(self.view.rows(), rows, "rows")
        self.same(self.view.leases(), leases, "leases")

    def same(self, real: object, expected: object, what: str) -> None:
        """The log answered as the model does."""
        if self.compares and real != expected:
            raise Unlike(f"{what}: the log says {real}, the model {expected}")

    def any_run(self) -> Iterator[tuple[Hand, list[Claimed]]]:
        """One run of one batch in someone's hands, if there is any."""
        if runs := [(hand, run) for hand in self.hands for run in hand.runs.values()]:
            yield self.random.choice(runs)

    def some_unread(self) -> Rows:
        """Now and then, a row that the worker's build cannot read."""
        ready = [row for row in self.model.rows.values() if row.status == "ready"]
        if not ready or self.random.random() < 0.8:
            return NO_ROWS
        row = self.random.choice(ready)
        return Rows((row.seq,), () if row.key is None else (row.key,))

    def decide(self, states: Sequence[str], to: str) -> None:
        """Take one row from any of these states to another."""
        if rows := [row for row in self.model.rows.values() if row.status in states]:
            self.decide_on(self.random.choice(rows), to)

    def decide_on(self, row: Row, to: str) -> None:
        """Do what an operator does, under the recipient's lock."""
        if row.status == "dead":
            self.evidence.excused.add(row.seq)
        change = "update atomos_delivery set status = :to, attempts = 0, until = null where seq = :seq"
        with self.database.transaction() as connection:
            dialect_of(connection).lock_recipient(connection, row.recipient)
            connection.execute(text(change), {"to": to, "seq": row.seq})
        row.status, row.attempts, row.until = to, 0, None

    def set_limit(self, recipient: str, most: int | None) -> None:
        """Say how many rows of a recipient may be in hand at once, None for any number."""
        self.model.at_once.pop(recipient, None)
        if most is not None:
            self.model.at_once[recipient] = most
        self.deliveries.enrol([recipient], self.model.at_once)

    def set_pause(self, recipient: str, *, paused: bool) -> None:
        """Pause a recipient, or let it go on."""
        at = (0 if self.database.dialect == "sqlite" else BEGIN) if paused else None
        with self.database.transaction() as connection:
            change = "update atomos_recipient set paused_at = :at where name = :name"
            connection.execute(text(change), {"at": at, "name": recipient})
        (self.model.paused.add if paused else self.model.paused.discard)(recipient)


def _hand(worker: str, batch: Batch) -> Hand:
    hand = Hand(worker, batch.lease, batch.recipient)
    for each in batch.claimed:
        key = each.ordering_key if each.ordering_key is not None else each.fence.seq
        hand.runs.setdefault(key, []).append(each)
        hand.left[each.fence.seq] = each.ordering_key
    return hand


def _envelope(key: str | None) -> Envelope:
    id_ = new_id()
    return Envelope(id_, id_, None, BEGIN, key, "simulation", None)
