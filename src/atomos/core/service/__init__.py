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
from .registration import Workers
from .retry import Backoff, ConflictRetry, NotYet
from .routes import (
    JoinedRoutes,
    Recipient,
    Routes,
    at_once,
    by,
    gives_up,
    join,
    named,
    parks,
    quickly,
    retries,
    within,
)
from .schedules import CatchUp, Schedule, Schedules, every
from .threads import Chore
from .unit_of_work import UnitOfWork
from .worker import Worker
from .worker_settings import WorkerSettings

__all__ = [
    "PUBLIC",
    "REGISTRY",
    "SYSTEM",
    "Backoff",
    "CatchUp",
    "Chore",
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
    "NotYet",
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
    "Schedule",
    "Schedules",
    "Storage",
    "Unavailable",
    "UnitOfWork",
    "WiringError",
    "Worker",
    "WorkerSettings",
    "Workers",
    "at_once",
    "by",
    "every",
    "gives_up",
    "join",
    "named",
    "parks",
    "quickly",
    "retries",
    "within",
]
