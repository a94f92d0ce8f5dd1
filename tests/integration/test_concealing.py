"""What is `Sensitive` in a message is in no error that is stored, in no problem and in no line of the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import structlog
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from atomos.core.adapters import Database
from atomos.core.adapters.logs import configure
from atomos.core.api import Entrypoints, ask, emit, install
from atomos.core.domain import (
    Command,
    Event,
    InvalidMessage,
    Problem,
    Query,
    RuleBroken,
    Sensitive,
    ValueObject,
)
from atomos.core.service import Routes, WiringError
from atomos.core.service.concealing import HIDDEN, concealing, secrets_of
from atomos.core.service.failures import said
from atomos.testing.processes import wait_until

from .worker_samples import COUNTS, Bells, BellsUnitOfWork, Script

MARK = "5EC3T"
SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).map(
    lambda text: f"{text}{MARK}{text}"
)


class Card(ValueObject):
    number: Sensitive[str]
    holder: str = "Ana"


class Paying(ValueObject):
    pin: Sensitive[str]
    cards: tuple[Card, ...] = ()
    codes: Sensitive[tuple[str, ...]] = ()
    amount: int = 1


class Paid(Paying, Event, name="cards.paid"):
    """Triggers a payment."""


class Told(Paying, Event, name="cards.told"):
    """Heard by a reaction."""


class Pay(Command, name="cards.pay"):
    note: str


class Lookup(Query[None], name="cards.lookup"):
    pin: Sensitive[str]


def texts(message: Any) -> str:
    """Everything that is in a message, as careless code writes it."""
    raw = [message.pin, *(card.number for card in message.cards), *message.codes]
    return f"{' '.join(raw)} {raw!r} {json.dumps(raw)} {json.dumps(raw, ensure_ascii=False)} {message!r}"


def raising(kind: Callable[[str], Exception]) -> Callable[[Any], None]:
    def raise_it(message: Any) -> None:
        text = message.note if isinstance(message, Pay) else texts(message)
        structlog.get_logger("careless").warning("paying", what=text, parts=[text, {"a": text}])
        raise kind(text) from KeyError(text)

    return raise_it


KINDS: list[Callable[[str], Exception]] = [
    RuleBroken,
    ValueError,
    lambda text: InvalidMessage("Other", (Problem("/pin", text),)),
]


def pay(event: Paid) -> Pay:
    return Pay(note=texts(event))


def carry_out(command: Pay, uow: BellsUnitOfWork, script: Script) -> None:
    """Its own field is not marked: that it came from one that is, is known by the event."""
    with uow:
        script.perform("carry_out", command)
        uow.session.execute(insert(COUNTS).values(id="no number", bell=command.note, number=command.note))
        return uow.commit()


def tell(event: Told, script: Script) -> None:
    script.perform("tell", event)


def lookup(query: Lookup) -> None:
    raise RuleBroken(f"The pin {query.pin} is wrong.")


ROUTES = Routes(
    triggers={Paid: [pay]},
    commands={Pay: carry_out},
    reactions={Told: [tell]},
    queries={Lookup: lookup},
)


class Heard(Script):
    def perform(self, listener: str, message: Any) -> Any:
        return self.deeds.get(listener, lambda _: None)(message)


@pytest.fixture
def bells(log_database: Database) -> Bells:
    made = Bells(log_database, routes=ROUTES)
    made.script.__class__ = Heard
    return made


def served(bells: Bells) -> Flask:
    blueprint = Entrypoints("cards", __name__)

    @blueprint.post("/payments")
    def receive_payment(event: Paid) -> None:
        """Pay."""
        return emit(event)

    @blueprint.get("/lookup")
    def look_up(query: Lookup) -> None:
        """Look up."""
        return ask(query)

    app = Flask("cards")
    install(app, bus=bells.bus, blueprints=[blueprint])
    return app


def lines_with_mark(*texts: str) -> list[str]:
    return [line[:500] for text in texts for line in text.splitlines() if MARK in line]


PAYMENTS = st.fixed_dictionaries(
    {
        "pin": SECRETS,
        "cards": st.lists(st.fixed_dictionaries({"number": SECRETS}), max_size=2),
        "codes": st.lists(SECRETS, max_size=2),
    }
)
HERE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", ["json", "console"])
@HERE
@given(st.data())
def test_no_problem_and_no_line_of_the_log_has_it(
    bells: Bells, capsys: pytest.CaptureFixture[str], form: Any, data: st.DataObject
) -> None:
    configure("debug", form)
    body, kind = data.draw(PAYMENTS), data.draw(st.sampled_from([None, *KINDS]))
    bells.script.deeds = {"carry_out": raising(kind)} if kind else {}
    answer = served(bells).test_client().post("/payments", json=body)
    logged = capsys.readouterr().err
    assert answer.status_code == (422 if kind is RuleBroken else 500)
    assert "http." in logged
    assert lines_with_mark(answer.text) == []
    assert lines_with_mark(logged) == []


@HERE
@given(PAYMENTS, st.sampled_from(KINDS))
def test_no_error_that_is_stored_has_it(
    bells: Bells, capsys: pytest.CaptureFixture[str], body: dict[str, Any], kind: Callable[[str], Exception]
) -> None:
    configure("debug", "json")
    bells.script.deeds = {"tell": raising(kind)}
    before = len(bells.rows())
    cards = tuple(Card(number=each["number"]) for each in body["cards"])
    bells.bus.send_later(Told(pin=body["pin"], cards=cards, codes=tuple(body["codes"])))
    worker = bells.worker()
    worker.start()
    wait_until(lambda: len(bells.rows()) > before and all(row.errors for row in bells.rows()), 30, "an error")
    worker.stop()
    errors = [each for row in bells.rows() for each in row.errors]
    assert any(HIDDEN in each for each in errors)
    assert lines_with_mark(*errors) == []
    assert lines_with_mark(capsys.readouterr().err) == []


class State(Enum):
    UNWELL = "state-7"
    HEALTHY = "state-8"


class Typed(ValueObject):
    code: Sensitive[int]
    amount: Sensitive[Decimal]
    born: Sensitive[date]
    at: Sensitive[datetime]
    ref: Sensitive[UUID]
    state: Sensitive[State]


TYPED = st.builds(
    Typed,
    code=st.integers(min_value=100, max_value=2**60),
    amount=st.decimals(10**7, 10**9, places=2),
    born=st.dates(max_value=date(1999, 12, 31)),
    at=st.datetimes(max_value=datetime(1999, 12, 31), timezones=st.just(UTC)),
    ref=st.uuids(),
    state=st.sampled_from(State),
)


@pytest.mark.parametrize("form", ["json", "console"])
@HERE
@given(TYPED)
def test_what_is_no_text_is_hidden_as_whatever_it_is_said(
    capsys: pytest.CaptureFixture[str], form: Any, secret: Typed
) -> None:
    configure("debug", form)
    values = [getattr(secret, name) for name in ("code", "amount", "born", "at", "ref", "state")]
    log = structlog.get_logger("careless")
    with suppress(ValueError), concealing(secret):
        log.warning(
            "as they are", code=secret.code, amount=secret.amount, born=secret.born, ref=secret.ref, number=7
        )
        log.warning(
            "inside", several=set(values), by={str(secret.ref): values}, error=ValueError(secret.born)
        )
        log.warning("keys", by=dict.fromkeys([*values, tuple(values), frozenset(values)], 1))
        logging.getLogger("library").warning("%s %r %s", secret.code, secret.at, secret.ref.hex)
        failed = ValueError(f"{values} {secret.born} {secret.ref.hex} {secret.at.isoformat()}")
        log.warning("caught", exc_info=failed)
        raise failed
    log.warning("later", exc_info=failed)
    told = capsys.readouterr().err + said(failed)
    assert ('"number": 7,' if form == "json" else "number=7") in told
    assert "could not be written" not in told
    shown = [form_of(value) for value in values for form_of in (str, repr)]
    assert [
        each for each in (*shown, secret.ref.hex, secret.at.isoformat(), secret.state.name) if each in told
    ] == []


class Broken:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        raise ValueError(self.text)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_that_cannot_be_written_is_told_without_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    # Those of pytest raise what our own one reports.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure("debug", form)
    with concealing(Lookup(pin=MARK)):
        structlog.get_logger("careless").warning("broken", what=Broken(MARK), pin=MARK)
        logging.getLogger("library").warning("%d", MARK)
        logging.getLogger("library").warning("%s and %s", MARK)  # noqa: PLE1206
    logged = capsys.readouterr().err
    assert logged.count("could not be written") == 3
    assert "A line of library (" in logged
    assert "test_concealing.py:" in logged
    assert lines_with_mark(logged) == []


def test_a_path_that_would_have_it_is_refused_at_the_start(bells: Bells) -> None:
    blueprint = Entrypoints("cards", __name__)

    @blueprint.get("/cards/<pin>")
    def look_up(query: Lookup) -> None:
        """Look up."""
        return ask(query)

    with pytest.raises(WiringError, match="the path has pin, which is Sensitive"):
        install(Flask("cards"), bus=bells.bus, blueprints=[blueprint])


def test_what_a_handler_says_of_a_query_is_told_without_it(bells: Bells) -> None:
    answer = served(bells).test_client().get("/lookup?pin=4711")
    assert (answer.status_code, answer.json["detail"]) == (422, f"The pin {HIDDEN} is wrong.")


def test_a_message_without_anything_sensitive_costs_no_search() -> None:
    assert secrets_of(Pay(note="4711")) == frozenset()


def test_what_is_looked_for_is_every_value_but_the_shortest() -> None:
    found = secrets_of(Told(pin="4711", cards=(Card(number="4111 1111"),), codes=("ab", "abc"), amount=99999))
    assert {"4711", "4111 1111", "abc"} <= found
    assert "ab" not in found
    assert "99999" not in found
    assert "Ana" not in found
