"""The change that everyone in `handled.py` makes: one row in one table, in one transaction."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, insert, make_url

METADATA = MetaData()
ORDERS = Table(
    "bench_order",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sku", String(40), nullable=False),
    Column("quantity", Integer, nullable=False),
)


def change(said: dict[str, Any]) -> Any:
    """Write the statement."""
    return insert(ORDERS).values(id=said["number"], sku=said["sku"], quantity=said["quantity"])


@cache
def engine() -> Engine:
    """Give this process's engine, on the database that the environment names."""
    return create_engine(make_url(os.environ["ATOMOS_DATABASE__URL"]).set(drivername="postgresql+psycopg"))
