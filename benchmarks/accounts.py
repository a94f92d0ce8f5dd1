"""The unit of work of `commit_path.py`: an account is locked, changed and flushed, a projection runs, it commits.

`Silent` is the log that stores nothing: with it, the same handlers do the same without the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dependency_injector import containers, providers
from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, update
from sqlalchemy.orm import registry

from atomos.allocation.container import AllocationContainer
from atomos.container import CONTEXTS
from atomos.core.adapters import Database, ReadModel, SqlMessageLog, SqlRepository, SqlUnitOfWork
from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Aggregate, Command, Event
from atomos.core.service import Routes, join
from atomos.core.service.delivery import Fence, Recalled, Record

ACCOUNTS = 200

METADATA = MetaData()
ACCOUNT = Table(
    "bench_account",
    METADATA,
    Column("number", String(20), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
)
TOTALS = Table(
    "bench_total",
    METADATA,
    Column("number", String(20), primary_key=True),
    Column("paid_in", BigInteger, nullable=False),
)


class PaidIn(Event[int], name="bench.paid-in"):
    number: str
    amount: int


class PayIn(Command[int], name="bench.pay-in"):
    number: str
    amount: int


class BalanceRose(Event, name="bench.balance-rose"):
    number: str
    amount: int


class Account(Aggregate):
    """What is paid in adds up."""

    number: str
    balance: int

    @property
    def identity(self) -> str:
        return self.number

    def pay_in(self, amount: int) -> int:
        self.balance += amount
        self.record(BalanceRose(number=self.number, amount=amount))
        return self.balance


registry().map_imperatively(Account, ACCOUNT, version_id_col=ACCOUNT.c.version, version_id_generator=False)


class Accounts(SqlRepository[Account]):
    """Accounts in a database."""

    aggregate = Account


class AccountsUnitOfWork(SqlUnitOfWork):
    """An atomic update of accounts."""

    def __init__(self, database: Database, log: SqlMessageLog) -> None:
        super().__init__(database, log)
        self.accounts = Accounts(self)


class Silent(SqlMessageLog):
    """A log that stores nothing and knows nothing; it wakes the workers like the other."""

    def recall(self, message_id: str, message: Any) -> Recalled | None:
        return None

    def begin_unless_repeat(self, message_id: str) -> None: ...
    def refuse_repeat(self, message_id: str) -> None: ...
    def append(self, records: Sequence[Record], completes: Fence | None = None) -> None: ...
    def write(self, connection: Connection, records: Sequence[Record], completes: Fence | None) -> None: ...


_ADD = update(TOTALS).values(paid_in=TOTALS.c.paid_in + 1)


def pay_in(command: PayIn, uow: AccountsUnitOfWork) -> int:
    """The unit of work that is measured."""
    with uow:
        return uow.commit(uow.accounts.get(command.number).pay_in(command.amount))


def add_up(event: BalanceRose, read_model: ReadModel) -> None:
    """The projection."""
    read_model.execute(_ADD.where(TOTALS.c.number == event.number))


def tell(event: BalanceRose) -> None:
    """One who hears of it later."""


def check(event: BalanceRose) -> None:
    """Another."""


ROUTES = Routes(
    triggers={PaidIn: [PayIn]},
    commands={PayIn: pay_in},
    records={PayIn: [BalanceRose]},
    projections={BalanceRose: [add_up]},
    reactions={BalanceRose: [tell, check]},
)
CONTEXT = Context("bench", (ROUTES,))


class Container(containers.DeclarativeContainer):
    """What the handlers ask for."""

    core = providers.DependenciesContainer()
    uow = providers.Factory(AccountsUnitOfWork, database=core.database, log=core.message_log)
    read_model = providers.Factory(ReadModel, session=core.session, tables=(TOTALS,))


class Application(containers.DeclarativeContainer):
    """The application, with the log."""

    contexts = (CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(bench=CONTEXT.routes))
    bench = providers.Container(Container, core=core)


class SilentCore(CoreContainer):
    """The core with a log that stores nothing."""

    message_log = providers.ThreadSafeSingleton(
        Silent, database=CoreContainer.database, codec=CoreContainer.codec, wake=CoreContainer.wake
    )


class SilentApplication(containers.DeclarativeContainer):
    """The application without the log."""

    contexts = (CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(SilentCore, config=config, routes=join(bench=CONTEXT.routes))
    bench = providers.Container(Container, core=core)


class SilentService(containers.DeclarativeContainer):
    """The reference service without the log."""

    contexts = CONTEXTS
    config = providers.Configuration(strict=True)
    core = providers.Container(
        SilentCore, config=config, routes=join(**{context.name: context.routes for context in CONTEXTS})
    )
    allocation = providers.Container(AllocationContainer, config=config.allocation, core=core)
