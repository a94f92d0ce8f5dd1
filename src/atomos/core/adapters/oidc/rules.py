"""What is checked of tokens, and how long keys are good for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class TokenRules(NamedTuple):
    """What a token has to be: as in the section `[oidc]` of the settings. `leeway` is in seconds."""

    issuer: str
    audience: str
    algorithms: Sequence[str]
    types: Sequence[str]
    principal_claim: str
    scopes_claim: str
    leeway: float


class KeyTimes(NamedTuple):
    """When keys are fetched, and for how long they are good, in seconds: as in the section `[oidc]`."""

    refresh: float
    pause: float
    unknown: float
    outage: float
    timeout: float
