"""Several processes race for the same rows, and stall past their leases: all is done once, and in order."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import cycle, islice, pairwise
from multiprocessing.queues import Queue

import pytest

from atomos.core.adapters import Database, SqlMessageLog
from atomos.core.adapters.codec import Codec
from atomos.core.adapters.dialects import dialect_of
from atomos.core.service.delivery import Delivery, Record
from atomos.core.service.envelope import Envelope, new_id
from atomos.core.service.waking import Wake

from .claim_racer import RECIPIENT, Done, Raced, Result, race

PROCESSES = 3
ROWS = 2000
KEYS = 200
SECONDS = 60.0


@pytest.mark.slow
def test_of_processes_that_race_each_row_is_done_once_and_each_key_in_order(log_database: Database) -> None:
    seed = int(os.environ.get("ATOMOS_TEST_SEED") or time.time_ns() % 1_000_000_000)
    print(f"ATOMOS_TEST_SEED={seed}")
    keys = send(log_database, random.Random(seed))
    results = run(log_database.url.render_as_string(hide_password=False), seed)
    done = [each for result in results for each in result.done]

    assert Counter(each.seq for each in done) == Counter(dict.fromkeys(keys, 1)), "accepted once each"
    assert stored(log_database) == dict.fromkeys(keys, "done")
    assert not leases(log_database)
    assert sum(result.refused for result in results) > 0, "nothing stalled past its lease: nothing was shown"
    assert sum(bool(result.done) for result in results) > 1, "only one process worked: nothing was shown"
    in_order_and_one_at_a_time(done)
    print([(len(result.done), result.refused, result.stalls, result.failed) for result in results])


def send(database: Database, chance: random.Random) -> list[int]:
    """Store the rows; give their places."""
    log = SqlMessageLog(database, Codec([Raced]), Wake())
    with database.transaction() as connection:
        dialect_of(connection).enrol(connection, [RECIPIENT], {})
    # As many rows of each key, so that every key has some; one in KEYS + 1 has none.
    keys = list(islice(cycle([None, *(f"key-{n}" for n in range(KEYS))]), ROWS))
    chance.shuffle(keys)
    for first in range(0, ROWS, 100):
        some = keys[first : first + 100]
        log.append([Record("event", _envelope(key), Raced(), (Delivery(RECIPIENT, key),)) for key in some])
    return list(stored(database))


def run(url: str, seed: int) -> list[Result]:
    """Let the processes run to their end."""
    spawn = multiprocessing.get_context("spawn")
    results: Queue[Result | str] = spawn.Queue()
    until = time.monotonic() + SECONDS
    racers = [spawn.Process(target=race, args=(url, seed + n, until, results)) for n in range(PROCESSES)]
    for racer in racers:
        racer.start()
    found = [results.get(timeout=SECONDS + 20) for _ in racers]
    for racer in racers:
        racer.join(timeout=20)
    assert not [each for each in found if isinstance(each, str)], found
    return [each for each in found if isinstance(each, Result)]


def in_order_and_one_at_a_time(done: list[Done]) -> None:
    """What was accepted of a key was begun in order, by one lease at a time."""
    by_key: dict[str, list[Done]] = defaultdict(list)
    for each in done:
        if each.key is not None:
            by_key[each.key].append(each)
    assert len(by_key) == KEYS
    for key, rows in by_key.items():
        rows.sort(key=lambda each: each.seq)
        for earlier, later in pairwise(rows):
            if earlier.lease == later.lease:
                assert earlier.ended <= later.ended, (key, earlier, later)
            else:
                assert earlier.ended < later.begun, (key, earlier, later)


def stored(database: Database) -> dict[int, str]:
    """The state of every row."""
    with database.look() as connection:
        rows = connection.exec_driver_sql("select seq, status from atomos_delivery order by seq")
        return {row[0]: row[1] for row in rows}


def leases(database: Database) -> list[int]:
    """The leases that hold anything that is not over."""
    with database.look() as connection:
        return [row[0] for row in connection.exec_driver_sql("select id from atomos_lease")]


def _envelope(key: str | None) -> Envelope:
    id_ = new_id()
    return Envelope(id_, id_, None, datetime.now(UTC), key, "race", None)
