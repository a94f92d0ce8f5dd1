"""Loading: all layers, one result, or one error with every mistake."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .known import Known
from .mistakes import SettingsError
from .reading import Reading
from .sections import SECTIONS, Settings

_TAKEN = frozenset({*SECTIONS, "profile", "contexts", "sources"})


def load(
    *,
    contexts: Mapping[str, type[Any]] | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read all settings: code, `default.toml`, the profile's file, environment, secrets; the last one counts.

    `contexts` gives each context's own dataclass of settings; its section is named after the context.
    `folder` holds the files; None means what ATOMOS_CONFIG says, else `config` in the current folder.
    `environment` is read for `ATOMOS_*`; None means that of the process.

    ATOMOS_PROFILE names the profile, `development` if it is not set. ATOMOS_DATABASE__URL sets
    `database.url`, and ATOMOS_DATABASE__URL_FILE names a file that holds it (one line break at its end is not
    part of it). In TOML the types count; in the environment `8` is a number, `true` a truth value, `null` is
    None where that is allowed, and lists and tables are JSON; an empty variable is a mistake. Every value is
    checked, also one that a later layer overrides.

    Raises SettingsError with all mistakes: unknown names, wrong types, values out of bounds, contradictions,
    missing values, files that cannot be read. A variable `ATOMOS_*` that is not a setting is a mistake too,
    but for ATOMOS_PROFILE, ATOMOS_CONFIG, ATOMOS_APP and ATOMOS_TEST_*.
    """
    environment = os.environ if environment is None else environment
    contexts = contexts or {}
    reading = Reading(Known({**contexts, **SECTIONS}))
    for name in sorted(_TAKEN & contexts.keys()):
        reading.note((name,), "contexts", "is a section of Atomos itself", "Give the context another name")
    profile = _profile(reading, environment)
    named = "ATOMOS_CONFIG" in environment and folder is None
    folder = folder or Path(environment.get("ATOMOS_CONFIG") or "config")
    reading.files(folder, profile, required=named)
    reading.variables(environment)
    own = {name: reading.make((name,)) for name in SECTIONS}
    theirs = {name: reading.make((name,)) for name in contexts}
    if reading.mistakes:
        raise SettingsError(reading.mistakes)
    return Settings(profile=profile, contexts=theirs, sources=reading.sources, **own)


def _profile(reading: Reading, environment: Mapping[str, str]) -> str:
    if environment.get("ATOMOS_CONFIG") == "":
        reading.note(("ATOMOS_CONFIG",), "environment", "must not be empty", "Name a folder, or unset it")
    if "ATOMOS_PROFILE" in environment:
        reading.sources["profile"] = "ATOMOS_PROFILE"
    return environment.get("ATOMOS_PROFILE", "development")
