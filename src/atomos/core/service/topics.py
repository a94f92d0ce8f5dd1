"""Topics: what a worker does with a broker, where its application publishes to one or reads from it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from .bus import MessageBus
from .declaring import Declaring, topology_of
from .delivery import Deliveries
from .messaging import Broker
from .pace import MOST_A_DEAR_CLAIM, Pace
from .publishing import Publishing
from .reading import Readers, ReadingSettings


class Topics:
    """Publishes to topics, and reads them as `settings` say; does nothing where `broker` is None."""

    publishing: Publishing | None = None
    _readers: Readers | None = None

    def __init__(
        self,
        bus: MessageBus,
        deliveries: Deliveries,
        worker: str,
        broker: Callable[[], Broker] | None,
        settings: ReadingSettings,
    ) -> None:
        if broker is not None and bus.form is not None and bus.reception is not None:
            broker()  # a library that is missing is said here, and not by every thread
            declaring = Declaring(broker, topology_of(bus.flow.routes, settings.service))
            self.publishing = Publishing(bus.flow, bus.form, broker, declaring)
            self._readers = Readers(broker, bus.reception, deliveries, worker, settings, bus.flow, declaring)

    def portion(self, pace: Pace) -> Callable[[str, int], int]:
        """Say how many runs a thread takes together, as `Pace` does: of a topic all, for one wait for confirmations."""
        if (publishing := self.publishing) is None:
            return pace.portion
        return lambda each, queued: (
            MOST_A_DEAR_CLAIM if publishing.takes(each) else pace.portion(each, queued)
        )

    def start_reading(self) -> None:
        """Read every topic, each in a thread of its own."""
        if self._readers is not None:
            self._readers.start()

    def stop_reading(self, until: float) -> None:
        """Take nothing more, and wait for what is being written, until an instant of the monotonic clock."""
        if self._readers is not None:
            self._readers.stop(until)

    def leases(self) -> list[int]:
        """Name the leases of the topics that this worker reads: they are to be renewed."""
        return [] if self._readers is None else self._readers.leases()

    def renewed(self, asked: Collection[int], found: Collection[int]) -> None:
        """Hear which leases that were asked for are still there."""
        if self._readers is not None:
            self._readers.renewed(asked, found)

    def read_all(self) -> int:
        """Read what there is, in this thread; say how many messages were new."""
        return 0 if self._readers is None else self._readers.read_all()
