"""Dramatiq with RabbitMQ in `backlog.py`: one actor; messages are acknowledged when they were handled."""

from __future__ import annotations

import os
import sys
from functools import cache

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from marks import marker

URL = os.environ.get("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")
BROKER = RabbitmqBroker(url=URL)
dramatiq.set_broker(BROKER)

marking = cache(marker)


@dramatiq.actor(queue_name="bench-dramatiq")
def mark(n: int) -> None:
    """Do nothing, and say so."""
    marking()(n)


def worker(processes: int, threads: int) -> tuple[str, ...]:
    """Give the command line of all worker processes."""
    how = ("--processes", str(processes), "--threads", str(threads))
    return (sys.executable, "-m", "dramatiq", *how, "backlog_dramatiq")


def send(numbers: range) -> None:
    """Send messages, one after another."""
    for n in numbers:
        mark.send(n)


def confirming(numbers: range) -> None:
    """Send messages, each confirmed by the broker before the next, as a stored message is by its commit."""
    broker = RabbitmqBroker(url=URL, confirm_delivery=True)
    broker.declare_queue(mark.queue_name, ensure=True)
    for n in numbers:
        broker.enqueue(mark.message(n))
    broker.close()
