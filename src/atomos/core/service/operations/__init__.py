"""To say what is going on in the log, and to change it by hand: plain data, and the ports that operators use."""

from __future__ import annotations

from ..concealing import HIDDEN
from .ports import Control, Declined, DeliveryFilter, Inspection, MessageFilter, Retention
from .report import Age, AuditReport, Damage, Misfit
from .shown import Shown
from .stored import (
    DISCARDABLE,
    OVER,
    RETRIABLE,
    Lease,
    Load,
    Registered,
    StoredDelivery,
    StoredMessage,
    StoredWorker,
    stamp,
)
from .why import Around, Explanation, Reason, Verdict, judge

__all__ = [
    "DISCARDABLE",
    "HIDDEN",
    "OVER",
    "RETRIABLE",
    "Age",
    "Around",
    "AuditReport",
    "Control",
    "Damage",
    "Declined",
    "DeliveryFilter",
    "Explanation",
    "Inspection",
    "Lease",
    "Load",
    "MessageFilter",
    "Misfit",
    "Reason",
    "Registered",
    "Retention",
    "Shown",
    "StoredDelivery",
    "StoredMessage",
    "StoredWorker",
    "Verdict",
    "judge",
    "stamp",
]
