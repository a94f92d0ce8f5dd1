"""Schedules: cron text with a time zone, what each tick emits, and which ticks are made up for after an outage."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, ClassVar, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..domain.messages import Event, Message
from .delivery import Fence, Record
from .injection import classes_in, signature_of

CatchUp = Literal["none", "last", "all"]
"""What becomes of ticks that nobody was there for."""

LATE = timedelta(minutes=1)
"""A tick that is later than this was missed, for a schedule that catches up with none."""

MOST_TICKS = 100
"""So many ticks are made up for in one transaction; the next ones follow at once."""

_SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=367))


@dataclass(frozen=True, slots=True)
class Schedule:
    """An event at each tick of a cron text; made by `every`."""

    cron: str
    event: Event[Any] | Callable[[datetime], Event[Any]]
    zone: str = "UTC"
    catch_up: CatchUp = "last"

    @property
    def emits(self) -> type[Event[Any]] | None:
        """The event's class; None where its function does not name exactly one."""
        if isinstance(self.event, Event):
            return type(self.event)
        function = self.event if inspect.isroutine(self.event) else None
        named = classes_in(signature_of(function).returns, Event) if function else ()
        return named[0] if len(named) == 1 else None

    def event_at(self, tick: datetime) -> Event[Any]:
        """Give the event of a tick, which its function is told in the schedule's zone."""
        return (
            self.event if isinstance(self.event, Event) else self.event(tick.astimezone(ZoneInfo(self.zone)))
        )


def every(
    cron: str,
    event: Event[Any] | Callable[[datetime], Event[Any]],
    *,
    zone: str = "UTC",
    catch_up: CatchUp = "last",
) -> Schedule:
    """Emit an event at each tick: `every("0 2 * * *", ReportDue(), zone="Europe/Berlin")`.

    `cron` has the five fields of cron(5), and `zone` is a name such as `Europe/Berlin`. `event` is an event, or
    a function of the tick (aware, in that zone) that returns one. After an outage, `catch_up` "none" goes on
    with the next tick (what is over a minute late was missed), "last" emits the newest one that was missed, and
    "all" each of them, in order. What an hour's change skips comes right after it, what it doubles comes once,
    and what ticks every hour or minute keeps on doing so.
    """
    return Schedule(cron, event, zone, catch_up)


class Planned(Message):
    """A schedule as the log keeps it: how it was declared, and its next tick (aware, UTC).

    Whoever handles a tick goes by this, and not by its own tables, so that two builds agree on the next one.
    """

    wire_name: ClassVar[str] = "atomos.schedule"
    wire_version: ClassVar[int] = 1

    name: str
    cron: str
    zone: str
    catch_up: str
    tick: datetime


class Due(NamedTuple):
    """What is to be done at an instant: `ticks` to emit, the tick after them, and whether any were left out."""

    ticks: tuple[datetime, ...]
    following: datetime
    missed: bool


class Schedules(ABC):
    """Keeps schedules: each is one message with one delivery to `schedule:<name>`, due at the next tick."""

    @abstractmethod
    def now(self) -> datetime:
        """Tell the log's time, the database's: by it, what is due is due."""

    @abstractmethod
    def stored(self, names: Sequence[str]) -> Sequence[Planned]:
        """Find those of these schedules that are kept."""

    @abstractmethod
    def alive(self) -> frozenset[str]:
        """Give the declarations (see `declaration`) of the builds whose workers are alive."""

    @abstractmethod
    def plan(self, planned: Planned) -> None:
        """Keep a schedule as it is declared, with its next tick; one whose tick is due stays as it is."""

    @abstractmethod
    def tick(self, records: Sequence[Record], completes: Fence, planned: Planned) -> None:
        """Store what a tick emits, and the tick after it, in one transaction. What is stored already is left out.

        Raises `LeaseLost` when the delivery is not held any more.
        """


def recipient_of(name: str) -> str:
    """Name the recipient of a schedule's delivery."""
    return f"schedule:{name}"


def declaration(name: str, said: Schedule | Planned) -> str:
    """Write in one line what a build, or the log, says of a schedule."""
    return f"{recipient_of(name)} {said.cron} {said.zone} {said.catch_up}"


def planned(name: str, schedule: Schedule, after: datetime) -> Planned:
    """Plan the first tick after an instant."""
    tick = next(ticks_after(schedule.cron, schedule.zone, after))
    return Planned(name=name, cron=schedule.cron, zone=schedule.zone, catch_up=schedule.catch_up, tick=tick)


def ticks_after(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Give the ticks after an instant, in UTC, each later than the one before."""
    for found in CronSim(cron, after.astimezone(ZoneInfo(zone))):
        # After an hour's change, the wall's clock shows times that are over.
        if (tick := found.astimezone(UTC)) > after:
            yield tick
            after = tick


def due(kept: Planned, now: datetime) -> Due:
    """Say what a schedule is to do now, by its catch-up policy."""
    if now < kept.tick:
        return Due((), kept.tick, missed=False)
    if kept.catch_up == "all":
        return _all_due(kept, now)
    latest = _latest(kept, now)
    ticks = () if kept.catch_up == "none" and now - latest > LATE else (latest,)
    following = next(ticks_after(kept.cron, kept.zone, now))
    return Due(ticks, following, missed=ticks != (kept.tick,))


def mistakes_of(schedule: Schedule) -> Iterator[str]:
    """Say what is wrong with a schedule's cron text, zone and policy."""
    if schedule.catch_up not in get_args(CatchUp):
        yield f"catch_up is {schedule.catch_up!r}; expected one of {', '.join(get_args(CatchUp))}"
    zone = schedule.zone
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, TypeError, LookupError):
        yield f"zone is {zone!r}, which the time zone data does not have; expected a name such as Europe/Berlin"
        zone = "UTC"
    if not isinstance(schedule.cron, str) or len(schedule.cron.split()) != 5:
        yield f"cron is {schedule.cron!r}; expected five fields: minute, hour, day of month, month, day of week"
        return
    try:
        if next(ticks_after(schedule.cron, zone, datetime.now(UTC)), None) is None:
            yield f"cron is {schedule.cron!r}, which does not tick within 50 years"
    except CronSimError as error:
        yield f"cron is {schedule.cron!r}: {str(error).lower()}"


def _all_due(kept: Planned, now: datetime) -> Due:
    ticks: list[datetime] = []
    following = kept.tick
    while following <= now and len(ticks) < MOST_TICKS:
        ticks.append(following)
        following = next(ticks_after(kept.cron, kept.zone, following))
    return Due(tuple(ticks), following, missed=False)


def _from(kept: Planned, first: datetime) -> Iterator[datetime]:
    yield first
    yield from ticks_after(kept.cron, kept.zone, first)


def _latest(kept: Planned, now: datetime) -> datetime:
    """Find the newest tick that has come, without going through all that were missed."""
    for span in _SPANS:
        if now - span > kept.tick:
            found = list(_until(now, ticks_after(kept.cron, kept.zone, now - span)))
            if found:
                return found[-1]
    return list(_until(now, _from(kept, kept.tick)))[-1]


def _until(now: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    return takewhile(lambda tick: tick <= now, ticks)
