"""The timetable: keeps the schedules of this build in the log, and emits what their ticks are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from .delivery import Claimed, Delivery, Record
from .envelope import SYSTEM, Envelope, hashed_id, timed_id
from .plans import Flow
from .schedules import Planned, Schedule, Schedules, declaration, due, planned, recipient_of

_LOG = structlog.get_logger("atomos.schedule")


class Timetable:
    """Makes schedules tick. Any number of builds and workers share them, and none of them leads.

    `schedules` is a provider, so that an override takes effect at once.
    """

    def __init__(self, flow: Flow, schedules: Callable[[], Schedules]) -> None:
        self._flow = flow
        self._schedules = schedules

    @property
    def _declared(self) -> Mapping[str, Schedule]:
        return self._flow.routes.schedules

    def arrange(self) -> None:
        """Keep each declared schedule in the log; harmless when several do it.

        One that is declared in another way than it is kept is planned anew as soon as no worker is alive that
        declares it so: an old and a new build do not take it from each other, and the last one has its way.
        """
        if not self._declared:
            return
        schedules = self._schedules()
        kept = {each.name: each for each in schedules.stored(tuple(self._declared))}
        said = {name: declaration(name, each) for name, each in kept.items()}
        changed = [
            name for name in self._declared if said.get(name) != declaration(name, self._declared[name])
        ]
        if not changed:
            return
        alive, now = schedules.alive(), schedules.now()
        for name in changed:
            if said.get(name) not in alive:
                schedules.plan(planned(name, self._declared[name], now))

    def tick(self, claimed: Claimed, kept: Planned) -> None:
        """Emit what is due, and store the next tick with it, in one transaction that completes the delivery."""
        schedule = self._declared[kept.name]
        schedules = self._schedules()
        now = schedules.now()
        ticks, following, missed = due(kept, now)
        if missed:
            _LOG.warning("schedule.missed", schedule=kept.name, since=kept.tick, catch_up=kept.catch_up)
        records = [self._record(schedule, kept.name, tick, claimed.envelope, now) for tick in ticks]
        schedules.tick(records, claimed.fence, replace(kept, tick=following))

    def _record(
        self, schedule: Schedule, name: str, tick: datetime, cause: Envelope, now: datetime
    ) -> Record:
        # A conversation of its own: the schedule's would never be over. One tick of it at a time, in order.
        id_, key = timed_id(tick, "schedule", name), recipient_of(name)
        event = schedule.event_at(tick)
        envelope = Envelope(id_, id_, cause.id, now, key, SYSTEM.name, None)
        return Record("event", envelope, event, self._flow.events[type(event)].deliveries(event, key))


def record_of(kept: Planned, now: datetime) -> Record:
    """Write a schedule as the log keeps it: one message, and one delivery that is due at the next tick."""
    id_ = schedule_id(kept.name)
    envelope = Envelope(id_, id_, None, now, None, SYSTEM.name, None)
    return Record("schedule", envelope, kept, (Delivery(recipient_of(kept.name), None, kept.tick),))


def schedule_id(name: str) -> str:
    """Give the id of the message that keeps a schedule."""
    return hashed_id("schedule", name)
