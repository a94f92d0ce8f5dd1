"""Claims, leases and completions, one by one: who waits for whom, what is refused, whose clock counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.dialects import dialect_of
from atomos.core.adapters.walks import Walks
from atomos.core.domain import Event
from atomos.core.service import LeaseLost
from atomos.core.service.delivery import (
    NO_ROWS,
    Batch,
    Delivery,
    Failure,
    Record,
    Rows,
    Status,
    Waiting,
)
from atomos.core.service.envelope import Envelope, new_id
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE

SECONDS = 10.0
LEASE = 15.0


class Sent(Event, name="deliveries.sent"):
    """Something to deliver."""


class Log:
    """A log whose time is moved, with the deliveries `mail` and `stock`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = MovedClock()
        codec = Codec([Sent])
        self.messages = SqlMessageLog(database, codec, Wake())
        self.moved = SqlDeliveries(database, codec, LEASE, now=self.clock.now)
        self.real = SqlDeliveries(database, codec, LEASE)
        self.moved.enrol(["mail", "stock"])

    def send(self, *keys: str | None, to: str = "mail", until: datetime | None = None) -> None:
        self.messages.append([record(Delivery(to, key, until)) for key in keys])

    def claim(self, recipient: str = "mail", room: int = 100) -> Batch:
        return self.moved.claim(recipient, room, "me")

    def lose(self) -> None:
        """Let every lease of `mail` run out."""
        self.clock.move(seconds=LEASE + 1)
        self.moved.tidy("mail")

    def rows(self, columns: str, recipient: str = "mail") -> list[Any]:
        where = f"where recipient = '{recipient}' order by seq"
        return [tuple(row) for row in self.look(f"select {columns} from atomos_delivery {where}")]  # noqa: S608

    def look(self, statement: str) -> list[Any]:
        with self.database.look() as connection:
            return list(connection.exec_driver_sql(statement))

    def change(self, statement: str) -> None:
        with self.database.transaction() as connection:
            connection.exec_driver_sql(statement)

    def seconds_until(self, stored: Any, since: datetime) -> float:
        at = stored if isinstance(stored, datetime) else datetime.fromtimestamp(stored / 1_000_000, UTC)
        return (at - since).total_seconds()


@pytest.fixture
def log(log_database: Database) -> Log:
    return Log(log_database)


@pytest.fixture
def postgres(log: Log) -> Log:
    """A log on PostgreSQL, where transactions go side by side."""
    return log


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[Any]]]:
    """Do something in another thread."""
    with ThreadPoolExecutor(2) as pool:
        yield pool.submit


def record(*deliveries: Delivery) -> Record:
    id_ = new_id()
    return Record(
        "event", Envelope(id_, id_, None, datetime.now(UTC), None, "test", None), Sent(), deliveries
    )


def seqs(batch: Batch) -> list[int]:
    return [each.fence.seq for each in batch.claimed]


def test_nothing_is_claimed_of_a_recipient_that_is_unknown_or_paused(log: Log) -> None:
    log.send("red", to="unheard-of")
    assert not log.claim("unheard-of").claimed
    log.send("red")
    now = "(select min(recorded_at) from atomos_message)"
    log.change(f"update atomos_recipient set paused_at = {now} where name = 'mail'")  # noqa: S608
    assert not log.claim().claimed
    assert log.moved.waiting(["mail", "stock", "unheard-of"]) == []


def test_waiting_says_what_is_worth_a_look_and_what_is_overdue(log: Log) -> None:
    both = ["mail", "stock"]
    assert log.moved.waiting(both) == []
    log.send("red")
    assert log.moved.waiting(both) == [Waiting("mail", overdue=False)]
    assert log.moved.waiting(["stock"]) == []
    log.claim()
    log.clock.move(seconds=LEASE + 1)
    log.send("red", to="stock", until=log.clock.now() + timedelta(seconds=5))
    assert log.moved.waiting(both) == [Waiting("mail", overdue=True)]
    log.clock.move(seconds=6)
    assert sorted(log.moved.waiting(both)) == [Waiting("mail", overdue=True), Waiting("stock", overdue=True)]


