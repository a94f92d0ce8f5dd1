"""The wire form of messages and answers: JSON, by msgspec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from hashlib import blake2b
from typing import Any, get_args, get_origin

import msgspec

from ..domain.messages import Created, Message, answer_of
from ..service.errors import Unreadable
from ..service.injection import members

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Codec:
    """Turns the messages of one application into JSON text, and back."""

    def __init__(self, messages: Iterable[type[Message]]) -> None:
        self._classes = {(m.wire_name, m.wire_version): m for m in messages}
        self._versions = {m.wire_name: m.wire_version for m in self._classes.values()}

    def encode(self, message: Message) -> str:
        """Write a message's fields as a JSON object."""
        return _ENCODER.encode(message).decode()

    def decode(self, name: str, version: int, payload: str) -> Message:
        """Read a stored message. Raises `Unreadable`."""
        cls = self._classes.get((name, version))
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
        """Read the answer that the sender of such a message was told."""
        document = msgspec.json.decode(stored)
        value = msgspec.convert(document["value"], _value_type(message))
        return Created(value=value) if document["created"] else value


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
