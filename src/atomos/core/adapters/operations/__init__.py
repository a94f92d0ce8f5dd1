"""Operators' reads and changes on SQL: the same statements on both databases."""

from .control import SqlControl
from .inspection import SqlInspection
from .retention import SqlRetention

__all__ = ["SqlControl", "SqlInspection", "SqlRetention"]
