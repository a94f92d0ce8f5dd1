"""How long it takes until what a killed worker had in hand is done."""

from __future__ import annotations

import json
from collections import defaultdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from atomos.core.adapters import Database

_HELD = "select recipient, seqs from atomos_lease where worker like :worker"
_OPEN = "select seq from atomos_delivery where recipient = :recipient and status in ('ready', 'retrying')"


class Recoveries:
    """Follows the rows in the leases of killed workers; one that is held by the next to be killed is that one's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._killed: dict[int, float] = {}
        self._rows: dict[str, dict[int, int]] = defaultdict(dict)
        self.seconds: dict[int, float] = {}

    def killed(self, process: int) -> None:
        """Note a worker that was killed just now, by its process id, and what it had in hand."""
        number = len(self._killed)
        self._killed[number] = monotonic()
        with self._database.look() as connection:
            for recipient, seqs in connection.execute(text(_HELD), {"worker": f"%:{process}:%"}).fetchall():
                # A lease may still name what was done before the kill.
                held = self._open(connection, recipient).intersection(_listed(seqs))
                self._rows[recipient] |= dict.fromkeys(held, number)

    def look(self) -> None:
        """See which rows are done, and note for each killed worker how long its last one took, in seconds."""
        now = monotonic()
        for recipient, rows in self._rows.items():
            if not rows:
                continue
            with self._database.look() as connection:
                waiting = self._open(connection, recipient)
            for seq in rows.keys() - waiting:
                number = rows.pop(seq)
                self.seconds[number] = now - self._killed[number]

    def _open(self, connection: Connection, recipient: str) -> set[int]:
        return {seq for (seq,) in connection.execute(text(_OPEN), {"recipient": recipient})}


def _listed(seqs: Any) -> list[int]:
    return json.loads(seqs) if isinstance(seqs, str) else list(seqs)
