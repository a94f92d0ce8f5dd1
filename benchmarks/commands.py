"""The command of `in_process.py`: what Atomos is given, and what every contestant calls in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from atomos.core.adapters import PrometheusMeter, SystemClock
from atomos.core.container import offers_of
from atomos.core.domain import Aggregate, Command, Event
from atomos.core.service import MessageBus, Routes, UnitOfWork, join
from atomos.core.service.delivery import Fence, MessageLog, Recalled, Record
from atomos.core.service.envelope import Origin, Principal
from atomos.core.service.handling import Handling


class Asked(Event[int], name="bench.asked"):
    n: int


class Do(Command[int], name="bench.do"):
    n: int


class Thing:
    """A collaborator of which there is one."""


class Unstored(UnitOfWork):
    """A collaborator that is made for every command: a unit of work that stores nothing."""

    def _begin(self, handling: Handling | None) -> None: ...
    def _changed(self) -> bool:
        return False

    def _is_new(self, aggregate: Aggregate) -> bool:
        return False

    def _flush(self) -> None: ...
    def _take_back(self, name: str, key: str) -> bool:
        return False

    def _write(self, records: Sequence[Record], completes: Fence | None) -> None: ...
    def _commit(self) -> None: ...
    def _end(self) -> None: ...


class Forgetful(MessageLog):
    """A log that stores nothing."""

    def recall(self, message_id: str, message: Any) -> Recalled | None:
        return None

    def known(self, message_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    def append(
        self, records: Sequence[Record], completes: Fence | None = None, *, reader: int | None = None
    ) -> None: ...
    def take_back(self, timer: str, why: str) -> bool:
        return False

    def explain(self, error: Exception, place: str) -> None: ...


def do(command: Do, uow: Unstored, thing: Thing) -> int:
    """What is called in the end, by every contestant."""
    with uow:
        return uow.commit(command.n)


class Container(containers.DeclarativeContainer):
    uow = providers.Factory(Unstored)
    thing = providers.ThreadSafeSingleton(Thing)


ROUTES = Routes(triggers={Asked: [Do]}, commands={Do: do}, requires={Asked: "bench:ask"})

ORIGIN = Origin(Principal("somebody", frozenset(["bench:ask"])))


def atomos_bus() -> MessageBus:
    """A bus as the composition root makes it: routes checked, metrics, permission, retry on conflict."""
    offers = {"bench": offers_of(Container())}
    return MessageBus(
        join(bench=[ROUTES]), offers, Forgetful(), SystemClock(), PrometheusMeter(CollectorRegistry())
    )
