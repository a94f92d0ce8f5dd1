"""Connections that publish: one for each thread at a time, kept for the next one that comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from .link import Place
from .publishing import PublishingLink


class Pool:
    """Hands out connections, the one that was used last first. Threads may share it, and processes after a fork."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._is_closed = False
        # Its ends are atomic: no lock that a fork could take with it.
        self._idle: deque[PublishingLink] = deque()

    @contextmanager
    def link(self) -> Iterator[PublishingLink]:
        """Give a connection that is well; one that breaks is thrown away. Raises `Unavailable`."""
        with self._place.told():
            link = self._taken() or PublishingLink(self._place)
            try:
                yield link
            except BaseException:
                link.close()
                raise
            self._give_back(link)

    def close(self) -> None:
        """Close what is idle now, and what is given back later."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> PublishingLink | None:
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return None
            if link.is_well():
                return link
            link.close()

    def _give_back(self, link: PublishingLink) -> None:
        if self._is_closed or link.is_broken:
            link.close()
            return
        link.used_at = monotonic()
        self._idle.append(link)
        if self._is_closed:
            self.close()
