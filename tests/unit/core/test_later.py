"""What a unit of work in memory sends later, with a bus and without: handlers are tested by calling them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from atomos.core.domain import Aggregate, Event
from atomos.core.service import NotOpen
from atomos.core.service.errors import NoTimerKey
from atomos.testing import MemoryStore, MemoryUnitOfWork, handling

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Rang(Event, name="later.rang"):
    """It is time."""

    number: int = 0


class Clockwork(Aggregate):
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def identity(self) -> str:
        return self.name


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def uow(store: MemoryStore) -> MemoryUnitOfWork:
    return MemoryUnitOfWork(store)


def sent(store: MemoryStore, number: int = 1, name: str | None = "ring", key: str | None = "a") -> None:
    with MemoryUnitOfWork(store) as uow:
        uow.send_later(Rang(number=number), at=NOON, name=name, key=key)
        uow.commit()


def waiting(store: MemoryStore) -> list[int]:
    return [each.event.number for each in store.later]  # type: ignore[attr-defined]


def test_what_is_sent_later_is_kept_with_its_time_name_and_key(store: MemoryStore) -> None:
    sent(store)
    [later] = store.later
    assert (later.event, later.until, later.name, later.key) == (Rang(number=1), NOON, "ring", "a")


def test_its_key_is_that_of_the_one_aggregate(store: MemoryStore, uow: MemoryUnitOfWork) -> None:
    with uow:
        uow.track(Clockwork("cuckoo"))
        uow.send_later(Rang(), at=NOON, name="ring")
        uow.send_later(Rang(), at=NOON)
        assert not uow.cancel("other")
        uow.commit()
    assert [each.key for each in store.later] == ["cuckoo", "cuckoo"]


@pytest.mark.parametrize("count", [0, 2])
def test_without_the_one_aggregate_a_name_needs_a_key(uow: MemoryUnitOfWork, count: int) -> None:
    with uow:
        for number in range(count):
            uow.track(Clockwork(f"clock-{number}"))
        with pytest.raises(NoTimerKey, match=f"has {count or 'no'} aggregates"):
            uow.send_later(Rang(), at=NOON, name="ring")
        with pytest.raises(NoTimerKey):
            uow.cancel("ring")
        uow.send_later(Rang(), at=NOON)


def test_a_delay_begins_now(store: MemoryStore, uow: MemoryUnitOfWork) -> None:
    with uow:
        uow.send_later(Rang(), delay=timedelta(hours=1))
        uow.commit()
    assert store.later[0].until is not None
    assert timedelta(minutes=59) < store.later[0].until - datetime.now(UTC) <= timedelta(hours=1)


def test_the_same_name_and_key_is_replaced(store: MemoryStore) -> None:
    sent(store, 1)
    sent(store, 2)
    sent(store, 3, key="b")
    sent(store, 4, name=None)
    sent(store, 5, name=None)
    assert waiting(store) == [2, 3, 4, 5]


def test_it_is_taken_back_once_and_with_the_commit(store: MemoryStore) -> None:
    sent(store)
    with MemoryUnitOfWork(store) as uow:
        assert uow.cancel("ring", "a")
    assert waiting(store) == [1]
    with MemoryUnitOfWork(store) as uow:
        assert [uow.cancel("ring", "a"), uow.cancel("ring", "a"), uow.cancel("ring", "b")] == [
            True,
            False,
            False,
        ]
        uow.commit()
    assert waiting(store) == []


def test_what_was_sent_in_the_same_unit_of_work_is_taken_back(
    store: MemoryStore, uow: MemoryUnitOfWork
) -> None:
    with uow:
        uow.send_later(Rang(), at=NOON, name="ring", key="a")
        assert uow.cancel("ring", "a")
        uow.commit()
    assert waiting(store) == []


def test_nothing_is_sent_while_it_is_not_open(store: MemoryStore, uow: MemoryUnitOfWork) -> None:
    with pytest.raises(NotOpen):
        uow.send_later(Rang())
    with uow:
        uow.commit()
        with pytest.raises(Exception, match="ATM032"):
            uow.cancel("ring", "a")


def test_in_a_handling_it_becomes_a_record(store: MemoryStore, uow: MemoryUnitOfWork) -> None:
    with handling() as probe, uow:
        id_ = uow.send_later(Rang(), at=NOON, key="a")
        uow.commit()
    [_, record] = store.records
    assert (record.kind, record.envelope) == ("event", probe.envelope.caused(id_, "a"))
