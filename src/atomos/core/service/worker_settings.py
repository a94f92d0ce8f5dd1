"""How a worker works, in numbers."""

from __future__ import annotations

from typing import NamedTuple

from .delivery import LEASE_SECONDS
from .probing import Doubt
from .retry import Backoff


class WorkerSettings(NamedTuple):
    """How a worker works: times in seconds. It renews its leases every third of `lease`.

    `poll` is the longest pause between two looks at the log, `threads` is how many handlers run at once, `claims`
    how many recipients are claimed at once. `backoff`, `quickly` and `limit` (zero for none) count where a route
    says nothing else.
    """

    threads: int = 4
    lease: float = LEASE_SECONDS
    poll: float = 0.2
    backoff: Backoff = Backoff()
    quickly: int = 3
    limit: float = 300.0
    claims: int = 3
    doubt: Doubt = Doubt()
