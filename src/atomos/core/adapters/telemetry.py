"""Metrics for Prometheus: how many messages were handled, with which outcome, and how long it took."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from ..service.ports import HandlingMeter, Meter

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PrometheusMeter(Meter):
    """Counts handlings in `atomos_handled_total` and times them in `atomos_handling_seconds`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        labels = ("kind", "name")
        self._count = Counter("atomos_handled", "Messages handled.", (*labels, "outcome"), registry=registry)
        self._time = Histogram(
            "atomos_handling_seconds", "Time to handle one.", labels, buckets=_BUCKETS, registry=registry
        )

    def of(self, kind: str, name: str) -> HandlingMeter:
        """Give the meter of one message or recipient."""
        return _PrometheusHandlingMeter(self._count, self._time, kind, name)


class _PrometheusHandlingMeter(HandlingMeter):
    def __init__(self, count: Counter, time: Histogram, kind: str, name: str) -> None:
        outcomes = ("ok", "rejected", "failed", "conflict")
        self._counts = {outcome: count.labels(kind, name, outcome) for outcome in outcomes}
        self._time = time.labels(kind, name)

    def handled(self, outcome: str, seconds: float) -> None:
        self._counts[outcome].inc()
        self._time.observe(seconds)
