"""Ctrl-C ends a worker at once, whatever it was doing, and however often it is told."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from atomos.connections import PatientWorker


@pytest.mark.timeout(20)
def test_a_worker_quits_though_the_signal_interrupts_who_holds_the_lock_of_its_threads() -> None:
    worker = PatientWorker.__new__(PatientWorker)
    worker.alive, worker.cfg = True, SimpleNamespace(worker_int=lambda _: None)
    worker.tpool = ThreadPoolExecutor(1)
    # As it is held while a request is handed to a thread, and by gunicorn's own handler of the first signal.
    with worker.tpool._shutdown_lock, pytest.raises(SystemExit):
        worker.handle_quit(signal.SIGINT, None)
    # gunicorn's own signal comes while it closes its connections: that is let end.
    worker.handle_quit(signal.SIGQUIT, None)
