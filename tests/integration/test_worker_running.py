"""Workers in threads: what goes side by side and what in turn, leases that are kept, and how a worker stops."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import event

from atomos.core.adapters import Database, SqlDeliveries
from atomos.core.service.claiming import Claimers
from atomos.core.service.delivery import MOST_SUSPECTS, NO_ROWS, Batch, Rows, Waiting
from atomos.core.service.in_hand import Held, Tray
from atomos.core.service.threads import Crew
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL, ON_SQLITE, Start
from .worker_samples import FAST, Bells, Rung, Tolled, Whispered

SECONDS = 20.0


@pytest.fixture
def bells(log_database: Database) -> Bells:
    return Bells(log_database)


def until_of(bells: Bells, held: Held) -> float:
    """When a lease runs out, in seconds."""
    at = bells.look(f"select until from atomos_lease where id = {held.batch.lease}")[0][0]  # noqa: S608
    return at.timestamp() if isinstance(at, datetime) else at / 1_000_000


def send(bells: Bells, *numbers: int, bell: str = "bell-{}") -> None:
    """Ring for each number, each with a bell of its own unless one is named."""
    for number in numbers:
        bells.bus.emit(Rung(bell=bell.format(number), number=number))


def all_are(bells: Bells, recipient: str, status: str) -> Callable[[], bool]:
    return lambda: set(bells.statuses(recipient)) == {status}


def test_rows_of_one_key_go_one_after_the_other_and_keys_side_by_side(bells: Bells, start: Start) -> None:
    meeting = threading.Barrier(2)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def meet_the_other_bell(event: Rung) -> None:
        running[event.bell] += 1
        most[event.bell] = max(most[event.bell], running[event.bell])
        meeting.wait(SECONDS)
        running[event.bell] -= 1

    bells.script.deeds["ring"] = meet_the_other_bell
    send(bells, *range(5), bell="left")
    send(bells, *range(5, 10), bell="right")
    start(bells)
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "ten rings")
    heard = bells.script.heard["ring"]
    assert [n for n in heard if n < 5] == list(range(5))
    assert [n for n in heard if n >= 5] == list(range(5, 10))
    assert most == {"left": 1, "right": 1}


def test_a_worker_has_one_batch_of_suspects_at_a_time_whatever_their_recipient(
    bells: Bells, start: Start, gate: threading.Event
) -> None:
    bells.script.deeds["ring"] = bells.script.deeds["write_down"] = lambda _: gate.wait(SECONDS)
    send(bells, 1, 2)
    bells.change("update atomos_delivery set losses = 1")
    for number in range(5):
        bells.bus.emit(Whispered(number=number))
    start(bells)
    wait_until(all_are(bells, "bells.whisper", "done"), SECONDS, "what waits behind no suspect")
    heard = [bells.script.heard[name] for name in ("ring", "write_down")]
    assert sorted(map(sorted, heard)) == [[], [1, 2]]
    gate.set()
    for recipient in ("bells.ring", "bells.write_down"):
        wait_until(all_are(bells, recipient, "done"), SECONDS, "all of them")


def test_recipients_have_their_suspects_carried_out_in_turns(bells: Bells, start: Start) -> None:
    order: list[str] = []
    for name in ("ring", "write_down"):
        bells.script.deeds[name] = lambda _, name=name: order.append(name)
    send(bells, *range(6 * MOST_SUSPECTS))
    bells.change("update atomos_delivery set losses = 1")
    start(bells)
    for recipient in ("bells.ring", "bells.write_down"):
        wait_until(all_are(bells, recipient, "done"), SECONDS, "all of them")
    # It may be half way through with one before it has looked at the other.
    assert max(len(list(batch)) for _, batch in groupby(order)) <= 3 * MOST_SUSPECTS


def test_several_workers_share_the_work_and_nothing_is_heard_twice(bells: Bells, start: Start) -> None:
    for number in range(300):
        bells.bus.emit(Whispered(number=number))
    for _ in range(3):
        start(bells)
    wait_until(all_are(bells, "bells.whisper", "done"), SECONDS, "all whispers")
    assert sorted(bells.script.heard["whisper"]) == list(range(300))


def test_a_worker_claims_less_of_one_while_others_have_rows_in_hand(bells: Bells) -> None:
    worker, crew = bells.worker(), cast("Crew", SimpleNamespace(running=lambda _: 0.0))
    worker._enrol()
    send(bells, 1)
    worker._pace.worked("bells.whisper", 0.01, 1)
    alone = worker._room(crew, "bells.whisper")
    assert worker._claims.claim("bells.ring", 1) is not None
    assert 0 < worker._room(crew, "bells.whisper") < alone


def test_a_recipient_that_is_slow_leaves_a_thread_to_the_others(
    bells: Bells, start: Start, gate: threading.Event
) -> None:
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, *range(20))
    start(bells, FAST._replace(threads=2))
    wait_until(all_are(bells, "bells.write_down", "done"), SECONDS, "the other recipient")
    assert set(bells.statuses("bells.ring")) == {"ready"}


def test_a_commit_in_this_process_is_delivered_without_waiting_for_the_next_look(
    bells: Bells, start: Start
) -> None:
    start(bells, FAST._replace(poll=60))
    wait_until(lambda: bool(bells.look("select 1 from atomos_recipient")), SECONDS, "the worker to begin")
    for number in range(5):
        send(bells, number)
        wait_until(lambda n=number: bells.script.heard["ring"][-1:] == [n], 5, "the delivery")  # type: ignore[misc]


def test_who_rests_when_it_is_told_of_is_not_forgotten_over_the_next_one(bells: Bells) -> None:
    worker, crew = bells.worker(FAST._replace(poll=60)), cast("Crew", SimpleNamespace(running=lambda _: 0.0))
    claimers = cast("Claimers", SimpleNamespace(is_busy=lambda _, woken: False, ask=lambda _: None))
    worker._look_due = time.monotonic() + 60
    worker._pace.claimed("bells.ring", 2.0)  # it rests for ten
    pause, rests = worker._look(crew, claimers, True, {"bells.ring"})
    assert rests and pause <= 10
    pause, rests = worker._look(crew, claimers, True, {"bells.write_down"})
    assert rests and pause <= 10


def test_a_commit_of_another_process_is_found_by_looking(bells: Bells, start: Start) -> None:
    start(bells)
    Bells(bells.database).bus.emit(Rung(number=4))
    wait_until(lambda: bells.script.heard["ring"] == [4], SECONDS, "the delivery")


def test_the_lease_of_a_long_handler_is_kept(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    bells = Bells(log_database, lease=0.6)
    settings = FAST._replace(lease=0.6, threads=2)
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, 1, 2, 3)
    start(bells, settings)
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the first ring")
    start(bells, settings)
    kept_until = time.monotonic() + 2.0
    wait_until(lambda: time.monotonic() > kept_until, SECONDS, "three leases' time")
    gate.set()
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "all rings")
    assert sorted(bells.script.heard["ring"]) == [1, 2, 3], "nothing was done again"
    assert {(row.attempts, row.losses) for row in bells.rows("bells.ring")} == {(1, 0)}


def test_what_waits_for_a_thread_of_a_busy_worker_is_given_to_another(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    busy, idle = Bells(log_database, lease=0.6), Bells(log_database, lease=0.6)
    settings = FAST._replace(lease=0.6, threads=2)
    busy.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(busy, *range(9))
    start(busy, settings)
    wait_until(lambda: busy.script.heard["ring"] == [0], SECONDS, "the first ring")
    start(idle, settings)
    wait_until(lambda: busy.statuses("bells.ring") == ["ready"] + ["done"] * 8, SECONDS, "the other rings")
    gate.set()
    wait_until(all_are(busy, "bells.ring", "done"), SECONDS, "the first ring to be completed")
    assert (busy.script.heard["ring"], sorted(idle.script.heard["ring"])) == ([0], [*range(1, 9)])
    assert {(row.attempts, row.losses) for row in busy.rows("bells.ring")} == {(1, 0)}


class Deaf(SqlDeliveries):
    """Cannot renew."""

    def renew(self, leases: Any) -> Any:
        raise ConnectionError("not just now")


@pytest.mark.parametrize("bell", ["bell-{}", "one bell"])
def test_a_worker_that_cannot_renew_begins_nothing_after_its_lease(
    log_database: Database, start: Start, gate: threading.Event, bell: str
) -> None:
    bells = Bells(log_database, lease=0.5, deliveries=lambda real: Deaf(log_database, real._codec, lease=0.5))
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, 1, 2, bell=bell)
    worker = start(bells, FAST._replace(lease=0.5, threads=2))
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the first ring")
    others = Bells(log_database, lease=0.5)
    start(others, FAST._replace(lease=0.5))
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "the other worker")
    gate.set()
    worker.stop()
    assert bells.script.heard["ring"] == [1]
    assert sorted(others.script.heard["ring"]) == [1, 2]


def test_stop_lets_what_runs_end_and_frees_the_rest_at_once(
    bells: Bells, start: Start, gate: threading.Event
) -> None:
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, *range(8), bell="big")
    send(bells, *range(8, 12))
    worker = start(bells, FAST._replace(threads=2))
    wait_until(lambda: bells.script.heard["ring"] == [0], SECONDS, "the first ring")
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    wait_until(
        lambda: sum(len(seqs) for _, seqs in bells.leases()) == 8, SECONDS, "the other bells to be free"
    )
    ghost = bells.deliveries.claim("bells.ring", 100, "someone else")
    assert [each.envelope for each in ghost.claimed] and len(ghost.claimed) == 4
    assert stopping.is_alive(), "what runs was not waited for"
    gate.set()
    stopping.join(SECONDS)
    bells.deliveries.keep(ghost.lease, NO_ROWS)
    assert bells.script.heard["ring"] == [0], "nothing was begun after stop"
    assert bells.statuses("bells.ring") == ["done"] + ["ready"] * 11
    assert {(row.attempts, row.losses) for row in bells.rows("bells.ring")[1:]} == {(0, 0)}
    assert not bells.leases()


def test_what_still_runs_keeps_its_lease_while_its_worker_stops(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    bells, others = Bells(log_database, lease=0.6), Bells(log_database, lease=0.6)
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, 1)
    worker = start(bells, FAST._replace(lease=0.6))
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the ring")
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    start(others, FAST._replace(lease=0.6))
    until = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > until, SECONDS, "two leases' time")
    gate.set()
    stopping.join(SECONDS)
    assert bells.statuses("bells.ring") == ["done"]
    assert others.script.heard["ring"] == []


def test_leases_are_renewed_while_a_change_of_one_of_them_is_not_settled(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    bells = Bells(log_database, lease=1.0)
    bells.script.deeds["whisper"] = bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, 1)
    for number in range(4):
        bells.bus.emit(Whispered(number=number))
    worker = start(bells, FAST._replace(lease=1.0))
    wait_until(lambda: bells.script.heard["ring"] and bells.script.heard["whisper"], SECONDS, "both")
    whispers, rings = (
        next(held for held in worker._in_hand._held() if held.batch.recipient == f"bells.{name}")
        for name in ("whisper", "ring")
    )
    with whispers.changing():  # a thread waits for its database: nobody can free what waits behind it
        renewed, first = until_of(bells, rings), until_of(bells, rings)
        while renewed - first < 2:  # two leases' time, by the database's clock
            wait_until(lambda before=renewed: until_of(bells, rings) != before, SECONDS, "a renewal")
            renewed = until_of(bells, rings)
        assert not whispers.is_lost
        assert rings.may_begin, "its lease ran out"


def test_stop_waits_for_no_longer_than_its_patience(
    bells: Bells, start: Start, gate: threading.Event
) -> None:
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    send(bells, 1)
    worker = start(bells)
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the ring")
    begun = time.monotonic()
    worker.stop(patience=0.2)
    assert time.monotonic() - begun < 5
    assert [len(seqs) for _, seqs in bells.leases()] == [1], "what still runs keeps its lease"
    gate.set()
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "what still ran to be completed")


def test_a_worker_may_be_stopped_twice_and_before_it_began(bells: Bells, start: Start) -> None:
    bells.worker().stop()
    worker = start(bells)
    worker.stop()
    worker.stop()


def test_the_threads_of_a_stopped_worker_are_gone(bells: Bells, start: Start) -> None:
    before = set(threading.enumerate())
    worker = start(bells, FAST._replace(lease=0.3))
    wait_until(lambda: len(set(threading.enumerate()) - before) >= FAST.threads + 2, SECONDS, "its threads")
    worker.stop()
    wait_until(lambda: not set(threading.enumerate()) - before, SECONDS, "its threads to end")


class Dear(SqlDeliveries):
    """Says that claims of one recipient took long, and of another longer."""

    def claim(
        self, recipient: str, room: int, worker: str, without: Rows = NO_ROWS, *, suspects: bool = True
    ) -> Batch:
        seconds = {"bells.ring": 0.05, "bells.write_down": 0.02}.get(recipient, 0.0)
        return super().claim(recipient, room, worker, without, suspects=suspects)._replace(seconds=seconds)


def test_rows_that_go_alone_follow_each_other_whatever_their_claims_take(
    log_database: Database, start: Start
) -> None:
    bells = Bells(log_database, deliveries=lambda real: Dear(log_database, real._codec))
    # Longer than a claim that finds nothing, because this one is in hand.
    bells.script.deeds["ring"] = lambda _: time.sleep(0.03)
    send(bells, *range(40), bell="one")
    bells.change("update atomos_delivery set losses = 2")
    start(bells, FAST._replace(poll=60))
    for recipient in ("bells.ring", "bells.write_down"):
        wait_until(all_are(bells, recipient, "done"), SECONDS / 2, "all of them")
    assert bells.script.heard["ring"] == [*range(40)]


def test_a_recipient_that_rests_is_looked_at_again_after_its_rest(
    log_database: Database, start: Start
) -> None:
    bells = Bells(log_database, deliveries=lambda real: Dear(log_database, real._codec))
    send(bells, 1)
    start(bells, FAST._replace(poll=60))
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the first ring")
    send(bells, 2)
    wait_until(lambda: bells.script.heard["ring"] == [1, 2], 5, "the second ring")


class Counted(SqlDeliveries):
    """Counts its looks and claims, and the rows that were claimed."""

    looks = claims = 0

    def waiting(self, recipients: Any) -> Any:
        self.looks += 1
        return super().waiting(recipients)

    def claim(
        self, recipient: str, room: int, worker: str, without: Rows = NO_ROWS, *, suspects: bool = True
    ) -> Batch:
        self.claims += 1
        return super().claim(recipient, room, worker, without, suspects=suspects)


@ON_SQLITE
def test_on_sqlite_a_worker_with_nothing_to_do_takes_no_write_lock(
    log_database: Database, start: Start
) -> None:
    bells = Bells(log_database, deliveries=lambda real: Counted(log_database, real._codec))
    bells.script.deeds["toll"] = _refuse
    for number in range(3):
        bells.bus.emit(Tolled(number=number))
    start(bells)
    wait_until(lambda: "parked" in bells.statuses("bells.toll"), SECONDS, "the first to be parked")
    wait_until(lambda: not bells.leases(), SECONDS, "the others to be free")
    looks = bells.deliveries.looks  # type: ignore[attr-defined]
    wait_until(lambda: bells.deliveries.looks > looks + 2, SECONDS, "another look")  # type: ignore[attr-defined]
    written: list[str] = []
    event.listen(log_database.log, "begin", lambda _: written.append("begin"))
    looks = bells.deliveries.looks  # type: ignore[attr-defined]
    wait_until(lambda: bells.deliveries.looks > looks + 10, SECONDS, "ten looks")  # type: ignore[attr-defined]
    assert bells.statuses("bells.toll") == ["parked", "ready", "ready"]
    assert not written


def test_rows_behind_a_parked_one_do_not_keep_the_worker_busy(log_database: Database, start: Start) -> None:
    bells = Bells(log_database, deliveries=lambda real: Counted(log_database, real._codec))
    bells.script.deeds["toll"] = _refuse
    for number in range(3):
        bells.bus.emit(Tolled(number=number))
    start(bells, FAST._replace(poll=0.1))
    wait_until(lambda: "parked" in bells.statuses("bells.toll"), SECONDS, "the first to be parked")
    begun, looks, claims = time.monotonic(), bells.deliveries.looks, bells.deliveries.claims  # type: ignore[attr-defined]
    wait_until(lambda: bells.deliveries.looks > looks + 8, SECONDS, "eight looks")  # type: ignore[attr-defined]
    passed = time.monotonic() - begun
    assert bells.deliveries.claims - claims <= passed / 0.1 + 3  # type: ignore[attr-defined]


class Absent(SqlDeliveries):
    """Cannot be reached, as often as it is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.absent: Counter[str] = Counter()

    def _fail(self, what: str) -> None:
        if self.absent[what] > 0:
            self.absent[what] -= 1
            raise ConnectionError(f"{what}: nobody there")

    def enrol(self, *args: Any) -> None:
        self._fail("enrol")
        super().enrol(*args)

    def waiting(self, recipients: Any) -> list[Waiting]:
        self._fail("waiting")
        return list(super().waiting(recipients))

    def claim(self, *args: Any, **kwargs: Any) -> Batch:
        batch = super().claim(*args, **kwargs)
        self._fail("claim")
        return batch

    def complete(self, *args: Any) -> int:
        self._fail("complete")
        return super().complete(*args)

    def fail(self, *args: Any) -> bool:
        self._fail("fail")
        return super().fail(*args)


