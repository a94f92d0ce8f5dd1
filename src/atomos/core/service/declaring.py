"""Declaring: makes what an application needs of a broker, before it is used, and again when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .failures import said
from .messaging import Broker, Subscription, Topology
from .ports import Unavailable
from .routes import JoinedRoutes


class Declaring:
    """Declares a topology once. `broker` is a provider, so that an override takes effect at once. Threads share it."""

    def __init__(self, broker: Callable[[], Broker], topology: Topology) -> None:
        self.topology = topology
        self._broker = broker
        self._is_done = False
        self._lock = threading.Lock()

    def once(self) -> None:
        """Declare, unless that was done. Raises `Unavailable`, whatever goes wrong; then the next call tries again."""
        with self._lock:
            if not self._is_done:
                try:
                    self._broker().declare(self.topology)
                except Unavailable:
                    raise
                except Exception as error:
                    # It is nobody's message that is at fault.
                    raise Unavailable(f"What the broker needs cannot be declared: {said(error)}") from error
                self._is_done = True

    def again(self) -> None:
        """Have the next call declare: it may be another server by now, or an emptied one."""
        self._is_done = False


def topology_of(routes: JoinedRoutes, service: str) -> Topology:
    """Say what an application publishes to, and reads as this service."""
    read = tuple(Subscription(topic, service) for topic in routes.subscriptions())
    return Topology(routes.topics(), read)
