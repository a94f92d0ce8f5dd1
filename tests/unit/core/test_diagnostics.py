"""Diagnostics: findings and errors that say what is wrong, where, and what to do."""

from __future__ import annotations

import pickle

import pytest

from atomos.core.domain import AtomosError
from atomos.core.service import REGISTRY, Conflict, Finding, InFlight, NotPermitted, WiringError
from atomos.core.service.diagnostics import Diagnosed

FINDING = Finding(
    "ATM008", "shop/handlers.py:12 reserve", "parameter uwo: shop offers uow; did you mean uow?"
)
OTHER = Finding("ATM001", "shop/commands.py:5 Pack", "Placed triggers it, and no `commands` table has it")


def test_a_finding_is_written_with_its_code_place_detail_and_remedy() -> None:
    assert str(FINDING).splitlines() == [
        "ATM008 A parameter is not offered",
        "  shop/handlers.py:12 reserve: parameter uwo: shop offers uow; did you mean uow?",
        "  Rename the parameter after a provider, or add the provider to the context's container.",
    ]


def test_a_wiring_error_counts_and_sorts_its_findings() -> None:
    error = WiringError([FINDING, OTHER])

    assert error.findings == [OTHER, FINDING]
    assert error.code == "ATM001"
    assert str(error) == f"2 mistakes in the wiring; nothing was started.\n\n{OTHER}\n\n{FINDING}"


def test_a_single_mistake_is_counted_as_one() -> None:
    assert str(WiringError([OTHER])).startswith("1 mistake in the wiring; nothing")


def test_an_error_without_words_says_its_cause_and_its_remedy() -> None:
    entry = REGISTRY["ATM039"]

    assert str(InFlight()) == f"ATM039: {entry.cause} {entry.remedy}"


def test_an_error_with_words_says_them_and_its_remedy() -> None:
    assert str(NotPermitted("Placed requires x, which ana does not have.")) == (
        f"ATM042: Placed requires x, which ana does not have. {REGISTRY['ATM042'].remedy}"
    )


def test_an_error_travels_with_its_words() -> None:
    arrived = pickle.loads(pickle.dumps(Conflict("sku-7 was changed.")))  # noqa: S301

    assert isinstance(arrived, Conflict)
    assert str(arrived) == str(Conflict("sku-7 was changed."))


@pytest.mark.parametrize("error", Diagnosed.__subclasses__(), ids=lambda error: error.__name__)
def test_every_error_has_a_diagnostic(error: type[Diagnosed]) -> None:
    assert error.code in REGISTRY
    assert issubclass(error, AtomosError)
