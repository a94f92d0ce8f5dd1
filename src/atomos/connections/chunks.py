"""Follows a chunked body while it arrives, to know where it ends; what it says is gunicorn's to read."""

from __future__ import annotations

_LONGEST_LINE = 1024
_MOST_TRAILER_BYTES = 8192
_SIZE = frozenset(b"0123456789abcdefABCDEF")
_END = b"\r\n"


class Chunks:
    """Looks at each chunk once, however slowly a body comes.

    `size` is how many bytes the chunks announced so far, which is never less than what they held.
    """

    def __init__(self) -> None:
        self.size = 0
        self._next = 0
        self._in_trailer = False

    def end(self, received: bytes | bytearray) -> int | None:
        """Say where the body ends in all that was received; None where it goes on.

        A body that is no chunked one ends where that shows: then gunicorn's reader says what is wrong with it.
        """
        while not self._in_trailer:
            stop = received.find(_END, self._next, self._next + _LONGEST_LINE)
            if stop < 0:
                return None if len(received) < self._next + _LONGEST_LINE else len(received)
            digits = bytes(received[self._next : stop]).partition(b";")[0].rstrip(b" \t")
            if not digits or not _SIZE.issuperset(digits):
                return len(received)
            size = int(digits, 16)
            self.size += size
            self._in_trailer = size == 0
            self._next = stop + len(_END) + (size + len(_END) if size else 0)
        return self._end_of_trailer(received)

    def _end_of_trailer(self, received: bytes | bytearray) -> int | None:
        if received.startswith(_END, self._next):
            return self._next + len(_END)
        stop = received.find(_END * 2, self._next)
        if stop >= 0:
            return stop + 2 * len(_END)
        return None if len(received) < self._next + _MOST_TRAILER_BYTES else len(received)
