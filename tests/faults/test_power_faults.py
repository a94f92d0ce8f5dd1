"""Power that is cut under SQLite: what a disk has after it, of a log that was being written.

Every commit waits until the disk has its part of the write-ahead log. So what a cut may damage is behind the end of
the last acknowledged commit: there it may be missing, torn or garbage. That is what is made here, of copies of the
files. Not shown: a disk that says it has what it has not, and a cut in the middle of a checkpoint, which SQLite
itself is tested for.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from atomos.testing.faults import Scenario
from atomos.testing.faults.ledger.driving import drive

from .conftest import ON_SQLITE, PROJECT, Sound, drive_all

pytestmark = pytest.mark.timeout(300)

IS_LONG = os.environ.get("ATOMOS_TEST_FAULTS") == "long"
NUMBERS = range(12)


@ON_SQLITE
def test_every_connection_that_writes_waits_for_the_disk(scenario: Scenario) -> None:
    database = scenario.atomos.container.core.database()
    for engine in database.writers:
        with engine.connect() as connection:
            assert connection.exec_driver_sql("pragma synchronous").scalar() == 2, "FULL"
            assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"


@ON_SQLITE
@pytest.mark.parametrize("cut", range(20 if IS_LONG else 3))
def test_after_a_power_cut_all_that_was_acknowledged_is_there_and_nothing_by_halves(
    scenario: Scenario, ledger_url: str, tmp_path: Path, is_sound: Sound, cut: int
) -> None:
    seed = int(os.environ.get("ATOMOS_TEST_SEED") or time.time_ns() % 1_000_000_000)
    print(f"ATOMOS_TEST_SEED={seed}")
    chance = random.Random(seed + cut)
    file = Path(str(make_url(ledger_url).database))
    log = file.with_name(f"{file.name}-wal")
    before, ends = file.read_bytes(), []
    for number in NUMBERS:
        drive(scenario.bus, number)
        ends.append(log.stat().st_size)
    assert file.read_bytes() == before, "all is in the log still: nothing was checkpointed"

    last = chance.randrange(len(NUMBERS) - 1)
    reached = chance.randint(ends[last], ends[-1])
    after = tmp_path / "after"
    after.mkdir()
    shutil.copy(file, after / file.name)
    torn = chance.randbytes(ends[-1] - reached) if chance.random() < 0.5 else b""
    (after / log.name).write_bytes(log.read_bytes()[:reached] + torn)
    with closing(sqlite3.connect(after / file.name)) as copied:
        assert copied.execute("pragma integrity_check").fetchone() == ("ok",)

    with Scenario(after, f"sqlite:///{after / file.name}", home=PROJECT) as again:
        known = again.number("select count(distinct id) from atomos_message where name = 'ledger.deposited'")
        assert known >= last + 1, "something that was acknowledged is gone"
        again.start_worker()
        drive_all(again, NUMBERS)  # their senders do not know what became of them, and send them again
        again.settle(tended=False)
        is_sound(again, NUMBERS)
