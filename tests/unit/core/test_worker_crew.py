"""The threads of a worker: whose turn it is, what is given back, how they end; and the heartbeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from atomos.core.service import Unavailable
from atomos.core.service.delivery import Batch, Claimed, Fence
from atomos.core.service.envelope import Envelope
from atomos.core.service.in_hand import Held, Run, Tray
from atomos.core.service.threads import Chore, Crew, Rounds
from atomos.testing.processes import wait_until

SECONDS = 10.0

Make = Callable[..., Crew]


class Record:
    """Notes what is carried out; every run waits for its gate, if it has one."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, threading.Event] = {}

    def __call__(self, tray: Tray) -> None:
        name = tray.held.batch.recipient
        tray.next()
        self.begun.append(name)
        if name == "broken":
            raise SystemExit
        if name in self.gates:
            self.gates[name].wait(SECONDS)


@pytest.fixture
def record() -> Iterator[Record]:
    made = Record()
    yield made
    for gate in made.gates.values():
        gate.set()


@pytest.fixture
def crew(record: Record) -> Iterator[Make]:
    crews = []

    def make(threads: int, share: int) -> Crew:
        crews.append(made := Crew(threads, share, record))
        return made

    yield make
    for each in crews:
        each.dismiss()


def task(recipient: str, *, losses: int = 0) -> tuple[Held, list[Run]]:
    envelope = Envelope("id", "id", None, datetime.now(UTC), None, "test", None)
    run = (Claimed(Fence(1, recipient, 1), None, 0, envelope, None),)
    return Held(Batch(1, recipient, run, losses=losses), until=float("inf")), [run]


def test_recipients_take_turns(crew: Make, record: Record) -> None:
    record.gates["first"] = threading.Event()
    one = crew(1, 1)
    one.give(*task("first"))
    wait_until(lambda: record.begun == ["first"], SECONDS, "the first")
    for recipient in ("mail", "mail", "mail", "stock", "stock"):
        one.give(*task(recipient))
    record.gates["first"].set()
    wait_until(lambda: len(record.begun) == 6, SECONDS, "all")
    assert record.begun[1:] == ["mail", "stock", "mail", "stock", "mail"]


def test_what_was_in_a_lost_lease_waits_for_nothing_else(crew: Make, record: Record) -> None:
    record.gates["first"] = threading.Event()
    one = crew(1, 1)
    one.give(*task("first"))
    wait_until(lambda: record.begun == ["first"], SECONDS, "the first")
    for recipient in ("mail", "stock", "stock"):
        one.give(*task(recipient))
    suspects = task("stock", losses=1)
    one.give(suspects[0], suspects[1] * 2)
    record.gates["first"].set()
    wait_until(lambda: len(record.begun) == 6, SECONDS, "all")
    assert record.begun[1:] == ["stock", "stock", "mail", "stock", "stock"]


def test_no_recipient_has_more_than_its_share_of_the_threads(crew: Make, record: Record) -> None:
    record.gates["slow"] = threading.Event()
    three = crew(3, 2)
    for _ in range(5):
        three.give(*task("slow"))
    wait_until(lambda: record.begun == ["slow"] * 2, SECONDS, "two of them")
    three.give(*task("mail"))
    three.give(*task("mail"))
    wait_until(lambda: record.begun.count("mail") == 2, SECONDS, "the others")
    assert record.begun.count("slow") == 2
    record.gates["slow"].set()
    wait_until(lambda: record.begun.count("slow") == 5, SECONDS, "the rest")


def test_it_says_for_how_long_the_longest_has_been_worked_on(crew: Make, record: Record) -> None:
    record.gates["slow"] = threading.Event()
    two = crew(2, 2)
    assert two.running("slow") == 0
    two.give(*task("slow"))
    wait_until(lambda: two.running("slow") > 0.05, SECONDS, "some time")
    longest = two.running("slow")
    two.give(*task("slow"))
    wait_until(lambda: len(record.begun) == 2, SECONDS, "the second")
    assert two.running("slow") >= longest
    record.gates["slow"].set()
    wait_until(lambda: two.running("slow") == 0, SECONDS, "the end of both")


def test_what_has_waited_for_long_is_given_back_and_the_rest_is_carried_out(
    crew: Make, record: Record
) -> None:
    record.gates["slow"] = threading.Event()
    one = crew(1, 1)
    one.give(*task("slow"))
    wait_until(lambda: record.begun == ["slow"], SECONDS, "the first")
    late = task("mail")
    one.give(*late)
    until = time.monotonic() + 0.1
    wait_until(lambda: time.monotonic() > until, SECONDS, "time to pass")
    one.give(*task("stock"))
    assert one.withdraw(waited=0.1) == [late]
    record.gates["slow"].set()
    wait_until(lambda: len(record.begun) == 2, SECONDS, "the rest")
    assert record.begun == ["slow", "stock"]


def test_dismissed_it_gives_back_what_was_not_begun_and_lets_the_rest_end(crew: Make, record: Record) -> None:
    record.gates["slow"] = threading.Event()
    one = crew(1, 1)
    one.give(*task("slow"))
    wait_until(lambda: record.begun == ["slow"], SECONDS, "the first")
    waiting = [task("mail"), task("stock")]
    for each in waiting:
        one.give(*each)
    assert one.dismiss() == waiting
    assert not one.join(time.monotonic() + 0.05)
    record.gates["slow"].set()
    assert one.join(time.monotonic() + SECONDS)
    assert record.begun == ["slow"]


def test_a_run_that_breaks_costs_no_thread(
    crew: Make, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    one = crew(1, 1)
    one.give(*task("broken"))
    one.give(*task("mail"))
    wait_until(lambda: record.begun == ["broken", "mail"], SECONDS, "the one after it")
    assert "worker.failed" in capsys.readouterr().err


def test_its_threads_do_not_keep_the_process_from_ending(crew: Make) -> None:
    before = set(threading.enumerate())
    crew(2, 2)
    assert {thread.daemon for thread in set(threading.enumerate()) - before} == {True}


def test_a_heart_beats_until_its_block_is_left() -> None:
    beats: list[Any] = []
    with Rounds("heart", [Chore("beat", 0.01, lambda: beats.append(1))]) as heart:
        wait_until(lambda: len(beats) > 2, SECONDS, "three beats")
    wait_until(lambda: not heart._thread.is_alive(), SECONDS, "its thread to end")
    seen = len(beats)
    until = time.monotonic() + 0.05
    wait_until(lambda: time.monotonic() > until, SECONDS, "time to pass")
    assert len(beats) == seen


@pytest.mark.parametrize(("error", "is_shown"), [(Unavailable("away"), False), (KeyError("wrong"), True)])
def test_a_chore_that_fails_is_logged_with_its_traceback_unless_the_database_is_away(
    error: Exception, is_shown: bool
) -> None:
    def fail() -> None:
        raise error

    with capture_logs() as logs, Rounds("rounds", [Chore("fail", 0.01, fail)]):
        wait_until(lambda: bool(logs), SECONDS, "the chore to fail")
    assert (logs[0]["exc_info"] is error) == is_shown
    assert logs[0]["chore"] == "fail"
