"""Which broker a URL names; the library for it is imported only then."""

from __future__ import annotations

from ...service.messaging import Broker
from ..database import Database
from .database import DatabaseBroker


def broker_at(
    url: str | None,
    database: Database,
    *,
    prefix: str = "atomos",
    declare: bool = True,
    batch: int = 100,
    timeout: float = 10.0,
    heartbeat: float = 10.0,
    keep: float = 7.0,
) -> Broker:
    """Make the broker at a URL; None is the one in the log's own database. Nothing is opened.

    For the other arguments see `BrokerSettings`. Raises `MissingExtra` where its library is not installed.
    """
    scheme = "" if url is None else url.partition(":")[0]
    if url is None:
        return DatabaseBroker(database, declare=declare, batch=batch)
    if scheme in ("amqp", "amqps"):
        from .rabbitmq import RabbitBroker

        return RabbitBroker(
            url, exchange=prefix, declare=declare, batch=batch, timeout=timeout, heartbeat=heartbeat
        )
    if scheme in ("redis", "rediss"):
        from .redis_streams import RedisBroker

        return RedisBroker(url, prefix=prefix, declare=declare, batch=batch, timeout=timeout)
    if scheme in ("nats", "tls"):
        from .nats import NatsBroker

        return NatsBroker(url, prefix=prefix, declare=declare, batch=batch, timeout=timeout, keep_days=keep)
    return DatabaseBroker(Database(url), declare=declare, batch=batch, owned=True)
