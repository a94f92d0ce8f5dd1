"""Rows in lanes: those of one SKU are worked on one after the other, and those of different ones side by side."""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Iterable

from .rows import Row

_LANE_LENGTH = 32


def in_lanes(rows: Iterable[Row], work: Callable[[Row], None], lanes: int, stopping: threading.Event) -> None:
    """Hand each row to the thread of its SKU's lane. The first error ends all lanes, and is raised."""
    queues: list[queue.Queue[Row | None]] = [queue.Queue(_LANE_LENGTH) for _ in range(lanes)]
    errors: list[BaseException] = []

    def run(lane: queue.Queue[Row | None]) -> None:
        while (row := lane.get()) is not None:
            try:
                if not stopping.is_set():
                    work(row)
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
                errors.append(error)
                stopping.set()

    threads = [threading.Thread(target=run, args=(lane,), daemon=True) for lane in queues]
    for thread in threads:
        thread.start()
    try:
        for row in rows:
            queues[_lane(row, lanes)].put(row)
            if stopping.is_set():
                break
    except BaseException:
        stopping.set()
        raise
    finally:
        for lane in queues:
            lane.put(None)
        _wait(threads, stopping)
    if errors:
        raise errors[0]


def _wait(threads: list[threading.Thread], stopping: threading.Event) -> None:
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stopping.set()
        for thread in threads:
            thread.join()
        raise


def _lane(row: Row, lanes: int) -> int:
    return zlib.crc32(row.request.sku.encode()) % lanes if row.request else row.line % lanes
