"""FastStream in `handled.py`: one subscriber that makes the change, acknowledged when it is done."""

from __future__ import annotations

import os
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from handled_change import change
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

BROKER = RabbitBroker(
    os.environ.get("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/"),
    default_channel=Channel(prefetch_count=100),
    log_level=40,
)
APP = FastStream(BROKER)
ENGINE = create_async_engine(
    make_url(os.environ["ATOMOS_DATABASE__URL"]).set(drivername="postgresql+psycopg"),
    pool_size=int(os.environ.get("FASTSTREAM_POOL", "10")),
)


@BROKER.subscriber(
    RabbitQueue("bench-handled-faststream", durable=True), ack_policy=AckPolicy.REJECT_ON_ERROR
)
async def take_order(said: dict[str, Any]) -> None:
    """Note an order."""
    async with ENGINE.begin() as connection:
        await connection.execute(change(said))
