"""The unit of work: a stateful, atomic update that commits or rolls back, and writes down who must hear of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self, TypeVar, overload

from ..domain.errors import AtomosError
from ..domain.messages import Event
from ..domain.model import Aggregate
from .delivery import Fence, Record
from .errors import CommittedTwice, NotOpen
from .handling import Handling, current_handling

A = TypeVar("A")


class UnitOfWork(ABC):
    """One atomic update: `with uow: ...; return uow.commit(answer)`. Leaving without a commit rolls back.

    A context's own subclass adds its repositories. One serves one handling and is never shared.
    """

    def __init__(self) -> None:
        self._tracked: list[Aggregate] = []
        self._handling: Handling | None = None
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise NotOpen(f"{type(self).__name__} was entered a second time.")
        self._handling = current_handling()
        self._begin(self._handling)
        self._state = "open"
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._state = "ended" if self._state == "open" else self._state
        self._end()
        explained = self._explain(error) if isinstance(error, Exception) else None
        if explained is not None and explained is not error:
            raise explained from error

    def track(self, aggregate: Aggregate) -> None:
        """Note an aggregate that a repository handed out or took in: its events and version are seen to at commit."""
        if all(aggregate is not each for each in self._tracked):
            self._tracked.append(aggregate)

    @overload
    def commit(self) -> None: ...
    @overload
    def commit(self, answer: A) -> A: ...
    def commit(self, answer: Any = None) -> Any:
        """Store the change, its answer, what it caused and who must hear of it, in one transaction; give the answer.

        Raises `Conflict` when someone else was first: then nothing was stored.
        """
        if self._state != "open":
            kind = CommittedTwice if self._state == "committed" else NotOpen
            raise kind(f"{type(self).__name__} is {self._state}.")
        if self._tracked:
            self._raise_versions()
        self._flush()
        events = [(each, event) for each in self._tracked for event in each.take_recorded()]
        self._store(answer, events)
        self._commit()
        self._state = "committed"
        if self._handling is not None:
            self._handling.committed, self._handling.answer = True, answer
        return answer

    def _raise_versions(self) -> None:
        # A change to a child, or an event without a change, would otherwise pass another transaction unseen.
        changed = self._changed()
        for aggregate in self._tracked:
            if self._is_new(aggregate):
                aggregate.version = 1
            elif changed or aggregate.has_recorded:
                aggregate.version += 1

    def _store(self, answer: Any, events: Sequence[tuple[Aggregate, Event[Any]]]) -> None:
        if self._handling is None:
            self._write([], None)
            return
        caused = self._handling.caused(events)
        self._write(self._handling.records(answer, caused), self._handling.completes)

    def _explain(self, error: Exception) -> AtomosError | None:
        """Say what an error of the database means, or None where it means nothing of its own."""
        return error if isinstance(error, AtomosError) else None

    @abstractmethod
    def _begin(self, handling: Handling | None) -> None:
        """Open the transaction."""

    @abstractmethod
    def _changed(self) -> bool:
        """Whether anything in the transaction is new, changed or deleted."""

    @abstractmethod
    def _is_new(self, aggregate: Aggregate) -> bool:
        """Whether this aggregate is not in the database yet."""

    @abstractmethod
    def _flush(self) -> None:
        """Send the changes of the aggregates to the database."""

    @abstractmethod
    def _write(self, records: Sequence[Record], completes: Fence | None) -> None:
        """Write the log's rows, and complete the delivery that led here, under its fence."""

    @abstractmethod
    def _commit(self) -> None:
        """Make it last."""

    @abstractmethod
    def _end(self) -> None:
        """Close the transaction, rolling back what was not committed."""
