"""Section `[broker]`: where topics are published to and read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from .kinds import REDIS, Between, Count, Days, Form, Seconds, Server
from .showing import without_secrets

BrokerUrl = Annotated[
    str,
    Form(
        "amqp://USER:PASSWORD@HOST/VHOST (or amqps), redis://HOST:PORT/NUMBER (or rediss), nats://HOST:PORT (or tls), "
        "or the URL of a database: sqlite:///FILE, postgresql://...",
        r"(amqps?|rediss?|nats|tls)://.+|sqlite:///(?!(:memory:)?(\?|$)|file:)[^?].*|postgresql(\+psycopg)?://.*",
    ),
    Server(
        "the URL of a server with a port from 1 to 65535, and the number of a database where it is a Redis",
        REDIS | {"amqp": ".*", "amqps": ".*", "nats": "/?", "tls": "/?"},
    ),
]
"""Where a broker is."""

Name = Annotated[str, Form("letters, digits, - and _", r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")]
"""A name that every broker takes."""

Prefix = Annotated[str, Form("letters, digits, -, _ and .", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|")]
"""What stands in front of names; it may be empty."""

Source = Annotated[str, Form("a URI reference, such as /shop or https://shop.example.org", r"[!-~]{1,200}")]
"""The `source` of a CloudEvent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Section `[broker]`: where topics are published to and read from."""

    url: BrokerUrl | None = None
    """The broker, `amqp:`, `redis:` or `nats:` (each is an extra), or a database that several services on one
    machine share as theirs. None, the default: the service's own database. Never shown."""

    service: Name = "atomos"
    """What this service is called: its processes share one place in each topic that they read."""

    source: Source | None = None
    """The CloudEvents `source` of what it publishes. None, the default: `/` and the service's name."""

    mode: Literal["structured", "binary"] = "structured"
    """How CloudEvents are written: as one JSON document, the default, or data with attributes in headers. Both
    are read."""

    declare: bool = True
    """Whether exchanges, queues, streams and groups are made where they are not there. Default: true; false where
    they are managed elsewhere: `atomos verify` says what there has to be."""

    prefix: Prefix = "atomos"
    """The name of the exchange (RabbitMQ), and what stands before the names of streams (Redis, NATS)."""

    batch: Count = 100
    """So many messages are taken from a topic at once and written to the log together; no more are in hand."""

    waiting: Count = 10_000
    """While so many deliveries of a subscription's events wait, no more of it is taken: the broker keeps it."""

    timeout: Seconds = 10.0
    """Seconds to wait for a connection, and for confirmations."""

    heartbeat: Annotated[float, Between(1, 3_600)] = 10.0
    """Seconds within which a peer that has vanished is noticed, about; twice that on RabbitMQ."""

    keep: Days = 7.0
    """Days that NATS keeps what was published, read or not; zero: for ever. The others keep what was not read until it
    is."""

    principal: Annotated[str, Form("a name without blanks", r"\S{1,200}")] = "broker"
    """Who is said to have sent what comes from the broker."""

    permissions: tuple[str, ...] | None = None
    """The permissions of that principal. None, the default: all of them, for a broker to which only trusted
    services can publish."""

    def __repr__(self) -> str:
        return without_secrets(self)
