"""Injection: signatures read by reflection, and parameters bound to what the container offers."""

from __future__ import annotations

import functools
import subprocess
from abc import ABC
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import pytest

from atomos.core.domain import Command, Created, Event, Length
from atomos.core.service.injection import (
    Bound,
    Unread,
    classes_in,
    fits,
    members,
    place_of,
    said,
    signature_of,
)

if TYPE_CHECKING:
    from decimal import Decimal

HERE = f"{__name__.replace('.', '/')}.py"


class Happened(Event, name="test.happened"):
    what: str


class Do(Command, name="test.do"):
    pass


class DoMore(Command, name="test.do-more"):
    pass


class Port(ABC):  # noqa: B024 - only its class matters
    pass


class Adapter(Port):
    pass


class Speaking(Protocol):
    def speak(self) -> None: ...


def handle(event: Happened, port: Port, *, size: int) -> str:
    return f"{event.what} {type(port).__name__} {size}"


def test_a_bound_function_gets_the_message_and_what_its_names_stand_for() -> None:
    bound = Bound(handle, {"port": Adapter, "size": lambda: 5})

    assert bound(Happened(what="it")) == "it Adapter 5"


def test_a_bound_function_asks_for_its_collaborators_each_time() -> None:
    sizes = iter([1, 2])
    bound = Bound(handle, {"port": Adapter, "size": lambda: next(sizes)})

    assert [bound(Happened(what="it")) for _ in range(2)] == ["it Adapter 1", "it Adapter 2"]


# Signatures.


def test_a_signature_is_the_message_the_collaborators_and_the_answer() -> None:
    signature = signature_of(handle)

    assert signature.message is Happened
    assert signature.collaborators == {"port": Port, "size": int}
    assert signature.returns is str
    assert signature.problems == ()


def test_a_decorated_function_has_the_signature_of_what_it_wraps() -> None:
    @functools.wraps(handle)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return handle(*arguments, **named)

    assert signature_of(wrapped) == signature_of(handle)


def test_a_constraint_in_an_annotation_does_not_matter() -> None:
    def handler(event: Annotated[Happened, "heard"], name: Annotated[str, Length(1)]) -> None: ...

    signature = signature_of(handler)
    assert (signature.message, signature.collaborators) == (Happened, {"name": str})


def test_what_cannot_be_read_is_told_by_name_and_the_rest_is_read() -> None:
    def handler(event: Happened, price: Decimal, port: Port, colour: Port.Colour) -> Decimal: ...  # type: ignore[name-defined]

    signature = signature_of(handler)

    assert signature.message is Happened
    assert signature.collaborators == {"price": Unread, "port": Port, "colour": Unread}
    assert signature.returns is Unread
    assert [(code, detail.partition(" is ")[0]) for code, detail in signature.problems] == [
        ("ATM007", "parameter price"),
        ("ATM007", "parameter colour"),
        ("ATM007", "the return annotation"),
    ]


def test_a_function_without_annotations_says_nothing() -> None:
    def handler(event): ...  # type: ignore[no-untyped-def]

    signature = signature_of(handler)
    assert signature.message is None
    assert not signature.says_its_answer


# Places.


def test_a_function_is_placed_where_it_is_written() -> None:
    assert place_of(handle) == f"{HERE}:{handle.__code__.co_firstlineno} handle"


def test_a_decorated_function_is_placed_where_it_is_written() -> None:
    assert place_of(functools.wraps(handle)(lambda: None)) == place_of(handle)


def test_a_class_is_placed_where_it_is_written() -> None:
    lines = Path(__file__).read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("class Adapter"))

    assert place_of(Adapter) == f"{HERE}:{line} Adapter"


def test_what_is_in_the_init_of_a_package_is_placed_in_that_file() -> None:
    assert place_of(subprocess.Popen).startswith("subprocess.py:")
    assert place_of(pytest.importorskip("json").loads).startswith("json/__init__.py:")


def test_what_has_no_source_is_placed_by_its_module() -> None:
    assert place_of(len) == "builtins:0 len"
    assert place_of(dict) == "builtins:0 dict"


# Annotations.


@pytest.mark.parametrize(
    ("annotation", "parts"),
    [
        (int, {int}),
        (None, {type(None)}),
        (int | None, {int, type(None)}),
        (Created[int] | int, {Created[int], int}),
        (Annotated[int | str, "x"] | None, {int, str, type(None)}),
        (list[int], {list[int]}),
    ],
)
def test_a_union_is_taken_apart(annotation: Any, parts: set[Any]) -> None:
    assert members(annotation) == parts


@pytest.mark.parametrize(
    ("annotation", "commands"),
    [
        (Do, (Do,)),
        (Do | None, (Do,)),
        (list[Do | DoMore] | None, (Do, DoMore)),
        (tuple[DoMore, Do, Do], (DoMore, Do)),
        (dict[str, list[Do]], (Do,)),
        (Happened | None, ()),
        (None, ()),
    ],
)
def test_classes_are_found_however_deep(annotation: Any, commands: tuple[type, ...]) -> None:
    assert classes_in(annotation, Command) == commands


@pytest.mark.parametrize(
    ("made", "annotation", "is_fit"),
    [
        (Adapter, Port, True),
        (Adapter, Adapter, True),
        (Port, Adapter, False),
        (Adapter, Port | None, True),
        (Adapter, int | str, False),
        (Adapter, Any, True),
        (Adapter, object, True),
        (Adapter, Speaking, False),
        (Adapter, "Port", False),
        (dict, Mapping[str, int], True),
        (type(handle), Callable[[int], int], True),
        (None, Port, False),
        (None, Any, False),
        (Unread, Port, True),
        (Adapter, Unread, True),
    ],
)
def test_what_is_made_fits_what_is_wanted_if_it_is_one(
    made: type | None, annotation: Any, is_fit: bool
) -> None:
    assert fits(made, annotation) is is_fit


@pytest.mark.parametrize(
    ("annotation", "written"),
    [
        (int, "int"),
        (None, "None"),
        (Created[Happened] | Happened | None, "Created[Happened] | Happened | None"),
        (tuple[Happened, ...], "tuple[Happened, ...]"),
        (dict[str, int | None], "dict[str, None | int]"),
        (Any, "Any"),
    ],
)
def test_an_annotation_is_written_without_modules(annotation: Any, written: str) -> None:
    assert said(annotation) == written
