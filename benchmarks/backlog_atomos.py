"""Atomos in `backlog.py`: an application of one event and one reaction that does nothing but mark it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

from dependency_injector import containers, providers
from marks import marker

from atomos.bootstrap import Atomos, build
from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Event
from atomos.core.service import Envelope, Routes, by, join
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import new_id

APP = "backlog_atomos:Application"
WORKER = (sys.executable, "-m", "atomos", "--app", APP, "worker")

_A_TRANSACTION = 500

marking = cache(marker)


class Ticked(Event, name="bench.ticked"):
    n: int
    key: str | None = None


def mark(event: Ticked) -> None:
    """Do nothing, and say so."""
    marking()(event.n)


ROUTES = Routes(reactions={Ticked: [by("key", mark)]})
CONTEXT = Context("bench", (ROUTES,))


class Container(containers.DeclarativeContainer):
    """Nothing is needed."""

    core = providers.DependenciesContainer()


class Application(containers.DeclarativeContainer):
    """The application of the benchmark."""

    contexts = (CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(bench=CONTEXT.routes))
    bench = providers.Container(Container, core=core)


@contextmanager
def application(url: str) -> Iterator[Atomos]:
    """Make the application on a database, with its tables; its workers find both in the environment."""
    os.environ |= {
        "ATOMOS_DATABASE__URL": url,
        "ATOMOS_PROFILE": "production",
        "ATOMOS_LOG__LEVEL": "warning",
    }
    atomos = build(APP)
    try:
        atomos.migrate()
        yield atomos
    finally:
        atomos.close()


def one_by_one(atomos: Atomos, numbers: range, keys: int) -> None:
    """Send each in a transaction of its own."""
    for n in numbers:
        atomos.bus.send_later(Ticked(n=n, key=_key(n, keys)))


def in_bulk(atomos: Atomos, numbers: range, keys: int) -> None:
    """Send 500 a transaction, as a unit of work does whose aggregate recorded as many."""
    log = atomos.container.core.message_log()
    for start in range(numbers.start, numbers.stop, _A_TRANSACTION):
        part = range(start, min(start + _A_TRANSACTION, numbers.stop))
        log.append(_records(part, keys))


def _records(numbers: Sequence[int], keys: int) -> list[Record]:
    records = []
    for n in numbers:
        id_, key = new_id(), _key(n, keys)
        envelope = Envelope(id_, id_, None, datetime.now(UTC), key, "system", None)
        records.append(Record("event", envelope, Ticked(n=n, key=key), (Delivery("bench.mark", key),)))
    return records


def _key(n: int, keys: int) -> str | None:
    return f"key-{n % keys}" if keys else None
