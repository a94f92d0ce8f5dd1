"""How settings are shown to people: as rows, with every secret hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeGuard, get_args, get_type_hints

import msgspec

from ..core.domain.constraints import Secret

Key = tuple[str, ...]
"""Where a setting is: `("database", "url")`, which people read as `database.url`."""

HIDDEN = "(hidden)"
"""What is shown instead of a secret."""

# Everything up to the last @, because a password that was not escaped may hold one: rather too much than
# too little.
_PASSWORD = re.compile(r"(?s)^(.*?://[^:@]*|(?!.*://)[^:@]*):.*@")
_PARAMETER = re.compile(r"(?i)([?&;][^=&;#]*(?:pass|pwd|secret|token|key)[^=&;#]*=)[^&]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting as `atomos config` prints it."""

    key: str
    """Such as `database.url`."""

    shown: str
    """The value: a text as it is, everything else as JSON, and `(hidden)` or `***` for secrets."""

    source: str
    """The file or environment variable that gave it, or `code`."""


def rows(part: Any, at: Key, sources: Mapping[str, str]) -> Iterator[Row]:
    """Make the rows of one section, which is an instance of a dataclass, and of the sections inside it."""
    hints = get_type_hints(type(part), include_extras=True)
    for each in fields(part):
        key, value = (*at, each.name), getattr(part, each.name)
        if is_section(hints[each.name]):
            yield from rows(value, key, sources)
        else:
            yield Row(
                key=dotted(key), shown=shown(value, hints[each.name]), source=sources.get(dotted(key), "code")
            )


def without_secrets(part: Any) -> str:
    """Write a section as `repr` does, with its secrets hidden."""
    return f"{type(part).__name__}({', '.join(f'{row.key}={row.shown}' for row in rows(part, (), {}))})"


def shown(value: Any, kind: Any) -> str:
    """Write a value of a kind, hidden if the kind is secret; None is `null`."""
    if value is not None and is_secret(kind):
        return HIDDEN
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return masked(text if text.isprintable() else repr(text))


def masked(text: str) -> str:
    """Hide what looks like a password in a URL: between user and host, or as a parameter."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def dotted(key: Key) -> str:
    """Write a key as people do: `database.url`."""
    return ".".join(key)


def is_section(kind: Any) -> TypeGuard[type[Any]]:
    """Whether settings of this kind are a section, with keys of its own."""
    return isinstance(kind, type) and is_dataclass(kind)


def is_secret(kind: Any) -> bool:
    """Whether a kind, or anything inside it, is marked `Sensitive`."""
    parts = get_type_hints(kind, include_extras=True).values() if is_section(kind) else get_args(kind)
    return isinstance(kind, Secret) or any(map(is_secret, parts))
