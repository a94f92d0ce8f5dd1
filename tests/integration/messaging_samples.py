"""Post: a small application that publishes and subscribes, put together by hand, and a broker that a test controls."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.messaging.cloud_events import CloudEvents
from atomos.core.adapters.messaging.database import DatabaseBroker
from atomos.core.domain import Event, Message
from atomos.core.service import (
    Backoff,
    Broker,
    Consumer,
    Envelope,
    ForeignMessage,
    MessageBus,
    Meter,
    Offer,
    Principal,
    Routes,
    Subscription,
    Taken,
    Topology,
    WireMessage,
    Worker,
    by,
    in_step,
    join,
    optional,
    translated,
)
from atomos.core.service.messaging import Outcome
from atomos.core.service.ports import HandlingMeter
from atomos.core.service.reading import ReadingSettings
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.probing import SilentMeter

from .worker_samples import FAST

PATIENT = FAST._replace(backoff=Backoff(attempts=3, first=0.5, cap=1.0))
"""So that nothing is tried again within one drain, on a busy machine either."""


class Letter(Message):
    box: str = "a"
    number: int = 0


class Posted(Letter, Event, name="post.posted"):
    """Published, in the order of the box."""


class Registered(Letter, Event, name="post.registered"):
    """Published one at a time for each box."""


class Advertised(Letter, Event, name="post.advertised"):
    """Published for whoever may subscribe."""


class Delivered(Letter, Event, name="post.delivered", version=2):
    """Read from a topic."""


class Counted(Letter, Event, name="post.counted"):
    """Made of what another service writes in its own way."""


class Heard:
    """What the reactions heard, with its envelope."""

    def __init__(self) -> None:
        self.events: list[tuple[Event[Any], Envelope]] = []

    @property
    def numbers(self) -> list[int]:
        return [event.number for event, _ in self.events]  # type: ignore[attr-defined]


def hear(event: Delivered, heard: Heard, envelope: Envelope) -> None:
    heard.events.append((event, envelope))


def hear_count(event: Counted, heard: Heard, envelope: Envelope) -> None:
    heard.events.append((event, envelope))


def counted(message: ForeignMessage) -> Counted | None:
    said = message.json()
    return None if said.get("test") else Counted(box=said["box"], number=said["n"])


def older(stored: dict[str, Any]) -> dict[str, Any]:
    return {"box": stored["crate"], "number": stored["number"]}


ROUTES = Routes(
    reactions={Delivered: [by("box", hear)], Counted: [hear_count]},
    publishes={
        Posted: by("box", "post.posted"),
        Registered: in_step(by("box", "post.registered")),
        Advertised: optional("post.advertised"),
    },
    subscribes={
        "post.deliveries": Delivered,
        "erp.counts": translated(counted, identified_by="id", ordered_by="box"),
    },
    requires={Delivered: "post:write"},
    upcasts={("post.delivered", 1): older},
)


class CountingMeter(Meter):
    """Counts outcomes, by the name of what was handled."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)

    def of(self, kind: str, name: str) -> HandlingMeter:
        return _Counting(self.counts[name])


class _Counting(HandlingMeter):
    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def handled(self, outcome: str, seconds: float) -> None:
        self._counts[outcome] += 1


class ScriptedBroker(Broker):
    """Keeps what is published, by topic; `answer` says what becomes of each message, and may raise."""

    settles = 0.0

    def __init__(self) -> None:
        self.kept: dict[str, list[WireMessage]] = defaultdict(list)
        self.calls: list[int] = []
        self.declared = 0
        self.answer: Callable[[dict[str, Any]], Outcome] = lambda _: None

    def publish(self, topic: str, messages: Sequence[WireMessage]) -> Sequence[Outcome]:
        self.calls.append(len(messages))
        outcomes = [self.answer(json.loads(each.body)) for each in messages]
        self.kept[topic] += [m for m, outcome in zip(messages, outcomes, strict=True) if outcome is None]
        return outcomes

    def numbers(self, topic: str) -> list[int]:
        return [json.loads(each.body)["data"]["number"] for each in self.kept[topic]]

    def consume(self, subscription: Subscription) -> Consumer:
        return _Nothing()

    def declare(self, topology: Topology) -> None:
        self.declared += 1

    def explain(self, topology: Topology) -> Sequence[str]:
        return []

    def check(self) -> None: ...

    def close(self) -> None: ...


class _Nothing(Consumer):
    def receive(self, most: int, seconds: float) -> Sequence[Taken]:
        return []

    def acknowledge(self, taken: Sequence[Taken]) -> None: ...

    def close(self) -> None: ...


class Post:
    """The application on a database; its broker is in that database, or the test's."""

    def __init__(
        self,
        database: Database,
        broker: Broker | None = None,
        *,
        sender: Principal = Principal("broker"),  # noqa: B008 - a constant
        reading: ReadingSettings = ReadingSettings("post", lease=1.0),  # noqa: B008 - a constant
        routes: Routes = ROUTES,
        meter: Meter = SilentMeter(),  # noqa: B008 - it has no state
    ) -> None:
        self.database = database
        self.heard = Heard()
        self.clock = MovedClock()
        self.wake = Wake()
        self.reading = reading
        self.broker = broker or DatabaseBroker(database)
        self.routes = join(post=[routes])
        self.codec = codec = Codec(self.routes.messages(), self.routes.upcasts, self.routes.declarations())
        self.log = SqlMessageLog(database, codec, self.wake)
        self.deliveries = SqlDeliveries(database, codec, reading.lease, now=self.clock.now)
        self.form = CloudEvents(codec, self.routes.subscriptions(), "/post")
        offers = {
            "heard": Offer("heard", lambda: self.heard, Heard, "test.heard"),
            "envelope": Offer("envelope", _envelope, Envelope, "test.envelope"),
        }
        self.bus = MessageBus(
            self.routes,
            {"post": offers},
            self.log,
            self.clock,
            meter,
            form=self.form,
            sender=sender,
        )

    def worker(self, **settings: Any) -> Worker:
        return Worker(
            self.bus,
            self.deliveries,
            self.wake,
            PATIENT._replace(**{"lease": self.reading.lease, **settings}),
            broker=lambda: self.broker,
            reading=self.reading,
        )

    def drain(self) -> int:
        return self.worker().drain()

    def look(self, statement: str) -> list[Any]:
        with self.database.look() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def states(self, recipient: str) -> list[tuple[Any, ...]]:
        """The states of a recipient's deliveries, with their attempts, in order."""
        return self.look(
            f"select status, attempts from atomos_delivery where recipient = '{recipient}' order by seq"  # noqa: S608
        )


def _envelope() -> Envelope:
    from atomos.core.container import current_envelope

    return current_envelope()


def cloud_event(number: int, box: str = "a", **said: Any) -> WireMessage:
    """What another service publishes."""
    event = {
        "specversion": "1.0",
        "id": f"n-{number}",
        "source": "/elsewhere",
        "type": "post.delivered.v2",
        "partitionkey": box,
        "data": {"box": box, "number": number},
        **said,
    }
    return WireMessage(json.dumps(event).encode(), "application/cloudevents+json")
