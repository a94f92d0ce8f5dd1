"""Failpoints: off they do nothing, armed they act once, at the pass that was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atomos.core.service import failpoints
from atomos.core.service.failpoints import STRUCK, VARIABLE, Armoury, FailpointStruck, failpoint

CHILD = """
import os, threading
from atomos.core.service.failpoints import failpoint

def work():
    for number in range(5):
        failpoint("commit.before")
        print(number, flush=True)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def arm(folder: Path, name: str, line: str) -> None:
    (folder / name).write_text(line)


def test_without_the_variable_a_failpoint_is_an_empty_function() -> None:
    assert VARIABLE not in os.environ
    assert failpoint is failpoints._pass
    failpoint("commit.before")


def test_an_armed_one_acts_at_its_pass_and_only_once(tmp_path: Path) -> None:
    armoury = Armoury(tmp_path)
    arm(tmp_path, "commit.before", "3 raise\n")
    armoury("commit.before")
    armoury("commit.after")
    armoury("commit.before")
    with pytest.raises(FailpointStruck, match=r"ATM057: At commit\.before\."):
        armoury("commit.before")
    armoury("commit.before")
    [line] = (tmp_path / STRUCK).read_text().splitlines()
    assert line.split()[:3] == ["commit.before", "raise", str(os.getpid())]


def test_passes_are_counted_anew_when_it_is_armed_again(tmp_path: Path) -> None:
    armoury = Armoury(tmp_path)
    for _ in range(2):
        arm(tmp_path, "commit.before", "2 raise")
        armoury("commit.before")
        with pytest.raises(FailpointStruck):
            armoury("commit.before")


def test_of_many_threads_one_acts(tmp_path: Path) -> None:
    armoury, struck = Armoury(tmp_path), []
    arm(tmp_path, "commit.before", "1 raise")
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        for _ in range(50):
            try:
                armoury("commit.before")
            except FailpointStruck:
                struck.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert struck == [1]


def test_a_delay_delays(tmp_path: Path) -> None:
    arm(tmp_path, "commit.before", "1 delay:0.05")
    began = time.monotonic()
    Armoury(tmp_path)("commit.before")
    assert time.monotonic() - began >= 0.05


def test_what_is_half_written_or_no_order_is_passed_by(tmp_path: Path) -> None:
    for line in ("", "kill", "x kill"):
        arm(tmp_path, "commit.before", line)
        Armoury(tmp_path)("commit.before")


def test_a_kill_in_a_thread_ends_the_process_at_that_very_place(tmp_path: Path) -> None:
    arm(tmp_path, "commit.before", "3 kill")
    environment = {**os.environ, VARIABLE: str(tmp_path)}
    child = subprocess.run([sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, text=True)
    assert child.returncode == -signal.SIGKILL
    assert child.stdout.split() == ["0", "1"]


def test_a_stop_in_a_thread_stops_the_process_at_that_very_place(tmp_path: Path) -> None:
    arm(tmp_path, "commit.before", "3 stop")
    environment = {**os.environ, VARIABLE: str(tmp_path)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, text=True
    )
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert child.stdout is not None
    assert [child.stdout.readline().strip() for _ in range(2)] == ["0", "1"]
    os.kill(child.pid, signal.SIGCONT)
    assert child.communicate(timeout=30)[0].split() == ["2", "3", "4"]
    assert child.returncode == 0
