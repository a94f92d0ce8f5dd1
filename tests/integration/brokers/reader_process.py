"""A process that reads a subscription and acknowledges nothing until it was stopped and went on."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

from atomos.core.service.messaging import Broker, Subscription
from atomos.core.service.ports import Unavailable

HELD = 10
"""So many messages it takes before it is to be stopped."""


def started(broker: Broker, subscription: Subscription, **settings: Any) -> subprocess.Popen[str]:
    """Start such a process with a broker like this one."""
    kind = type(broker)
    given = [kind.__module__, kind.__name__, json.dumps(settings), *subscription]
    command = [sys.executable, "-m", __name__, *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main(module: str, name: str, settings: str, topic: str, service: str) -> None:
    broker = getattr(importlib.import_module(module), name)(**json.loads(settings))
    consumer = broker.consume(Subscription(topic, service))
    held = consumer.receive(HELD, 20)
    print(len(held), flush=True)
    sys.stdin.readline()
    # As one that does not know yet that another has its place.
    with suppress(Unavailable):
        more = consumer.receive(HELD, 1)
        consumer.acknowledge(held)
        print(len(more), flush=True)
    print("over", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
