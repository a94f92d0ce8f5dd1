"""Blows: what is done to the processes, chosen by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from atomos.core.service.failpoints import BY_HAND, FAILPOINTS, OF_TOPICS

_KINDS = {"kill": 40, "kill at": 35, "stop": 5, "stop at": 5, "terminate": 10, "kill all": 5}
"""What may be done, and how often of a hundred times."""

_LONGEST_WAIT = 0.5


class Blow(NamedTuple):
    """One blow: after `wait` seconds, to the `victim`-th worker (counted round), or to whoever passes `point`.

    `kind` is `kill`, `kill at` a failpoint, `stop`, `stop at` a failpoint, `terminate` (and kill within the
    drain), or `kill all`. `nth` is at which pass. `leases` is for how many times the time of a lease a stop lasts;
    of a termination, how much of a second is left until the kill, one and more is no kill.
    """

    kind: str
    wait: float
    victim: int
    point: str
    nth: int
    leases: float

    @property
    def action(self) -> str:
        """What whoever passes the failpoint does: `kill` or `stop`."""
        return self.kind.partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.point}" if self.kind.endswith(" at") else self.kind


def blows(seed: int, *, topics: bool = False) -> Iterator[Blow]:
    """Choose blow after blow; the same seed gives the same ones. `topics`: whether the application has any."""
    chance = random.Random(seed)  # noqa: S311 - it has to come out the same again
    points = sorted(FAILPOINTS.keys() - BY_HAND - (frozenset() if topics else OF_TOPICS))
    while True:
        yield Blow(
            chance.choices(list(_KINDS), list(_KINDS.values()))[0],
            chance.uniform(0, _LONGEST_WAIT),
            chance.randrange(1_000),
            chance.choice(points),
            chance.randint(1, 5),
            chance.uniform(0.2, 2.2),
        )
