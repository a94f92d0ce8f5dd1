"""The layers of settings, read one after the other: the last one counts, and every mistake is noted."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from .known import Known, nearest, variable_of
from .mistakes import Mistake
from .showing import Key, dotted
from .values import Refused, from_text, from_toml, given

RESERVED = frozenset({"ATOMOS_PROFILE", "ATOMOS_APP", "ATOMOS_CONFIG"})
"""Variables that are not settings, but say where to find them and the application."""

_WITHOUT_FILES = frozenset({"development", "test"})

RESERVED_PREFIX = "ATOMOS_TEST_"
"""How the variables of the tests begin."""


class Reading:
    """What was given so far, where each value came from, and what was wrong."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.values: dict[Key, Any] = {}
        self.sources: dict[str, str] = {}
        self.mistakes: list[Mistake] = []
        self._refused: set[Key] = set()

    def files(self, folder: Path, profile: str, *, required: bool) -> None:
        """Read `default.toml`, then the profile's file.

        Both may be missing in the profiles `development` and `test`, and so may the folder unless it is `required`.
        """
        lenient = profile in _WITHOUT_FILES
        try:
            present = {path.stem for path in folder.iterdir() if path.suffix == ".toml"}
        except OSError as error:
            if required or not lenient or not isinstance(error, FileNotFoundError):
                self._no_folder(folder.as_posix(), error)
            return
        profiles = sorted({*present, *_WITHOUT_FILES} - {"default"})
        if profile not in profiles:
            advice = f"Choose one of them, or add {(folder / 'NAME.toml').as_posix()}"
            expected = f"must be one of {', '.join(profiles)}"
            self.note(("profile",), "ATOMOS_PROFILE", expected, advice, given=repr(profile))
        for name in dict.fromkeys(("default", profile)):
            if name in present or (name == "default" and not lenient):
                self._file(folder / f"{name}.toml")

    def variables(self, environment: Mapping[str, str]) -> None:
        """Read the variables that begin with `ATOMOS_`, then the files that those ending in `_FILE` name."""
        direct = {variable_of(key): key for key in self.known.settings}
        # Where one setting is `x` and another `x_file`, the second one's variable is its own.
        files = {f"{name}_FILE": key for name, key in direct.items() if f"{name}_FILE" not in direct}
        names = sorted(name for name in environment if name.startswith("ATOMOS_"))
        for name in names:
            if name in direct:
                self._take(direct[name], environment[name], name, from_text)
            elif name not in files and name not in RESERVED and not name.startswith(RESERVED_PREFIX):
                self._unknown_variable(name)
        for name in (name for name in names if name in files):
            self._secret(files[name], environment[name], name)

    def make(self, at: Key) -> Any:
        """Make a section of what was given and of its defaults; None if it cannot be made, which is noted."""
        kind, before = self.known.sections[at], len(self.mistakes)
        keys = {each.name: (*at, each.name) for each in fields(kind) if each.init}
        parts = {
            name: self.make(key) if key in self.known.sections else self._value(key)
            for name, key in keys.items()
        }
        if len(self.mistakes) > before or any(key[: len(at)] == at for key in self._refused):
            return None
        try:
            return kind(**parts)
        except ValueError as error:
            self.note(at, self._sources_in(at), f"contradicts itself: {error}", "Change one of them")
            return None

    def note(self, key: Key, source: str, expected: str, advice: str, **more: str | None) -> None:
        """Add a mistake."""
        self.mistakes.append(
            Mistake(key=dotted(key), source=source, expected=expected, advice=advice, **more)
        )

    def _value(self, key: Key) -> Any:
        value = self.values.get(key, self.known.settings[key].default)
        if value is MISSING and key not in self._refused:
            advice = f"Write it into default.toml or the profile's file, or set {variable_of(key)}"
            self.note(key, "no layer", "must be given", advice)
        return value

    def _sources_in(self, at: Key) -> str:
        inside = {source for key, source in self.sources.items() if key.startswith(f"{dotted(at)}.")}
        return ", ".join(sorted(inside)) or "code"

    def _file(self, path: Path) -> None:
        source = path.as_posix()
        try:
            table = tomllib.loads(_utf8(path))
        except OSError as error:
            advice = "Add the file, or allow reading it"
            self.note((source,), source, f"cannot be read: {error.strerror}", advice)
        except ValueError as error:
            self.note((source,), source, f"must be TOML: {error}", "Correct that place")
        else:
            self._table(table, source, ())

    def _no_folder(self, folder: str, error: OSError) -> None:
        advice = "Start where that folder is, or name it in ATOMOS_CONFIG"
        self.note((folder,), "the folder of the settings", f"cannot be read: {error.strerror}", advice)

    def _table(self, table: Mapping[str, Any], source: str, at: Key) -> None:
        for name, value in table.items():
            key = (*at, name)
            if key in self.known.settings:
                self._take(key, value, source, from_toml)
            elif key not in self.known.sections:
                self._unknown_key(key, source)
            elif isinstance(value, dict):
                self._table(value, source, key)
            else:
                advice = f"Write [{dotted(key)}], and below it: {', '.join(self.known.inside(key))}"
                self.note(key, source, "must be a table", advice)

    def _secret(self, key: Key, name: str, variable: str) -> None:
        # What is no absolute path is not shown: it may be the secret itself, in the wrong variable.
        source = f"{variable}={name}" if Path(name).is_absolute() else variable
        try:
            text = _utf8(Path(name))
        except OSError as error:
            advice = f"Name a file that can be read, or put the value itself into {variable_of(key)}"
            self.note(key, source, f"cannot be read from its file: {error.strerror}", advice)
        except ValueError as error:
            self.note(key, source, f"cannot be read from its file: {error}", "Write the file again")
        else:
            self._take(key, text.removesuffix("\n").removesuffix("\r"), source, from_text)

    def _take(self, key: Key, value: Any, source: str, read: Callable[[Any, Any], Any]) -> None:
        setting = self.known.settings[key]
        try:
            self.values[key] = read(value, setting.kind)
            self.sources[dotted(key)] = source
        except Refused as error:
            self._refused.add(key)
            self.note(key, source, str(error), setting.advice, given=given(value, setting.kind))

    def _unknown_key(self, key: Key, source: str) -> None:
        near = nearest(key, (*self.known.settings, *self.known.sections))
        known = f"Known here: {', '.join(self.known.inside(key[:-1]))}"
        self._unknown(key, source, dotted(near) if near else None, known)

    def _unknown_variable(self, name: str) -> None:
        near = nearest(tuple(name.removeprefix("ATOMOS_").lower().split("__")), self.known.settings)
        known = "Names are ATOMOS_SECTION__SETTING, as `atomos config` lists them"
        self._unknown((name,), "environment", variable_of(near) if near else None, known)

    def _unknown(self, key: Key, source: str, near: str | None, known: str) -> None:
        advice = f"Did you mean {near}? Rename or remove it" if near else f"Remove or rename it. {known}"
        self.note(key, source, "is not a setting", advice, nearest=near)


def _utf8(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8") from None
