"""Whose something is decides its handler: it is told who asks, with the envelope of the message."""

from __future__ import annotations

import pytest

from atomos.core.container import current_envelope
from atomos.core.domain import NotFound, Query
from atomos.core.service import Envelope, MessageBus, Routes, join
from atomos.core.service.envelope import Origin, Principal
from atomos.core.service.injection import Offer

from .api_samples import ClockAt, MemoryLog, NoMeter


class DiaryOf(Query[str], name="diaries.diary-of"):
    owner: str


class UnknownDiary(NotFound):
    """There is no such diary."""


DIARIES = {"key:ana": "It rained."}


def diary_of(query: DiaryOf, envelope: Envelope) -> str:
    if envelope.principal != query.owner or query.owner not in DIARIES:
        raise UnknownDiary
    return DIARIES[query.owner]


@pytest.fixture
def bus() -> MessageBus:
    routes = join(diaries=[Routes(queries={DiaryOf: diary_of})])
    offers = {"diaries": {"envelope": Offer("envelope", current_envelope, Envelope, "the tests")}}
    return MessageBus(routes, offers, MemoryLog(), ClockAt(), NoMeter())


def asking(name: str) -> Origin:
    return Origin(Principal(name, frozenset()))


def test_whose_it_is_decides_the_handler_by_the_principal_of_the_envelope(bus: MessageBus) -> None:
    assert bus.ask(DiaryOf(owner="key:ana"), asking("key:ana")) == "It rained."
    with pytest.raises(UnknownDiary) as others:
        bus.ask(DiaryOf(owner="key:ana"), asking("key:ben"))
    with pytest.raises(UnknownDiary) as missing:
        bus.ask(DiaryOf(owner="key:eve"), asking("key:eve"))
    assert str(others.value) == str(missing.value), "nobody is told what others have"
