"""The ledger's load, and what must be in its tables and in its book afterwards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from atomos.core.service import Origin
from atomos.core.service.envelope import hashed_id

from .deeds import Book
from .messages import Deposited, Reminded

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service import MessageBus

ACCOUNTS = 12
"""A number goes to the account of its remainder. Those of even accounts are sent later, others are obeyed at once."""

_DEEDS = ((40, 17, "notify refuse"), (10, 3, "notify fail 1"), (40, 5, "confirm wait 0.3"))
_REMIND_EVERY = 5

_GIVEN_UP = "select recipient from atomos_delivery where status in ('dead', 'parked', 'discarded')"


def drive(bus: MessageBus, number: int) -> None:
    """Send what belongs to a number. When it raises, it is called with the same number again."""
    deposited = deposit_of(number)
    if number % _REMIND_EVERY == 0:
        due, reminded = timedelta(seconds=0.2 + number % 7 / 10), Origin(id=hashed_id("reminded", number))
        bus.send_later(Reminded(account=deposited.account, number=number), reminded, delay=due)
    origin = Origin(id=hashed_id("deposited", number))
    if number % ACCOUNTS % 2:
        bus.emit(deposited, origin)
    else:
        bus.send_later(deposited, origin)


def check(atomos: Atomos, numbers: Sequence[int]) -> list[str]:
    """Say what is broken after these numbers were driven, and everything is over."""
    deposits = [deposit_of(number) for number in numbers]
    return compare(atomos, deposits, [each for each in deposits if each.number % _REMIND_EVERY == 0])


def compare(
    atomos: Atomos, deposits: Sequence[Deposited], reminders: Sequence[Deposited] = (), *, dead: bool = True
) -> list[str]:
    """Say what is broken after these deposits were sent, those of an account in this order.

    `dead` is whether exactly the refused ones may be dead or parked.
    """
    entries = _look(atomos, "select account, kind, number from ledger_entry order by id")
    balances = dict(_look(atomos, "select account, deposits from ledger_balance"))
    given_up = Counter(row[0] for row in _look(atomos, _GIVEN_UP))
    book = Book(atomos.settings.contexts["ledger"].book)  # type: ignore[attr-defined]
    return [
        *entered(entries, deposits, reminders),
        *shown(balances, deposits),
        *effects(book, deposits),
        *(dead_or_parked(given_up, deposits) if dead else ()),
    ]


def deposit_of(number: int) -> Deposited:
    """Make the deposit of a number."""
    deed = next((deed for every, rest, deed in _DEEDS if number % every == rest), "")
    return Deposited(account=f"account-{number % ACCOUNTS}", number=number, deed=deed)


def entered(
    entries: Iterable[tuple[Any, ...]], deposits: Iterable[Deposited], reminders: Iterable[Deposited] = ()
) -> Iterator[str]:
    """Compare the entries: each once, in the order in which they were sent; reminders in any order."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for account, kind, number in entries:
        found[account, kind.partition("-")[0]].append((number, kind))
    expected: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for each in deposits:
        expected[each.account, "deposit"].append((each.number, "deposit"))
        expected[each.account, "copy"] += [(each.number, f"copy-{n}") for n in (1, 2)]
    for each in reminders:
        expected[each.account, "reminder"].append((each.number, "reminder"))
        found[each.account, "reminder"].sort()
    for of in sorted(found.keys() | expected.keys()):
        if (problem := _difference(found[of], expected[of])) is not None:
            yield f"the {of[1]} entries of {of[0]}: {problem}"


def shown(balances: dict[str, int], deposits: Iterable[Deposited]) -> Iterator[str]:
    """Compare the balances that are shown with the deposits."""
    expected = Counter(each.account for each in deposits)
    if balances != expected:
        yield f"the balances are {balances}, and should be {dict(expected)}"


def effects(book: Book, deposits: Iterable[Deposited]) -> Iterator[str]:
    """Compare the effects: each at least once, under one id, first times in order."""
    written: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for effect in book.read():
        if written[effect.listener, effect.account].setdefault(effect.number, effect.id) != effect.id:
            yield f"{effect.listener} had its effect for {effect.number} under two ids"
    accounts: dict[str, list[Deposited]] = defaultdict(list)
    for each in deposits:
        accounts[each.account].append(each)
    for account, its in accounts.items():
        for listener in ("notify", "confirm", "file_away"):
            expected = [each.number for each in its if each.deed != f"{listener} refuse"]
            if (problem := _difference(list(written[listener, account]), expected)) is not None:
                yield f"the effects of {listener} for {account}: {problem}"
    ids = Counter(id_ for numbers in written.values() for id_ in numbers.values())
    if doubled := [id_ for id_, times in ids.items() if times > 1]:
        yield f"effect ids that stand for two effects: {doubled[:3]}"


def dead_or_parked(dead: Counter[str], deposits: Iterable[Deposited]) -> Iterator[str]:
    """Compare what is dead or parked with what was told to be."""
    expected = Counter(
        f"ledger.{each.deed.partition(' ')[0]}" for each in deposits if each.deed.endswith(" refuse")
    )
    if dead != expected:
        yield f"given up: {dict(dead)}, and should be {dict(expected)}"


def _difference(found: list[Any], expected: list[Any]) -> str | None:
    if found == expected:
        return None
    lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    if lost or more:
        return f"lost {sorted(lost)[:5]}, too many {sorted(more)[:5]}"
    place = next(n for n, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    return f"out of order from place {place}: {found[place : place + 5]}, should be {expected[place : place + 5]}"


def _look(atomos: Atomos, statement: str) -> list[tuple[Any, ...]]:
    with atomos.container.core.database().look() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]
