"""How far a claim walks: among the first rows, as a rule; past all that are held, only now and then."""

from __future__ import annotations

from time import monotonic

_FIRST_ROWS = 5000
_SHARE = 10.0
_LONGEST_REST = 10.0


class Walks:
    """Says among how many ready rows of a recipient, in the order of seq, a claim looks.

    A key with a long backlog is in a lease most of the time, and all its rows would be passed by. So a claim looks
    among the first `rows`; one that found less than it asked for is followed by one that looks among all, but
    not before ten times what the last of those took.
    """

    def __init__(self, rows: int = _FIRST_ROWS) -> None:
        self._rows = rows
        self._is_short: dict[str, bool] = {}
        self._rested: dict[str, float] = {}

    def next(self, recipient: str) -> int | None:
        """Give the number of rows; None is all."""
        if self._is_short.get(recipient) and monotonic() >= self._rested.get(recipient, 0.0):
            return None
        return self._rows

    def walked(self, recipient: str, rows: int | None, is_short: bool, seconds: float) -> None:
        """Note a claim: among how many rows, whether it found less than it asked for, what it took."""
        self._is_short[recipient] = is_short
        if rows is None:
            self._rested[recipient] = monotonic() + min(_LONGEST_REST, _SHARE * seconds)
