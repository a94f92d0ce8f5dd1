"""The wire form of messages and answers: JSON, by msgspec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, get_args, get_origin

import msgspec

from ..domain.messages import Created, Message, answer_of
from ..service.errors import StoredAnswer, Unreadable
from ..service.injection import members, place_of
from ..service.receiving import RawMessage
from ..service.routes import Upcaster
from ..service.schedules import Planned

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Codec:
    """Turns the messages of one application into JSON text, and back.

    `upcasts` leads from older versions of them to today's, a version at a time. `declares` is how this build
    declares its schedules: workers tell it with what they can read.
    """

    def __init__(
        self,
        messages: Iterable[type[Message]],
        upcasts: Mapping[tuple[str, int], Upcaster] = MappingProxyType({}),
        declares: Iterable[str] = (),
    ) -> None:
        known: tuple[type[Message], ...] = (*messages, Planned, RawMessage)
        self._classes = {(m.wire_name, m.wire_version): m for m in known}
        self._versions = {m.wire_name: m.wire_version for m in self._classes.values()}
        self._upcasts = upcasts
        self._declares = tuple(declares)

    @property
    def reads(self) -> tuple[str, ...]:
        """Name all that it can read, with the version: `allocation.allocated 1`; and how schedules are declared."""
        forms = {*self._classes, *(form for form in self._upcasts if self._today(*form) in self._classes)}
        return tuple(sorted([*(f"{name} {version}" for name, version in forms), *self._declares]))

    def encode(self, message: Message) -> str:
        """Write a message's fields as a JSON object."""
        return _ENCODER.encode(message).decode()

    def decode(self, name: str, version: int, payload: str) -> Message:
        """Read a stored message, of an older version too if upcasters lead from it. Raises `Unreadable`."""
        _, today = form = self._today(name, version)
        for older in range(version, today):
            payload = self._upcast(name, older, payload)
        cls = self._classes.get(form)
        if cls is None:
            known = f"version {self._versions[name]}" if name in self._versions else "no message of that name"
            raise Unreadable(f"{name} version {version} is stored; this build has {known}.")
        try:
            return msgspec.json.decode(payload, type=cls)
        except msgspec.ValidationError as error:
            raise Unreadable(f"{name} version {version}: {error}.") from error

    def encode_answer(self, answer: Any) -> str:
        """Write an answer; what is new is told from what was there before."""
        created = isinstance(answer, Created)
        return _ENCODER.encode({"created": created, "value": answer.value if created else answer}).decode()

    def decode_answer(self, message: type[Message], stored: str) -> Any:
        """Read the answer that the sender of such a message was told. Raises `StoredAnswer`."""
        document = msgspec.json.decode(stored)
        try:
            value = msgspec.convert(document["value"], _value_type(message))
        except msgspec.ValidationError as error:
            raise StoredAnswer(f"{message.__name__} was carried out, but its answer: {error}.") from error
        return Created(value=value) if document["created"] else value

    def _today(self, name: str, version: int) -> tuple[str, int]:
        while (name, version) in self._upcasts and (name, version) not in self._classes:
            version += 1
        return name, version

    def _upcast(self, name: str, version: int, payload: str) -> str:
        upcast = self._upcasts[name, version]
        try:
            return _ENCODER.encode(upcast(msgspec.json.decode(payload))).decode()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise Unreadable(f"{name} version {version}: {place_of(upcast)} failed, {said}.") from error


def fingerprint(message: Message) -> str:
    """Tell two contents apart: a hash of the name, the version and the fields.

    A field that has its default does not count: adding one must not make a repeat from before look different.
    """
    kind: Any = type(message)
    given = ((name, default, getattr(message, name)) for name, default in _defaults(kind))
    said = {name: value for name, default, value in given if value != default}
    text = _ENCODER.encode((message.wire_name, message.wire_version, said))
    return blake2b(text, digest_size=16).hexdigest()


@cache
def _defaults(message: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(message))


def _value_type(message: type[Message]) -> Any:
    kinds = [get_args(k)[0] if get_origin(k) is Created else k for k in members(answer_of(message))]
    union = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return union
