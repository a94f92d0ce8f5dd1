"""The wire form of messages and answers: JSON, by msgspec."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, get_args, get_origin

import msgspec

from ..domain.messages import Created, Message, answer_of
from ..service.errors import Unreadable
from ..service.injection import members


class Codec:
    """Turns the messages of one application into JSON text, and back."""

    def __init__(self, messages: Iterable[type[Message]]) -> None:
        self._encoder = msgspec.json.Encoder(decimal_format="string")
        self._classes = {(m.wire_name, m.wire_version): m for m in messages}
        self._versions = {m.wire_name: m.wire_version for m in self._classes.values()}

    def encode(self, message: Message) -> str:
        """Write a message's fields as a JSON object."""
        return self._encoder.encode(message).decode()

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
        return self._encoder.encode(
            {"created": created, "value": answer.value if created else answer}
        ).decode()

    def decode_answer(self, message: type[Message], stored: str) -> Any:
        """Read the answer that the sender of such a message was told."""
        document = msgspec.json.decode(stored)
        value = msgspec.convert(document["value"], _value_type(message))
        return Created(value=value) if document["created"] else value


def fingerprint(message: Message, payload: str) -> str:
    """Tell two contents apart: a hash of the name, the version and the fields."""
    text = f"{message.wire_name} {message.wire_version} {payload}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _value_type(message: type[Message]) -> Any:
    kinds = [get_args(k)[0] if get_origin(k) is Created else k for k in members(answer_of(message))]
    union = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return union
