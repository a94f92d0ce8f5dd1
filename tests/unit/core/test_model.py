"""Entities and aggregates: identity, and what an aggregate recorded; errors that write their own sentence."""

from __future__ import annotations

import copy
import pickle

import pytest

from atomos.core.domain import Aggregate, AtomosError, DomainError, Entity, Event, NotFound


class Counted(Event, name="test.counted"):
    number: int


class Counter(Aggregate):
    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    @property
    def identity(self) -> str:
        return self.name

    def increase(self) -> None:
        self.count += 1
        self.record(Counted(number=self.count))


class Special(Counter):
    pass


class Nameless(NotFound):
    """Nobody has this name.

    This is not a part of the message.
    """


class Undocumented(DomainError):
    pass


class Valued(NotFound):
    """Something was not found."""

    def __init__(self, what: str, *, size: int = 1) -> None:
        super().__init__(f"No {what} of size {size} was found.")
        self.what, self.size = what, size


def test_entities_are_equal_by_class_and_identity() -> None:
    assert Counter("a") == Counter("a")
    assert Counter("a") != Counter("b")
    assert Counter("a") != Special("a")
    assert Counter("a") != "a"
    assert len({Counter("a"), Counter("a"), Special("a")}) == 2


def test_an_entity_needs_an_identity() -> None:
    class Anonymous(Entity):
        pass

    with pytest.raises(TypeError, match="identity"):
        Anonymous()  # type: ignore[abstract]


def test_an_aggregate_hands_over_what_it_recorded_once_and_in_order() -> None:
    counter = Counter("a")
    counter.increase()
    counter.increase()

    assert counter.has_recorded
    assert counter.take_recorded() == (Counted(number=1), Counted(number=2))
    assert not counter.has_recorded
    assert counter.take_recorded() == ()


def test_two_aggregates_record_apart() -> None:
    one, other = Counter("a"), Counter("b")
    one.increase()

    assert not other.has_recorded


def test_an_aggregate_may_record_before_its_constructor_was_called() -> None:
    loaded = Counter.__new__(Counter)  # as an object-relational mapper makes it
    loaded.count = 4
    loaded.increase()

    assert loaded.take_recorded() == (Counted(number=5),)


def test_a_new_aggregate_has_version_one_of_its_own() -> None:
    one, other = Counter("a"), Counter("b")
    one.version += 1

    assert (one.version, other.version) == (2, 1)


def test_a_copy_of_an_aggregate_records_for_itself() -> None:
    original = Counter("a")
    original.increase()
    copied = copy.deepcopy(original)
    copied.increase()

    assert len(original.take_recorded()) == 1
    assert len(copied.take_recorded()) == 2


# Errors.


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Nameless(), "Nobody has this name."),
        (Nameless("It was ana."), "It was ana."),
        (Undocumented(), "Undocumented"),
        (Valued("shoe", size=44), "No shoe of size 44 was found."),
        (AtomosError(), "Something that Atomos, or a context built on it, could not do."),
    ],
)
def test_the_docstring_is_the_default_message(error: AtomosError, message: str) -> None:
    assert str(error) == message


def test_an_error_that_takes_values_travels_with_them() -> None:
    arrived = pickle.loads(pickle.dumps(Valued("shoe", size=44)))  # noqa: S301

    assert isinstance(arrived, Valued)
    assert (str(arrived), arrived.what, arrived.size) == ("No shoe of size 44 was found.", "shoe", 44)