def test_what_is_due_is_made_ready_for_every_recipient(log: Log) -> None:
    at = log.clock.now() + timedelta(minutes=1)
    log.send("red", to="stock", until=at)
    log.clock.move(minutes=2)
    log.moved.tidy("mail")
    assert log.rows("status, until is null", "stock") == [("ready", False)], "it says since when it waits"


def test_a_lease_that_was_renewed_does_not_run_out(log: Log) -> None:
    log.send("red", "blue")
    kept, lost = log.claim(room=1), log.claim(room=1)
    log.clock.move(seconds=LEASE - 1)
    assert log.moved.renew([kept.lease]) == [kept.lease]
    log.clock.move(seconds=2)
    log.moved.tidy("mail")
    assert log.moved.renew([kept.lease, lost.lease]) == [kept.lease]
    assert log.rows("losses, attempts") == [(0, 0), (1, 0)]
    assert log.moved.renew([]) == []


def test_a_lease_that_ran_out_and_that_nobody_ended_may_still_be_renewed(log: Log) -> None:
    log.send("red")
    batch = log.claim()
    log.clock.move(hours=1)
    assert log.moved.renew([batch.lease]) == [batch.lease]
    log.moved.tidy("mail")
    assert log.moved.complete([batch.claimed[0].fence], NO_ROWS) == 1


def test_whoever_lost_a_lease_can_neither_complete_nor_fail_nor_keep_nor_record(log: Log) -> None:
    log.send("red")
    batch = log.claim()
    log.lose()
    again = log.claim()
    before = log.rows("status, attempts, until, errors")
    fence = batch.claimed[0].fence
    assert log.moved.complete([fence], NO_ROWS) == 0
    for status in (Status.RETRYING, Status.DEAD, Status.PARKED):
        assert not log.moved.fail(fence, Failure(status, "late", pause=1), NO_ROWS)
    log.moved.keep(batch.lease, NO_ROWS)
    messages = log.look("select count(*) from atomos_message")
    with pytest.raises(LeaseLost):
        log.messages.append([record(Delivery("stock"))], fence)
    assert log.look("select count(*) from atomos_message") == messages
    assert log.rows("status, attempts, until, errors") == before
    assert log.moved.complete([again.claimed[0].fence], NO_ROWS) == 1


def test_what_an_operator_discarded_meanwhile_is_not_completed(log: Log) -> None:
    log.send("red", "blue")
    batch = log.claim()
    log.change("update atomos_delivery set status = 'discarded' where ordering_key = 'red'")
    assert log.moved.complete([each.fence for each in batch.claimed], NO_ROWS) == 1
    assert log.rows("status") == [("discarded",), ("done",)]


def test_a_failure_says_when_it_is_due_again_or_when_it_was_over(log: Log) -> None:
    log.send("red", "blue", "green")
    for status in (Status.RETRYING, Status.DEAD, Status.PARKED):
        fence = log.claim(room=1).claimed[0].fence
        pause = 30 if status is Status.RETRYING else None
        assert log.moved.fail(fence, Failure(status, "broken", pause), NO_ROWS)
    retrying, dead, parked = log.rows("status, until, completed_at")
    assert log.seconds_until(retrying[1], log.clock.now()) == pytest.approx(30, abs=3)
    assert log.seconds_until(dead[2], log.clock.now()) == pytest.approx(0, abs=3)
    assert (retrying[2], dead[1], parked) == (None, None, ("parked", None, None))


def test_without_a_time_of_its_own_it_takes_the_databases(log: Log) -> None:
    log.send("red")
    log.real.claim("mail", 1, "me")
    [(until,)] = log.look("select until from atomos_lease")
    assert log.seconds_until(until, datetime.now(UTC)) == pytest.approx(LEASE, abs=3)


