"""The fault kit: an application in real processes that are killed and stopped, and what must hold afterwards.

Imported when asked for: `from atomos.testing.faults import Scenario`. It needs Linux or macOS, and no pytest.
"""

from .blows import Blow, blows
from .databases import fresh_database
from .invariants import broken_invariants
from .load import Drive, Load
from .running import Check, Report, Run
from .scenario import LEDGER, Scenario, WorkerProcess
from .strikes import Struck

__all__ = [
    "LEDGER",
    "Blow",
    "Check",
    "Drive",
    "Load",
    "Report",
    "Run",
    "Scenario",
    "Struck",
    "WorkerProcess",
    "blows",
    "broken_invariants",
    "fresh_database",
]
