"""The service layer: routes, the bus, the unit of work, deliveries and the worker; it knows no adapter."""

from ..domain.messages import Created, Page
from .bus import MessageBus
from .delivery import Deliveries, MessageLog
from .diagnostics import REGISTRY, Diagnostic, Finding, WiringError
from .envelope import PUBLIC, SYSTEM, Envelope, Origin, Principal
from .errors import (
    Conflict,
    InFlight,
    LeaseLost,
    NoHandling,
    NoRoute,
    NotCommitted,
    NotOpen,
    NotPermitted,
    ReadOnly,
    Reused,
)
from .injection import Offer, Offers
from .ports import (
    Clock,
    FileMissing,
    Meter,
    NameOutside,
    NameTaken,
    NotificationRefused,
    Notifications,
    Outside,
    Repository,
    Storage,
    Unavailable,
)
from .retry import Backoff, ConflictRetry
from .routes import JoinedRoutes, Recipient, Routes, by, join, named, parks
from .unit_of_work import UnitOfWork
from .worker import Worker, WorkerSettings

__all__ = [
    "PUBLIC",
    "REGISTRY",
    "SYSTEM",
    "Backoff",
    "Clock",
    "Conflict",
    "ConflictRetry",
    "Created",
    "Deliveries",
    "Diagnostic",
    "Envelope",
    "FileMissing",
    "Finding",
    "InFlight",
    "JoinedRoutes",
    "LeaseLost",
    "MessageBus",
    "MessageLog",
    "Meter",
    "NameOutside",
    "NameTaken",
    "NoHandling",
    "NoRoute",
    "NotCommitted",
    "NotOpen",
    "NotPermitted",
    "NotificationRefused",
    "Notifications",
    "Offer",
    "Offers",
    "Origin",
    "Outside",
    "Page",
    "Principal",
    "ReadOnly",
    "Recipient",
    "Repository",
    "Reused",
    "Routes",
    "Storage",
    "Unavailable",
    "UnitOfWork",
    "WiringError",
    "Worker",
    "WorkerSettings",
    "by",
    "join",
    "named",
    "parks",
]
