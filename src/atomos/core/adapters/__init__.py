"""Adapters of the framework: databases, the log, repositories, notifications, files, third-party services."""

from .clock import DatabaseClock, SystemClock
from .database import Database, Sessions, UnusableDatabase
from .deliveries import SqlDeliveries
from .http_service import HttpService, ServiceRefused, ServiceUnavailable
from .instants import Instant
from .mapping import map_aggregate
from .message_log import SqlMessageLog
from .migrations import CORE, DatabaseVersion, History, NoMigration, pending, revise, unmade, upgrade
from .notifications import EmailNotifications, LogNotifications
from .repository import ReadModel, SqlRepository
from .schedules import SqlSchedules
from .storage import FileStorage
from .telemetry import PrometheusMeter, exposition
from .unit_of_work import SqlUnitOfWork
from .workers import SqlWorkers

__all__ = [
    "CORE",
    "Database",
    "DatabaseClock",
    "DatabaseVersion",
    "EmailNotifications",
    "FileStorage",
    "History",
    "HttpService",
    "Instant",
    "LogNotifications",
    "NoMigration",
    "PrometheusMeter",
    "ReadModel",
    "ServiceRefused",
    "ServiceUnavailable",
    "Sessions",
    "SqlDeliveries",
    "SqlMessageLog",
    "SqlRepository",
    "SqlSchedules",
    "SqlUnitOfWork",
    "SqlWorkers",
    "SystemClock",
    "UnusableDatabase",
    "exposition",
    "map_aggregate",
    "pending",
    "revise",
    "unmade",
    "upgrade",
]
