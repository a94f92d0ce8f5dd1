"""Celery with RabbitMQ in `backlog.py`: one task, acknowledged late, from a durable queue.

`CELERY_POOL` and `CELERY_CONCURRENCY` say how a worker process runs tasks.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from celery import Celery
from marks import marker

APP = Celery("bench", broker=os.environ.get("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"))
APP.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_delivery_mode="persistent",
    task_default_queue="bench-celery",
    worker_prefetch_multiplier=int(os.environ.get("CELERY_PREFETCH", "500")),
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)

marking = cache(marker)


@APP.task(name="bench.mark")
def mark(n: int) -> None:
    """Do nothing, and say so."""
    marking()(n)


def worker(name: str, pool: str, concurrency: int) -> tuple[str, ...]:
    """Give the command line of one worker process."""
    quiet = ("--loglevel", "error", "--without-gossip", "--without-mingle", "--without-heartbeat")
    how = ("--pool", pool, "--concurrency", str(concurrency), "--hostname", f"{name}@bench")
    return (sys.executable, "-m", "celery", "--app", "backlog_celery:APP", "worker", *quiet, *how)


def send(numbers: range) -> None:
    """Send tasks, one after another."""
    with APP.producer_or_acquire() as producer:
        for n in numbers:
            mark.apply_async((n,), producer=producer)


def confirming(numbers: range) -> None:
    """Send tasks, each confirmed by the broker before the next, as a stored message is by its commit."""
    confirmed = APP.connection_for_write(transport_options={"confirm_publish": True})
    with confirmed as connection, APP.amqp.Producer(connection) as producer:
        for n in numbers:
            mark.apply_async((n,), producer=producer)
