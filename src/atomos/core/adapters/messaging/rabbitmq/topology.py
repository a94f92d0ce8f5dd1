"""What RabbitMQ needs for topics and subscriptions: an exchange, and a queue for each subscription."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amqp.exceptions import NotFound

from ....service.messaging import Topology
from ..names import QUEUE_ARGUMENTS, queue_of
from .link import Link

NO_LIMIT = {"x-delivery-limit": -1}
"""What is added for RabbitMQ 4 and later, which otherwise drop a message at its 21st delivery.

RabbitMQ 3 has no such limit unless it is told one, and takes a negative one for zero.
"""

_FIRST_WITH_LIMIT = 4


def declare(link: Link, exchange: str, prefix: str, topology: Topology) -> None:
    """Make what is not there. What is there stays as it is, also where it was made in another way."""
    channel = link.channel
    _make_missing(
        lambda passive: channel.exchange_declare(exchange, "topic", passive, durable=True, auto_delete=False)
    )
    arguments = arguments_for(link.connection.server_properties)
    for subscription in topology.subscriptions:
        _declare_queue(channel, queue_of(prefix, subscription), arguments)
        channel.queue_bind(queue_of(prefix, subscription), exchange, subscription.topic)


def explain(exchange: str, prefix: str, topology: Topology) -> Sequence[str]:
    """Say, a sentence each, what has to be there."""
    arguments = ", ".join(f"{name}={str(value).lower()}" for name, value in QUEUE_ARGUMENTS.items())
    return [
        f"The durable exchange {exchange!r} of the type topic.",
        *(
            f"The durable queue {queue_of(prefix, each)!r} ({arguments}; on RabbitMQ 4 and later also "
            f"x-delivery-limit=-1), bound to the exchange {exchange!r} with the routing key {each.topic!r}."
            for each in topology.subscriptions
        ),
    ]


def arguments_for(server: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of a queue on a server that says this of itself."""
    first = str(server.get("version", "")).partition(".")[0]
    has_limit = first.isdecimal() and int(first) >= _FIRST_WITH_LIMIT
    return {**QUEUE_ARGUMENTS, **(NO_LIMIT if has_limit else {})}


def _declare_queue(channel: Any, queue: str, arguments: dict[str, Any]) -> None:
    _make_missing(
        lambda passive: channel.queue_declare(
            queue, passive, durable=True, auto_delete=False, arguments=arguments
        )
    )


def _make_missing(declare: Callable[[bool], object]) -> None:
    # Declaring again with other arguments would be an error, and so would be what an operator has made by hand.
    try:
        declare(True)
    except NotFound:
        declare(False)
