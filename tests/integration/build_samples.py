"""Two builds of one small application: the newer one has another version of its messages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from atomos.core.adapters import Database, SqlDeliveries, SqlMessageLog, SqlUnitOfWork
from atomos.core.adapters.codec import Codec
from atomos.core.domain import Command, Event, ValueObject
from atomos.core.service import MessageBus, Offer, Routes, Worker, by, join, named
from atomos.core.service.waking import Wake
from atomos.testing import MovedClock
from atomos.testing.probing import SilentMeter

from .worker_samples import FAST


class Weight(ValueObject):
    """What the weighing of a parcel is answered with."""

    grams: int


class OldWeighed(Event[Weight], name="builds.weighed", version=1):
    parcel: str
    kilos: int


class OldWeigh(Command[Weight], name="builds.weigh", version=1):
    parcel: str
    kilos: int


class OldMoved(Event, name="builds.moved", version=1):
    parcel: str
    number: int


class Weighed(Event[Weight], name="builds.weighed", version=2):
    parcel: str
    grams: int


class Weigh(Command[Weight], name="builds.weigh", version=2):
    parcel: str
    grams: int


class Moved(Event, name="builds.moved", version=2):
    parcel: str
    number: int
    to: str


METADATA = MetaData()
PARCELS = Table(
    "builds_parcel",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parcel", String(100), nullable=False),
    Column("grams", Integer, nullable=False),
)


class Moves:
    """Which build heard of which move, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []


class ParcelsUnitOfWork(SqlUnitOfWork):
    """Parcels."""


def old_weigh(command: OldWeigh, uow: ParcelsUnitOfWork) -> Weight:
    return _weigh(command.parcel, 1000 * command.kilos, uow)


def weigh(command: Weigh, uow: ParcelsUnitOfWork) -> Weight:
    return _weigh(command.parcel, command.grams, uow)


def _weigh(parcel: str, grams: int, uow: ParcelsUnitOfWork) -> Weight:
    with uow:
        uow.session.execute(insert(PARCELS).values(parcel=parcel, grams=grams))
        return uow.commit(Weight(grams=grams))


def old_follow(event: OldMoved, moves: Moves) -> None:
    moves.heard.append(("old", event.parcel, event.number))


def follow(event: Moved, moves: Moves) -> None:
    moves.heard.append(("new", event.parcel, event.number))


def in_grams(stored: dict[str, Any]) -> dict[str, Any]:
    return {"parcel": stored["parcel"], "grams": 1000 * stored["kilos"]}


def to_somewhere(stored: dict[str, Any]) -> dict[str, Any]:
    return {**stored, "to": "somewhere"}


OLD = Routes(
    triggers={OldWeighed: [OldWeigh]},
    commands={OldWeigh: old_weigh},
    reactions={OldMoved: [by("parcel", named("follow", old_follow))]},
)
NEW = Routes(
    triggers={Weighed: [Weigh]},
    commands={Weigh: weigh},
    reactions={Moved: [by("parcel", follow)]},
    upcasts={
        ("builds.weighed", 1): in_grams,
        ("builds.weigh", 1): in_grams,
        ("builds.moved", 1): to_somewhere,
    },
)


class Build:
    """One build on a database."""

    def __init__(self, database: Database, routes: Routes, moves: Moves) -> None:
        self.wake = Wake()
        joined = join(builds=[routes])
        codec = Codec(joined.messages(), joined.upcasts, joined.declarations())
        log = SqlMessageLog(database, codec, self.wake)
        self.deliveries = SqlDeliveries(database, codec, FAST.lease)
        offers = [
            Offer("moves", lambda: moves, Moves, "test.moves"),
            Offer("uow", lambda: ParcelsUnitOfWork(database, log), ParcelsUnitOfWork, "test.uow"),
        ]
        offered = {"builds": {each.name: each for each in offers}}
        self.bus = MessageBus(joined, offered, log, MovedClock(), SilentMeter())
        with database.transaction() as connection:
            METADATA.create_all(connection)

    def worker(self) -> Worker:
        return Worker(self.bus, self.deliveries, self.wake, FAST)
