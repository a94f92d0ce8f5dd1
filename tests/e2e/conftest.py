"""A real service under gunicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from atomos.testing.processes import Service

PROJECT = Path(__file__).parents[2]

StartService = Callable[..., Service]


@pytest.fixture
def start_service(database_url: str) -> Iterator[StartService]:
    """What starts the service on a fresh database; it is gone after the test."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(Service(PROJECT, database_url, **options))
