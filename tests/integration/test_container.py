"""The application's container: overrides, two applications side by side, sessions that cannot write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from atomos.allocation.service import handlers
from atomos.core.adapters import ReadModel, Sessions
from atomos.core.service import NoHandling, ReadOnly
from atomos.core.service.errors import ForeignTable
from atomos.testing import RecordedNotifications, UnfitFake, handling, override
from atomos.testing.databases import SqliteTemplate
from tests.factories import BatchReceivedFactory, OrderLineReceivedFactory


@pytest.fixture
def two(make_atomos: Any, sqlite_template: SqliteTemplate, tmp_path: Any) -> Iterator[list[Any]]:
    """Two applications in one process, each on a database of its own."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    applications = [make_atomos(sqlite_template.fresh(folder)) for folder in folders]
    yield applications
    for application in applications:
        application.close()


def run_out_of_stock(atomos: Any) -> None:
    atomos.bus.emit(BatchReceivedFactory(quantity=1))
    atomos.bus.emit(OrderLineReceivedFactory(quantity=2))
    atomos.worker().drain()


def test_two_applications_in_one_process_each_have_their_own_fakes(two: list[Any]) -> None:
    first, second = RecordedNotifications(), RecordedNotifications()
    with (
        override(two[0].container, two[0].container.core.notifications, first),
        override(two[1].container, two[1].container.core.notifications, second),
    ):
        run_out_of_stock(two[0])
        assert (len(first.sent), len(second.sent)) == (1, 0)
        run_out_of_stock(two[1])
        assert (len(first.sent), len(second.sent)) == (1, 1)


def test_two_applications_in_one_process_answer_their_own_requests(two: list[Any]) -> None:
    clients = [each.init_app(Flask(f"app-{number}")).test_client() for number, each in enumerate(two)]
    batch = {"reference": "b1", "sku": "CHAIR", "quantity": 10}
    assert clients[0].post("/allocation/batches", json=batch).status_code == 201
    assert clients[1].get("/allocation/products/CHAIR").status_code == 404
    assert clients[0].get("/allocation/products/CHAIR").status_code == 200


def test_an_override_ends_with_its_block(two: list[Any]) -> None:
    core = two[0].container.core
    before = core.notifications()
    with override(two[0].container, core.notifications, RecordedNotifications()) as fake:
        assert core.notifications() is fake
        assert two[0].container.allocation.notifications() is fake
    assert core.notifications() is before


def test_what_was_made_of_a_fake_does_not_outlive_it(two: list[Any]) -> None:
    container = two[0].container
    sessions = container.core.sessions()
    other = two[1].container.core.database()
    with override(container, container.core.database, other):
        assert container.core.sessions() is not sessions
        assert container.core.sessions()._database is other
    assert container.core.sessions()._database is container.core.database()


def test_a_fake_must_be_what_the_port_promises(two: list[Any]) -> None:
    with (
        pytest.raises(UnfitFake, match="object is no Notifications"),
        override(two[0].container, two[0].container.core.notifications, object()),
    ):
        pass


@pytest.fixture
def sneaky(atomos: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the reaction to running out of stock try to run a statement."""

    def sneaky(statement: str) -> None:
        def write(**_: Any) -> None:
            atomos.container.core.session().execute(text(statement))

        fake = RecordedNotifications()
        monkeypatch.setattr(fake, "send", write)
        atomos.container.core.notifications.override(fake)

    return sneaky


def test_a_reaction_cannot_write(
    atomos: Any, sneaky: Callable[[str], None], drain: Callable[[], int]
) -> None:
    sneaky("delete from allocation_batch")
    atomos.bus.emit(BatchReceivedFactory(quantity=1))
    atomos.bus.emit(OrderLineReceivedFactory(quantity=2))
    assert drain() == 2
    its = text("select status, errors from atomos_delivery where recipient = 'allocation.warn_buyers'")
    with atomos.container.core.database().look() as connection:
        [(status, errors)] = connection.execute(its).all()
        batches = connection.execute(text("select count(*) from allocation_batch")).scalar()
    assert (status, batches) == ("retrying", 1)
    assert "ATM035" in str(errors)
    assert "warn_buyers tried to write" in str(errors)


def test_outside_a_handling_there_is_no_session(atomos: Any) -> None:
    with pytest.raises(NoHandling):
        atomos.container.core.session()


def test_outside_a_unit_of_work_the_session_is_read_only(atomos: Any) -> None:
    sessions: Sessions = atomos.container.core.sessions()
    with handling():
        session: Session = sessions.current()
        assert sessions.current() is session
        with pytest.raises(Exception, match=r"(?i)read.?only"):
            session.execute(text("delete from allocation_batch"))


def test_a_projection_may_write_its_views_only(atomos: Any) -> None:
    from sqlalchemy import delete, select

    from atomos.allocation.adapters.storage import BATCHES
    from atomos.allocation.adapters.views import ALLOCATIONS, VIEWS

    with handling():
        read_model = ReadModel(atomos.container.core.session(), VIEWS)
        assert read_model.execute(select(ALLOCATIONS)).all() == []
        with pytest.raises(ForeignTable, match="used allocation_batch"):
            read_model.execute(delete(BATCHES))


def test_the_handlers_error_names_the_handler(atomos: Any) -> None:
    from atomos.core.adapters.database_errors import explain

    database = atomos.container.core.database()
    with database.reader.connect() as connection, pytest.raises(Exception) as raised:
        connection.execute(text("delete from allocation_batch"))
    explained = explain(raised.value, f"{handlers.__name__}.warn_buyers")
    assert isinstance(explained, ReadOnly)
    assert "warn_buyers tried to write" in str(explained)
