"""Limits of how often, over HTTP: for whom they hold, and what is counted where."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from atomos.core.adapters.limits import ProcessCounts, RedisCounts
from atomos.core.service.limits import Counts
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
