"""A process that reads a subscription, says what it holds, and then does nothing more: `URL EXCHANGE TOPIC COUNT`."""

from __future__ import annotations

import sys
import time

from atomos.core.adapters.messaging.rabbitmq import RabbitBroker
from atomos.core.service.messaging import Subscription

if __name__ == "__main__":
    url, exchange, topic, count = sys.argv[1:]
    consumer = RabbitBroker(url, exchange=exchange, heartbeat=1).consume(Subscription(topic, "shop"))
    held = 0
    while held < int(count):
        held += len(consumer.receive(int(count) - held, 20))
    print(held, flush=True)
    while True:
        # It is not dead: it answers the heartbeats until it is stopped.
        consumer.receive(0, 0.1)
        time.sleep(0.1)
