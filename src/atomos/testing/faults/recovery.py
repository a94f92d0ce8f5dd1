"""How long it takes until what a killed or stopped worker had in hand is done."""

from __future__ import annotations

import json
from collections import defaultdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from atomos.core.adapters import Database

_HELD = "select recipient, seqs, keys from atomos_lease where worker like :worker"
_OPEN = """
select seq, ordering_key from atomos_delivery where recipient = :recipient and status = 'ready'
  and (ordering_key is null or ordering_key not in (
    select ordering_key from atomos_delivery
    where recipient = :recipient and status in ('retrying', 'parked') and ordering_key is not null))
"""


class Recoveries:
    """Follows the rows in the leases of workers that were hurt: each is counted from the last blow that concerned it.

    That is the one to the worker that held it last, or to one that held its key: nobody may begin it before. A row
    is followed until it is done or has failed, or one before it of its key has: then it is that failure it waits for.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hurt: dict[int, float] = {}
        self._rows: dict[str, dict[int, int]] = defaultdict(dict)
        self.seconds: dict[int, float] = {}

    def hurt(self, process: int) -> None:
        """Note a worker that was killed or stopped just now, by its process id, and what it had in hand."""
        number = len(self._hurt)
        self._hurt[number] = monotonic()
        with self._database.look() as connection:
            held = connection.execute(text(_HELD), {"worker": f"%:{process}:%"}).fetchall()
            for recipient, seqs, keys in held:
                rows, in_lease, its_keys = self._rows[recipient], set(_listed(seqs)), set(_listed(keys))
                # A lease may still name what was done before the kill.
                for seq, key in self._open(connection, recipient).items():
                    if seq in in_lease or (seq in rows and key in its_keys):
                        rows[seq] = number

    def stood_still(self, since: float) -> None:
        """Do not count the time since then, an instant of the monotonic clock: nobody could write."""
        now = monotonic()
        self._hurt = {number: at + now - max(at, since) for number, at in self._hurt.items()}

    def look(self) -> None:
        """See which rows are done, and note for each such worker how long its last one took, in seconds."""
        now = monotonic()
        for recipient, rows in self._rows.items():
            if not rows:
                continue
            with self._database.look() as connection:
                waiting = self._open(connection, recipient)
            for seq in rows.keys() - waiting.keys():
                number = rows.pop(seq)
                self.seconds[number] = now - self._hurt[number]

    def _open(self, connection: Connection, recipient: str) -> dict[int, str | None]:
        found = connection.execute(text(_OPEN), {"recipient": recipient})
        return {row.seq: row.ordering_key for row in found}


def _listed(stored: Any) -> list[Any]:
    return json.loads(stored) if isinstance(stored, str) else list(stored)
