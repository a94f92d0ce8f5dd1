"""Celery in `handled.py`: one task that makes the change, acknowledged late."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from handled_change import change, engine

APP = Celery("bench", broker=os.environ.get("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"))
APP.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_delivery_mode="persistent",
    task_default_queue="bench-handled-celery",
    worker_prefetch_multiplier=500,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@APP.task(name="bench.take_order")
def take_order(said: dict[str, Any]) -> None:
    """Note an order."""
    with engine().begin() as connection:
        connection.execute(change(said))
