"""The unit of work: a stateful, atomic update that commits or rolls back, and writes down who must hear of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar, overload

from ..domain.errors import AtomosError
from ..domain.messages import Event
from ..domain.model import Aggregate
from .delivery import Fence, Record
from .envelope import new_id
from .errors import CommittedTwice, NoTimerKey, NotOpen, Outdated
from .failpoints import failpoint
from .handling import Handling, current_handling
from .later import Later, due, timer_of

A = TypeVar("A")


class UnitOfWork(ABC):
    """One atomic update: `with uow: ...; return uow.commit(answer)`. Leaving without a commit rolls back.

    A context's own subclass adds its repositories. One serves one handling and is never shared. `begins_itself` is for
    a subclass that says how its transaction begins, such as its isolation level; otherwise, where a message may be a
    repeat, it may have begun with the look-up.
    """

    begins_itself: ClassVar[bool] = False

    def __init__(self) -> None:
        self._tracked: list[Aggregate] = []
        self._later: list[Later] = []
        self._handling: Handling | None = None
        self._expects: frozenset[int] | None = None
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise NotOpen(f"{type(self).__name__} was entered a second time.")
        self._handling = current_handling()
        if self._handling is not None and self._handling.heard is not None:
            self._expects = self._handling.heard.envelope.expects
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
        """Note an aggregate that a repository handed out or took in: its events and version are seen to at commit.

        The first that was there before is what the sender of a version means. Raises `Outdated` when it has another.
        """
        if all(aggregate is not each for each in self._tracked):
            self._tracked.append(aggregate)
            if self._expects is not None and not self._is_new(aggregate):
                self._compare(aggregate, self._expects)

    def version_of(self, aggregate: Aggregate) -> int:
        """Say which version an aggregate has after a commit that nothing comes before any more: for the answer."""
        return self._next_version(aggregate, changed=self._changed())

    def send_later(
        self,
        event: Event[Any],
        *,
        at: datetime | None = None,
        delay: timedelta | None = None,
        name: str | None = None,
        key: str | None = None,
    ) -> str:
        """Store an event that is heard later, in this transaction: at an instant (aware) or after a delay.

        Gives its id. A time that has passed, or none, is due at once. With `name`, it takes the place of what this
        context sent under the same name and key before, if that still waits. `key` is its ordering key as well;
        None takes the identity of the one aggregate that was handed out. Raises `NotListed` for an event that is
        not in `records` of the command, `NoTimerKey` for a name where there is not one aggregate.
        """
        self._refuse_unless_open()
        if self._handling is not None:
            self._handling.may_send_later(event)
        if name is not None:
            key = self._timer_key(name, key)
            self._drop(name, key)
        elif key is None and len(self._tracked) == 1:
            key = self._tracked[0].identity
        later = Later(new_id(), event, due(at, delay, self._now), name, key)
        self._later.append(later)
        return later.id

    def cancel(self, name: str, key: str | None = None) -> bool:
        """Take back what was sent later under a name and key (None: that of the one aggregate).

        False where nothing waits, or its time has come: then it is heard, or was.
        """
        self._refuse_unless_open()
        key = self._timer_key(name, key)
        dropped = self._drop(name, key)
        return self._take_back(name, key) or dropped

    @overload
    def commit(self) -> None: ...
    @overload
    def commit(self, answer: A) -> A: ...
    def commit(self, answer: Any = None) -> Any:
        """Store the change, its answer, what it caused and who must hear of it, in one transaction; give the answer.

        Raises `Conflict` when someone else was first, and `Outdated` when the sender expects a version of something
        and nothing was there: then nothing was stored.
        """
        self._refuse_unless_open()
        if self._expects is not None:
            raise Outdated("The sender expects a version, and nothing that was there before was handed out.")
        # Until it has committed: a second try would be without the events that this one took.
        self._state = "failed"
        if self._tracked:
            self._raise_versions()
        self._flush()
        failpoint("log.before")
        events = [(each, event) for each in self._tracked for event in each.take_recorded()]
        self._store(answer, events)
        failpoint("commit.before")
        self._commit()
        self._state = "committed"
        if self._handling is not None:
            self._handling.committed, self._handling.answer = True, answer
        return answer

    def _refuse_unless_open(self) -> None:
        if self._state != "open":
            kind = CommittedTwice if self._state == "committed" else NotOpen
            raise kind(f"{type(self).__name__} is {self._state}.")

    def _now(self) -> datetime:
        return datetime.now(UTC) if self._handling is None else self._handling.now()

    def _timer_key(self, name: str, key: str | None) -> str:
        if key is None and len(self._tracked) != 1:
            count = len(self._tracked) or "no"
            raise NoTimerKey(
                f"The timer {name} has no key, and {type(self).__name__} has {count} aggregates."
            )
        key = self._tracked[0].identity if key is None else key
        timer_of(name, key)
        return key

    def _drop(self, name: str, key: str) -> bool:
        left = [each for each in self._later if (each.name, each.key) != (name, key)]
        dropped, self._later = len(left) < len(self._later), left
        return dropped

    def _raise_versions(self) -> None:
        # A change to a child, or an event without a change, would otherwise pass another transaction unseen.
        changed = self._changed()
        for aggregate in self._tracked:
            aggregate.version = self._next_version(aggregate, changed=changed)

    def _next_version(self, aggregate: Aggregate, *, changed: bool) -> int:
        if self._is_new(aggregate):
            return 1
        return aggregate.version + int(changed or aggregate.has_recorded)

    def _compare(self, aggregate: Aggregate, expects: frozenset[int]) -> None:
        self._expects = None
        if expects and aggregate.version not in expects:
            named = f"{type(aggregate).__name__} {aggregate.identity}"
            raise Outdated(f"{named} has version {aggregate.version}, and its sender means another.")

    def _store(self, answer: Any, events: Sequence[tuple[Aggregate, Event[Any]]]) -> None:
        if self._handling is None:
            self._write([], None)
            return
        caused = self._handling.caused(events)
        caused += map(self._handling.sent_later, self._later)
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
    def _take_back(self, name: str, key: str) -> bool:
        """Discard what is scheduled under a timer; False: nothing was."""

    @abstractmethod
    def _write(self, records: Sequence[Record], completes: Fence | None) -> None:
        """Write the log's rows, and complete the delivery that led here, under its fence."""

    @abstractmethod
    def _commit(self) -> None:
        """Make it last."""

    @abstractmethod
    def _end(self) -> None:
        """Close the transaction, rolling back what was not committed."""
