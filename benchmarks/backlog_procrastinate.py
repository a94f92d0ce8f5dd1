"""Procrastinate in `backlog.py`: one task, stored in PostgreSQL; jobs that were done are deleted or kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import procrastinate
from marks import marker

_A_TRANSACTION = 500

APP = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ.get("BENCH_PROCRASTINATE", ""))
)

marking = cache(marker)


@APP.task(name="bench.mark")
async def mark(n: int) -> None:
    """Do nothing, and say so. A coroutine: synchronous tasks would go through threads, which is slower."""
    marking()(n)


def worker(concurrency: int, delete: str) -> tuple[str, ...]:
    """Give the command line of one worker process."""
    how = ("--concurrency", str(concurrency), "--delete-jobs", delete)
    return (sys.executable, "-m", "procrastinate", "--app", "backlog_procrastinate.APP", "worker", *how)


@contextmanager
def sender(url: str) -> Iterator[None]:
    """Send from this synchronous program for a while; make the tables."""
    with APP.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=url)), APP.open():
        APP.schema_manager.apply_schema()
        yield


def one_by_one(numbers: range) -> None:
    """Send each in a transaction of its own."""
    for n in numbers:
        mark.defer(n=n)


def in_bulk(numbers: range) -> None:
    """Send 500 a transaction."""
    for start in range(numbers.start, numbers.stop, _A_TRANSACTION):
        part = range(start, min(start + _A_TRANSACTION, numbers.stop))
        mark.batch_defer(*({"n": n} for n in part))
