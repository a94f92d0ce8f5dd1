"""Keeps what is `Sensitive` in a message out of every text about its handling: errors, problems, logs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from uuid import UUID

from ..domain.constraints import is_sensitive

HIDDEN = "(hidden)"
"""What is shown instead of a sensitive value."""

LEAST_LENGTH = 3
"""A value of fewer characters is not looked for in texts: it would be found everywhere."""

_PLAIN = (str, int, float, bytes, NoneType, Decimal, date, time, timedelta, UUID, Enum)
_NOTHING: AbstractContextManager[None] = nullcontext()
_IN_HAND: ContextVar[frozenset[str]] = ContextVar("atomos_secrets", default=frozenset())
_KEPT = "__atomos_secrets__"


def concealing(message: Any) -> AbstractContextManager[None]:
    """Keep what is sensitive in a message out of what is logged in a `with` block, and of errors that leave it."""
    secrets = secrets_of(message)
    return _Concealing(secrets) if secrets else _NOTHING


def secrets_of(message: Any) -> frozenset[str]:
    """Give the sensitive values in a message, at whatever depth, in each form in which a text may have them."""
    return frozenset(
        form for value in _sensitive(message) for form in _forms(value) if len(form) >= LEAST_LENGTH
    )


def concealed(text: str, error: BaseException | None = None) -> str:
    """Give a text without the sensitive values of the message in hand, and of the one that led to an error."""
    return hide(text, known_secrets(error))


def known_secrets(error: BaseException | None = None) -> frozenset[str]:
    """Give what must not be said just now: of the message in hand, and of the one that led to an error."""
    return _IN_HAND.get() | _of_error(error)


def hide(text: str, secrets: frozenset[str]) -> str:
    """Replace each secret in a text."""
    # The longest first: a shorter one may be a part of it.
    for each in sorted(secrets, key=len, reverse=True):
        text = text.replace(each, HIDDEN)
    return text


class _Concealing:
    def __init__(self, secrets: frozenset[str]) -> None:
        self._secrets = secrets

    def __enter__(self) -> None:
        self._token = _IN_HAND.set(_IN_HAND.get() | self._secrets)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        _IN_HAND.reset(self._token)
        if error is not None:
            # An error is told long after: with it goes what it must not say.
            error.__dict__[_KEPT] = error.__dict__.get(_KEPT, frozenset()) | self._secrets


def _of_error(error: BaseException | None) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found |= error.__dict__.get(_KEPT, frozenset())
        error = error.__cause__ or error.__context__
    return found


def _sensitive(value: Any) -> Iterator[Any]:
    """Give the leaves of what is sensitive in a value."""
    if is_dataclass(value) and not isinstance(value, type):
        for name, is_secret in _looked_at(type(value)):
            yield from (_leaves if is_secret else _sensitive)(getattr(value, name))
    else:
        for each in _inside(value) or ():
            yield from _sensitive(each)


def _leaves(value: Any) -> Iterator[Any]:
    inside = _inside(value)
    if inside is None:
        yield value
    else:
        for each in inside:
            yield from _leaves(each)


def _inside(value: Any) -> Collection[Any] | None:
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name) for each in fields(value)]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (tuple, list, set, frozenset)) else None


@cache
def _looked_at(cls: type[Any]) -> tuple[tuple[str, bool], ...]:
    """Name the fields in which something sensitive can be, and whether all of each is."""
    hints = get_type_hints(cls, include_extras=True)
    own = ((each.name, hints[each.name]) for each in fields(cls))
    return tuple(
        (name, is_sensitive(hint)) for name, hint in own if is_sensitive(hint) or not _is_plain(hint)
    )


def _is_plain(hint: Any) -> bool:
    if isinstance(hint, type) and not get_args(hint):
        return issubclass(hint, _PLAIN)
    parts = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return bool(parts) and all(_is_plain(each) for each in parts)


def _forms(value: Any) -> Iterator[str]:
    if isinstance(value, Enum):
        yield value.name or ""
        value = value.value
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, bytes):
        yield repr(value)[2:-1]
        yield value.hex()
        return
    plain = {str(value)} if isinstance(value, str) else {str(value), repr(value)}
    plain |= {value.isoformat()} if isinstance(value, (date, time)) else set()
    plain |= {value.hex} if isinstance(value, UUID) else set()
    once = plain | _escaped(plain)
    # Twice, because an error may show the representation of a text in which there is one already.
    yield from once | _escaped(once)


def _escaped(texts: set[str]) -> set[str]:
    return {form(each)[1:-1] for form in (repr, _quoted, json.dumps, _json) for each in texts}


def _quoted(text: str) -> str:
    # As `repr` writes it where there are quotes of both kinds around.
    return repr(f"\"'{text}")[3:]


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
