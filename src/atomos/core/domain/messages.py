"""Events, commands and queries: frozen values with declared wire names, and what their senders are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, get_args, get_origin

from .values import ValueObject

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # stubs only: PEP 696 defaults, nothing to install

    Answer_co = TypeVar("Answer_co", covariant=True, default=None)
    Asked_co = TypeVar("Asked_co", covariant=True)
    T_co = TypeVar("T_co", covariant=True)
else:
    from typing import TypeVar

    Answer_co = TypeVar("Answer_co", covariant=True)
    Asked_co = TypeVar("Asked_co", covariant=True)
    T_co = TypeVar("T_co", covariant=True)


class Message(ValueObject):
    """What the bus carries. A subclass without a name is a mere set of shared fields."""

    wire_name: ClassVar[str] = ""
    wire_version: ClassVar[int] = 0


class Event(Message, Generic[Answer_co]):
    """A fact, heard or recorded; `Event[Answer]` where a sender is told something, plain `Event` where not.

    `name` is the wire name, such as `allocation.allocated`: stored messages and other services know it,
    and renaming the class does not change it. `version` counts the changes of the fields, from 1.
    """

    def __init_subclass__(cls, *, name: str = "", version: int = 1) -> None:
        """Declare the wire name and version."""
        _declare(cls, name, version)


class Command(Message, Generic[Answer_co]):
    """An instruction to change state; exactly one handler obeys it and gives the answer."""

    def __init_subclass__(cls, *, name: str = "", version: int = 1) -> None:
        """Declare the wire name and version."""
        _declare(cls, name, version)


class Query(Message, Generic[Asked_co]):
    """A question; exactly one handler answers it and changes nothing."""

    def __init_subclass__(cls, *, name: str = "", version: int = 1) -> None:
        """Declare the wire name and version."""
        _declare(cls, name, version)


class Created(ValueObject, Generic[T_co]):
    """An answer that says: this is new. A repeat is answered with the same stored answer."""

    value: T_co


class Page(ValueObject, Generic[T_co]):
    """A part of a list: `cursor` is where the next part begins, None at the end."""

    items: tuple[T_co, ...]
    cursor: str | None = None


def answer_of(message: type[Message]) -> Any:
    """Say which answer a message declares: `Event[Answer]` gives `Answer`, a plain `Event` gives None."""
    for cls in message.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            if get_origin(base) in (Event, Command, Query):
                return get_args(base)[0]
    return None


def _declare(cls: type[Message], name: str, version: int) -> None:
    if not name:
        raise TypeError(
            f"{cls.__qualname__} has no wire name: "
            f"write class {cls.__name__}(..., name='context.what-it-says')."
        )
    if version < 1:
        raise TypeError(f"{cls.__qualname__}: version must be at least 1, is {version}.")
    cls.wire_name, cls.wire_version = name, version
