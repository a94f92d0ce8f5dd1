"""What of a stored message may be shown: what is marked `Sensitive` is hidden, and so is what nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from ...domain.constraints import is_sensitive
from ...domain.messages import Created, Message, answer_of
from ..concealing import HIDDEN
from ..injection import members
from .stored import StoredMessage


class Shown:
    """Knows the messages of an application by their wire names.

    A field that the class of this name does not have is hidden: an older version may have kept a secret in it.
    """

    def __init__(self, messages: Iterable[type[Message]]) -> None:
        self._classes = {each.wire_name: each for each in messages}

    def payload(self, message: StoredMessage) -> Any:
        """Give the fields of a message as they may be shown."""
        return _of_class(message.payload, self._classes.get(message.name))

    def answer(self, message: StoredMessage) -> Any:
        """Give what its sender was told, as it may be shown; None where nothing is stored."""
        cls = self._classes.get(message.name)
        if message.answer is None or cls is None:
            return None if message.answer is None else HIDDEN
        value = message.answer.get("value")
        return {**message.answer, "value": _of_any(value, [_inside(k) for k in members(answer_of(cls))])}


def _inside(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Created else kind


def _of_class(value: Any, cls: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if cls is None:
        return dict.fromkeys(value, HIDDEN)
    hints = get_type_hints(cls, include_extras=True)
    return {
        name: HIDDEN if name not in hints or is_sensitive(hints[name]) else _of_any(each, [hints[name]])
        for name, each in value.items()
    }


def _of_any(value: Any, kinds: Iterable[Any]) -> Any:
    """Show a value of one of several kinds; an object is read as the class that has all of its fields."""
    if isinstance(value, Mapping):
        classes = (cls for kind in kinds for cls in _classes_in(kind))
        fitting = [cls for cls in classes if value.keys() <= get_type_hints(cls).keys()]
        return _of_class(value, fitting[0] if fitting else None)
    if isinstance(value, list):
        return [_of_any(each, kinds) for each in value]
    return value


def _classes_in(kind: Any) -> list[type[Any]]:
    if isinstance(kind, type) and is_dataclass(kind):
        return [kind]
    if (origin := get_origin(kind)) is not None and is_dataclass(origin):
        return [origin, *(cls for each in get_args(kind) for cls in _classes_in(each))]  # type: ignore[list-item]
    return [cls for each in get_args(kind) for cls in _classes_in(each)]
