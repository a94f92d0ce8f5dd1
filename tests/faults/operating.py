"""An operator in a process of its own: `python -m tests.faults.operating retry`, or `purge`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from atomos.bootstrap import build
from atomos.core.adapters.operations import SqlControl, SqlRetention
from atomos.core.service.operations import DeliveryFilter


def main(what: str) -> None:
    """Retry all that is dead; or remove all that is over, however young."""
    atomos = build()
    core = atomos.container.core
    if what == "retry":
        SqlControl(core.database(), core.codec()).retry(DeliveryFilter(("dead",)), by="the test")
    else:
        soon = datetime.now(UTC) + timedelta(minutes=1)
        list(SqlRetention(core.database(), 0, before=soon).sweep())
    atomos.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
