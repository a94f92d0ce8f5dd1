"""Ids that make repeats harmless: decisions, outcomes and commands that are met again, in one process and in two."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.service import Origin, Routes, by
from atomos.core.service.envelope import derived_id, new_id
from atomos.testing import MovedClock
from atomos.testing.processes import wait_until

from . import worker_samples
from .test_worker_processes import Start, is_ready, start  # noqa: F401 - a fixture
from .worker_process import POISON, SETTINGS
from .worker_samples import (
    FAST,
    Answered,
    Bells,
    Called,
    Chimed,
    Count,
    Struck,
    call,
    count,
    decide,
    hear,
)

SECONDS = 40.0
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def bells(log_database: Database) -> Bells:
    return Bells(log_database, clock=MovedClock())


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    decided: list[int] = []
    monkeypatch.setattr(worker_samples, "DECISIONS", decided)
    return decided


def open_again(bells: Bells, recipient: str) -> None:
    """Let a recipient's deliveries be delivered again, as someone does who changes the table."""
    bells.change(
        "update atomos_delivery set status = 'ready', completed_at = null where recipient = :recipient",
        recipient=recipient,
    )


def refuse(_: Any) -> None:
    raise RuntimeError("I know this one")


def test_a_trigger_whose_decision_is_recorded_is_over_though_it_would_decide_otherwise(
    bells: Bells, decisions: list[int]
) -> None:
    decisions += [1, 2]
    bells.bus.send_later(Struck())
    bells.worker().drain()
    for changed in ([9], [8, 9]):
        decisions[:] = changed
        open_again(bells, "bells.decide")
        bells.worker().drain()
        assert bells.statuses("bells.decide") == ["done"]
    assert sorted(bells.counts()) == [1, 2]


def test_a_triggered_command_whose_handler_refuses_a_repeat_is_over_and_changes_nothing(
    bells: Bells, decisions: list[int]
) -> None:
    decisions.append(1)
    bells.bus.send_later(Struck())
    bells.worker().drain()
    bells.script.deeds["count"] = refuse
    open_again(bells, "bells.decide")
    bells.worker().drain()
    assert (bells.statuses("bells.decide"), bells.counts()) == (["done"], [1])


def test_a_stored_command_that_was_obeyed_is_not_obeyed_again(bells: Bells, decisions: list[int]) -> None:
    decisions += [1, 2]
    bells.bus.send_later(Struck())
    bells.worker().drain()
    open_again(bells, "command:bells.count")
    bells.worker().drain()
    assert bells.statuses("command:bells.count") == ["done", "done"]
    assert sorted(bells.counts()) == [1, 2]


def test_a_reaction_that_is_repeated_says_nothing_twice(bells: Bells) -> None:
    bells.script.deeds["call"] = lambda _: [Answered(number=1), Answered(number=2)]
    bells.bus.emit(Called())
    bells.worker().drain()
    first = bells.messages("bells.answered")
    bells.script.deeds["call"] = lambda _: [Answered(number=3)]
    open_again(bells, "bells.call")
    bells.worker().drain()
    bells.script.deeds["call"] = refuse
    open_again(bells, "bells.call")
    bells.worker().drain()
    assert bells.statuses("bells.call") == ["done"]
    assert bells.messages("bells.answered") == first
    assert bells.script.heard["hear"] == [1, 2]


def test_an_event_that_a_reaction_returned_has_an_id_of_its_cause_recipient_and_position(
    bells: Bells,
) -> None:
    bells.script.deeds["call"] = lambda _: [Answered(number=1), Answered(number=2)]
    id_ = bells.bus.send_later(Called())
    bells.worker().drain()
    expected = [derived_id(id_, "bells.call", position) for position in range(2)]
    assert sorted(bells.messages("bells.answered")) == sorted(expected)
    assert {each[:13] for each in expected} == {id_[:13]}, "the time of its cause"


def test_of_an_emitted_event_with_several_commands_the_others_are_stored_with_the_first(
    bells: Bells, decisions: list[int]
) -> None:
    decisions += [1, 2, 3]
    bells.bus.emit(Struck())
    assert bells.counts() == [1]
    assert bells.statuses("command:bells.count") == ["ready", "ready"]
    decisions[:] = [9]
    bells.worker().drain()
    assert sorted(bells.counts()) == [1, 2, 3]


