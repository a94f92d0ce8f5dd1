"""The ledger in a database: tables, mapping, unit of work, and the balance that is shown."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, update
from sqlalchemy.orm import registry

from atomos.core.adapters import (
    Database,
    History,
    ReadModel,
    SqlMessageLog,
    SqlRepository,
    SqlUnitOfWork,
    map_aggregate,
)

from .messages import Booked
from .model import Account, Entry

METADATA = MetaData()

ACCOUNTS = Table(
    "ledger_account",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("entered", Integer, nullable=False),
    Column("version", Integer, nullable=False),
)

# Without a unique constraint, so that an entry made twice would be seen.
ENTRIES = Table(
    "ledger_entry",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("account", String(100), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("number", Integer, nullable=False),
    sqlite_autoincrement=True,
)

BALANCES = Table(
    "ledger_balance",
    METADATA,
    Column("account", String(100), primary_key=True),
    Column("deposits", Integer, nullable=False),
)

HISTORY = History("ledger", Path(__file__).parent / "migrations", METADATA)


def _map_model() -> None:
    mapper = registry()
    mapper.map_imperatively(Entry, ENTRIES)
    map_aggregate(Account, ACCOUNTS)


_map_model()


class Accounts(SqlRepository[Account]):
    """Accounts in a database."""


class LedgerUnitOfWork(SqlUnitOfWork):
    """An atomic update of the ledger."""

    def __init__(self, database: Database, log: SqlMessageLog) -> None:
        super().__init__(database, log)
        self._accounts = Accounts(self)

    def account(self, name: str) -> Account:
        """Give an account for a change; its first entry opens it."""
        found = self._accounts.find(name)
        if found is None:
            self._accounts.add(found := Account(name))
        return found

    def enter(self, entry: Entry) -> None:
        """Add an entry."""
        self.session.add(entry)


def show_balance(event: Booked, read_model: ReadModel) -> None:
    """Count the deposits of an account."""
    balance = BALANCES.c
    more = update(BALANCES).where(balance.account == event.account).values(deposits=balance.deposits + 1)
    # An account's deposits wait for each other: the first is nobody else's.
    if not read_model.execute(more).rowcount:  # type: ignore[attr-defined]
        read_model.execute(insert(BALANCES), {"account": event.account, "deposits": 1})
