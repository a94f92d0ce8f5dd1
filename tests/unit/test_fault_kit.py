"""The kit that hurts processes: what it writes down survives being hurt."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from atomos.testing.faults import Report, Struck
from atomos.testing.faults.databases import can_write
from atomos.testing.faults.ledger.deeds import Book, Deeds
from atomos.testing.faults.ledger.messages import Deposited
from atomos.testing.faults.nursery import _Keeper
from atomos.testing.faults.recovery import Recovery, Step
from atomos.testing.faults.strikes import Strikes


def test_an_effect_that_a_kill_cut_off_is_none_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "book"
    book = Book(str(path))
    book.write("notify", Deposited(account="a", number=1), "one")
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])

        book.write("notify", Deposited(account="a", number=2), "two")

        assert [(effect.number, effect.id) for effect in book.read()] == [(1, "one"), (2, "two")]


def test_a_deed_is_done_so_many_times_and_is_no_effect(tmp_path: Path) -> None:
    book = Book(str(tmp_path / "book"))
    deeds, message = Deeds(book), Deposited(account="a", number=1, deed="notify fail 2")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="notify fails for a 1"):
            deeds.perform("notify", message)

    deeds.perform("notify", message)

    assert book.read() == []


def test_nobody_can_write_while_somebody_else_stays_in_the_middle_of_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    assert can_write(url)
    with closing(sqlite3.connect(tmp_path / "faults.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        assert not can_write(url)
    assert can_write(url)


def test_a_report_says_how_long_recoveries_took() -> None:
    report = Report(1, {}, {}, tuple(map(float, range(100, -1, -1))), 0.0, 0, 0, 0, 0.0, ())
    assert (report.median, report.usual, report.worst) == (50.0, 95.0, 100.0)
    few = report._replace(recoveries=(15.0, 16.0))
    assert few.usual == 16.0, "not one that half of them exceeded"
    nothing = report._replace(recoveries=())
    assert (nothing.median, nothing.usual, nothing.worst) == (None, None, None)


def test_a_slow_recovery_is_told_in_one_line() -> None:
    steps = (Step(0.04, "held by 7, which was hit"), Step(15.02, "held by 8"))
    assert str(Recovery(21.5, "kill at commit.after", 7, "mail", steps)) == (
        "21.5 s, mail in the hands of process 7 (kill at commit.after): "
        "from 0.0 s held by 7, which was hit; from 15.0 s held by 8"
    )
    assert str(Recovery(0.1, "stop", 7, "mail", ())) == (
        "0.1 s, mail in the hands of process 7 (stop): nobody looked"
    )


def test_what_a_failpoint_did_is_told_once_and_what_came_late_is_told_then() -> None:
    first, late = Struck("commit.after", "kill", 7, 1.0), Struck("commit.before", "stop", 8, 2.0)
    rows = [first]
    strikes = Strikes(lambda: rows)
    assert list(strikes.new()) == [first]
    assert list(strikes.new()) == []
    rows.append(late)
    assert list(strikes.new()) == [late]


def test_a_process_is_not_taken_for_one_that_ended_and_had_its_id_before() -> None:
    keeper = _Keeper()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        keeper.begin(process.pid)
        process.kill()
        while (ended := keeper.end_of(process.pid)) is None:
            pass
        assert ended == -signal.SIGKILL
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        keeper._ended[other.pid] = keeper._ended.pop(process.pid)  # as when the system gives the id again
        keeper.begin(other.pid)
        assert keeper.end_of(other.pid) is None
        other.kill()
