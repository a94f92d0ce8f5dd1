"""What can be wrong with settings, and the one error that says all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.domain import AtomosError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong, as a sentence and as its parts."""

    key: str
    """What is wrong: a setting such as `http.port`, an environment variable, or a file."""

    source: str
    """Where it was found: a file or an environment variable."""

    expected: str
    """What was wanted, as the rest of a sentence that begins with the key: `must be an integer`."""

    given: str | None = None
    """What was found instead, with secrets hidden; None where there is nothing to show."""

    nearest: str | None = None
    """For an unknown name, the known one that is most like it; None if none is."""

    advice: str
    """What to do, as a sentence without its full stop."""

    def __str__(self) -> str:
        given = "" if self.given is None else f", given {self.given}"
        source = "" if self.source == self.key else f" ({self.source})"
        return f"{self.key} {self.expected}{given}{source}. {self.advice}."


class SettingsError(AtomosError):
    """The settings are wrong; nothing was started. `mistakes` holds every one of them, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"{count} in the settings:", *(f"- {each}" for each in mistakes)]))
        self.mistakes = tuple(mistakes)
