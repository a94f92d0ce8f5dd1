"""The HTTP edge: entrypoints that emit events and ask queries, problems, documents and health."""

from .app import Installation, install
from .emitting import ask, correlation_id, emit, principal
from .endpoints import Endpoint
from .entrypoints import Entrypoints
from .health import Check
from .openapi import document

__all__ = [
    "Check",
    "Endpoint",
    "Entrypoints",
    "Installation",
    "ask",
    "correlation_id",
    "document",
    "emit",
    "install",
    "principal",
]
