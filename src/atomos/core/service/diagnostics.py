"""The one registry of diagnostics: what can be wrong, why, and what to do; errors and documents share it."""

from __future__ import annotations

from typing import NamedTuple

from ..domain.errors import AtomosError
from .handling_diagnostics import HANDLING
from .running_diagnostics import RUNNING
from .wiring_diagnostics import WIRING


class Diagnostic(NamedTuple):
    """One kind of mistake: a stable code, a title, what causes it, and the remedy."""

    code: str
    title: str
    cause: str
    remedy: str


REGISTRY: dict[str, Diagnostic] = {entry[0]: Diagnostic(*entry) for entry in (*WIRING, *HANDLING, *RUNNING)}
"""Every diagnostic, by code."""


class Finding(NamedTuple):
    """One mistake that was found: its diagnostic's code, where it is (`path:line name`), what is wrong."""

    code: str
    place: str
    detail: str

    def __str__(self) -> str:
        entry = REGISTRY[self.code]
        return f"{self.code} {entry.title}\n  {self.place}: {self.detail}\n  {entry.remedy}"


class WiringError(AtomosError):
    """The application is wired wrongly. `findings` holds all mistakes; nothing was started."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = sorted(findings)
        count = f"{len(findings)} mistake{'s' if len(findings) > 1 else ''} in the wiring"
        super().__init__("\n\n".join([f"{count}; nothing was started.", *map(str, self.findings)]))
        self.code = self.findings[0].code


class Diagnosed(AtomosError):
    """An error of one diagnostic: says what was wrong (`detail`), and adds the remedy of the registry."""

    def __init__(self, detail: str | None = None) -> None:
        entry = REGISTRY[self.code]
        self.detail = detail or entry.cause
        super().__init__(f"{self.code}: {self.detail} {entry.remedy}")
