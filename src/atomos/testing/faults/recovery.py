"""How long it takes until what a killed or stopped worker had in hand is done."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from atomos.core.adapters import Database

_LEASES = "select worker, recipient, seqs, keys from atomos_lease"
_OPEN = """
select seq, ordering_key, losses from atomos_delivery where recipient = :recipient and status = 'ready'
  and (ordering_key is null or ordering_key not in (
    select ordering_key from atomos_delivery
    where recipient = :recipient and status in ('retrying', 'parked') and ordering_key is not null))
"""


class Step(NamedTuple):
    """From so many seconds after the blow on, this is what the row waited for."""

    seconds: float
    what: str


class Recovery(NamedTuple):
    """What became of what a worker had in hand when it was hit: `seconds` until the last row of it was done.

    `blow` is what was done to it, `process` its process id. `recipient` is that of the last row, and `steps` is what
    that row waited for since, in order: empty when nobody looked in between.
    """

    seconds: float
    blow: str
    process: int
    recipient: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        steps = "; ".join(f"from {step.seconds:.1f} s {step.what}" for step in self.steps)
        hit = f"{self.recipient} in the hands of process {self.process} ({self.blow})"
        return f"{self.seconds:.1f} s, {hit}: {steps or 'nobody looked'}"


class _Hit(NamedTuple):
    at: float
    blow: str
    process: int


class _Lease(NamedTuple):
    process: int
    holder: str
    recipient: str
    seqs: frozenset[int]
    keys: frozenset[str]


class _Open(NamedTuple):
    key: str | None
    losses: int


class _Followed(NamedTuple):
    """A row that is followed: the number of the blow that it counts from, and what it waited for since."""

    number: int
    steps: list[Step]


class Recoveries:
    """Follows the rows in the leases of workers that were hurt: each is counted from the last blow that concerned it.

    That is the one to the worker that held it last, or to one that held its key: nobody may begin it before. A row
    is followed until it is done or has failed, or one before it of its key has: then it is that failure it waits for.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hits: dict[int, _Hit] = {}
        self._rows: dict[str, dict[int, _Followed]] = defaultdict(dict)
        self._recovered: dict[int, Recovery] = {}

    @property
    def seconds(self) -> dict[int, float]:
        """The seconds of each recovery so far, by the number of the blow, from 0 on."""
        return {number: each.seconds for number, each in self._recovered.items()}

    def slowest(self, most: int) -> tuple[Recovery, ...]:
        """Give the slowest ones, `most` of them at the most, the slowest first."""
        return tuple(sorted(self._recovered.values(), key=lambda each: -each.seconds)[:most])

    def hurt(self, process: int, blow: str) -> None:
        """Note a worker that was killed or stopped just now, by its process id, and what it had in hand."""
        number = len(self._hits)
        self._hits[number] = _Hit(monotonic(), blow, process)
        with self._database.look() as connection:
            for lease in _leases(connection, ()):
                if lease.process != process:
                    continue
                rows = self._rows[lease.recipient]
                # A lease may still name what was done before the kill.
                for seq, row in _open(connection, lease.recipient).items():
                    if seq in lease.seqs or (seq in rows and row.key in lease.keys):
                        rows[seq] = _Followed(number, [])

    def stood_still(self, since: float) -> None:
        """Do not count the time since then, an instant of the monotonic clock: nobody could write."""
        now = monotonic()
        self._hits = {
            number: hit._replace(at=hit.at + now - max(hit.at, since)) for number, hit in self._hits.items()
        }

    def look(self) -> None:
        """See which rows are done, and note for each such worker how long its last one took, in seconds."""
        now = monotonic()
        if not any(self._rows.values()):
            return
        with self._database.look() as connection:
            leases = _leases(connection, {hit.process for hit in self._hits.values()})
            for recipient, rows in self._rows.items():
                if rows:
                    self._follow(rows, recipient, _open(connection, recipient), leases, now)

    def _follow(
        self,
        rows: dict[int, _Followed],
        recipient: str,
        waiting: dict[int, _Open],
        leases: Sequence[_Lease],
        now: float,
    ) -> None:
        held = [lease for lease in leases if lease.recipient == recipient]
        for seq, (number, steps) in list(rows.items()):
            hit = self._hits[number]
            if seq not in waiting:
                del rows[seq]
                seconds = now - hit.at
                self._recovered[number] = Recovery(seconds, hit.blow, hit.process, recipient, tuple(steps))
                continue
            what = _what_it_waits_for(seq, waiting[seq], held)
            if not steps or steps[-1].what != what:
                steps.append(Step(now - hit.at, what))


def _what_it_waits_for(seq: int, row: _Open, held: Sequence[_Lease]) -> str:
    for lease in held:
        if seq in lease.seqs:
            return f"held by {lease.holder}"
    for lease in held:
        if row.key in lease.keys:
            return f"behind its key, held by {lease.holder}"
    return f"may be claimed, after {row.losses} lost lease{'' if row.losses == 1 else 's'}"


def _leases(connection: Connection, hurt: Collection[int]) -> list[_Lease]:
    """Read all leases; of the processes in `hurt` it is told that they were hit."""
    found = []
    for worker, recipient, seqs, keys in connection.execute(text(_LEASES)):
        process = int(worker.split(":")[-2])
        holder = f"{process}, which was hit" if process in hurt else str(process)
        found.append(_Lease(process, holder, recipient, frozenset(_listed(seqs)), frozenset(_listed(keys))))
    return found


def _open(connection: Connection, recipient: str) -> dict[int, _Open]:
    found = connection.execute(text(_OPEN), {"recipient": recipient})
    return {seq: _Open(key, losses) for seq, key, losses in found}


def _listed(stored: Any) -> list[Any]:
    return json.loads(stored) if isinstance(stored, str) else list(stored)
