"""A handling without a bus, for tests of units of work and repositories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from atomos.core.domain import Command, Message
from atomos.core.service import Meter
from atomos.core.service.envelope import Envelope, new_id
from atomos.core.service.handling import Handling
from atomos.core.service.plans import EventPlan, Flow, HandlerPlan
from atomos.core.service.ports import HandlingMeter


class Probe(Command, name="atomos.testing.probe"):
    """A command that does whatever its test does."""


class SilentMeter(Meter, HandlingMeter):
    """Measures nothing."""

    def of(self, kind: str, name: str) -> HandlingMeter:  # noqa: ARG002 - the port has them
        """Give itself."""
        return self

    def handled(self, outcome: str, seconds: float) -> None:
        """Note nothing."""


@contextmanager
def handling() -> Iterator[Handling]:
    """Be in the handling of a command whose aggregates may record anything, and nobody hears it."""
    id_ = new_id()
    envelope = Envelope(id_, id_, None, datetime.now(UTC), None, "test", None)
    plan = HandlerPlan("probe", lambda _: None, "probe", SilentMeter(), records=cast(Any, _Everything()))
    with Handling(cast(Flow, _OpenFlow()), plan, envelope, Probe(), lambda: datetime.now(UTC)) as probe:
        yield probe


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


class _OpenPlans:
    def __getitem__(self, _: type[Message]) -> EventPlan:
        return EventPlan(None, (), None, False, (), (), ())


class _OpenFlow:
    events = _OpenPlans()
