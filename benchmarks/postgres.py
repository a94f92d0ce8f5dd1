"""The database of the HTTP benchmarks: made for them, filled anew for each round, removed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import make_url
from uuid_utils import uuid7

from atomos.bootstrap import build

SERVER = os.environ.get("ATOMOS_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
SKUS = 200

_TABLES = (
    "atomos_message, atomos_delivery, allocation_view, allocation_line, allocation_batch, allocation_product"
)

# As in production, but on the loopback and for everyone: the services by hand know no credentials either.
_PRODUCTION = {
    "ATOMOS_PROFILE": "production",
    "ATOMOS_HTTP__HOST": "127.0.0.1",
    "ATOMOS_SECURITY__AUTHENTICATION": "false",
}


@contextmanager
def database() -> Iterator[str]:
    """Make a database with Atomos' tables, by its own migrations; give its URL; remove it."""
    name = f"atomos_bench_{str(uuid7())[-12:]}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            url = make_url(SERVER).set(database=name).render_as_string(hide_password=False)
            os.environ |= {**_PRODUCTION, "ATOMOS_DATABASE__URL": url}
            service = build()
            service.migrate()
            service.close()
            yield url
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def refill(url: str) -> None:
    """Begin anew: each SKU has two batches, of which the first can supply every order, and no line."""
    skus = [f"SKU-{number:04}" for number in range(SKUS)]
    batches = [(f"{sku}-{eta}", sku, eta) for sku in skus for eta in (None, "2030-01-01")]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"truncate {_TABLES}")
        cursor.executemany("insert into allocation_product values (%s, 1)", [(sku,) for sku in skus])
        cursor.executemany("insert into allocation_batch values (%s, %s, 1000000, %s)", batches)
        cursor.execute("analyze allocation_product, allocation_batch")


def connections(url: str) -> list[int]:
    """Name the server's processes that serve connections to a database."""
    with psycopg.connect(SERVER) as connection:
        query = "select pid from pg_stat_activity where datname = %s"
        return [pid for (pid,) in connection.execute(query, [make_url(url).database])]
