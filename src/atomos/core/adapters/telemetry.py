"""Metrics for Prometheus: how many messages were handled, with which outcome, and how long it took."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ..service.ports import OUTCOMES, HandlingMeter, Meter

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Give all metrics as Prometheus reads them, and the content type; of all processes of this service."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


class PrometheusMeter(Meter):
    """Counts and times handlings by outcome, in the histogram `atomos_handling_seconds`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("kind", "name", "outcome")
        self._times = Histogram(
            "atomos_handling_seconds", "Messages handled.", labels, buckets=_BUCKETS, registry=registry
        )

    def of(self, kind: str, name: str) -> HandlingMeter:
        """Give the meter of one message or recipient."""
        return _PrometheusHandlingMeter(self._times, kind, name)


class _PrometheusHandlingMeter(HandlingMeter):
    def __init__(self, times: Histogram, kind: str, name: str) -> None:
        self._observe = {outcome: times.labels(kind, name, outcome).observe for outcome in OUTCOMES}

    def handled(self, outcome: str, seconds: float) -> None:
        self._observe[outcome](seconds)
