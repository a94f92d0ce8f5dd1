"""Which settings there are: keys, types and defaults, read from the dataclasses of the sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from typing import Any, get_type_hints

from .showing import Key, dotted, is_section, shown


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its type with constraints, and its default, MISSING if it must be given."""

    kind: Any
    default: Any

    @property
    def advice(self) -> str:
        """What to do about a wrong value."""
        if self.default is MISSING:
            return "Correct it; it has no default"
        if self.default is None:
            return "Correct it, or remove it: by default it is not set"
        return f"Correct it, or remove it: the default is {shown(self.default, self.kind)}"


class Known:
    """All settings that may be given, by key, and the sections that they are in."""

    def __init__(self, sections: Mapping[str, type[Any]]) -> None:
        self.settings: dict[Key, Setting] = {}
        self.sections: dict[Key, type[Any]] = {}
        for name, kind in sections.items():
            self._add((name,), kind, MISSING)

    def _add(self, at: Key, kind: type[Any], default: Any) -> None:
        self.sections[at] = kind
        hints = get_type_hints(kind, include_extras=True)
        for each in fields(kind):
            key, value = (*at, each.name), _default(each, default)
            if not each.init:
                continue
            if is_section(hints[each.name]):
                self._add(key, hints[each.name], value)
            else:
                self.settings[key] = Setting(hints[each.name], value)

    def inside(self, at: Key) -> list[str]:
        """Name what a section holds, in alphabetical order; the empty key holds the sections."""
        return sorted(key[-1] for key in (*self.settings, *self.sections) if key[:-1] == at)


def variable_of(key: Key) -> str:
    """Name the environment variable of a setting: `ATOMOS_DATABASE__URL`."""
    return "ATOMOS_" + "__".join(key).upper()


def nearest(key: Key, known: Collection[Key]) -> Key | None:
    """Find the known key that is most like an unknown one, first among those beside it, or None."""
    candidates = {each[-1]: each for each in known if each[:-1] == key[:-1]}
    text = key[-1]
    if not candidates:
        candidates, text = {dotted(each): each for each in known}, dotted(key)
    found = get_close_matches(text.lower(), candidates, n=1)
    return candidates[found[0]] if found else None


def _default(each: Field[Any], owner: Any) -> Any:
    # A section inside another may be given a default as a whole, which then holds those of its fields.
    if owner is not MISSING:
        return getattr(owner, each.name)
    if callable(each.default_factory):
        return each.default_factory()
    return each.default
