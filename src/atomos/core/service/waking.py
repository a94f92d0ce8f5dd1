"""Waking: whoever commits tells the workers, so that none has to wait for its next look at the log."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Wake:
    """Wakes the workers of this process; adapters tell those of others too.

    It only saves time: a worker looks by itself every so often, and misses nothing when nobody wakes it.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._said: set[str] | None = set()
        self._saying = threading.Lock()

    def announce(self, recipients: Collection[str] = ()) -> None:
        """Say that something was committed, to the workers of every process. It neither waits nor fails.

        `recipients` are those whom it may be for; none given: any.
        """
        self.set(recipients)

    def set(self, recipients: Collection[str] = ()) -> None:
        """Wake the workers of this process."""
        with self._saying:
            self._said = {*self._said, *recipients} if recipients and self._said is not None else None
            self._event.set()

    def clear(self) -> Collection[str]:
        """Forget what was said so far: whoever clears it looks at the log next.

        Give the recipients that it was said of; none: it may be any.
        """
        with self._saying:
            self._event.clear()
            said, self._said = self._said, set()
        return said or ()

    def wait(self, seconds: float) -> bool:
        """Wait to be woken, for so many seconds at most; say whether it was."""
        return self._event.wait(seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of other processes' commits for the time of a `with` block, as a worker does. They may nest."""
        yield

    def close(self) -> None:
        """Tell what is still to be told, and let everything go. It may be used again."""
