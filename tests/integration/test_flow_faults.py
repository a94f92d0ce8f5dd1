"""Flows that are too much: ten thousand commands of one trigger, circles, a pool that its application holds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from atomos.core.adapters import Database
from atomos.core.adapters.dialects import postgresql
from atomos.core.domain import Command, Event
from atomos.core.service import Routes, Worker, by
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import Envelope, new_id
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL
from .worker_samples import COUNTS, Bell, Bells, BellsUnitOfWork, Rung, Script, Struck, Whispered

IS_LONG = os.environ.get("ATOMOS_TEST_FAULTS") == "long"
MANY = 10_000
SECONDS = 120.0
COUNT = "command:bells.count"


class Echoed(Bell, Event, name="bells.echoed"):
    """Leads to an echo, which is one less, until there is none."""


class Echo(Bell, Command, name="bells.echo"):
    """Writes its number down."""


def again(event: Echoed) -> Echo | None:
    return Echo(bell=event.bell, number=event.number) if event.number else None


def echo(command: Echo, uow: BellsUnitOfWork) -> None:
    with uow:
        uow.session.execute(insert(COUNTS).values(bell=command.bell, number=command.number))
        uow.send_later(Echoed(bell=command.bell, number=command.number - 1))
        return uow.commit()


def shout(event: Rung, script: Script) -> list[Rung]:
    script.perform("shout", event)
    return [Rung(bell=event.bell, number=event.number - 1)] if event.number else []


CIRCLES = Routes(
    triggers={Echoed: [by("bell", again)]},
    commands={Echo: echo},
    records={Echo: [Echoed]},
    reactions={Rung: [by("bell", shout)]},
    cycles={
        (Echoed, Echo): "Each echo is one less than the one before.",
        (Rung, Rung): "Each is one less than the one before.",
    },
)


@pytest.fixture
def running(log_database: Database) -> Iterator[tuple[Bells, Worker]]:
    """Bells, and a worker that works."""
    bells = Bells(log_database)
    worker = bells.worker()
    worker.start()
    yield bells, worker
    worker.stop()


@pytest.mark.slow
def test_ten_thousand_commands_of_one_trigger_are_stored_in_one_transaction_and_each_is_obeyed_once(
    log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.integration.worker_samples.DECISIONS", range(MANY))
    bells = Bells(log_database)
    bells.bus.send_later(Struck())
    bells.deliveries.enrol(["bells.decide"])
    batch = bells.deliveries.claim("bells.decide", 1, "test")
    assert bells.bus.deliver(batch.claimed[0]), "it is completed with what it decided"
    numbers = "select count(*), count(distinct message_id) from atomos_delivery where recipient = '{}'"
    [found] = bells.look(numbers.format(COUNT))
    assert tuple(found) == (MANY, MANY)
    assert bells.statuses("bells.decide") == ["done"]
    if not IS_LONG:  # the first thousand, which are one claim after another
        bells.change("delete from atomos_delivery where seq > (select min(seq) + 1000 from atomos_delivery)")
    wanted = len(bells.rows(COUNT))
    bells.worker().drain()
    assert sorted(bells.counts()) == [*range(wanted)]


@pytest.mark.slow
def test_ten_thousand_that_are_due_in_the_same_second_are_each_delivered_once(
    running: tuple[Bells, Worker],
) -> None:
    bells, _ = running
    due = datetime.now(UTC) + timedelta(seconds=1)
    bells.log.append([scheduled(number, due) for number in range(MANY)])
    done = "select count(*) from atomos_delivery where status = 'done'"
    wait_until(lambda: bells.look(done)[0][0] == MANY, SECONDS, "all to be delivered")
    assert Counter(bells.script.heard["whisper"]) == Counter(range(MANY))


def scheduled(number: int, due: datetime) -> Record:
    id_ = new_id()
    envelope = Envelope(id_, id_, None, due, None, "test", None)
    return Record("event", envelope, Whispered(number=number), (Delivery("bells.whisper", None, due),))


@pytest.mark.parametrize("circle", [Echoed, Rung])
def test_a_circle_that_ends_goes_round_as_often_as_it_should(
    log_database: Database, circle: type[Bell]
) -> None:
    bells = Bells(log_database, routes=CIRCLES)
    rounds = 100
    bells.bus.send_later(circle(number=rounds))  # type: ignore[arg-type]
    bells.worker().drain()
    if circle is Echoed:
        assert bells.counts() == [*range(rounds, 0, -1)]
    else:
        assert bells.script.heard["shout"] == [*range(rounds, -1, -1)]
    [conversations] = bells.look("select count(distinct correlation_id) from atomos_message")
    assert tuple(conversations) == (1,)
    assert not bells.leases()


@ON_POSTGRESQL
@pytest.mark.parametrize("statement", [postgresql._COMPLETE, postgresql._EXPIRE], ids=["complete", "expire"])
def test_a_change_of_one_batch_looks_at_its_rows_alone_although_the_planner_has_heard_of_none(
    log_database: Database, statement: str
) -> None:
    bells = Bells(log_database)
    bells.deliveries.enrol(["bells.whisper"])
    bells.change("analyze atomos_delivery")
    bells.log.append([scheduled(number, datetime.now(UTC)) for number in range(5000)])
    while any(each.overdue for each in bells.deliveries.waiting(["bells.whisper"])):
        bells.deliveries.tidy("bells.whisper")
    batch = bells.deliveries.claim("bells.whisper", 500, "test")
    values = {
        "recipient": "bells.whisper",
        "seqs": [each.fence.seq for each in batch.claimed],
        "lease": batch.lease,
        "now": datetime.now(UTC) + timedelta(days=1),
    }
    with log_database.transaction() as connection:
        driver: Any = connection.connection.driver_connection
        [[[explained]]] = driver.execute(f"explain (analyze, format json) {statement}", values)
    assert len(batch.claimed) == 500
    assert thrown_away(explained["Plan"]) <= 5000


def thrown_away(plan: dict[str, Any]) -> int:
    """Add up the rows that a plan and all below it looked at in vain."""
    kinds = ("Filter", "Join Filter", "Index Recheck")
    own = sum(plan.get(f"Rows Removed by {kind}", 0) for kind in kinds) * plan.get("Actual Loops", 1)
    return int(own) + sum(map(thrown_away, plan.get("Plans", ())))
