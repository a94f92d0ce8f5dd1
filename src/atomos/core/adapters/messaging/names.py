"""What a topic and a subscription are called on each broker; for this no library is needed."""

from __future__ import annotations

import re

from ...service.messaging import Subscription

READER_SIGN = "+"
"""What stands between a service and the number of its reader, in the name of a consumer of NATS."""

QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-single-active-consumer": True}
"""How RabbitMQ's queue of a subscription is made: kept by several nodes, and read by one consumer at a time."""

_UNNAMED = "amq.topic"
_OTHER = re.compile(r"[^A-Za-z0-9-]")


def exchange_of(prefix: str) -> str:
    """Name the exchange of RabbitMQ; without a prefix it is the server's own."""
    return prefix or _UNNAMED


def queue_of(prefix: str, subscription: Subscription) -> str:
    """Name RabbitMQ's queue of a subscription."""
    return ".".join(filter(None, (prefix, subscription.service, subscription.topic)))


def redis_stream_of(prefix: str, topic: str) -> str:
    """Name the stream of a topic in Redis."""
    return f"{prefix}:{topic}" if prefix else topic


def subject_of(prefix: str, topic: str) -> str:
    """Name the subject of a topic in NATS."""
    return f"{prefix}.{topic}" if prefix else topic


def stream_of(subject: str) -> str:
    """Name the stream of a subject: a dot becomes `_`, and what else a name may not have its code, as in `=5F`.

    Two subjects never have one stream.
    """
    return _OTHER.sub(lambda found: "_" if found[0] == "." else _codes(found[0]), subject)


def _codes(text: str) -> str:
    return "".join(f"={byte:02X}" for byte in text.encode())
