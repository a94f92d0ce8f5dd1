"""The pytest plugin: an application with a fresh database for every test, a clock to move, and `drain()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask import Flask
from flask.testing import FlaskClient

from atomos.core.service import MessageBus

from .clock import MovedClock
from .databases import SqliteTemplate


class Override(Protocol):
    """Overrides a provider for the rest of the test; see `atomos.testing.override`."""

    def __call__(self, provider: Any, fake: Any) -> Any:
        """Let the provider give the fake, and give it back."""
        ...


class Make(Protocol):
    """Makes an application on the database of a URL."""

    def __call__(self, url: str) -> Any:
        """Wire it with the settings of the profile `test`; nothing is opened."""
        ...


@pytest.fixture(scope="session")
def atomos_container() -> Any:
    """The container under test: ATOMOS_APP, or the one that pyproject.toml names. Override it for another."""
    from atomos.bootstrap import find_container

    return find_container()


@pytest.fixture(scope="session")
def make_atomos(atomos_container: Any) -> Make:
    """What makes an application of the container under test."""
    from atomos.bootstrap import Atomos, load_settings

    settings = load_settings(atomos_container, profile="test")
    if "storage.url" not in settings.sources:
        settings = replace(settings, storage=replace(settings.storage, url="memory://"))

    def make(url: str) -> Any:
        return Atomos(atomos_container, replace(settings, database=replace(settings.database, url=url)))

    return make


@pytest.fixture(scope="session")
def migrate(make_atomos: Make) -> Callable[[str], None]:
    """What brings the database of a URL to the newest version; it refuses one that lacks tables of the code."""
    from atomos.cli.application import prepare_to_change

    def migrate(url: str) -> None:
        application = make_atomos(url)
        application.migrate()
        prepare_to_change(application)
        application.close()

    return migrate


@pytest.fixture(scope="session")
def sqlite_template(
    tmp_path_factory: pytest.TempPathFactory, migrate: Callable[[str], None]
) -> SqliteTemplate:
    """A migrated SQLite file."""
    return SqliteTemplate(tmp_path_factory.mktemp("template"), migrate)


@pytest.fixture
def database_url(tmp_path: Path, sqlite_template: SqliteTemplate) -> str:
    """The URL of a fresh, migrated database; SQLite, unless a project overrides this fixture."""
    return sqlite_template.fresh(tmp_path)


@pytest.fixture
def clock() -> MovedClock:
    """The time, for the bus and for deliveries: `clock.move(hours=1)`."""
    return MovedClock()


@pytest.fixture
def atomos(make_atomos: Make, database_url: str, clock: MovedClock) -> Iterator[Any]:
    """The application under test, on a fresh database; it works only when a test lets it."""
    application = make_atomos(database_url)
    core = application.container.core
    with ExitStack() as overrides:
        overrides.enter_context(_moved(core, clock))
        yield application
        application.close()


@pytest.fixture
def bus(atomos: Any) -> MessageBus:
    """The bus of the application under test."""
    return atomos.bus  # type: ignore[no-any-return]


@pytest.fixture
def app(atomos: Any) -> Flask:
    """The WSGI application under test."""
    application: Flask = atomos.init_app(Flask("atomos-test"))
    application.testing = False  # errors are answered, as in production
    return application


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    """A client of the WSGI application, without a server in between."""
    return app.test_client()


@pytest.fixture
def drain(atomos: Any) -> Callable[[], int]:
    """Deliver all that is due, in this thread; it gives the number of deliveries that ended.

    Schedules are planned from where the clock is when the test begins.
    """
    atomos.bus.arrange()
    return atomos.worker().drain  # type: ignore[no-any-return]


@pytest.fixture
def override(atomos: Any) -> Iterator[Override]:
    """Override a provider of the application, `override(atomos.container.core.notifications, fake)`."""
    from .overriding import override as overriding

    with ExitStack() as stack:
        yield lambda provider, fake: stack.enter_context(overriding(atomos.container, provider, fake))


def _moved(core: Any, clock: MovedClock) -> AbstractContextManager[Any]:
    from atomos.core.adapters import SqlDeliveries, SqlSchedules

    stack = ExitStack()
    stack.enter_context(core.clock.override(clock))
    deliveries = SqlDeliveries(core.database(), core.codec(), now=clock.now)
    stack.enter_context(core.deliveries.override(deliveries))
    schedules = SqlSchedules(core.database(), core.message_log(), core.codec(), now=clock.now)
    stack.enter_context(core.schedules.override(schedules))
    return stack
