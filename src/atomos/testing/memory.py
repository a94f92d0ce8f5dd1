"""Repositories and units of work in memory, for tests that need no database; they pass the same suite."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from atomos.core.domain import Aggregate, Event
from atomos.core.service import Conflict, Repository, UnitOfWork
from atomos.core.service.delivery import Fence, Record
from atomos.core.service.handling import Handling
from atomos.core.service.later import Later

T = TypeVar("T", bound=Aggregate)


class MemoryStore:
    """What was committed: aggregates by class and identity, the events they recorded, and the log's records.

    `later` is what was sent later and neither replaced nor cancelled since.
    """

    def __init__(self) -> None:
        self.later: list[Later] = []
        self.aggregates: dict[tuple[type[Aggregate], str], Aggregate] = {}
        self.events: list[Event[Any]] = []
        self.records: list[Record] = []


class MemoryUnitOfWork(UnitOfWork):
    """An atomic update of a store. It hands out copies, so that leaving without a commit changes nothing.

    It works with a bus and without: a handler is tested by calling it.
    """

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self._loaded: dict[int, tuple[int, bytes]] = {}
        self._pending: list[Record] = []
        self._taken_back: set[tuple[str, str]] = set()

    @property
    def committed(self) -> bool:
        """Whether it was committed."""
        return self._state == "committed"

    def find(self, kind: type[Aggregate], identity: str) -> Aggregate | None:
        """Hand out a copy of an aggregate: the same one each time."""
        for tracked in self._tracked:
            if type(tracked) is kind and tracked.identity == identity:
                return tracked
        stored = self.store.aggregates.get((kind, identity))
        if stored is None:
            return None
        found = copy.deepcopy(stored)
        self._loaded[id(found)] = found.version, _state(found)
        self.track(found)
        return found

    def _begin(self, handling: Handling | None) -> None:
        pass

    def _changed(self) -> bool:
        return any(self._is_new(each) or _state(each) != self._loaded[id(each)][1] for each in self._tracked)

    def _is_new(self, aggregate: Aggregate) -> bool:
        return id(aggregate) not in self._loaded

    def _flush(self) -> None:
        for each in self._tracked:
            stored = self.store.aggregates.get((type(each), each.identity))
            loaded = self._loaded.get(id(each))
            if (stored and stored.version) != (loaded and loaded[0]):
                raise Conflict(
                    f"{type(each).__name__} {each.identity} was changed by someone else meanwhile."
                )

    def _store(self, answer: Any, events: Sequence[tuple[Aggregate, Event[Any]]]) -> None:
        super()._store(answer, events)
        self._said = [event for _, event in events]

    def _write(self, records: Sequence[Record], completes: Fence | None) -> None:  # noqa: ARG002 - the port has it
        self._pending = list(records)

    def _take_back(self, name: str, key: str) -> bool:
        waits = any((each.name, each.key) == (name, key) for each in self.store.later)
        is_new = (name, key) not in self._taken_back
        self._taken_back.add((name, key))
        return waits and is_new

    def _commit(self) -> None:
        over = self._taken_back | {(each.name, each.key) for each in self._later if each.name is not None}
        self.store.later = [each for each in self.store.later if (each.name, each.key) not in over]
        self.store.later += self._later
        for each in self._tracked:
            self.store.aggregates[type(each), each.identity] = each
        self.store.events += self._said
        self.store.records += self._pending

    def _end(self) -> None:
        pass


class MemoryRepository(Repository[T], Generic[T]):
    """The aggregates of one class in a store."""

    def __init__(self, uow: MemoryUnitOfWork, aggregate: type[T]) -> None:
        self._uow = uow
        self._aggregate = aggregate

    def find(self, identity: str) -> T | None:
        """Give the aggregate for a change, or None."""
        return self._uow.find(self._aggregate, identity)  # type: ignore[return-value]

    def add(self, aggregate: T) -> None:
        """Take in a new aggregate."""
        self._uow.track(aggregate)

    def all(self) -> list[T]:
        """Give every aggregate for a change, in the order in which they came."""
        identities = [identity for kind, identity in self._uow.store.aggregates if kind is self._aggregate]
        return [found for identity in identities if (found := self.find(identity)) is not None]


def _state(aggregate: Aggregate) -> bytes:
    return pickle.dumps({name: value for name, value in vars(aggregate).items() if name != "_recorded"})