@pytest.fixture
def absent(log_database: Database) -> Bells:
    """With a log that is away for a moment, now and then."""
    return Bells(
        log_database, deliveries=lambda real: Absent(log_database, real._codec, real._lease.total_seconds())
    )


@pytest.fixture
def shortly_absent(log_database: Database) -> Bells:
    """The same, with leases that are short."""
    return Bells(log_database, deliveries=lambda real: Absent(log_database, real._codec, 0.5))


@pytest.mark.parametrize("what", ["enrol", "waiting"])
def test_a_database_that_is_away_is_waited_for(absent: Bells, start: Start, what: str) -> None:
    absent.deliveries.absent[what] = 4  # type: ignore[attr-defined]
    send(absent, 1)
    start(absent)
    wait_until(all_are(absent, "bells.ring", "done"), SECONDS, "the ring")


@pytest.mark.parametrize("what", ["complete", "fail"])
def test_what_became_of_a_row_is_noted_when_the_database_is_back(
    absent: Bells, start: Start, what: str
) -> None:
    absent.deliveries.absent[what] = 3  # type: ignore[attr-defined]
    if what == "fail":
        absent.script.deeds["ring"] = _refuse
    send(absent, 1)
    start(absent)
    ended = "dead" if what == "fail" else "done"
    wait_until(all_are(absent, "bells.ring", ended), SECONDS, "the end of it")
    assert absent.script.heard["ring"] == [1], "it was not done again"