def test_an_emitted_event_whose_first_command_fails_leaves_no_other_behind(
    bells: Bells, decisions: list[int]
) -> None:
    decisions += [1, 2]
    bells.script.deeds["count"] = refuse
    with pytest.raises(RuntimeError):
        bells.bus.emit(Struck(), Origin(id=new_id()))
    assert (bells.rows(), bells.messages("bells.count"), bells.counts()) == ([], [], [])


def test_an_emitted_event_that_is_repeated_is_not_decided_again(bells: Bells, decisions: list[int]) -> None:
    origin = Origin(id=new_id())
    decisions += [1, 2]
    bells.bus.emit(Struck(), origin)
    decisions[:] = [8, 9]
    bells.bus.emit(Struck(), origin)
    bells.script.deeds["count"] = refuse
    bells.bus.emit(Struck(), origin)
    bells.script.deeds.clear()
    bells.worker().drain()
    assert sorted(bells.counts()) == [1, 2]


# The order of what a trigger decided.

KEYED = Routes(
    triggers={Struck: [by("bell", decide)], Chimed: [by("bell", Count)]},
    commands={Count: count},
    reactions={Called: [call], Answered: [hear]},
)


@pytest.mark.parametrize("how", ["emit", "send_later"])
def test_several_commands_of_a_trigger_keep_the_key_that_its_route_names(
    log_database: Database, decisions: list[int], how: str
) -> None:
    bells = Bells(log_database, clock=MovedClock(), routes=KEYED)
    decisions += [1, 2, 3]
    getattr(bells.bus, how)(Struck(bell="small"))
    bells.worker().drain()
    keys = bells.look("select ordering_key from atomos_delivery where recipient = 'command:bells.count'")
    assert {key for (key,) in keys} == {"small"}
    assert bells.counts() == [1, 2, 3]


def test_a_command_that_fails_holds_up_the_next_of_its_key(
    log_database: Database, decisions: list[int]
) -> None:
    def fail_once(command: Any) -> None:
        if command.number == 1 and not broken.pop():
            raise RuntimeError

    broken = [True, False]
    clock = MovedClock()
    bells = Bells(log_database, clock=clock, routes=KEYED)
    bells.script.deeds["count"] = fail_once
    decisions += [1, 2]
    bells.bus.send_later(Struck(bell="small"))
    worker = bells.worker(FAST._replace(backoff=FAST.backoff._replace(first=60.0, cap=60.0)))
    worker.drain()
    assert bells.counts() == []
    clock.move(hours=1)
    worker.drain()
    assert bells.counts() == [1, 2]


# In processes.


@pytest.mark.slow
def test_a_worker_killed_between_two_commands_of_a_trigger_leaves_the_rest_to_another(
    log_database: Database,
    start: Start,  # noqa: F811
    decisions: list[int],
) -> None:
    bells = Bells(log_database, lease=SETTINGS.lease)
    decisions += [1, POISON, 3]
    bells.deliveries.enrol(["bells.decide"])
    bells.bus.send_later(Struck())
    [claimed] = bells.deliveries.claim("bells.decide", 1, "decider").claimed
    assert bells.bus.deliver(claimed)
    decisions[:] = [7, 8]
    process = start("poison")
    assert is_ready(process)
    assert process.wait(SECONDS) != 0, "killed at the second"
    successor = start("moment")
    assert is_ready(successor)
    wait_until(lambda: set(bells.statuses("command:bells.count")) == {"done"}, SECONDS, "the rest")
    assert sorted(bells.counts()) == [1, 3, POISON]


@pytest.fixture
def senders(log_url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that emit what they are told to."""
    database = Database(log_url)
    Bells(database)
    database.close()
    command = [sys.executable, "-m", "tests.integration.repeating", log_url]
    processes = [
        subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(2)
    ]
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_of_two_processes_that_send_one_message_at_the_same_instant_both_are_told_the_same(
    senders: list[Any], log_database: Database
) -> None:
    for process in senders:
        assert process.stdout.readline() == "ready\n"
    ids = [str(uuid.uuid4()) for _ in range(20)]
    answers: Counter[tuple[str, str]] = Counter()
    for id_ in ids:
        for process in senders:
            process.stdin.write(f"{id_}\n")
        told = [process.stdout.readline().strip() for process in senders]
        assert told[0] == told[1], told
        answers[id_, told[0]] += 1
    assert set(answers) == {(id_, "None") for id_ in ids}
    bells = Bells(log_database)
    assert len(bells.counts()) == len(ids)
