"""Adapters of the framework: databases, the log, repositories, notifications, files, third-party services."""

from .clock import SystemClock
from .database import Database, Sessions, UnusableDatabase
from .deliveries import SqlDeliveries
from .http_service import HttpService, ServiceRefused, ServiceUnavailable
from .message_log import SqlMessageLog
from .migrations import CORE, DatabaseVersion, History, pending, revise, upgrade
from .notifications import EmailNotifications, LogNotifications
from .repository import ReadModel, SqlRepository
from .storage import FileStorage
from .telemetry import PrometheusMeter, exposition
from .unit_of_work import SqlUnitOfWork

__all__ = [
    "CORE",
    "Database",
    "DatabaseVersion",
    "EmailNotifications",
    "FileStorage",
    "History",
    "HttpService",
    "LogNotifications",
    "PrometheusMeter",
    "ReadModel",
    "ServiceRefused",
    "ServiceUnavailable",
    "Sessions",
    "SqlDeliveries",
    "SqlMessageLog",
    "SqlRepository",
    "SqlUnitOfWork",
    "SystemClock",
    "UnusableDatabase",
    "exposition",
    "pending",
    "revise",
    "upgrade",
]
