"""What operators change: under the claim's lock, in order, never what is leased, and the audit stays clean."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from atomos.core.adapters import Database
from atomos.core.adapters.dialects import dialect_of
from atomos.core.domain import Event
from atomos.core.service.delivery import NO_ROWS, Delivery
from atomos.core.service.operations import DISCARDABLE, RETRIABLE, Declined, DeliveryFilter, MessageFilter
from atomos.core.service.routes import Route
from atomos.testing.processes import wait_until

from .conftest import ON_POSTGRESQL
from .operations_log import LEASE, Log, Row, Sent

DEAD = DeliveryFilter(RETRIABLE)
ANY = DeliveryFilter(DISCARDABLE)


@pytest.fixture
def log(log_database: Database) -> Log:
    made = Log(log_database)
    made.register("mail")
    made.register("stock")
    return made


def hear(event: Event[Any]) -> None:
    """A listener."""


def heard(name: str, *, kind: str = "reaction", by: str | None = None) -> Route:
    return Route(kind, "operations", Sent, hear, name, by)


def is_blocked(log: Log) -> bool:
    """Whether a connection waits for a lock in this database."""
    waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return bool(log.look(waiting))


# Retry and discard


def test_a_retry_takes_dead_and_parked_ones_back_in_order_as_if_never_tried(log: Log) -> None:
    rows = log.put(
        *(
            Row("mail", status, key, attempts=10, error="Broken: x")
            for status, key in (("dead", "red"), ("parked", "red"), ("done", "red"), ("dead", None))
        )
    )
    assert log.control.count(DEAD) == 3
    assert log.control.retry(DEAD, "ana") == 3
    stored = log.rows("status, attempts, until is null, completed_at", "status <> 'done'")
    assert [tuple(row) for row in stored] == [("ready", 0, False, None)] * 3, "they wait since now"
    claimed = log.deliveries.claim("mail", 10, "me").claimed
    assert [each.fence.seq for each in claimed] == [rows[0][1], rows[1][1], rows[3][1]]
    page = log.inspection.deliveries(DeliveryFilter(("ready",), message=rows[0][0]), 10)
    assert [each["error"] for each in page.items[0].errors] == ["retried by ana", "Broken: x"]


def test_filters_say_which_ones(log: Log) -> None:
    log.put(
        Row("mail", "dead", "red", error="Timeout: 100% slow"),
        Row("mail", "dead", "blue", error="Timeout: 100 slow"),
        Row("stock", "parked", "red", error='Refused: "é"'),
    )
    assert log.control.count(DEAD._replace(recipient="mail")) == 2
    assert log.control.count(DEAD._replace(key="red")) == 2
    assert log.control.count(DEAD._replace(error="TIMEOUT")) == 2
    assert log.control.count(DEAD._replace(error="100% s")) == 1
    assert log.control.count(DEAD._replace(error='"é"')) == 1
    assert log.control.count(DEAD._replace(statuses=("parked",))) == 1
    assert log.control.count(DEAD._replace(since=log.clock.now() + timedelta(hours=1))) == 0
    assert log.control.retry(DEAD._replace(key="red", recipient="stock"), "ana") == 1
    assert log.rows("status") == [("dead",), ("dead",), ("ready",)]


def test_many_are_changed_in_batches_and_all_of_them(log: Log) -> None:
    log.put(*[Row("mail", "dead")] * 1201)
    assert log.control.retry(DEAD, "ana") == 1201
    assert set(log.rows("status")) == {("ready",)}


def test_two_that_retry_all_at_once_do_no_harm(log: Log) -> None:
    log.put(*[Row("mail", "dead", f"key-{n % 7}") for n in range(700)])
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda who: log.control.retry(DEAD, who), ["ana", "bob"]))
    assert sum(counts) == 700
    assert len(log.deliveries.claim("mail", 1000, "me").claimed) == 700


def test_a_discard_leaves_alone_what_a_lease_holds(log: Log) -> None:
    states = ("ready", "ready", "retrying", "scheduled", "parked", "dead", "done")
    log.put(
        *[Row("mail", state, until=60 if state in ("retrying", "scheduled") else None) for state in states]
    )
    (held,) = log.deliveries.claim("mail", 1, "me").claimed
    assert log.control.count(ANY) == 5
    assert log.control.discard(ANY, "ana", "told by phone") == 5
    assert log.rows("status") == [("ready",), *[("discarded",)] * 5, ("done",)]
    assert log.rows("until", "status = 'discarded'") == [(None,)] * 5
    (stored,) = log.inspection.deliveries(DeliveryFilter(("discarded",)), 1).items
    assert stored.last_error == "discarded by ana: told by phone"
    assert log.deliveries.complete([held.fence], NO_ROWS) == 1


@ON_POSTGRESQL
def test_a_discard_waits_for_a_claim_and_leaves_alone_what_that_took(log: Log) -> None:
    ((_, seq),) = log.put(Row("mail", "ready"))
    with ThreadPoolExecutor(1) as pool:
        with log.database.transaction() as connection:
            assert dialect_of(connection).lock_recipient(connection, "mail")
            discarding = pool.submit(log.control.discard, ANY, "ana", "told by phone")
            wait_until(lambda: discarding.done() or is_blocked(log), 10, "it to wait")
            connection.execute(
                text(
                    "insert into atomos_lease (worker, recipient, until, seqs, keys) "
                    "values ('w', 'mail', now() + interval '1 minute', array[cast(:seq as bigint)], '{}')"
                ),
                {"seq": seq},
            )
        assert discarding.result(10) == 0
    assert log.rows("status") == [("ready",)]


def test_the_key_of_what_was_discarded_goes_on(log: Log) -> None:
    log.put(Row("mail", "parked", "red"), Row("mail", "ready", "red"))
    assert not log.deliveries.claim("mail", 10, "me").claimed
    log.control.discard(ANY._replace(statuses=("parked",)), "ana", "wrong")
    assert len(log.deliveries.claim("mail", 10, "me").claimed) == 1


# Pause, resume, forget


def test_of_a_paused_recipient_nothing_is_claimed_until_it_is_resumed(log: Log) -> None:
    log.put(Row("mail", "ready"))
    log.control.pause("mail", "ana", "stock import")
    assert not log.deliveries.claim("mail", 10, "me").claimed
    (load,) = [each for each in log.inspection.recipients() if each.registered.name == "mail"]
    assert (load.registered.paused_by, load.registered.paused_why) == ("ana", "stock import")
    log.control.resume("mail", "ana")
    assert len(log.deliveries.claim("mail", 10, "me").claimed) == 1


def test_an_unknown_recipient_is_declined_with_the_nearest_names(log: Log) -> None:
    with pytest.raises(Declined, match="did you mean mail"):
        log.control.pause("mial", "ana", "x")
    with pytest.raises(Declined, match="there are mail, stock"):
        log.control.resume("something", "ana")


def test_a_recipient_is_forgotten_only_when_nothing_waits_for_it(log: Log) -> None:
    log.put(Row("mail", "scheduled", until=60))
    with pytest.raises(Declined, match="1 deliveries that are not over"):
        log.control.forget("mail", "ana")
    log.control.forget("stock", "ana")
    assert [load.registered.name for load in log.inspection.recipients()] == ["mail"]


def test_a_recipient_that_a_live_worker_has_is_not_forgotten(log: Log) -> None:
    log.work("stock", id_="w-1")
    log.work("stock", id_="w-2", seen=-LEASE - 1)
    with pytest.raises(Declined, match=r"stock is a recipient of live workers: w-1\."):
        log.control.forget("stock", "ana")
    log.change("delete from atomos_worker where id = 'w-1'")
    log.control.forget("stock", "ana")


# Backfill


def test_a_new_recipient_gets_what_was_recorded_since_in_order_and_once(log: Log) -> None:
    log.send(Delivery("mail"), key="red", to="before")
    since = log.clock.now()
    ids = [log.send(Delivery("mail"), key="red", to=f"to-{n}").id for n in range(3)]
    known = log.send(Delivery("mail"), Delivery("new")).id
    assert log.control.backfill(heard("new"), since, "ana", dry_run=True) == 3
    assert log.rows("1", "recipient = 'new'") == [(1,)]
    assert log.control.backfill(heard("new"), since, "ana", dry_run=False) == 3
    assert log.control.backfill(heard("new"), since, "ana", dry_run=False) == 0
    stored = log.rows("cast(message_id as text), ordering_key", "recipient = 'new'")
    assert stored == [(known, None), *((id_, "red") for id_ in ids)]
    assert log.inspection.audit([]).damages == ()
    assert len(log.deliveries.claim("new", 10, "me").claimed) == 4


@ON_POSTGRESQL
def test_a_backfill_waits_for_a_claim_so_that_nothing_overtakes_what_it_adds(log: Log) -> None:
    since = log.clock.now()
    log.send(key="red")
    with ThreadPoolExecutor(1) as pool:
        with log.database.transaction() as connection:
            assert dialect_of(connection).lock_recipient(connection, "mail")
            filling = pool.submit(log.control.backfill, heard("mail"), since, "ana", dry_run=False)
            wait_until(lambda: filling.done() or is_blocked(log), 10, "it to wait")
            assert not filling.done()
        assert filling.result(10) == 1


def test_a_backfill_keeps_order_by_the_field_that_the_route_names(log: Log) -> None:
    since = log.clock.now()
    log.send(key="red", to="ana")
    assert log.control.backfill(heard("new", by="to"), since, "bob", dry_run=False) == 1
    assert log.rows("ordering_key") == [("ana",)]


def test_a_trigger_is_not_asked_again_about_what_was_emitted(log: Log) -> None:
    since = log.clock.now()
    log.send()
    emitted = log.send()
    log.change(
        f"update atomos_message set answer = {log.document(':answer')} where id = :id",  # noqa: S608
        id=emitted.id,
        answer='{"created": false, "value": null}',
    )
    assert log.control.backfill(heard("new", kind="trigger"), since, "ana", dry_run=False) == 1
    assert log.control.backfill(heard("newer"), since, "ana", dry_run=False) == 2


def test_who_hears_no_event_cannot_be_backfilled(log: Log) -> None:
    with pytest.raises(Declined, match="hears no event"):
        log.control.backfill(heard("command:x", kind="command"), log.clock.now(), "ana", dry_run=False)


# Lists


def test_messages_are_listed_by_pages_without_gap_or_repeat(log: Log) -> None:
    ids = [log.send(key="red").id for _ in range(7)]
    log.send(key="blue")
    listed, after = [], None
    while True:
        page = log.inspection.messages(MessageFilter(key="red"), 3, after)
        listed += [each.id for each in page.items]
        if (after := page.cursor) is None:
            break
    assert listed == ids[::-1]


def test_messages_are_found_by_everything_that_is_asked_for(log: Log) -> None:
    first = log.send(key="red")
    second = log.send(cause=first)
    of_conversation = log.inspection.messages(MessageFilter(conversation=first.id), 10).items
    assert [each.id for each in of_conversation] == [second.id, first.id]
    now = log.clock.now()
    for wanted, count in (
        (MessageFilter(name="operations.sent"), 2),
        (MessageFilter(name="operations.other"), 0),
        (MessageFilter(principal="ana", kind="event"), 2),
        (MessageFilter(principal="bob"), 0),
        (MessageFilter(since=now + timedelta(minutes=1)), 0),
        (MessageFilter(until=now + timedelta(minutes=1)), 2),
    ):
        assert len(log.inspection.messages(wanted, 10).items) == count, wanted


def test_deliveries_are_listed_by_pages_without_gap_or_repeat(log: Log) -> None:
    rows = log.put(*[Row("mail", status) for status in ("ready", "dead", "done", "parked", "ready")])
    listed, after = [], None
    while True:
        page = log.inspection.deliveries(DeliveryFilter(("ready", "dead", "parked")), 2, after)
        listed += [each.seq for each in page.items]
        if (after := page.cursor) is None:
            break
    assert listed == [rows[n][1] for n in (4, 3, 1, 0)]


def test_a_cursor_of_something_else_is_refused(log: Log) -> None:
    for ask in (
        lambda: log.inspection.messages(MessageFilter(), 1, "x"),
        lambda: log.inspection.deliveries(ANY, 1, "x"),
    ):
        with pytest.raises(ValueError, match="x"):
            ask()


def test_recipients_are_listed_with_what_waits_and_who_works(log: Log) -> None:
    log.put(*[Row("mail", status) for status in ("ready", "ready", "dead", "done")])
    log.work("mail", id_="w-1")
    log.work("mail", id_="gone", seen=-60)
    mail, stock = log.inspection.recipients()
    assert (mail.counts, mail.workers, mail.oldest is not None) == ({"ready": 2, "dead": 1}, 1, True)
    assert (stock.counts, stock.workers, stock.oldest) == ({}, 0, None)


def test_workers_are_listed_with_what_they_hold_and_whether_they_live(log: Log) -> None:
    log.work("mail", id_="w-1", seen=-1)
    log.work("mail", id_="w-2", seen=-60)
    log.lease("mail", [1, 2, 3])
    found = {each.id: each for each in log.inspection.workers()}
    assert (found["w-1"].alive, found["w-1"].rows, found["w-1"].recipients) == (True, 3, {"mail"})
    assert (found["w-2"].alive, found["w-2"].rows, found["w-2"].host) == (False, 0, "host-1")


# What fits


def test_what_waits_for_another_build_is_named_and_what_is_over_is_not(log: Log) -> None:
    log.send(Delivery("mail"))
    log.put(Row("old", "ready"), Row("old", "scheduled", until=60), Row("older", "done"))
    assert log.inspection.misfits(["mail", "stock", "old"], ["operations.sent 1"]) == []
    found = log.inspection.misfits(["mail"], ["operations.sent 2"])
    assert [(each.kind, each.name, each.waiting) for each in found] == [
        ("recipient", "old", 2),
        ("message", "operations.sent 1", 3),
        ("register", "stock", 0),
    ]


def test_an_action_of_an_operator_is_logged_with_who_did_it(log: Log) -> None:
    from structlog.testing import capture_logs

    log.put(Row("mail", "dead"))
    with capture_logs() as logs:
        log.control.pause("mail", "ana", "x")
        log.control.resume("mail", "ana")
        log.control.retry(DEAD, "bob")
    assert [(each["event"], each["by"]) for each in logs] == [
        ("recipient.paused", "ana"),
        ("recipient.resumed", "ana"),
        ("deliveries.retried", "bob"),
    ]


def test_reads_cannot_write(log: Log) -> None:
    from atomos.core.adapters.log_sql import snapshot

    with pytest.raises(Exception, match=r"read-?only"), snapshot(log.database, None) as opened:
        opened.change("delete from atomos_recipient")
