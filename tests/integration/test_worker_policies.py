"""What routes say of retries and limits, kept by workers: kinds of error, NotYet, probing, most at once, limits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.workers import SqlWorkers
from atomos.core.domain import AtomosError, DomainError
from atomos.core.service import (
    Backoff,
    Chore,
    Conflict,
    NotYet,
    Routes,
    Unavailable,
    at_once,
    by,
    gives_up,
    parks,
    quickly,
    retries,
    within,
)
from atomos.core.service.probing import Doubt
from atomos.testing import MovedClock
from atomos.testing.processes import wait_until

from .conftest import Start
from .worker_samples import (
    FAST,
    Bells,
    Chimed,
    Count,
    Rung,
    Struck,
    Whispered,
    count,
    decide,
    ring,
    whisper,
    write_down,
)

SECONDS = 20.0
SLOW = FAST._replace(backoff=Backoff(attempts=3, first=60, cap=600))

Deed = Callable[[Any], None]


class Broken(AtomosError):
    """Not today."""


class Refused(DomainError):
    """Never."""


def raising(*errors: BaseException | None, always: BaseException | None = None) -> Deed:
    """Raise these one after the other, None for none; then always the same."""
    left = list(errors)

    def deed(_: Any) -> None:
        error = left.pop(0) if left else always
        if error is not None:
            raise error.with_traceback(None)

    return deed


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def rings(listener: Any) -> Routes:
    """Only one listens, and that as a test says."""
    return Routes(reactions={Rung: [listener]})


@pytest.mark.parametrize("error", [Conflict("again"), Unavailable("again")])
def test_what_is_likely_to_be_brief_is_tried_again_in_place_and_counts_once(
    log_database: Database, clock: MovedClock, error: Exception
) -> None:
    bells = Bells(log_database, clock=clock, routes=rings(ring))
    bells.script.deeds["ring"] = raising(error, error)
    bells.bus.emit(Rung())
    bells.worker(SLOW).drain()
    assert bells.rows()[0][1:] == ("done", 1, False, [])
    assert len(bells.script.heard["ring"]) == 3


def test_quick_tries_come_to_an_end_and_count_as_one_attempt(
    log_database: Database, clock: MovedClock
) -> None:
    bells = Bells(log_database, clock=clock, routes=rings(quickly(2, ring)))
    bells.script.deeds["ring"] = raising(always=Unavailable("gone"))
    bells.bus.emit(Rung())
    bells.worker(SLOW).drain()
    assert bells.rows()[0][1:] == ("retrying", 1, False, ["Unavailable: gone"])
    assert 2 <= len(bells.script.heard["ring"]) <= 3


@pytest.mark.parametrize(
    ("listener", "error"), [(ring, Broken()), (quickly(0, ring), Unavailable()), (ring, NotYet(60))]
)
def test_nothing_else_is_tried_again_in_place(
    log_database: Database, clock: MovedClock, listener: Any, error: Exception
) -> None:
    bells = Bells(log_database, clock=clock, routes=rings(listener))
    bells.script.deeds["ring"] = raising(always=error)
    bells.bus.emit(Rung())
    bells.worker(SLOW).drain()
    assert len(bells.script.heard["ring"]) == 1


def test_a_route_says_which_errors_are_given_up_and_which_are_tried_again(
    log_database: Database, clock: MovedClock
) -> None:
    patient = retries(Backoff(attempts=2, first=5, cap=5), gives_up(Broken, ring), on=Refused)
    bells = Bells(log_database, clock=clock, routes=rings(by("bell", patient)))
    bells.script.deeds["ring"] = lambda event: raising(Broken() if event.bell == "big" else Refused())(event)
    for bell in ("big", "small"):
        bells.bus.emit(Rung(bell=bell))
    worker = bells.worker(SLOW)
    worker.drain()
    assert bells.statuses("bells.ring") == ["dead", "retrying"]
    clock.move(seconds=6)
    worker.drain()
    assert [row[1:3] for row in bells.rows("bells.ring")] == [("dead", 1), ("dead", 2)]


def test_not_yet_waits_as_long_as_it_says_holds_its_key_and_counts_nothing(
    log_database: Database, clock: MovedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    bells = Bells(log_database, clock=clock, routes=rings(parks(by("bell", ring))))
    bells.script.deeds["ring"] = lambda event: raising(NotYet(120) if event.number == 1 else None)(event)
    for number in (1, 2):
        bells.bus.emit(Rung(number=number))
    worker = bells.worker(SLOW)
    for _ in range(5):
        worker.drain()
        assert [row[1:] for row in bells.rows("bells.ring")] == [
            ("retrying", 0, False, []),
            ("ready", 0, False, []),
        ]
        clock.move(seconds=119)
        assert worker.drain() == 0, "its time had not come"
        clock.move(seconds=2)
    bells.script.deeds.clear()
    worker.drain()
    assert bells.script.heard["ring"] == [1] * 6 + [2]
    assert [row[1:3] for row in bells.rows("bells.ring")] == [("done", 1)] * 2
    said = capsys.readouterr().err
    assert "delivery.not_yet" in said
    assert "error" not in said


def test_a_command_that_a_trigger_decided_for_may_have_to_wait_too(
    log_database: Database, clock: MovedClock
) -> None:
    routes = Routes(triggers={Chimed: [by("bell", Count)]}, commands={Count: count})
    bells = Bells(log_database, clock=clock, routes=routes)
    bells.script.deeds["count"] = raising(NotYet(60))
    bells.bus.send_later(Chimed(number=7))
    worker = bells.worker(SLOW)
    worker.drain()
    assert (bells.counts(), [row[1:3] for row in bells.rows()]) == ([], [("retrying", 0)])
    clock.move(seconds=61)
    worker.drain()
    assert (bells.counts(), [row[1:3] for row in bells.rows()]) == ([7], [("done", 1)])


def test_whoever_emits_is_told_not_yet_and_when_to_try_again(
    log_database: Database, clock: MovedClock
) -> None:
    routes = Routes(triggers={Chimed: [Count]}, commands={Count: count})
    bells = Bells(log_database, clock=clock, routes=routes)
    bells.script.deeds["count"] = raising(NotYet(60))
    with pytest.raises(NotYet, match="try again in 60 s"):
        bells.bus.emit(Chimed(number=7))
    assert bells.messages("bells.chimed") == []


def test_no_more_than_the_most_at_once_are_in_hand_in_the_whole_installation(
    log_database: Database, start: Start
) -> None:
    running: Counter[str] = Counter()
    most = 0
    lock = threading.Lock()
    routes = Routes(reactions={Whispered: [at_once(2, whisper)]})

    def note(_: Any) -> None:
        nonlocal most
        with lock:
            running["whisper"] += 1
            most = max(most, running["whisper"])
        threading.Event().wait(0.005)
        with lock:
            running["whisper"] -= 1

    several = [Bells(log_database, routes=routes) for _ in range(2)]
    for number in range(60):
        several[0].bus.emit(Whispered(number=number))
    for bells in several:
        bells.script.deeds["whisper"] = note
        start(bells)
    wait_until(lambda: several[0].statuses("bells.whisper") == ["done"] * 60, 60, "all whispers")
    assert most <= 2
    assert sorted(n for bells in several for n in bells.script.heard["whisper"]) == [*range(60)]


def test_a_claim_takes_what_the_most_at_once_leaves(log_database: Database) -> None:
    bells = Bells(log_database)
    for number in range(9):
        bells.bus.emit(Whispered(number=number))
    bells.deliveries.enrol(["bells.whisper"], {"bells.whisper": 3})
    first = bells.deliveries.claim("bells.whisper", 2, "one")
    assert [len(bells.deliveries.claim("bells.whisper", 9, "two").claimed) for _ in range(2)] == [1, 0]
    assert bells.deliveries.complete([first.claimed[0].fence], _left(first, 1)) == 1
    assert len(bells.deliveries.claim("bells.whisper", 9, "two").claimed) == 1
    bells.deliveries.enrol(["bells.whisper"])
    assert len(bells.deliveries.claim("bells.whisper", 9, "two").claimed) == 5, "the limit was taken away"


PROBES = FAST._replace(
    doubt=Doubt(rows=10, seconds=0.0, pause=0.05), backoff=Backoff(attempts=4, first=0.01, cap=0.02)
)


def test_a_recipient_of_which_everything_fails_is_probed_until_it_works_again(
    log_database: Database, start: Start
) -> None:
    bells = Bells(log_database, routes=Routes(reactions={Whispered: [whisper], Rung: [ring]}))
    bells.script.deeds["whisper"] = raising(always=Broken())
    for number in range(200):
        bells.bus.emit(Whispered(number=number))
    bells.bus.emit(Rung(number=1))
    start(bells, PROBES)
    wait_until(lambda: _register(bells, "bells.whisper")[0], SECONDS, "the probing")
    wait_until(lambda: bells.script.heard["ring"] == [1], SECONDS, "the other recipient")
    assert not _register(bells, "bells.ring")[0]
    wait_until(lambda: len(bells.script.heard["whisper"]) > 40, SECONDS, "many probes")
    assert "dead" not in bells.statuses("bells.whisper")
    assert max(row.attempts for row in bells.rows("bells.whisper")) < 4, "nothing is given up meanwhile"
    assert sum(row.attempts for row in bells.rows("bells.whisper")) < 150, "most are as they were"
    bells.script.deeds.clear()
    wait_until(lambda: set(bells.statuses("bells.whisper")) == {"done"}, SECONDS, "all whispers")
    assert _register(bells, "bells.whisper") == (False, None)


def test_while_it_is_probed_one_row_is_in_hand_and_none_before_its_time(
    log_database: Database, clock: MovedClock
) -> None:
    bells = Bells(log_database, clock=clock)
    for number in range(5):
        bells.bus.emit(Whispered(number=number))
    deliveries = bells.deliveries
    deliveries.enrol(["bells.whisper"])
    deliveries.probe("bells.whisper", 30)
    assert [each.recipient for each in deliveries.waiting(["bells.whisper"])] == []
    assert deliveries.claim("bells.whisper", 9, "one").claimed == ()
    clock.move(seconds=31)
    assert [each.recipient for each in deliveries.waiting(["bells.whisper"])] == ["bells.whisper"]
    batch = deliveries.claim("bells.whisper", 9, "one")
    assert (len(batch.claimed), batch.probing) == (1, True)
    assert deliveries.claim("bells.whisper", 9, "two").claimed == ()
    deliveries.probe("bells.whisper", None)
    assert len(deliveries.claim("bells.whisper", 9, "two").claimed) == 4


def test_final_refusals_are_answers_and_no_outage(log_database: Database, start: Start) -> None:
    bells = Bells(log_database, routes=Routes(reactions={Whispered: [whisper]}))
    bells.script.deeds["whisper"] = raising(always=Refused())
    for number in range(50):
        bells.bus.emit(Whispered(number=number))
    start(bells, PROBES)
    wait_until(lambda: bells.statuses("bells.whisper") == ["dead"] * 50, SECONDS, "all to be refused")
    assert _register(bells, "bells.whisper") == (False, None)


LIMITED = FAST._replace(lease=0.6, threads=3, backoff=Backoff(attempts=3, first=0.01, cap=0.02))


def test_a_handler_past_its_limit_is_named_as_stuck_and_holds_its_key_no_longer(
    log_database: Database, start: Start, gate: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    bells = Bells(log_database, lease=0.6, routes=rings(by("bell", within(0.3, ring))))
    bells.script.deeds["ring"] = lambda _: len(bells.script.heard["ring"]) > 1 or gate.wait(SECONDS)
    for number in (1, 2):
        bells.bus.emit(Rung(number=number))
    [id_, _] = bells.messages("bells.rung")
    workers = SqlWorkers(log_database, Codec([Rung]))
    worker = start(bells, LIMITED, workers=workers)
    wait_until(lambda: bool(worker.stuck()), SECONDS, "the worker to say so")
    [stuck] = worker.stuck()
    assert (stuck.recipient, stuck.message) == ("bells.ring", id_)
    assert stuck.seconds > 0.3
    wait_until(lambda: "bells.ring" in str(_workers(bells, "stuck")), SECONDS, "the register to say so")
    wait_until(lambda: bells.statuses("bells.ring") == ["done"] * 2, SECONDS, "both, by another thread")
    [first, _] = bells.rows("bells.ring")
    assert first.attempts == 2
    assert "ATM073" in first.errors[0]
    gate.set()
    wait_until(lambda: not worker.stuck(), SECONDS, "the stuck thread to be free")
    assert bells.script.heard["ring"] == [1, 1, 2]
    assert bells.rows("bells.ring")[0].attempts == 2, "what it did in the end does not count"
    assert "delivery.stuck" in capsys.readouterr().err


def test_a_command_past_its_limit_commits_nothing(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    routes = Routes(triggers={Struck: [decide], Chimed: [within(0.3, Count)]}, commands={Count: count})
    bells = Bells(log_database, lease=0.6, routes=routes)
    # Before its first statement: on SQLite a transaction that waits lets nobody write.
    holds, begun = [True], threading.Event()
    original = bells.bus.deliver

    def deliver(claimed: Any) -> bool:
        if holds and holds.pop():
            begun.set()
            gate.wait(SECONDS)
        return original(claimed)

    bells.bus.deliver = deliver  # type: ignore[method-assign]
    bells.bus.send_later(Chimed(number=7))
    worker = start(bells, LIMITED)
    wait_until(lambda: bells.counts() == [7], SECONDS, "another thread to obey")
    assert begun.is_set()
    gate.set()
    wait_until(lambda: not worker.stuck(), SECONDS, "the stuck thread to be free")
    assert bells.counts() == [7]
    assert [row[1:3] for row in bells.rows()] == [("done", 2)]


def test_a_handler_that_is_always_stuck_is_given_up_in_the_end(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    bells = Bells(log_database, lease=0.6, routes=rings(within(0.2, ring)))
    bells.script.deeds["ring"] = lambda _: gate.wait(SECONDS)
    bells.bus.emit(Rung())
    start(bells, LIMITED)
    wait_until(lambda: bells.statuses("bells.ring") == ["dead"], SECONDS, "it to be given up")
    assert bells.rows()[0].attempts == 3


def test_a_claim_that_fails_or_hangs_holds_up_no_other_recipient(
    log_database: Database, start: Start, gate: threading.Event
) -> None:
    bells = Bells(log_database, routes=Routes(reactions={Rung: [ring, write_down], Whispered: [whisper]}))
    original = bells.deliveries.claim

    def claim(recipient: str, *args: Any, **kwargs: Any) -> Any:
        if recipient == "bells.ring":
            gate.wait(SECONDS)
        if recipient == "bells.write_down":
            raise ConnectionError("never")
        return original(recipient, *args, **kwargs)

    bells.deliveries.claim = claim  # type: ignore[method-assign]
    bells.bus.emit(Rung())
    start(bells)
    for number in range(5):
        bells.bus.emit(Whispered(number=number))
        wait_until(lambda: set(bells.statuses("bells.whisper")) == {"done"}, SECONDS, "the others")
    assert not gate.is_set()
    assert bells.statuses("bells.ring") == ["ready"]
    gate.set()
    wait_until(lambda: bells.statuses("bells.ring") == ["done"], SECONDS, "the one that hung")


def test_a_worker_registers_while_it_lives(log_database: Database, start: Start) -> None:
    bells = Bells(log_database, routes=rings(ring))
    workers = SqlWorkers(log_database, Codec([Rung, Whispered]))
    worker = start(bells, FAST._replace(lease=0.3), workers=workers)
    wait_until(lambda: bool(_workers(bells, "id")), SECONDS, "its row")
    [row] = _workers(bells, "id, host, pid, version, recipients, reads, stuck")
    assert row[0] == worker.id
    assert "bells.ring" in str(row[4])
    assert "bells.rung 1" in str(row[5])
    assert "bells.whispered 1" in str(row[5])
    [(seen,)] = _workers(bells, "seen")
    wait_until(lambda: _workers(bells, "seen")[0][0] > seen, SECONDS, "another heartbeat")
    [(started, now)] = _workers(bells, "started, seen")
    assert started < now
    worker.stop()
    assert _workers(bells, "id") == []


def test_a_worker_that_was_not_seen_for_long_is_forgotten(log_database: Database) -> None:
    bells = Bells(log_database)
    workers = SqlWorkers(log_database, Codec([Rung]))
    from atomos.core.service.registration import Present

    workers.seen(Present("old", "here", 1, ("bells.ring",)))
    assert workers.forget(60) == 0
    until = threading.Event()
    until.wait(0.05)
    assert workers.forget(0.01) == 1
    assert _workers(bells, "id") == []


def test_chores_are_done_again_and_again_and_one_that_fails_costs_no_other(
    log_database: Database, start: Start
) -> None:
    bells = Bells(log_database)
    done: Counter[str] = Counter()

    def fail() -> None:
        done["failing"] += 1
        raise Broken

    chores = [Chore("failing", 0.01, fail), Chore("working", 0.01, lambda: done.update(["working"]))]
    worker = start(bells, chores=chores)
    wait_until(lambda: done["working"] > 3 and done["failing"] > 3, SECONDS, "the chores")
    worker.stop()


def _left(batch: Any, over: int) -> Any:
    from atomos.core.service.delivery import Rows

    return Rows(tuple(each.fence.seq for each in batch.claimed[over:]), ())


def _register(bells: Bells, recipient: str) -> tuple[bool, Any]:
    found = bells.look(f"select probing, probe_at from atomos_recipient where name = '{recipient}'")  # noqa: S608
    return (bool(found[0][0]), found[0][1]) if found else (False, None)


def _workers(bells: Bells, columns: str) -> list[Any]:
    return [tuple(row) for row in bells.look(f"select {columns} from atomos_worker")]  # noqa: S608
