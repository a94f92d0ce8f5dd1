"""The broker in a database: the conformance suite, on both, and what only it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.messaging.choosing import broker_at
from atomos.core.adapters.messaging.database import DatabaseBroker
from atomos.core.service import Broker, NotRouted, Subscription, Topology, Unavailable
from atomos.testing.conformance.broker import BrokerSuite, Connect, connecting
from atomos.testing.conformance.broker_steps import numbers, publish, reading, receive, subscribe

from .back_pressure import BackPressure


class TestDatabase(BrokerSuite, BackPressure):
    @pytest.fixture
    def connect(self, log_url: str) -> Iterator[Connect]:
        with connecting(lambda: DatabaseBroker(Database(log_url), owned=True, largest=2_000_000)) as connect:
            yield connect

    @pytest.fixture
    def too_large(self) -> int:
        return 2_000_001

    @pytest.fixture
    def prefetch(self) -> int | None:
        return 100


def rows(url: str) -> int:
    database = Database(url)
    with database.look() as connection:
        count = connection.exec_driver_sql("select count(*) from atomos_topic_message").scalar_one()
    database.close()
    return int(count)


@pytest.fixture
def broker(log_url: str) -> Iterator[Broker]:
    with connecting(lambda: DatabaseBroker(Database(log_url), owned=True)) as connect:
        yield connect()


def test_what_every_service_has_read_is_removed_and_nothing_else(log_url: str, broker: Broker) -> None:
    fast, slow = subscribe(broker, "a.topic", "fast"), subscribe(broker, "a.topic", "slow")
    publish(broker, "a.topic", numbers(10))
    with reading(broker, fast) as consumer:
        receive(consumer, 10)
    assert rows(log_url) == 10

    with reading(broker, slow) as consumer:
        receive(consumer, 4)
        assert rows(log_url) == 6
        receive(consumer, 6)
    assert rows(log_url) == 0


def test_a_database_of_its_own_is_made_when_it_is_declared(tmp_path: Path, log_database: Database) -> None:
    url = f"sqlite:///{tmp_path / 'broker.db'}"
    with connecting(lambda: broker_at(url, log_database)) as connect:
        subscription = subscribe(connect(), "a.topic")
        publish(connect(), "a.topic", numbers(3))
        with reading(connect(), subscription) as consumer:
            assert len(receive(consumer, 3)) == 3


def test_where_nobody_has_made_the_tables_nobody_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'broker.db'}"
    with connecting(lambda: DatabaseBroker(Database(url), owned=True)) as connect:
        (outcome,) = connect().publish("a.topic", numbers(1))
        assert isinstance(outcome, NotRouted)
        subscribe(connect(), "a.topic")
        publish(connect(), "a.topic", numbers(1))


def test_what_somebody_has_not_read_is_kept_however_old_it_is(log_url: str, broker: Broker) -> None:
    fast, away = subscribe(broker, "a.topic", "fast"), subscribe(broker, "a.topic", "away")
    publish(broker, "a.topic", numbers(10))
    database = Database(log_url)
    with database.transaction() as connection:
        old = "0" if database.dialect == "sqlite" else "timestamptz 'epoch'"
        connection.exec_driver_sql(f"update atomos_topic_message set published_at = {old}")  # noqa: S608
    database.close()
    with reading(broker, fast) as consumer:
        receive(consumer, 10)

    with reading(broker, away) as consumer:
        assert len(receive(consumer, 10)) == 10


def test_where_it_is_managed_elsewhere_nothing_is_made_and_what_is_missing_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'broker.db'}"
    subscription = Subscription("a.topic", "post")
    with connecting(lambda: DatabaseBroker(Database(url), owned=True, declare=False)) as connect:
        connect().declare(Topology((), (subscription,)))
        with pytest.raises(Unavailable, match=r"not read by post yet: make its tables .*broker\.declare"):
            connect().consume(subscription)
        with connecting(lambda: DatabaseBroker(Database(url), owned=True)) as other:
            subscribe(other(), "another.topic")
        with pytest.raises(Unavailable, match="make a row for it"):
            connect().consume(subscription)
