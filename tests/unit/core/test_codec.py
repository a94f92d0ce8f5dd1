"""The wire form: what was stored by an older build is read as today's message, or it is said why not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from atomos.core.adapters.codec import Codec
from atomos.core.domain import Command, Created, Event, ValueObject
from atomos.core.service.errors import StoredAnswer, Unreadable


class Total(ValueObject):
    amount: Decimal


class Paid(Event, name="codec.paid", version=3):
    """Version 1 had `cents`, version 2 a plain `amount`; version 3 says when."""

    amount: Decimal
    at: datetime


class Charge(Command[Created[Total] | Total], name="codec.charge"):
    pass


def to_amounts(stored: dict[str, Any]) -> dict[str, Any]:
    return {"amount": Decimal(stored["cents"]) / 100}


def to_times(stored: dict[str, Any]) -> dict[str, Any]:
    return {**stored, "at": "2026-01-01T00:00:00Z"}


CODEC = Codec([Paid, Charge], {("codec.paid", 1): to_amounts, ("codec.paid", 2): to_times})
TODAY = Paid(amount=Decimal("12.5"), at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("version", "payload"),
    [
        (1, '{"cents": 1250}'),
        (2, '{"amount": "12.5"}'),
        (3, '{"amount": "12.5", "at": "2026-01-01T00:00:00Z"}'),
    ],
)
def test_every_version_is_read_as_todays(version: int, payload: str) -> None:
    assert CODEC.decode("codec.paid", version, payload) == TODAY


def test_what_is_read_is_written_in_todays_version() -> None:
    assert (
        CODEC.decode("codec.paid", 3, CODEC.encode(CODEC.decode("codec.paid", 1, '{"cents": 1250}'))) == TODAY
    )


def test_an_upcaster_that_fails_is_named_with_the_version() -> None:
    with pytest.raises(
        Unreadable, match=r"codec.paid version 1: .*test_codec.py:\d+ to_amounts failed, KeyError"
    ):
        CODEC.decode("codec.paid", 1, "{}")


def test_what_an_upcaster_makes_must_be_todays_message() -> None:
    with pytest.raises(Unreadable, match=r"codec.paid version 2: .*amount"):
        CODEC.decode("codec.paid", 2, '{"amount": "a lot"}')


def test_a_newer_version_cannot_be_read() -> None:
    with pytest.raises(Unreadable, match=r"codec.paid version 4 is stored; this build has version 3"):
        CODEC.decode("codec.paid", 4, "{}")


def test_an_older_version_without_an_upcaster_cannot_be_read() -> None:
    with pytest.raises(Unreadable, match=r"codec.paid version 1 is stored; this build has version 3"):
        Codec([Paid]).decode("codec.paid", 1, '{"cents": 1250}')


def test_it_says_what_it_can_read_and_how_schedules_are_declared() -> None:
    codec = Codec([Paid], {("codec.paid", 2): to_times}, ["schedule:nightly 0 2 * * * UTC last"])
    assert codec.reads == (
        "atomos.raw-message 1",
        "atomos.schedule 1",
        "codec.paid 2",
        "codec.paid 3",
        "schedule:nightly 0 2 * * * UTC last",
    )


def test_an_answer_is_read_as_it_was_told() -> None:
    told = Created(value=Total(amount=Decimal("1.10")))
    assert CODEC.decode_answer(Charge, CODEC.encode_answer(told)) == told


def test_an_answer_of_another_shape_is_a_clear_error() -> None:
    with pytest.raises(StoredAnswer, match=r"ATM072: Charge was carried out, but its answer: .*amount"):
        CODEC.decode_answer(Charge, '{"created": true, "value": {"sum": 1}}')


def test_it_names_what_it_reads_with_older_versions_from_which_upcasters_lead() -> None:
    same = {("codec.paid", 2): dict, ("codec.paid", 1): dict}
    reads = Codec([Paid], same).reads
    assert [form for form in reads if form.startswith("codec.")] == [
        "codec.paid 1",
        "codec.paid 2",
        "codec.paid 3",
    ]
