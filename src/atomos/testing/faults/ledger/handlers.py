"""What the ledger does when told something, and when something has happened."""

from __future__ import annotations

from atomos.core.service import Envelope, Routes, by, parks

from .deeds import Book, Deeds
from .messages import Booked, Confirmed, Copy, Deposit, Deposited, Remind, Reminded
from .storage import LedgerUnitOfWork, show_balance


def deposit(command: Deposit, uow: LedgerUnitOfWork, deeds: Deeds) -> None:
    """Enter a deposit."""
    deeds.perform("deposit", command)
    with uow:
        account = uow.account(command.account)
        uow.enter(account.deposit(command.number, command.deed))
        deeds.perform("entering", command)
        return uow.commit()


def copy(command: Copy, uow: LedgerUnitOfWork, deeds: Deeds) -> None:
    """Enter a copy of a deposit."""
    with uow:
        uow.enter(uow.account(command.account).enter(f"copy-{command.copy}", command.number))
        deeds.perform("copy", command)
        return uow.commit()


def remind(command: Remind, uow: LedgerUnitOfWork) -> None:
    """Enter that a time has come."""
    with uow:
        uow.enter(uow.account(command.account).enter("reminder", command.number))
        return uow.commit()


def copy_twice(event: Booked) -> tuple[Copy, ...]:
    """Every deposit is copied twice."""
    account, number, deed = event.account, event.number, event.deed
    return tuple(Copy(account=account, number=number, deed=deed, copy=n) for n in (1, 2))


def notify(event: Booked, book: Book, deeds: Deeds, envelope: Envelope) -> None:
    """Tell somebody outside."""
    deeds.perform("notify", event)
    book.write("notify", event, envelope.effect_id())


def confirm(event: Booked, book: Book, deeds: Deeds, envelope: Envelope) -> Confirmed:
    """Tell somebody outside, and say what came of it."""
    deeds.perform("confirm", event)
    book.write("confirm", event, envelope.effect_id())
    return Confirmed(account=event.account, number=event.number, deed=event.deed)


def file_away(event: Confirmed, book: Book, deeds: Deeds, envelope: Envelope) -> None:
    """Keep what came of it, outside."""
    deeds.perform("file_away", event)
    book.write("file_away", event, envelope.effect_id())


ROUTES = Routes(
    triggers={
        Deposited: [by("account", Deposit)],
        Reminded: [by("account", Remind)],
        Booked: [copy_twice],
    },
    commands={Deposit: deposit, Copy: copy, Remind: remind},
    records={Deposit: [Booked]},
    projections={Booked: [show_balance]},
    reactions={Booked: [notify, confirm], Confirmed: [parks(by("account", file_away))]},
)
