"""The one root of every error, and the kinds of error that a domain can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class AtomosError(Exception):
    """Something that Atomos, or a context built on it, could not do.

    The docstring of a subclass is its default message. A subclass may take values and write its own sentence.
    `code` is the stable code of its diagnostic, empty where the class itself says enough.
    """

    code: str = ""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or _first_line(type(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class DomainError(AtomosError):
    """The domain refused. Trying the same thing again will not help."""


class NotFound(DomainError):
    """What was named does not exist."""


class Contradiction(DomainError):
    """What was said contradicts what has been recorded before."""


class RuleBroken(DomainError):
    """A rule of the domain does not allow it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field: `pointer` is an RFC 6901 JSON pointer such as `/quantity`."""

    pointer: str
    detail: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.detail}"


class InvalidMessage(AtomosError, ValueError):
    """A message or value was given fields that break its constraints.

    `problems` names each of them; nothing was made.
    """

    def __init__(self, title: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{title} cannot be made: {'; '.join(map(str, problems))}.")
        self.title = title
        self.problems = problems


def _first_line(kind: type[AtomosError]) -> str:
    return (kind.__doc__ or kind.__name__).strip().partition("\n")[0]


def _restore(kind: type[AtomosError], args: tuple[Any, ...], state: dict[str, Any]) -> AtomosError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
