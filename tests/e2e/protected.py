"""The environment of a service that needs credentials, and two API keys for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import psutil

from atomos.bootstrap import build
from atomos.core.service.credentials import mint
from atomos.testing.faults.scenario import environment
from atomos.testing.processes import Service

SECRET = "a secret of the tests that nobody else has"


class Protected(NamedTuple):
    """Its environment variables; the token that may do everything, and the one that may nothing."""

    environment: dict[str, str]
    mighty: str
    powerless: str


def protected(database_url: str, *, level: str) -> Protected:
    """Make the keys on a database; the service logs from a level on."""
    own = {
        "ATOMOS_DATABASE__URL": database_url,
        "ATOMOS_SECURITY__AUTHENTICATION": "true",
        "ATOMOS_SECURITY__SECRET": SECRET,
        "ATOMOS_LOG__LEVEL": level,
    }
    with environment(own):
        atomos = build("atomos.container:Application")
        scopes = sorted({scope for scope in atomos.bus.flow.routes.requires.values() if scope})
        made = [mint(*each, SECRET, datetime.now(UTC)) for each in (("mighty", scopes), ("powerless", ()))]
        for each in made:
            atomos.container.core.keys().add(each.key)
        atomos.close()
    return Protected(own, *(each.token for each in made))


def processes_of(service: Service) -> set[int]:
    """Give the processes that serve."""
    return {each.pid for each in psutil.Process(service.pid).children()}
