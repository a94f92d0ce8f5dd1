"""The ledger in real processes, on a fresh database of each kind, to be hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from atomos.core.service import Conflict, InFlight
from atomos.testing.databases import PostgresTemplate, SqliteTemplate, fresh_url, made_postgres_template
from atomos.testing.faults import Scenario, broken_invariants
from atomos.testing.faults.ledger.driving import check, drive
from atomos.testing.processes import wait_until
from tests.conftest import DATABASES

PROJECT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60.0

ON_SQLITE = pytest.mark.parametrize("ledger_url", DATABASES[:1], indirect=True)
"""For what only SQLite does."""

ON_POSTGRESQL = pytest.mark.parametrize("ledger_url", DATABASES[1:], indirect=True)
"""For what only PostgreSQL does."""


class MakeScenario(Protocol):
    """Makes a scenario of the ledger, entered, on the database of the test."""

    def __call__(self, **settings: str) -> Scenario:
        """Take environment variables for all its processes."""
        ...


def migrate(url: str) -> None:
    """Make the ledger's tables."""
    from atomos.bootstrap import build
    from atomos.testing.faults import LEDGER
    from atomos.testing.faults.scenario import environment

    with environment({"ATOMOS_DATABASE__URL": url}):
        atomos = build(LEDGER)
    atomos.migrate()
    atomos.close()


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    """A SQLite file with the ledger's tables."""
    return SqliteTemplate(tmp_path_factory.mktemp("ledger"), migrate)


@pytest.fixture(scope="session")
def postgres_ledger_template() -> Iterator[PostgresTemplate]:
    """A PostgreSQL database with the ledger's tables."""
    with made_postgres_template(migrate) as template:
        yield template


@pytest.fixture(params=DATABASES)
def ledger_url(
    request: pytest.FixtureRequest, tmp_path: Path, ledger_template: SqliteTemplate
) -> Iterator[str]:
    """The URL of a fresh database of each kind, with the ledger's tables."""
    with fresh_url(request, tmp_path, ledger_template, "postgres_ledger_template") as url:
        yield url


@pytest.fixture
def make_scenario(tmp_path: Path, ledger_url: str) -> Iterator[MakeScenario]:
    """What makes the scenario of a test; its processes are gone afterwards, and what they said is shown."""
    with ExitStack() as stack:

        def make(**settings: str) -> Scenario:
            return stack.enter_context(Scenario(tmp_path, ledger_url, settings=settings))

        yield make
    for output in sorted(tmp_path.glob("worker-*.log")):
        print(f"--- {output.name}\n{output.read_text('utf-8', 'replace')[-2000:]}")


@pytest.fixture
def scenario(make_scenario: MakeScenario) -> Scenario:
    """The ledger, with leases of 1.5 s."""
    return make_scenario()


Sound = Callable[..., None]


@pytest.fixture
def is_sound() -> Sound:
    """What fails unless everything holds: the log's invariants, and what the ledger has for the numbers driven."""

    def is_sound(scenario: Scenario, numbers: Sequence[int], **others: Any) -> None:
        assert [*broken_invariants(scenario.atomos), *check(scenario.atomos, numbers, **others)] == []

    return is_sound


def drive_all(scenario: Scenario, numbers: Sequence[int]) -> None:
    """Send the load of these numbers; who is told to send again, as a lock was not to be had, does so."""
    for number in numbers:
        wait_until(partial(_driven, scenario, number), _PATIENCE_SECONDS, f"{number} to be taken")


def _driven(scenario: Scenario, number: int) -> bool:
    try:
        drive(scenario.bus, number)
    except (Conflict, InFlight):
        return False
    return True
