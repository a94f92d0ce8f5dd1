"""What a log shows from outside, without the model of the rule, and what must never be seen there."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from atomos.core.adapters import Database
from atomos.core.service.delivery import Fence

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
"""When every simulation begins; its times are in seconds since."""


class Broken(AssertionError):
    """Something that must never be seen."""


class Overtaken(Broken):
    """A row was claimed, or done, before an earlier one of its key."""


class Shared(Broken):
    """Two leases hold one key of a recipient."""


class Accompanied(Broken):
    """A row whose lease was lost was claimed with others that it must not be with."""


class Unfenced(Broken):
    """What was held no longer was completed."""


class Unlike(Broken):
    """The log and the model differ."""


class SeenRow(NamedTuple):
    """A delivery as it is stored."""

    recipient: str
    key: str | None
    status: str
    until: int | None
    attempts: int
    losses: int


class SeenLease(NamedTuple):
    """A lease as it is stored."""

    recipient: str
    until: int | None
    seqs: list[int]
    keys: list[str]


class LogView:
    """The tables of a log, as they are now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> dict[int, SeenRow]:
        """All deliveries, by seq."""
        columns = "seq, recipient, ordering_key, status, until, attempts, losses"
        return {
            row[0]: SeenRow(row[1], row[2], row[3], _seconds(row[4]), row[5], row[6])
            for row in self.look(f"select {columns} from atomos_delivery order by seq")  # noqa: S608
        }

    def leases(self) -> dict[int, SeenLease]:
        """All leases, by number."""
        return {
            row[0]: SeenLease(row[1], _seconds(row[2]), _list(row[3]), _list(row[4]))
            for row in self.look("select id, recipient, until, seqs, keys from atomos_lease")
        }

    def messages(self) -> int:
        """How many messages there are."""
        return int(self.look("select count(*) from atomos_message")[0][0])

    def look(self, statement: str) -> list[Any]:
        """What a statement finds."""
        with self._database.look() as connection:
            return list(connection.exec_driver_sql(statement))


class Evidence:
    """Who had each row last, and what was done in which order. Its checks raise `Broken`."""

    def __init__(self, log: LogView) -> None:
        self.log = log
        self.excused: set[int] = set()
        self._done: dict[tuple[str, str | None], list[int]] = defaultdict(list)

    def claimed(self, recipient: str, seqs: Sequence[int], before: dict[int, SeenRow]) -> None:
        """A claim overtakes nothing, takes no key that waits, and keeps rows apart whose lease was lost."""
        self.keys_are_in_one_lease()
        losses = {before[seq].losses for seq in seqs}
        if len(losses) > 1 or (len(seqs) > 1 and max(losses) > 1):
            raise Accompanied(f"rows with {losses} lost leases were claimed together: {seqs}")
        for place, seq in enumerate(seqs):
            key = before[seq].key
            others = {n: r for n, r in before.items() if key and (r.recipient, r.key) == (recipient, key)}
            ahead = {n for n, row in others.items() if n < seq and row.status == "ready"} - set(seqs[:place])
            held = {n for n, row in others.items() if row.status in ("retrying", "parked")}
            if ahead or held:
                raise Overtaken(f"{seq} overtook {sorted(ahead | held)} of {key}, {recipient}")

    def completed(
        self, fences: Sequence[Fence], before: dict[int, SeenRow], leases: dict[int, SeenLease]
    ) -> None:
        """Whatever is done now was ready, and in the lease of the one who said so."""
        said = {each.seq: each.lease for each in fences}
        for seq, row in self.log.rows().items():
            if row.status != "done" or before[seq].status == "done":
                continue
            lease = leases.get(said.get(seq, 0))
            if before[seq].status != "ready" or lease is None or seq not in lease.seqs:
                raise Unfenced(f"{seq} was completed under {said}, and was in none of {leases}")
            self._done[row.recipient, row.key].append(seq)

    def keys_are_in_one_lease(self) -> None:
        """No key of a recipient is in two leases."""
        leases = self.log.leases()
        keys = [(lease.recipient, key) for lease in leases.values() for key in lease.keys]
        if len(keys) != len(set(keys)):
            raise Shared(f"a key is in two leases: {leases}")

    def all_is_over_in_order(self) -> None:
        """Everything came to an end, once; and in the order of its key, but for what is excused."""
        waiting = {n: r for n, r in self.log.rows().items() if r.status not in ("done", "discarded")}
        if waiting or self.log.leases():
            raise Broken(f"never came to its end: {waiting}, {self.log.leases()}")
        for (recipient, key), seqs in self._done.items():
            if len(seqs) != len(set(seqs)):
                raise Broken(f"{recipient} {key}: done twice: {seqs}")
            kept = [seq for seq in seqs if seq not in self.excused]
            if key is not None and kept != sorted(kept):
                raise Overtaken(f"{recipient} {key}: done in the order {kept}")


def _seconds(at: Any) -> int | None:
    if at is None:
        return None
    stored = at if isinstance(at, datetime) else datetime.fromtimestamp(at / 1_000_000, UTC)
    return round((stored - BEGIN).total_seconds())


def _list(stored: Any) -> list[Any]:
    return list(json.loads(stored) if isinstance(stored, str) else stored)
