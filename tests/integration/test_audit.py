"""The audit: each kind of damage is found and named, and what was not damaged is clean, while it works too."""

# ruff: noqa: S608 - statements are put together from constants of tests

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.operations import SqlInspection
from atomos.core.adapters.operations.checks import CHECKS
from atomos.core.service.operations import AuditReport, Damage
from atomos.testing.processes import wait_until

from .operations_log import Log
from .worker_samples import DECISIONS, Bells, Called, Chimed, Rung, Struck, Tolled, Whispered

DECIDING = ("trigger:bells.chimed:bells.count",)

TABLES = ("message", "delivery", "lease", "recipient", "worker")


class Audited(Bells):
    """Bells that have been rung, with all that came of it, and what a test does to them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.hands = Log(database)
        self.inspection = SqlInspection(database, lease=5.0)

    def run(self) -> None:
        """Let everything of a log come about: reactions, triggers, commands, what failed."""
        DECISIONS[:] = [1, 2]
        self.script.deeds["call"] = lambda event: [_answered(event)]
        self.script.deeds["toll"] = self.script.deeds["whisper"] = _refuse
        for event in (Rung, Called, Chimed, Struck, Tolled, Whispered):
            self.bus.send_later(event(bell="big", number=1))
            self.bus.send_later(event(bell="small", number=2))
        self.bus.emit(Chimed(bell="big", number=3))
        worker = self.worker()
        worker.start()
        live = "select count(*) from atomos_delivery where status in ('ready', 'retrying', 'scheduled')"
        wait_until(lambda: self.look(live) == [(0,)], 60, "all deliveries to end")
        worker.stop()

    def audit(self, most: int = 20) -> AuditReport:
        return self.inspection.audit(DECIDING, most)

    def keep(self) -> None:
        """Keep all tables as they are."""
        for table in TABLES:
            self.change(f"create table kept_{table} as select * from atomos_{table}")

    def restore(self) -> None:
        """Make all tables as they were."""
        given = "" if self.database.dialect == "sqlite" else "overriding system value"
        for table in TABLES:
            self.change(f"delete from atomos_{table}")
            self.change(f"insert into atomos_{table} {given} select * from kept_{table}")

    def one(self, statement: str) -> Any:
        """The first value that a statement finds, as text."""
        return str(self.look(statement)[0][0])


def _answered(event: Any) -> Any:
    from .worker_samples import Answered

    return Answered(bell=event.bell, number=event.number)


def _refuse(_: Any) -> None:
    raise ValueError("it is broken")


@pytest.fixture
def log(log_database: Database) -> Audited:
    audited = Audited(log_database)
    audited.run()
    return audited


def found(log: Audited) -> dict[str, Damage]:
    return {damage.check: damage for damage in log.audit().damages}


def test_a_log_that_nobody_damaged_is_clean(log: Audited) -> None:
    report = log.audit()
    assert report.damages == ()
    assert report.messages == int(log.one("select count(*) from atomos_message"))
    assert report.deliveries == int(log.one("select count(*) from atomos_delivery"))
    assert [age.recipient for age in report.ages] == ["bells.toll"]
    assert (report.ages[0].waiting, report.ages[0].seconds > 0) == (2, True)


A_DONE = "(select message_id from atomos_delivery where recipient = 'bells.ring' and status = 'done' limit 1)"
A_COUNT = "(select id from atomos_message where name = 'bells.count' and causation_id is not null limit 1)"


def _lose_delivery(log: Audited) -> str:
    message = log.one(f"select {A_DONE}")
    log.change("delete from atomos_delivery where message_id = :id and recipient = 'bells.ring'", id=message)
    return message


def _add_delivery(log: Audited) -> str:
    message = log.one(f"select {A_DONE}")
    log.change(
        "insert into atomos_delivery (message_id, recipient, status) values (:id, 'nobody', 'ready')",
        id=message,
    )
    return message


def _lose_message(log: Audited) -> str:
    message = log.one(f"select {A_DONE}")
    log.change("delete from atomos_message where id = :id", id=message)
    return message


def _set(column: str, value: str, where: str = "recipient = 'bells.ring'") -> Callable[[Audited], str]:
    def change(log: Audited) -> str:
        message = log.one(f"select message_id from atomos_delivery where {where} order by seq limit 1")
        log.change(
            f"update atomos_delivery set {column} = {value} where message_id = :id and {where}", id=message
        )
        return message

    return change


def _double_place(log: Audited) -> str:
    first, second = log.hands.put(_ready(), _ready())
    log.change("delete from atomos_delivery where message_id = :id", id=second[0])
    log.change(
        "insert into atomos_delivery (seq, message_id, recipient, status) overriding system value "
        "values (:seq, :id, 'bells.ring', 'ready')",
        seq=first[1],
        id=second[0],
    )
    return f"place {first[1]}"


def _lose_answer(log: Audited) -> str:
    message = log.one(f"select {A_COUNT}")
    log.change("update atomos_message set answer = null where id = :id", id=message)
    return message


def _lose_cause(log: Audited) -> str:
    event = "(select causation_id from atomos_message where name = 'bells.answered' limit 1)"
    cause = log.one(f"select {event}")
    log.change("delete from atomos_message where id = :id", id=cause)
    log.change("delete from atomos_delivery where message_id = :id", id=cause)
    return cause


def _lose_decision(log: Audited) -> str:
    event = log.one(f"select message_id from atomos_delivery where recipient = '{DECIDING[0]}' limit 1")
    log.change("delete from atomos_message where causation_id = :id", id=event)
    return event


def _lose_command(log: Audited) -> str:
    log.change(
        "update atomos_message set answer = "
        + log.hands.document("""'{"created"\\:false,"value"\\:7}'""")
        + " "
        "where name = 'bells.chimed' and answer is not null"
    )
    event = log.one("select id from atomos_message where name = 'bells.chimed' and answer is not null")
    log.change("delete from atomos_message where causation_id = :id", id=event)
    return event


def _ready() -> Any:
    from .operations_log import Row

    return Row("bells.ring", "ready", "big")


def _lease_of_ghost(log: Audited) -> str:
    ((_, seq),) = log.hands.put(_ready())
    log.hands.lease("bells.ring", [seq], ["big"], worker="ghost")
    return "ghost"


def _lease_of_the_unseen(log: Audited) -> str:
    ((_, seq),) = log.hands.put(_ready())
    log.hands.work("bells.ring", id_="unseen", seen=-3600)
    log.hands.lease("bells.ring", [seq], ["big"], worker="unseen")
    return "unseen"


def _lease_of_dead_row(log: Audited) -> str:
    log.hands.work("bells.whisper")
    seq = log.one(
        "select seq from atomos_delivery where recipient = 'bells.whisper' and status = 'dead' limit 1"
    )
    log.hands.lease("bells.whisper", [int(seq)])
    return f"place {seq} of bells.whisper, dead"


def _lease_of_nothing(log: Audited) -> str:
    log.hands.work("bells.whisper")
    log.hands.lease("bells.whisper", [987_654])
    return "place 987654 of bells.whisper, missing"


def _leased_twice(log: Audited) -> str:
    log.hands.work("bells.ring")
    ((_, seq),) = log.hands.put(_ready())
    for _ in range(2):
        log.hands.lease("bells.ring", [seq], ["big"])
    return f"place {seq} of bells.ring is in 2 leases"


def _key_leased_twice(log: Audited) -> str:
    log.hands.work("bells.ring")
    for _, seq in log.hands.put(_ready(), _ready()):
        log.hands.lease("bells.ring", [seq], ["big"])
    return "key big of bells.ring is in 2 leases"


def _lease_of_no_key(log: Audited) -> str:
    log.hands.work("bells.ring")
    ((_, seq),) = log.hands.put(_ready())
    log.hands.lease("bells.ring", [seq], ["big", "small"])
    return "key small of bells.ring"


def _key_not_leased(log: Audited) -> str:
    log.hands.work("bells.ring")
    ((_, seq),) = log.hands.put(_ready())
    log.hands.lease("bells.ring", [seq])
    return f"place {seq} of bells.ring, key big"


def _none_at_once(log: Audited) -> str:
    log.change("update atomos_recipient set at_once = 0 where name = 'bells.ring'")
    return "bells.ring: 0 at once"


DAMAGES = [
    ("deliveries-of-a-message", _lose_delivery),
    ("deliveries-of-a-message", _add_delivery),
    ("delivery-without-message", _lose_message),
    ("unknown-status", _set("status", "'asleep'")),
    ("no-time", _set("status", "'retrying'")),
    ("no-time", _set("status", "'scheduled'")),
    ("attempts", _set("attempts", "-1")),
    ("attempts", _set("losses", "-1")),
    ("completed", _set("completed_at", "null")),
    ("completed", _set("status", "'ready'")),
    ("place", _double_place),
    ("command-without-effect", _lose_answer),
    ("message-without-cause", _lose_cause),
    ("decision-missing", _lose_decision),
    ("answer-without-command", _lose_command),
    ("lease-without-worker", _lease_of_ghost),
    ("lease-without-worker", _lease_of_the_unseen),
    ("lease-of-no-row", _lease_of_dead_row),
    ("lease-of-no-row", _lease_of_nothing),
    ("leased-twice", _leased_twice),
    ("key-leased-twice", _key_leased_twice),
    ("lease-of-no-key", _lease_of_no_key),
    ("key-not-leased", _key_not_leased),
    ("register", _none_at_once),
]


def test_each_kind_of_damage_is_found_and_its_rows_are_named(log: Audited) -> None:
    log.keep()
    missed = {}
    for check, damage in DAMAGES:
        if damage is _double_place and log.database.dialect == "sqlite":
            continue  # its primary key does not allow it
        named = damage(log)
        damages = found(log)
        if check not in damages or not any(named in row for row in damages[check].rows):
            missed[check, damage] = named, damages
        log.restore()
    assert missed == {}
    assert log.audit().damages == ()


def test_only_triggers_that_always_decide_are_asked_for_their_decision(log: Audited) -> None:
    assert log.bus.flow.deciding() == set(DECIDING)


def test_there_is_a_damage_for_every_check() -> None:
    assert {check.name for check in CHECKS} == {check for check, _ in DAMAGES}


def test_of_many_rows_the_first_are_named_and_all_are_counted(log: Audited) -> None:
    log.change("update atomos_delivery set attempts = -1")
    (damage,) = log.audit(most=3).damages
    assert (len(damage.rows), damage.found) == (3, log.audit().deliveries)


def test_an_audit_while_everything_works_says_nothing_wrong(log_database: Database) -> None:
    bells = Audited(log_database)
    DECISIONS[:] = [1, 2]
    bells.script.deeds["call"] = lambda event: [_answered(event)]
    worker = bells.worker()
    bells.hands.work(id_=worker.id, seen=3600)
    stopped = threading.Event()
    reports: list[AuditReport] = []

    def emit() -> None:
        for number in range(60):
            for event in (Rung, Called, Chimed, Struck):
                bells.bus.send_later(event(bell=f"bell-{number % 3}", number=number))
        stopped.set()

    emitter = threading.Thread(target=emit)
    worker.start()
    emitter.start()
    live = "select count(*) from atomos_delivery where status <> 'done'"
    while not stopped.is_set() or bells.look(live) != [(0,)]:
        reports.append(bells.audit())
    emitter.join()
    worker.stop()
    said = {damage.check: damage.rows for report in reports for damage in report.damages}
    assert json.dumps(said) == "{}"
    assert len(reports) > 1


def test_what_begins_a_conversation_may_outlive_its_cause(log: Audited) -> None:
    log.hands.send()
    cause = log.one("select id from atomos_message where name = 'bells.tolled' limit 1")
    log.change(
        "update atomos_message set causation_id = :cause where name = 'operations.sent'",
        cause=cause.replace(cause[:4], "ffff"),
    )
    assert log.audit().damages == ()


def test_a_conversation_that_begins_elsewhere_is_no_damage(log: Audited) -> None:
    from atomos.core.service import SYSTEM, Origin
    from atomos.core.service.envelope import new_id

    log.bus.send_later(Rung(bell="big"), Origin(SYSTEM, correlation_id=new_id()), delay=timedelta(hours=1))
    assert log.audit().damages == ()
