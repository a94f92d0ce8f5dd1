"""Why a delivery waits: every reason in words, and the same rule as the claim, for tables at random."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atomos.core.adapters import Database
from atomos.core.service.delivery import NO_ROWS, Delivery
from atomos.core.service.envelope import new_id

from .operations_log import Log, Row

SCHEDULES = ("scheduled", "retrying")


@pytest.fixture
def log(log_database: Database) -> Log:
    return Log(log_database)


@pytest.fixture
def working(log: Log) -> Log:
    """A log with the recipient `mail`, and a worker that has it."""
    log.register("mail")
    log.work("mail")
    return log


def test_of_what_is_next_nothing_keeps_it(working: Log) -> None:
    ((first, _), (second, _)) = working.put(Row("mail", "ready", "sku-7"), Row("mail", "ready", "sku-7"))
    assert working.verdict(first).claimable
    assert working.said(first) == "its turn is next"
    assert working.verdict(second).claimable
    assert working.said(second) == "1 ready in front of it"


def test_of_what_had_its_lease_lost_it_is_said_with_whom_it_is_claimed(working: Log) -> None:
    once, twice = working.put(Row("mail", "ready", losses=1), Row("mail", "ready", losses=2))
    assert working.verdict(once[0]).claimable
    one = ", and a worker has one such claim at a time"
    apart = f"; it is claimed in a small group, because a worker was lost with it{one}"
    assert working.said(once[0]) == f"its turn is next{apart}"
    alone = f"; it is claimed alone, because workers were lost with it, 2 times{one}"
    assert working.said(twice[0]) == f"1 ready in front of it{alone}"


def test_backing_off_names_the_attempt_the_kind_of_error_and_the_time(working: Log) -> None:
    ((id_, _),) = working.put(Row("mail", "retrying", until=30, attempts=3, error="TimeoutError: too slow"))
    assert not working.verdict(id_).claimable
    due = (working.clock.now() + timedelta(seconds=30)).isoformat(timespec="minutes").partition("+")[0]
    assert working.said(id_).startswith(f"backing off after attempt 3, TimeoutError, until {due}")


def test_a_parked_one_holds_its_key_where_it_has_one(working: Log) -> None:
    keyed, free = working.put(Row("mail", "parked", "sku-7"), Row("mail", "parked"))
    assert working.said(keyed[0]).endswith("; it holds its key until someone decides")
    assert working.said(free[0]).endswith("; it waits until someone decides")


def test_what_is_behind_a_parked_one_of_its_key_names_that_one(working: Log) -> None:
    parked, waits = working.put(
        Row("mail", "parked", "sku-7", error="Refused: no"), Row("mail", "ready", "sku-7")
    )
    assert working.said(waits[0]).startswith(f"behind message {parked[0]} of sku-7, parked since 20")
    assert working.reasons(parked[0]) == ["parked"]
    assert "it holds its key until someone decides" in working.said(parked[0])


def test_what_is_behind_one_that_backs_off_says_so_whatever_their_places(working: Log) -> None:
    waits, _ = working.put(Row("mail", "ready", "sku-7"), Row("mail", "retrying", "sku-7", until=9))
    assert working.reasons(waits[0]) == ["held"]
    assert "of sku-7, backing off until 20" in working.said(waits[0])


def test_a_pause_names_who_and_why(working: Log) -> None:
    ((id_, _),) = working.put(Row("mail", "ready"))
    working.control.pause("mail", by="ana", why="stock import")
    assert working.reasons(id_) == ["paused"]
    assert "paused by ana since 20" in working.said(id_)
    assert working.said(id_).endswith(": stock import")


def test_a_lease_names_the_worker_for_its_rows_and_for_the_others_of_their_keys(working: Log) -> None:
    (leased, behind, free) = working.put(*[Row("mail", "ready", key) for key in ("sku-7", "sku-7", "sku-8")])
    working.lease("mail", [leased[1]], ["sku-7"])
    assert working.said(leased[0]).startswith("leased by w-1 until 20")
    assert working.said(behind[0]).startswith("behind a leased row of its key sku-7, which w-1 has until 20")
    assert working.reasons(free[0]) == ["turn"]


def test_without_a_live_worker_that_has_it_and_can_read_it_nobody_asks(log: Log) -> None:
    log.register("mail")
    ((id_, _),) = log.put(Row("mail", "ready"))
    assert log.said(id_) == "its turn is next; no worker is alive"
    log.work("mail", id_="gone", seen=-60)
    assert log.reasons(id_) == ["next", "nobody"]
    log.work("stock", id_="other")
    assert log.said(id_) == "its turn is next; no live worker has the recipient mail"
    log.work("mail", id_="old", reads=["operations.sent 2"])
    said = "no live worker that has mail can read operations.sent version 1"
    assert log.said(id_) == f"its turn is next; {said}"
    log.work("mail", id_="new")
    assert log.said(id_) == "its turn is next"


def test_limits_of_the_whole_installation_are_named(log: Log) -> None:
    log.work("mail", "stock")
    log.register("mail", at_once=1)
    log.register("stock", probing=True, probe_at=log.at(20))
    taken, waits, probed = log.put(Row("mail", "ready"), Row("mail", "ready"), Row("stock", "ready"))
    log.lease("mail", [taken[1]])
    assert log.said(waits[0]) == "most at once reached: 1 of 1 are in leases"
    assert log.said(probed[0]).startswith("probing: one at a time, the next at 20")
    log.change("update atomos_recipient set probe_at = null where name = 'stock'")
    assert log.reasons(probed[0]) == ["next"]
    log.lease("stock", [10_000])
    assert log.said(probed[0]) == "probing: one at a time, and w-1 has one"


def test_what_is_scheduled_says_for_when_and_that_its_time_has_come(working: Log) -> None:
    later, due = working.put(Row("mail", "scheduled", until=60), Row("mail", "scheduled", until=-1))
    assert working.said(later[0]).startswith("scheduled for 20")
    assert working.said(due[0]).endswith("which has come: the next look makes it ready")


def test_what_is_over_says_how(working: Log) -> None:
    done, dead = working.put(
        Row("mail", "done", attempts=1), Row("mail", "dead", attempts=10, error="Broken: x")
    )
    assert re.fullmatch(r"done at 20[\d:TZ-]+, after attempt 1", working.said(done[0]))
    assert re.fullmatch(r"dead at 20[\d:TZ-]+, after attempt 10: Broken: x", working.said(dead[0]))


def test_a_recipient_that_no_worker_ever_had_is_named(log: Log) -> None:
    ((id_, _),) = log.put(Row("mail", "ready"))
    assert log.reasons(id_) == ["unregistered", "nobody"]


def test_a_status_that_there_is_not_is_named(working: Log) -> None:
    ((id_, _),) = working.put(Row("mail", "asleep"))
    assert working.reasons(id_) == ["unknown"]


def test_each_delivery_of_a_message_is_judged_and_an_unknown_message_is_none(working: Log) -> None:
    id_ = working.send(Delivery("mail"), Delivery("stock")).id
    found = working.inspection.explain(id_)
    assert found is not None
    assert [verdict.recipient for verdict in found.verdicts] == ["mail", "stock"]
    assert working.inspection.explain(new_id()) is None


# The property: for tables at random, whatever a claim gives is what `why` says

KEYS = st.sampled_from([None, "red", "blue"])
STATUSES = st.sampled_from(
    ["ready", "ready", "ready", "retrying", "parked", "scheduled", "dead", "done", "discarded"]
)
RECIPIENTS = ("mail", "stock")
ROWS = st.lists(
    st.builds(
        Row,
        recipient=st.sampled_from(RECIPIENTS),
        status=STATUSES,
        key=KEYS,
        until=st.sampled_from([-5.0, 30.0]),
        losses=st.sampled_from([0, 0, 1, 2]),
        attempts=st.just(0),
        error=st.none(),
    ),
    max_size=12,
)
LEASES = st.lists(
    st.tuples(
        st.sampled_from(RECIPIENTS),
        st.lists(st.integers(0, 11), max_size=3),
        st.lists(st.sampled_from(["red", "blue"]), max_size=1),
        st.sampled_from([-1.0, 10.0]),
    ),
    max_size=2,
)
REGISTER = st.fixed_dictionaries(
    {},
    optional={
        "paused": st.just(True),
        "at_once": st.integers(0, 3),
        "probing": st.booleans(),
        "probe_at": st.sampled_from([-1.0, 30.0]),
    },
)


def fill(
    log: Log, rows: list[Row], leases: list[tuple[str, list[int], list[str], float]]
) -> list[tuple[str, int]]:
    """Store deliveries and leases, which name deliveries by their position."""
    stored = log.put(*[row if row.status in SCHEDULES else row._replace(until=None) for row in rows])
    for recipient, positions, keys, until in leases:
        seqs = sorted({stored[n][1] for n in positions if n < len(stored)})
        log.lease(recipient, seqs, keys, until=until)
    return stored


def claimed(log: Log, recipient: str) -> list[int]:
    """What claims with room give, one after the other, each after all that was in front of it was done."""
    given: list[int] = []
    while batch := log.deliveries.claim(recipient, 1000, "taker"):
        seqs = [each.fence.seq for each in batch.claimed]
        if not seqs:
            break
        given += seqs
        assert log.deliveries.complete([each.fence for each in batch.claimed], NO_ROWS) == len(seqs)
    return given


@settings(
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS, leases=LEASES, register=REGISTER, enrolled=st.sampled_from([True, True, True, False]))
def test_a_row_is_claimable_if_and_only_if_why_says_so(
    log: Log,
    rows: list[Row],
    leases: list[tuple[str, list[int], list[str], float]],
    register: dict[str, object],
    enrolled: bool,
) -> None:
    log.clear()
    stored = fill(log, rows, leases)
    columns = {name: value for name, value in register.items() if name != "paused"}
    if "probe_at" in columns:
        columns["probe_at"] = log.at(columns["probe_at"])  # type: ignore[arg-type]
    if "paused" in register:
        columns["paused_at"] = log.at(0)
    if enrolled:
        log.register("mail", **columns)
    log.register("stock")
    verdicts = [log.verdict(id_) for id_, _ in stored]
    for recipient in RECIPIENTS:
        said = [
            seq
            for (_, seq), verdict in zip(stored, verdicts, strict=True)
            if verdict.recipient == recipient and verdict.claimable
        ]
        assert claimed(log, recipient) == said