def test_a_fan_out_of_thousands_is_stored_in_one_transaction_in_its_order(log: Log) -> None:
    log.send("red")
    fence = log.claim().claimed[0].fence
    records = [record(Delivery("stock", f"key-{n}")) for n in range(7000)]
    log.messages.append(records, fence)
    assert log.rows("status") == [("done",)]
    assert log.rows("ordering_key", "stock") == [(f"key-{n}",) for n in range(7000)]


def test_a_fan_out_whose_delivery_was_lost_is_not_stored_in_part(log: Log) -> None:
    log.send("red")
    fence = log.claim().claimed[0].fence
    log.lose()
    with pytest.raises(LeaseLost):
        log.messages.append([record(Delivery("stock")) for _ in range(2500)], fence)
    assert log.rows("seq", "stock") == []


@ON_SQLITE
def test_on_sqlite_a_claim_in_vain_does_not_wait_for_a_writer(log: Log, beside: Any) -> None:
    log.send("red", "red")
    log.claim(room=1)
    with log.database.transaction():
        assert not beside(log.claim).result(timeout=3).claimed


@ON_POSTGRESQL
def test_claims_of_one_recipient_wait_for_each_other_and_for_no_other_recipient(
    postgres: Log, beside: Any
) -> None:
    postgres.send("red")
    postgres.send("red", to="stock")
    with postgres.database.transaction() as connection:
        assert dialect_of(connection).lock_recipient(connection, "mail")
        waiting = beside(postgres.claim, "mail")
        assert len(postgres.claim("stock").claimed) == 1
        until = time.monotonic() + 0.3
        wait_until(lambda: time.monotonic() > until or waiting.done(), SECONDS, "time to pass")
        assert not waiting.done()
    assert len(waiting.result(SECONDS).claimed) == 1


@ON_POSTGRESQL
def test_tidying_waits_for_claims_and_for_operators_of_its_recipient(postgres: Log, beside: Any) -> None:
    postgres.send("red")
    postgres.claim()
    postgres.clock.move(seconds=LEASE + 1)
    with postgres.database.transaction() as connection:
        assert dialect_of(connection).lock_recipient(connection, "mail")
        tidying = beside(postgres.moved.tidy, "mail")
        wait_until(lambda: is_blocked(postgres) or tidying.done(), SECONDS, "it to wait")
        assert not tidying.done()
    tidying.result(SECONDS)
    assert postgres.rows("losses") == [(1,)]


@ON_POSTGRESQL
def test_a_claim_that_waited_for_its_turn_sees_what_was_decided_meanwhile(postgres: Log, beside: Any) -> None:
    postgres.send("red", "red", "blue")
    with postgres.database.transaction() as connection:
        dialect_of(connection).lock_recipient(connection, "mail")
        waiting = beside(postgres.claim, "mail")
        wait_until(lambda: is_blocked(postgres), SECONDS, "the claim to wait")
        connection.exec_driver_sql(
            "update atomos_delivery set status = 'parked' where seq = (select min(seq) from atomos_delivery)"
        )
    batch = waiting.result(SECONDS)
    assert [each.ordering_key for each in batch.claimed] == ["blue"]


@ON_POSTGRESQL
def test_a_lease_does_not_end_while_a_command_commits_under_it(postgres: Log, beside: Any) -> None:
    postgres.send("red")
    fence = postgres.claim().claimed[0].fence
    with postgres.database.transaction() as connection:
        postgres.messages.write(connection, [record()], fence)
        postgres.clock.move(hours=1)
        beside(postgres.moved.tidy, "mail").result(SECONDS)
        assert postgres.look("select count(*) from atomos_lease") == [(1,)]
    assert postgres.rows("status, losses, attempts") == [("done", 0, 1)]
    postgres.moved.tidy("mail")
    assert postgres.look("select count(*) from atomos_lease") == [(0,)]
    assert postgres.rows("status, losses, attempts") == [("done", 0, 1)]


