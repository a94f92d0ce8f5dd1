"""Claims, at random: workers, operators and time in any order keep the rule; a broken claim is caught."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

import pytest

from atomos.core.adapters import Database
from atomos.core.adapters.dialects import postgresql, sqlite, sqlite_claim

from .claim_evidence import Accompanied, Broken, Overtaken, Shared, Unfenced, Unlike
from .claim_simulation import Simulation

STEPS = 120
SECONDS = 4.0
FEWEST = 3

Edits = tuple[tuple[str, str, str], ...]
"""Changes of a dialect's statements: the statement's name, what to take out, what to put in."""


class Mistake(NamedTuple):
    """What a claim may get wrong, and the invariant that finds it out."""

    found_out: type[Broken]
    postgresql: Edits
    sqlite: Edits


FORGETS_WAITING = ("in ('retrying', 'parked')", "in ('forgotten')")
BY_DUE_TIME = ("_CLAIM", "order by d.seq limit", "order by d.until nulls first, d.seq limit")
WITH_DUE_TIME = ("_CLAIM", "select seq, ordering_key from", "select seq, ordering_key, until from")
LEASED_KEYS = "json_each(l.keys) k where", "json_each(l.keys) k where false and"

MISTAKES = {
    "overtakes what is backing off or parked": Mistake(
        Overtaken,
        postgresql=(("_CLAIM", *FORGETS_WAITING),),
        sqlite=(("_CLAIM", *FORGETS_WAITING), ("_WORTH_A_CLAIM", *FORGETS_WAITING)),
    ),
    "goes by the time when rows were due": Mistake(
        Overtaken,
        postgresql=(BY_DUE_TIME, WITH_DUE_TIME),
        sqlite=(BY_DUE_TIME,),
    ),
    "takes a key that is in someone's hands": Mistake(
        Shared,
        postgresql=(
            (
                "_CLAIM",
                "unnest(keys) from atomos_lease where",
                "unnest(keys) from atomos_lease where false and",
            ),
        ),
        sqlite=(("_CLAIM", *LEASED_KEYS), ("_WORTH_A_CLAIM", *LEASED_KEYS)),
    ),
    "puts others beside a row whose lease was lost": Mistake(
        Accompanied,
        postgresql=(("_CLAIM", "where most = 0 or", "where true or"),),
        sqlite=(("_CLAIM", "m.recorded_at, d.losses", "m.recorded_at, 0"),),
    ),
    "puts rows together whose lease was lost twice": Mistake(
        Accompanied,
        postgresql=(("_CLAIM", "least > 0 and most < 2 and", "least > 0 and"),),
        sqlite=(("_CLAIM", "m.recorded_at, d.losses", "m.recorded_at, min(1, d.losses)"),),
    ),
    "lets a lost lease complete": Mistake(
        Unfenced,
        postgresql=(
            (
                "_COMPLETE",
                "select seqs from atomos_lease where id = %(lease)s for update",
                "select %(seqs)s seqs, %(lease)s",
            ),
        ),
        sqlite=(
            (
                "_FENCED",
                "seq in (select s.value from atomos_lease l, json_each(l.seqs) s where l.id = :lease)",
                ":lease = :lease",
            ),
        ),
    ),
    "makes rows wait for nothing": Mistake(
        Unlike,
        postgresql=(("_CLAIM", "('retrying', 'parked')", "('retrying', 'parked', 'scheduled')"),),
        sqlite=(("_CLAIM", "('retrying', 'parked')", "('retrying', 'parked', 'scheduled')"),),
    ),
}


@pytest.mark.timeout(3600)
def test_random_interleavings_keep_the_claim_rule(log_database: Database) -> None:
    assert simulate(log_database, seeds()) >= 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_claim_is_found_out_that(
    mistake: str, log_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_out = MISTAKES[mistake].found_out
    for name, out, into in MISTAKES[mistake].postgresql:
        put_in(postgresql, name, out, into, monkeypatch)
    for name, out, into in MISTAKES[mistake].sqlite:
        put_in(sqlite_claim if hasattr(sqlite_claim, name) else sqlite, name, out, into, monkeypatch)
    with pytest.raises(found_out):
        simulate(log_database, range(1, 30), with_model=found_out is Unlike)


def put_in(dialect: ModuleType, name: str, out: str, into: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = getattr(dialect, name)
    assert out in statement, "the statement does not say so any more"
    monkeypatch.setattr(dialect, name, statement.replace(out, into))


def seeds() -> Iterator[int]:
    """For a few seconds, and three at least; or as many as ATOMOS_TEST_SIMULATIONS says.

    ATOMOS_TEST_SEED is the first one.
    """
    first = int(os.environ.get("ATOMOS_TEST_SEED") or time.time_ns() % 1_000_000_000)
    asked = int(os.environ.get("ATOMOS_TEST_SIMULATIONS") or 0)
    over = time.monotonic() + SECONDS
    done = 0
    while done < asked if asked else done < FEWEST or time.monotonic() < over:
        yield first + done
        done += 1


def simulate(database: Database, seeds: Iterable[int], *, with_model: bool = True) -> int:
    """Run them, and say how many; print the seed of the one that breaks."""
    runs = 0
    for seed in seeds:
        print(f"ATOMOS_TEST_SEED={seed}")
        Simulation(database, seed, compares=with_model).run(STEPS)
        runs += 1
    return runs
