"""Migrations: every package that owns tables has a history and a version table of its own."""

from .histories import CORE, DatabaseVersion, History, NoMigration, pending, revise, unmade, upgrade

__all__ = [
    "CORE",
    "DatabaseVersion",
    "History",
    "NoMigration",
    "pending",
    "revise",
    "unmade",
    "upgrade",
]
