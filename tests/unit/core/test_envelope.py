"""The envelope: what a message inherits, who may, and ids that make repeats harmless."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.service import SYSTEM, Envelope, NoHandling, Principal
from atomos.core.service.envelope import derived_id, hashed_id, new_id

NAMES = st.lists(st.text() | st.integers(), min_size=1, max_size=4)

ENVELOPE = Envelope(
    id="0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e",
    correlation_id="0190b3a2-0000-7c1a-9c53-0f6a1f3b2d4e",
    causation_id=None,
    sent_at=datetime(2026, 1, 31, tzinfo=UTC),
    ordering_key="red",
    principal="ana",
    traceparent="00-1-2-01",
)


def test_what_a_message_led_to_inherits_all_but_its_id_and_its_key() -> None:
    caused = ENVELOPE.caused("0190b3a2-7f6e-8c1a-9c53-0f6a1f3b2d4e", "blue")

    assert caused == ENVELOPE._replace(
        id="0190b3a2-7f6e-8c1a-9c53-0f6a1f3b2d4e", causation_id=ENVELOPE.id, ordering_key="blue"
    )


def test_an_effect_has_an_id_only_while_a_message_is_handled() -> None:
    with pytest.raises(NoHandling):
        ENVELOPE.effect_id()


def test_new_ids_are_sorted_and_differ() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {UUID(each).version for each in ids} == {7}


@given(names=NAMES)
def test_a_derived_id_is_the_same_every_time(names: list[str | int]) -> None:
    parent = new_id()

    assert derived_id(parent, *names) == derived_id(parent, *names)


@given(names=NAMES, parent=st.uuids())
def test_a_derived_id_is_a_canonical_uuid_of_version_8(names: list[str | int], parent: UUID) -> None:
    for made in (derived_id(str(parent), *names), hashed_id(*names)):
        assert str(UUID(made)) == made
        assert (UUID(made).version, UUID(made).variant) == (8, "specified in RFC 4122")


@given(names=NAMES)
def test_a_derived_id_is_sorted_beside_its_parent(names: list[str | int]) -> None:
    parent = new_id()

    assert derived_id(parent, *names)[:13] == parent[:13]


@given(one=NAMES, other=NAMES)
def test_other_names_give_another_id(one: list[str | int], other: list[str | int]) -> None:
    parent = new_id()

    assert (derived_id(parent, *one) == derived_id(parent, *other)) == (one == other)
    assert (hashed_id(*one) == hashed_id(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), ((1,), ("1",)), (("a", 12), ("a", 1, 2)), (("a",), ("a", ""))],
)
def test_names_are_not_run_together(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert derived_id(ENVELOPE.id, *one) != derived_id(ENVELOPE.id, *other)


def test_two_parents_of_one_instant_derive_two_ids() -> None:
    twin = ENVELOPE.id[:13] + new_id()[13:]

    assert derived_id(ENVELOPE.id, "a") != derived_id(twin, "a")


def test_derived_ids_stay_what_they_were_when_stored() -> None:
    assert derived_id(ENVELOPE.id, "allocation.reallocate", 0) == "0190b3a2-7f6e-8850-8fb1-6b4825d295d6"
    assert hashed_id("http", "ana", "POST /orders", "k-1") == "2bfc2f9f-3bb9-8158-8869-0b1b5067bf1d"


@pytest.mark.parametrize(
    ("principal", "may"),
    [
        (SYSTEM, True),
        (Principal("ana", frozenset(["orders:read", "orders:write"])), True),
        (Principal("bob", frozenset(["orders:read"])), False),
        (Principal("eve", frozenset()), False),
    ],
)
def test_a_principal_may_what_was_granted(principal: Principal, may: bool) -> None:
    assert principal.may("orders:write") is may
