"""A real service under gunicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from atomos.testing.faults import Scenario
from atomos.testing.processes import Service
from tests.with_put import APP

PROJECT = Path(__file__).parents[2]

StartService = Callable[..., Service]


@pytest.fixture
def start_service(database_url: str) -> Iterator[StartService]:
    """What starts the service on a fresh database; it is gone after the test."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(Service(PROJECT, database_url, **options))


@pytest.fixture
def scenario(tmp_path: Path, database_url: str) -> Iterator[Scenario]:
    """The reference service with a PUT, which may be hurt; its processes are gone after the test."""
    with Scenario(tmp_path, database_url, app=APP, home=PROJECT) as scenario:
        yield scenario
