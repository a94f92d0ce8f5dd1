"""What of a stored message is shown: everything but what is sensitive, at whatever depth, or what nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from atomos.core.domain import Created, Event, Sensitive, ValueObject
from atomos.core.service.operations import HIDDEN, Shown, StoredMessage


class Card(ValueObject):
    number: Sensitive[str]
    holder: str


class Receipt(ValueObject):
    id: int
    code: Sensitive[str | None] = None


class Paid(Event[Created[Receipt] | Receipt], name="shown.paid"):
    order: str
    pin: Sensitive[str]
    card: Card
    others: tuple[Card, ...] = ()
    tags: tuple[str, ...] = ()
    extra: dict[str, str] | None = None


SHOWN = Shown([Paid])
CARD = {"number": "4111", "holder": "Ana"}


def stored(payload: dict[str, Any], answer: Any = None, name: str = "shown.paid") -> StoredMessage:
    return StoredMessage("i", "event", name, 1, None, "c", None, "ana", datetime.now(UTC), 0, payload, answer)


def test_what_is_sensitive_is_hidden_at_whatever_depth() -> None:
    payload = {"order": "o-1", "pin": "1234", "card": CARD, "others": [CARD], "tags": ["a"]}
    hidden = {"number": HIDDEN, "holder": "Ana"}
    assert SHOWN.payload(stored(payload)) == {
        "order": "o-1",
        "pin": HIDDEN,
        "card": hidden,
        "others": [hidden],
        "tags": ["a"],
    }


def test_a_field_that_the_class_does_not_have_is_hidden() -> None:
    assert SHOWN.payload(stored({"order": "o-1", "password": "x"})) == {"order": "o-1", "password": HIDDEN}


def test_an_object_that_no_class_describes_is_hidden() -> None:
    assert SHOWN.payload(stored({"extra": {"a": "b"}, "card": {"what": "x"}})) == {
        "extra": {"a": HIDDEN},
        "card": {"what": HIDDEN},
    }


def test_of_a_message_that_this_build_does_not_have_nothing_is_shown() -> None:
    message = stored({"order": "o-1"}, {"created": False, "value": 1}, "shown.unknown")
    assert SHOWN.payload(message) == {"order": HIDDEN}
    assert SHOWN.answer(message) == HIDDEN


def test_answers_are_shown_in_the_same_way() -> None:
    answer = {"created": True, "value": {"id": 7, "code": "secret"}}
    assert SHOWN.answer(stored({}, answer)) == {"created": True, "value": {"id": 7, "code": HIDDEN}}
    assert SHOWN.answer(stored({}, {"created": False, "value": None})) == {"created": False, "value": None}
    assert SHOWN.answer(stored({})) is None
