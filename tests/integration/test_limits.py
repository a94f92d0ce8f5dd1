"""Limits of how often: what is counted where, and what happens while Redis is away."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from atomos.core.adapters import limits
from atomos.core.adapters.limits import ProcessCounts, RedisCounts, counts_at
from atomos.core.service.errors import MissingExtra
from atomos.core.service.limits import Counts, Limit, Rate, TooMany
from atomos.testing.broker_servers import RedisServer
from atomos.testing.conformance.counts import CountsSuite

REDIS = os.environ.get("ATOMOS_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


class TestCountsOfAProcess(CountsSuite):
    @pytest.fixture
    def counts(self) -> Counts:
        return ProcessCounts()


@pytest.mark.services
class TestCountsInRedis(CountsSuite):
    @pytest.fixture
    def counts(self) -> Iterator[Counts]:
        made = RedisCounts(REDIS)
        made._redis.reset()
        yield made
        made._redis.reset()
        made.close()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def allowed(limit: Limit, who: str, times: int) -> int:
    """Say how many of so many are let through."""
    refused = 0
    for _ in range(times):
        try:
            limit.add(who)
        except TooMany:
            refused += 1
    return times - refused


@pytest.mark.services
def test_two_processes_count_together_in_redis(redis: RedisServer) -> None:
    both = [Limit("address", "requests", Rate(10, 60), RedisCounts(redis.url)) for _ in range(2)]
    assert [allowed(limit, "a", 8) for limit in both] == [8, 2]
    assert [allowed(limit, "b", 5) for limit in both] == [5, 5]


@pytest.mark.services
def test_while_redis_is_away_each_process_counts_for_itself_and_says_so(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AWAY_SECONDS", 0.2)
    counts = RedisCounts(redis.url)
    limit = Limit("address", "requests", Rate(10, 3600), counts)
    assert allowed(limit, "a", 4) == 4
    assert counts.trouble() is None
    redis.kill()
    with capture_logs() as logs:
        began = time.monotonic()
        assert allowed(limit, "b", 15) == 10
        assert time.monotonic() - began < 5
    assert [entry["event"] for entry in logs] == ["limits.storage_away"]
    assert "Redis does not answer" in (counts.trouble() or "")
    redis.start()
    with capture_logs() as logs:
        assert counts.trouble() is None
    assert [entry["event"] for entry in logs] == ["limits.storage_back"]
    assert allowed(Limit("address", "requests", Rate(10, 3600), RedisCounts(redis.url)), "c", 4) == 4
    assert allowed(limit, "c", 15) == 6


def test_counts_that_need_a_library_say_which_extra_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(
        MissingExtra, match=r"limits\.storage is set: run `pip install 'atomos-framework\[redis\]'`"
    ):
        counts_at("redis://127.0.0.1:6379/0")
    assert isinstance(counts_at(None), ProcessCounts)