@ON_POSTGRESQL
def test_a_command_that_commits_while_its_lease_is_ended_is_refused(postgres: Log, beside: Any) -> None:
    postgres.send("red")
    fence = postgres.claim().claimed[0].fence
    postgres.clock.move(hours=1)
    with postgres.database.transaction() as connection:
        dialect_of(connection).expire(connection, "mail", postgres.clock.now())
        append = beside(postgres.messages.append, [record()], fence)
        complete = beside(postgres.moved.complete, [fence], NO_ROWS)
        wait_until(lambda: is_blocked(postgres, 2), SECONDS, "both to wait")
    with pytest.raises(LeaseLost):
        append.result(SECONDS)
    assert complete.result(SECONDS) == 0
    assert postgres.rows("status, losses, attempts") == [("ready", 1, 0)]
    assert postgres.look("select count(*) from atomos_message") == [(1,)]


@ON_POSTGRESQL
def test_completions_do_not_wait_for_claims(postgres: Log, beside: Any) -> None:
    postgres.send("red", "blue")
    one, other = postgres.claim().claimed
    left = Rows((other.fence.seq,), ("blue",))
    with postgres.database.transaction() as connection:
        dialect_of(connection).lock_recipient(connection, "mail")
        assert beside(postgres.moved.complete, [one.fence], left).result(SECONDS) == 1
        assert beside(postgres.messages.append, [record()], other.fence).result(SECONDS) is None


def is_blocked(log: Log, many: int = 1) -> bool:
    """Whether so many connections wait for a lock in this database."""
    statement = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return bool(log.look(statement)[0][0] >= many)


def test_what_waits_behind_many_held_rows_is_found_by_the_second_claim(log: Log) -> None:
    near_sighted = SqlDeliveries(log.database, Codec([Sent]), LEASE, now=log.clock.now, walks=Walks(rows=3))
    log.send(*["busy"] * 10, "idle")
    near_sighted.claim("mail", 1, "me")

    found = [near_sighted.claim("mail", 1, "me").claimed for _ in range(2)]

    assert [each.ordering_key for claimed in found for each in claimed] == ["idle"]


def test_where_others_are_in_hand_suspects_are_passed_by_and_so_are_their_keys(log: Log) -> None:
    log.send("red", "blue", None)
    assert len(log.claim().claimed) == 3
    log.lose()
    log.send("red", "green")
    batch = log.moved.claim("mail", 10, "worker", suspects=False)
    assert [each.ordering_key for each in batch.claimed] == ["green"]
    assert not batch.is_suspect
    batch = log.moved.claim("mail", 10, "worker")
    assert [each.ordering_key for each in batch.claimed] == ["red", "blue", None]
    assert (batch.is_suspect, batch.is_alone) == (True, False)


def test_of_rows_with_one_lost_lease_sixteen_are_claimed_together_and_of_those_lost_again_one(
    log: Log,
) -> None:
    log.send(*[None] * 20)
    log.claim()
    log.lose()
    assert [len(log.claim().claimed) for _ in range(3)] == [16, 4, 0]
    log.lose()
    batch = log.claim()
    assert (len(batch.claimed), batch.losses, batch.is_alone) == (1, 2, True)
    log.lose()
    assert log.rows("losses, attempts") == [(3, 1), *[(2, 0)] * 19]


def test_a_group_of_one_is_no_evidence_against_its_row(log: Log) -> None:
    log.send("red")
    for _ in range(2):
        assert len(log.claim().claimed) == 1
        log.lose()
    assert log.rows("losses, attempts") == [(2, 0)]


def test_a_batch_ends_where_rows_begin_that_were_lost_more_often_or_less(log: Log) -> None:
    log.send(*["twice"] * 2)
    log.claim()
    log.lose()
    log.send(*["once"] * 2)
    twice = log.claim()
    once = log.claim()
    assert [len(batch.claimed) for batch in (twice, once)] == [2, 2]
    log.lose()
    log.send("never", "once", "twice")
    found = []
    while (batch := log.claim()).claimed:
        found.append([each.ordering_key for each in batch.claimed])
        log.moved.complete([each.fence for each in batch.claimed], NO_ROWS)
    assert found == [["twice"], ["twice"], ["once", "once"], ["never", "once", "twice"]]
