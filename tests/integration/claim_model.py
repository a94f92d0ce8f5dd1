"""The claim rule, written to be read: rows and leases in plain Python, times in whole seconds, no SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOST_SUSPECTS = 16
HOLDS_ITS_KEY = ("retrying", "parked")


@dataclass
class Row:
    """A delivery."""

    seq: int
    recipient: str
    key: str | None
    status: str
    until: int | None = None
    attempts: int = 0
    losses: int = 0


@dataclass
class Lease:
    """A claimed batch, as it was left by the last change."""

    recipient: str
    until: int
    seqs: list[int]
    keys: list[str]


@dataclass
class ClaimModel:
    """What the log should hold after each step. `lease` is how long a claim lasts."""

    lease: int
    now: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    at_once: dict[str, int] = field(default_factory=dict)
    probed: dict[str, int] = field(default_factory=dict)
    """When the next probe of a recipient may be claimed, of those that are probed."""

    def claimable(self, row: Row, without_seqs: Iterable[int] = (), without_keys: Iterable[str] = ()) -> bool:
        """The rule."""
        if row.status != "ready" or row.seq in without_seqs or self._is_leased(row):
            return False
        if row.key is None:
            return True
        return row.key not in without_keys and not self._is_held(row.recipient, row.key)

    def claim(
        self,
        recipient: str,
        room: int,
        without_seqs: Iterable[int] = (),
        without_keys: Iterable[str] = (),
        *,
        suspects: bool = True,
    ) -> list[int]:
        """Which rows a claim gives, in their order. A row with more or fewer lost leases ends the batch before it.

        Where it may not give `suspects`, and one of them would be the first, they are passed by, and their keys.
        """
        room = min(room, self.most(recipient))
        if recipient in self.paused or room <= 0:
            return []
        found = [row for row in self._of(recipient) if self.claimable(row, without_seqs, without_keys)][:room]
        if found and found[0].losses and not suspects:
            passed = [row for row in self._of(recipient) if row.losses and row.status == "ready"]
            seqs = [*without_seqs, *(row.seq for row in passed)]
            keys = [*without_keys, *(row.key for row in passed if row.key is not None)]
            return self.claim(recipient, room, seqs, keys)
        if found and found[0].losses > 1:
            return [found[0].seq]
        batch = []
        for row in found:
            if row.losses != found[0].losses:
                break
            batch.append(row.seq)
        return batch[: MOST_SUSPECTS if found and found[0].losses else room]

    def most(self, recipient: str) -> int:
        """How many rows of a recipient may be claimed now, beside those in leases."""
        if self.probed.get(recipient, self.now) > self.now:
            return 0
        held = sum(len(lease.seqs) for lease in self.leases.values() if lease.recipient == recipient)
        most = 1 if recipient in self.probed else self.at_once.get(recipient, held + 1000)
        return most - held

    def worth_a_look(self, recipient: str) -> bool:
        """Whether a worker is told to look at a recipient."""
        rests = recipient in self.paused or self.probed.get(recipient, self.now) > self.now
        ready = not rests and any(row.status == "ready" for row in self._of(recipient))
        return ready or self.overdue(recipient)

    def take(self, lease: int, recipient: str, seqs: Sequence[int]) -> None:
        """Note a claim."""
        keys = sorted({key for seq in seqs if (key := self.rows[seq].key) is not None})
        self.leases[lease] = Lease(recipient, self.now + self.lease, list(seqs), keys)

    def tidy(self, recipient: str) -> None:
        """End leases that ran out: that counts for their rows, as an attempt of one that was alone. Wake the due."""
        for number, lease in list(self.leases.items()):
            if lease.recipient == recipient and lease.until <= self.now:
                del self.leases[number]
                for row in self._live(lease):
                    row.attempts += row.losses > 1
                    row.losses += 1
        for row in self.rows.values():
            if row.status in ("scheduled", "retrying") and row.until is not None and row.until <= self.now:
                row.status = "ready"  # `until` stays: it says since when the row waits

    def overdue(self, recipient: str) -> bool:
        """Whether a lease ran out, or the time of something has come."""
        return any(
            each.recipient == recipient and each.until <= self.now for each in self.leases.values()
        ) or any(
            row.status in ("scheduled", "retrying") and row.until is not None and row.until <= self.now
            for row in self._of(recipient)
        )

    def complete(self, lease: int, seqs: Iterable[int]) -> int:
        """Complete what the lease still holds; say how many."""
        held = [row for row in self._live(self.leases.get(lease)) if row.seq in set(seqs)]
        for row in held:
            row.status, row.attempts = "done", row.attempts + 1
        return len(held)

    def fail(self, lease: int, seq: int, status: str, pause: int | None, counts: bool) -> bool:
        """Note a failure, if the lease still holds the row."""
        held = [row for row in self._live(self.leases.get(lease)) if row.seq == seq]
        for row in held:
            row.status, row.attempts = status, row.attempts + counts
            row.until = None if pause is None else self.now + pause
        return bool(held)

    def keep(self, lease: int, seqs: Sequence[int], keys: Sequence[str]) -> None:
        """Leave no more than this in a lease."""
        if lease in self.leases and seqs:
            self.leases[lease].seqs, self.leases[lease].keys = list(seqs), list(keys)
        elif lease in self.leases:
            del self.leases[lease]

    def renew(self, leases: Iterable[int]) -> set[int]:
        """Prolong leases; say which are there."""
        found = {lease for lease in leases if lease in self.leases}
        for lease in found:
            self.leases[lease].until = self.now + self.lease
        return found

    def _of(self, recipient: str) -> list[Row]:
        return [row for _, row in sorted(self.rows.items()) if row.recipient == recipient]

    def _live(self, lease: Lease | None) -> list[Row]:
        return [row for seq in (lease.seqs if lease else ()) if (row := self.rows[seq]).status == "ready"]

    def _is_leased(self, row: Row) -> bool:
        return any(row.seq in lease.seqs for lease in self.leases.values())

    def _is_held(self, recipient: str, key: str) -> bool:
        return any(
            key in lease.keys for lease in self.leases.values() if lease.recipient == recipient
        ) or any(row.key == key and row.status in HOLDS_ITS_KEY for row in self._of(recipient))
