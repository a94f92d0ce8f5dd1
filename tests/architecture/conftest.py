"""What the checks of the architecture leave behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def loggers_stay_enabled() -> Iterator[None]:
    """The linter of imports sets logging up for a process of its own, which switches every other logger off."""
    yield
    for name in logging.root.manager.loggerDict:
        logging.getLogger(name).disabled = False
