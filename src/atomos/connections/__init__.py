"""Serving over HTTP: slow clients wait in the worker's loop, and threads are given whole requests only."""

from __future__ import annotations

from .worker import Limits, PatientWorker

__all__ = [
    "Limits",
    "PatientWorker",
]
