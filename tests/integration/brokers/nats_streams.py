"""Streams of a NATS server, looked at, made and removed for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats
from nats.js import JetStreamContext

T = TypeVar("T")


def on_nats(url: str, work: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """Do something with the streams of a server."""

    async def run() -> T:
        client = await nats.connect(url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def remove_streams(url: str, prefix: str) -> None:
    """Remove the streams whose names begin with a prefix."""

    async def remove(streams: JetStreamContext) -> None:
        for each in await streams.streams_info():
            if (each.config.name or "").startswith(prefix):
                await streams.delete_stream(each.config.name or "")

    on_nats(url, remove)