def test_a_claim_that_nobody_heard_of_is_claimed_again_when_its_lease_has_run_out(
    shortly_absent: Bells, start: Start
) -> None:
    shortly_absent.deliveries.absent["claim"] = 1  # type: ignore[attr-defined]
    for number in range(3):
        shortly_absent.bus.emit(Whispered(number=number))
    start(shortly_absent, FAST._replace(lease=0.5))
    wait_until(all_are(shortly_absent, "bells.whisper", "done"), SECONDS, "the whispers")
    assert shortly_absent.script.heard["whisper"] == [0, 1, 2]
    assert {row.losses for row in shortly_absent.rows("bells.whisper")} == {1}


def test_what_could_not_be_noted_at_all_is_done_again_and_not_held_for_ever(
    shortly_absent: Bells, start: Start
) -> None:
    shortly_absent.deliveries.absent["complete"] = 6  # type: ignore[attr-defined]
    shortly_absent.bus.emit(Whispered(number=1))
    start(shortly_absent, FAST._replace(lease=0.5))
    wait_until(all_are(shortly_absent, "bells.whisper", "done"), SECONDS, "the whisper")
    assert shortly_absent.script.heard["whisper"] == [1, 1]


def test_what_could_not_be_noted_is_not_held_while_the_rest_of_its_batch_goes_on(
    shortly_absent: Bells, start: Start, gate: threading.Event
) -> None:
    def wait_for_the_second(message: Whispered) -> None:
        if message.number == 2:
            gate.wait(SECONDS)

    shortly_absent.deliveries.absent["complete"] = 4  # type: ignore[attr-defined]
    shortly_absent.script.deeds["whisper"] = wait_for_the_second
    for number in (1, 2):
        shortly_absent.bus.emit(Whispered(number=number))
    start(shortly_absent, FAST._replace(lease=0.5))
    wait_until(lambda: sorted(shortly_absent.script.heard["whisper"]) == [1, 2], SECONDS, "both to begin")
    wait_until(lambda: "done" in shortly_absent.statuses("bells.whisper"), SECONDS / 4, "the first, again")
    assert shortly_absent.script.heard["whisper"].count(1) == 2
    assert not gate.is_set()


