"""One of several processes that race for the same rows; now and then it stalls past its lease, on purpose."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import defaultdict
from multiprocessing.queues import Queue
from typing import Any, NamedTuple

from sqlalchemy import event

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.domain import Event
from atomos.core.service import LeaseLost
from atomos.core.service.delivery import Batch, Claimed, Failure, Record, Rows, Status
from atomos.core.service.envelope import new_id
from atomos.core.service.waking import Wake

RECIPIENT = "race"
LEASE = 0.25


class Raced(Event, name="race.raced"):
    """What is delivered; a row without a key has none."""


class Done(NamedTuple):
    """A row that this process completed: between which instants of the machine's clock it had it."""

    seq: int
    key: str | None
    lease: int
    begun: float
    ended: float


class Result(NamedTuple):
    """What one process did: what was accepted, how many completions were refused, how often it stalled."""

    done: list[Done]
    refused: int
    stalls: int
    failed: int


def hasten(database: Database) -> Database:
    """Let commits not wait for the disk: nobody cuts the power here."""
    for engine in database.writers:
        event.listen(engine, "connect", _without_waiting)
    return database


def race(url: str, seed: int, until: float, results: Queue[Result | str]) -> None:
    """Claim and complete until nothing is left; put what was done into the queue."""
    database = hasten(Database(url))
    try:
        racer = _Racer(database, random.Random(seed))
        while time.monotonic() < until and racer.is_anything_left():
            racer.go()
        results.put(Result(racer.done, racer.refused, racer.stalls, racer.failed))
    except BaseException as error:
        results.put(repr(error))
        raise
    finally:
        database.close()


class _Racer:
    def __init__(self, database: Database, chance: random.Random) -> None:
        codec = Codec([Raced])
        self.database = database
        self.log = SqlMessageLog(database, codec, Wake())
        self.deliveries = SqlDeliveries(database, codec, LEASE)
        self.name = new_id()
        self.chance = chance
        self.done: list[Done] = []
        self.refused = self.stalls = self.failed = 0

    def is_anything_left(self) -> bool:
        with self.database.look() as connection:
            statement = "select count(*) from atomos_delivery where status <> 'done'"
            return bool(connection.exec_driver_sql(statement).scalar())

    def go(self) -> None:
        for _ in self.deliveries.waiting([RECIPIENT]):
            self.deliveries.tidy(RECIPIENT)
            batch = self.deliveries.claim(RECIPIENT, self.chance.randint(1, 60), self.name)
            if batch.claimed:
                self.work(batch, time.monotonic())

    def work(self, batch: Batch, begun: float) -> None:
        """Carry out a batch in parts, in any order that keeps the keys in theirs, with stalls in between."""
        rows = self.any_order(batch)
        while rows:
            if self.chance.random() < 0.02:
                self.stalls += 1
                time.sleep(LEASE * 1.3)
            elif self.chance.random() < 0.1:
                self.deliveries.renew([batch.lease])
            luck, many = self.chance.random(), self.chance.randint(1, 8)
            if luck < 0.1:
                part, rows = rows[:1], [each for each in rows[1:] if not _share_a_key(each, rows[0])]
                held = self.fail(part[0], rows)
                self.failed += held
            else:
                part, rows = rows[:many], rows[many:]
                ended = time.monotonic()
                held = (
                    self.complete_in_a_transaction(part[0], rows) if many == 1 else self.complete(part, rows)
                )
                self.done += [_done(each, begun, ended) for each in part if held]
            if not held:
                self.refused += 1
                return

    def any_order(self, batch: Batch) -> list[Claimed]:
        """Mix the rows of all keys; those of one stay in order."""
        runs: dict[object, list[Claimed]] = defaultdict(list)
        for each in batch.claimed:
            runs[each.ordering_key or each.fence.seq].append(each)
        turns = [key for key, run in runs.items() for _ in run]
        self.chance.shuffle(turns)
        return [runs[key].pop(0) for key in turns]

    def fail(self, row: Claimed, rest: list[Claimed]) -> bool:
        """Let one be tried again in a moment."""
        return self.deliveries.fail(row.fence, Failure(Status.RETRYING, "unlucky", pause=0.02), _left(rest))

    def complete(self, part: list[Claimed], rest: list[Claimed]) -> bool:
        """Complete several; all of them, or none."""
        held = self.deliveries.complete([each.fence for each in part], _left(rest))
        assert held in (0, len(part)), "a lease was there for some of its rows"
        return held > 0

    def complete_in_a_transaction(self, row: Claimed, rest: list[Claimed]) -> bool:
        """What a command does: its row, and the delivery that led to it; its lease is shrunk after that."""
        try:
            self.log.append([Record("command", row.envelope._replace(id=new_id()), Raced())], row.fence)
        except LeaseLost:
            return False
        self.deliveries.keep(row.fence.lease, _left(rest))
        return True


def _left(rest: list[Claimed]) -> Rows:
    keys = {each.ordering_key for each in rest if each.ordering_key is not None}
    return Rows(tuple(each.fence.seq for each in rest), tuple(keys))


def _share_a_key(one: Claimed, other: Claimed) -> bool:
    return one.ordering_key is not None and one.ordering_key == other.ordering_key


def _done(row: Claimed, begun: float, ended: float) -> Done:
    return Done(row.fence.seq, row.ordering_key, row.fence.lease, begun, ended)


def _without_waiting(connection: Any, _: object) -> None:
    off = (
        "PRAGMA synchronous=OFF"
        if isinstance(connection, sqlite3.Connection)
        else "set synchronous_commit = off"
    )
    connection.execute(off)
    connection.commit()