def test_what_a_thread_took_behind_one_that_could_not_be_noted_is_in_hand_no_more(
    shortly_absent: Bells,
) -> None:
    shortly_absent.script.deeds["whisper"] = _refuse
    shortly_absent.deliveries.absent["fail"] = 4  # type: ignore[attr-defined]
    for number in range(3):
        shortly_absent.bus.emit(Whispered(number=number))
    worker = shortly_absent.worker(FAST._replace(lease=0.5))
    worker._enrol()
    held = worker._claims.claim("bells.whisper", 3)
    assert held is not None
    with pytest.raises(ConnectionError):
        worker._work(Tray(held, held.runs(), time.monotonic()))
    assert shortly_absent.script.heard["whisper"] == [0]
    assert worker._in_hand.of("bells.whisper") == 0, "there would be less and less room for others"


@ON_POSTGRESQL
def test_a_worker_survives_a_server_that_was_gone(log_database: Database, start: Start) -> None:
    bells = Bells(log_database)
    start(bells)
    send(bells, 1)
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "the first ring")
    name = log_database.url.database
    server = Database(log_database.url.set(database="postgres").render_as_string(hide_password=False))
    with server.log.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f'alter database "{name}" allow_connections false')
        connection.exec_driver_sql(
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"  # noqa: S608
        )
        with pytest.raises(Exception, match="not currently accepting"):
            Database(log_database.url.render_as_string(hide_password=False)).log.connect()
        connection.exec_driver_sql(f'alter database "{name}" allow_connections true')
    server.close()
    wait_until(lambda: _sent(bells, 2), SECONDS, "a connection")
    wait_until(all_are(bells, "bells.ring", "done"), SECONDS, "the second ring")
    assert bells.script.heard["ring"] == [1, 2]


def _sent(bells: Bells, number: int) -> bool:
    try:
        send(bells, number)
    except Exception:  # noqa: BLE001 - a connection of the pool that was ended
        return False
    return True


def _refuse(_: Any) -> None:
    from atomos.core.domain import RuleBroken

    raise RuleBroken("never")
