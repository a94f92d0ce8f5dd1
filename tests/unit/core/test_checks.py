"""The boot check: a mistake of each kind, made on purpose, stops the start with a report that names it."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

from atomos.core.domain import Command, Created, Event, Message, Query, ValueObject
from atomos.core.service import (
    Clock,
    ForeignMessage,
    JoinedRoutes,
    MessageBus,
    Notifications,
    Offer,
    Routes,
    UnitOfWork,
    WiringError,
    by,
    every,
    in_step,
    join,
    named,
    parks,
    translated,
)
from atomos.core.service.checks import check
from atomos.testing.probing import SilentMeter

if TYPE_CHECKING:
    from decimal import Decimal

HERE = f"{__name__.replace('.', '/')}.py"

# A whole wiring.


class Reservation(ValueObject):
    sku: str


class Fields(Message):
    order_id: str
    sku: str
    quantity: int


class OrderPlaced(Fields, Event[Created[Reservation] | Reservation], name="shop.order-placed"):
    pass


class Reserve(Fields, Command[Created[Reservation] | Reservation], name="shop.reserve"):
    pass


class Reserved(Fields, Event, name="shop.reserved"):
    pass


class Told(Event, name="shop.told"):
    sku: str


class StockOf(Query[int], name="shop.stock-of"):
    sku: str


class Uow(UnitOfWork):
    """Only its class matters here."""


class Session:
    pass


class Posting(Notifications):
    @abstractmethod
    def stamp(self) -> None: ...


class Speaking(Protocol):
    def speak(self) -> None: ...


def reserve(command: Reserve, uow: Uow) -> Created[Reservation] | Reservation: ...


def show(event: Reserved, session: Session) -> None: ...


def tell(event: Reserved, notifications: Notifications) -> Told | None: ...


def stock_of(query: StockOf, session: Session) -> int: ...


class Renewed(Event, name="shop.renewed", version=3):
    pass


def told_daily(tick: datetime) -> Told: ...


def told_silently(tick: datetime): ...  # type: ignore[no-untyped-def]


def reserved_daily(tick: datetime) -> Reserve: ...


def told_on_request(tick: datetime, session: Session) -> Told: ...


async def told_later(tick: datetime) -> Told: ...


def upcast(stored: dict[str, Any]) -> dict[str, Any]: ...


def translates_to_nothing(message: ForeignMessage) -> None: ...


def translates_with_help(message: ForeignMessage, session: Session) -> OrderPlaced: ...


def ticking(schedule: Any) -> dict[str, Any]:
    """Change the wiring by a schedule."""
    return {"schedules": {"daily": schedule}}


def hearing_renewed(upcasts: dict[Any, Any]) -> dict[str, Any]:
    """Change the wiring by a message of a third version, and upcasters."""
    return {"ignored": {**WHOLE["ignored"], Renewed: "it is only kept"}, "upcasts": upcasts}


WHOLE: dict[str, Any] = {
    "triggers": {OrderPlaced: [Reserve]},
    "commands": {Reserve: reserve},
    "records": {Reserve: [Reserved]},
    "projections": {Reserved: [show]},
    "reactions": {Reserved: [tell]},
    "queries": {StockOf: stock_of},
    "requires": {OrderPlaced: "orders:write", StockOf: "orders:read"},
    "ignored": {Told: "nobody needs to know"},
}

OFFERS = {
    made[0]: Offer(made[0], lambda: None, made[1], f"Shop.{made[0]}")
    for made in (
        ("uow", Uow),
        ("session", Session),
        ("notifications", Posting),
        ("clock", Clock),
        ("amount", int),
        ("secretive", None),
    )
}


def found(**changes: Any) -> list[Any]:
    return check(join(shop=[Routes(**{**WHOLE, **changes})]), {"shop": OFFERS})


def test_a_whole_wiring_has_no_mistake() -> None:
    assert found() == []


def test_a_whole_wiring_starts() -> None:
    bus = start(join(shop=[Routes(**WHOLE)]))

    assert set(bus.flow.events) == {OrderPlaced, Reserved, Told}


# What the mistakes are made of.


class Empty(Command, name="shop.empty"):
    pass


class Unheard(Event, name="shop.unheard"):
    pass


class Priced(Event, name="shop.priced"):
    sku: str
    quantity: str


class Promising(Event[int], name="shop.promising"):
    pass


class GivesInt(Command[int], name="shop.gives-int"):
    pass


class AlsoGivesInt(Command[int], name="shop.also-gives-int"):
    pass


class Back(Event, name="shop.back"):
    pass


class There(Command, name="shop.there"):
    pass


class Namesake(Event, name="shop.reserved"):
    pass


class Other(Query[int], name="shop.other"):
    pass


def empty(command: Empty, uow: Uow) -> None: ...


def reserve_again(command: Reserve, uow: Uow) -> Created[Reservation] | Reservation: ...


def stock_again(query: StockOf) -> int: ...


def gives_int(command: GivesInt, uow: Uow) -> int: ...


def also_gives_int(command: AlsoGivesInt, uow: Uow) -> int: ...


def to_both(event: Promising) -> GivesInt | AlsoGivesInt: ...


def there(command: There, uow: Uow) -> None: ...


def go_there(event: Back) -> There: ...


def decides_reserve(event: OrderPlaced) -> list[Reserve] | None: ...


def takes_another(event: Told) -> None: ...


def takes_bare(event) -> None: ...  # type: ignore[no-untyped-def]


def takes_nothing() -> None: ...


def answers_text(query: StockOf) -> str: ...


def answers_bare(query: StockOf):  # type: ignore[no-untyped-def]
    ...


async def reacts_later(event: Reserved) -> None: ...


async def reacts_often(event: Reserved) -> AsyncIterator[Told]:
    yield Told(sku="a")


def reacts_bit_by_bit(event: Reserved) -> Iterator[Told]:
    yield Told(sku="a")


def prices(event: Reserved, price: Decimal, uow: Uow) -> None: ...


def says_decimal(event: Reserved) -> Decimal: ...


def takes_decimal(event: Decimal) -> None: ...


def misspells(event: Reserved, notifcations: Notifications) -> None: ...


def asks_far_away(event: Reserved, zebra: Session) -> None: ...


def wants_clock(event: Reserved, session: Clock) -> None: ...


def wants_secretive(event: Reserved, secretive: Session) -> None: ...


def wants_protocol(event: Reserved, session: Speaking) -> None: ...


def command_tells(command: Reserve, uow: Uow, notifications: Notifications) -> Reservation: ...


def projection_tells(event: Reserved, notifications: Notifications) -> None: ...


def query_tells(query: StockOf, notifications: Any) -> int: ...


def trigger_tells(event: OrderPlaced, notifications: Notifications) -> Reserve: ...


def query_works(query: StockOf, uow: Uow) -> int: ...


def projection_works(event: Reserved, uow: Uow) -> None: ...


def reaction_works(event: Reserved, uow: Uow) -> None: ...


def trigger_works(event: OrderPlaced, uow: Uow) -> Reserve: ...


def trigger_looks(event: OrderPlaced, session: Session) -> Reserve: ...


def trigger_wishes(event: OrderPlaced, zebra: Session) -> Reserve: ...


def decides_nothing(event: Reserved) -> None: ...


def decides_bare(event: Reserved):  # type: ignore[no-untyped-def]
    ...


def decides_any(event: Reserved) -> Command[Any]: ...


def positional(event: Reserved, session: Session, /) -> None: ...


def variadic(event: Reserved, *sessions: Session) -> None: ...


def keywords(event: Reserved, **sessions: Session) -> None: ...


def bare(event: Reserved, session) -> None: ...  # type: ignore[no-untyped-def]


def named_only(*, event: Reserved) -> None: ...


def all_events(*events: Reserved) -> None: ...


def reacts_bare(event: Reserved):  # type: ignore[no-untyped-def]
    ...


def reacts_with_text(event: Reserved) -> str: ...


def projects_an_event(event: Reserved, session: Session) -> Told: ...


def projects_told(event: Told, session: Session) -> None: ...


def recurs(event: Told) -> Told: ...


def says_unheard(event: Reserved) -> Unheard: ...


def hears_both(event: Reserved | Told) -> None: ...


partial = functools.partial(show, session=None)


class Mistake(NamedTuple):
    """A change to the whole wiring, the code of its finding, what it is at, and what the report says."""

    changes: dict[str, Any]
    code: str
    at: Any
    says: tuple[str, ...] = ()


def reacting(function: Any) -> dict[str, Any]:
    return {"reactions": {Reserved: [tell, function]}}


def asking(function: Any) -> dict[str, Any]:
    return {"queries": {StockOf: function}}


def deciding(function: Any) -> dict[str, Any]:
    return {"triggers": {OrderPlaced: [function]}}


def projecting(function: Any) -> dict[str, Any]:
    return {"projections": {Reserved: [function]}}


def promising(*triggers: Any) -> dict[str, Any]:
    commands = {Reserve: reserve, GivesInt: gives_int, AlsoGivesInt: also_gives_int, Empty: empty}
    return {"triggers": {**WHOLE["triggers"], Promising: triggers}, "commands": commands}


def circle(**more: Any) -> dict[str, Any]:
    return {
        "triggers": {**WHOLE["triggers"], Back: [There]},
        "commands": {Reserve: reserve, There: there},
        "records": {**WHOLE["records"], There: [Back]},
        **more,
    }


MISTAKES = {
    "a triggered command has no handler": Mistake(
        {"triggers": {**WHOLE["triggers"], Told: [Empty]}, "ignored": {}},
        "ATM001",
        Empty,
        ("Told triggers it", "no `commands` table"),
    ),
    "a command that a function decides for has no handler": Mistake(
        {"triggers": {**WHOLE["triggers"], Back: [go_there]}},
        "ATM001",
        There,
        ("Back triggers it",),
    ),
    "a recorded event is not heard": Mistake(
        {"records": {Reserve: [Reserved, Unheard]}}, "ATM003", Unheard, ("Reserve records it",)
    ),
    "a returned event is not heard": Mistake(
        reacting(says_unheard), "ATM003", Unheard, ("says_unheard returns it",)
    ),
    "an event that may be emitted is not heard": Mistake(
        {"requires": {Unheard: "x"}}, "ATM003", Unheard, ("`requires`",)
    ),
    "a handler takes another message": Mistake(
        reacting(takes_another), "ATM004", takes_another, ("takes Told first", "the reaction of Reserved")
    ),
    "a handler does not say what it takes": Mistake(
        reacting(takes_bare), "ATM004", takes_bare, ("no annotated message", "Reserved")
    ),
    "a handler takes nothing": Mistake(
        reacting(takes_nothing), "ATM004", takes_nothing, ("takes no parameter",)
    ),
    "a handler gives another answer": Mistake(
        asking(answers_text), "ATM005", answers_text, ("returns str", "StockOf declares int")
    ),
    "a handler does not say its answer": Mistake(
        asking(answers_bare), "ATM005", answers_bare, ("does not say what it returns; StockOf declares int",)
    ),
    "a handler is asynchronous": Mistake(
        reacting(reacts_later), "ATM006", reacts_later, ("async def", "plain function")
    ),
    "a handler is an asynchronous generator": Mistake(
        reacting(reacts_often), "ATM006", reacts_often, ("async def",)
    ),
    "a handler is a generator": Mistake(
        reacting(reacts_bit_by_bit), "ATM006", reacts_bit_by_bit, ("contains `yield`",)
    ),
    "a message is imported for type checkers only": Mistake(
        reacting(takes_decimal), "ATM007", takes_decimal, ("parameter event is 'Decimal'", "TYPE_CHECKING")
    ),
    "a return type is imported for type checkers only": Mistake(
        reacting(says_decimal), "ATM007", says_decimal, ("the return annotation is 'Decimal'",)
    ),
    "a parameter is misspelt": Mistake(
        reacting(misspells),
        "ATM008",
        misspells,
        (
            "parameter notifcations",
            "shop offers amount, clock, notifications, secretive, session, uow",
            "did you mean notifications?",
        ),
    ),
    "a parameter is like nothing that is offered": Mistake(
        reacting(asks_far_away), "ATM008", asks_far_away, ("parameter zebra", "shop offers amount, clock")
    ),
    "a parameter has another type": Mistake(
        reacting(wants_clock),
        "ATM009",
        wants_clock,
        ("session wants Clock", "Shop.session makes Session"),
    ),
    "a provider does not say what it makes": Mistake(
        reacting(wants_secretive),
        "ATM009",
        wants_secretive,
        ("secretive wants Session", "Shop.secretive makes something, and does not say what"),
    ),
    "a port is a protocol": Mistake(
        reacting(wants_protocol), "ATM009", wants_protocol, ("wants Speaking", "abstract base class")
    ),
    "a command tells the outside": Mistake(
        {"commands": {Reserve: command_tells}},
        "ATM010",
        command_tells,
        ("notifications of a command is Posting", "Shop.notifications"),
    ),
    "a projection tells the outside": Mistake(
        projecting(projection_tells), "ATM010", projection_tells, ("of a projection",)
    ),
    "a query tells the outside, whatever its annotation": Mistake(
        asking(query_tells), "ATM010", query_tells, ("of a query is Posting",)
    ),
    "a trigger tells the outside": Mistake(
        deciding(trigger_tells), "ATM010", trigger_tells, ("parameter notifications", "nothing else")
    ),
    "a trigger class needs a field": Mistake(
        {"triggers": {OrderPlaced: [Reserve], Unheard: [Reserve]}},
        "ATM011",
        Reserve,
        ("Unheard lacks order_id, sku, quantity",),
    ),
    "a trigger class needs a field of another type": Mistake(
        {"triggers": {OrderPlaced: [Reserve], Priced: [Reserve]}},
        "ATM011",
        Reserve,
        ("Priced lacks order_id, quantity as int (its own is str)",),
    ),
    "no command gives an event's answer": Mistake(
        promising(Empty), "ATM012", Promising, ("promises int, which 0", "Empty gives None")
    ),
    "no command is triggered by an event with an answer": Mistake(
        {"requires": {Promising: "x"}, "ignored": {Promising: "so", Told: "so"}},
        "ATM012",
        Promising,
        ("promises int", "it triggers none"),
    ),
    "two commands give an event's answer": Mistake(
        promising(GivesInt, AlsoGivesInt),
        "ATM012",
        Promising,
        ("2 of its commands", "GivesInt gives int", "AlsoGivesInt gives int"),
    ),
    "two commands of one trigger function give an event's answer": Mistake(
        promising(to_both), "ATM012", Promising, ("2 of its commands",)
    ),
    "a query works": Mistake(asking(query_works), "ATM013", query_works, ("uow of a query is Uow",)),
    "a projection works": Mistake(projecting(projection_works), "ATM013", projection_works, ("uow",)),
    "a reaction works": Mistake(reacting(reaction_works), "ATM013", reaction_works, ("uow",)),
    "a trigger works": Mistake(deciding(trigger_works), "ATM013", trigger_works, ("uow",)),
    "a circle is not explained": Mistake(
        circle(), "ATM014", There, ("Back -> There -> Back", "add the pair to `cycles`")
    ),
    "a circle of a function is not explained": Mistake(
        circle(triggers={**WHOLE["triggers"], Back: [go_there]}),
        "ATM014",
        go_there,
        ("Back -> There -> Back",),
    ),
    "a reaction hears itself": Mistake(
        {"reactions": {Reserved: [tell], Told: [recurs]}, "ignored": {}}, "ATM014", recurs, ("Told -> Told",)
    ),
    "two messages have one wire name": Mistake(
        {"ignored": {**WHOLE["ignored"], Namesake: "so"}},
        "ATM015",
        Namesake,
        ("is named 'shop.reserved'", "Reserved"),
    ),
    "two recipients have one name": Mistake(
        reacting(named("tell", decides_nothing)),
        "ATM019",
        decides_nothing,
        ("the recipient 'shop.tell'", " tell"),
    ),
    "an ignored event is heard": Mistake(
        {"ignored": {**WHOLE["ignored"], Reserved: "so"}}, "ATM020", Reserved, ("`ignored`",)
    ),
    "a cycle is explained that is none": Mistake(
        {"cycles": {(OrderPlaced, Reserve): "so"}}, "ATM020", OrderPlaced, ("(OrderPlaced, Reserve)",)
    ),
    "records of a command that nobody handles": Mistake(
        {"records": {**WHOLE["records"], Empty: [Reserved]}}, "ATM020", Empty, ("`records`", "no handler")
    ),
    "a permission for a query that nobody handles": Mistake(
        {"requires": {Other: "x"}}, "ATM020", Other, ("`requires`", "no handler")
    ),
    "a trigger returns nothing": Mistake(
        {"triggers": {**WHOLE["triggers"], Reserved: [decides_nothing]}},
        "ATM021",
        decides_nothing,
        ("returns None", "named by its class"),
    ),
    "a trigger does not say what it returns": Mistake(
        {"triggers": {**WHOLE["triggers"], Reserved: [decides_bare]}},
        "ATM021",
        decides_bare,
        ("does not say",),
    ),
    "a trigger returns any command": Mistake(
        {"triggers": {**WHOLE["triggers"], Reserved: [decides_any]}}, "ATM021", decides_any, ("Command[Any]",)
    ),
    "a parameter is positional-only": Mistake(
        reacting(positional), "ATM022", positional, ("parameter session is positional-only",)
    ),
    "a parameter is variadic": Mistake(
        reacting(variadic), "ATM022", variadic, ("parameter sessions is variadic",)
    ),
    "a parameter takes all keywords": Mistake(
        reacting(keywords), "ATM022", keywords, ("parameter sessions is variadic keyword",)
    ),
    "a parameter is bare": Mistake(reacting(bare), "ATM022", bare, ("parameter session has no annotation",)),
    "a message is passed by name only": Mistake(
        reacting(named_only), "ATM022", named_only, ("parameter event", "keyword-only")
    ),
    "a message is variadic": Mistake(reacting(all_events), "ATM022", all_events, ("parameter *events",)),
    "a listener hears an event twice": Mistake(
        reacting(tell), "ATM025", tell, ("is a reaction of Reserved twice",)
    ),
    "a command is triggered twice": Mistake(
        {
            "triggers": {**WHOLE["triggers"], Reserved: [Empty, Empty]},
            "commands": {Reserve: reserve, Empty: empty},
        },
        "ATM025",
        Empty,
        ("is a trigger of Reserved twice",),
    ),
    "a listener parks for one of its events only": Mistake(
        {"reactions": {Reserved: [tell, parks(hears_both)], Told: [hears_both]}, "ignored": {}},
        "ATM025",
        hears_both,
        ("hears Reserved and Told", "parks for one"),
    ),
    "a trigger looks something up": Mistake(
        deciding(trigger_looks), "ATM026", trigger_looks, ("parameter session", "let a command do it")
    ),
    "a trigger asks for what nobody offers": Mistake(
        deciding(trigger_wishes), "ATM026", trigger_wishes, ("parameter zebra",)
    ),
    "a projection hears what no command records": Mistake(
        {"projections": {**WHOLE["projections"], Told: [projects_told]}, "ignored": {}},
        "ATM028",
        projects_told,
        ("no command records Told",),
    ),
    "a permission for a command, which nobody sends": Mistake(
        {"requires": {Reserve: "x"}}, "ATM029", Reserve, ("`requires`", "the event that triggers it")
    ),
    "a command is mapped to a class": Mistake(
        {"commands": {Reserve: Reservation}}, "ATM029", Reserve, ("Reservation", "the command of Reserve")
    ),
    "a listener is no function": Mistake(
        projecting(partial), "ATM029", Reserved, ("functools.partial", "the projection of Reserved")
    ),
    "a trigger is an event": Mistake(
        {"triggers": {OrderPlaced: [Reserve, Told]}}, "ATM029", Told, ("which is no Command",)
    ),
    "an event is mapped to its handler": Mistake(
        {"commands": {Reserve: reserve, Reserved: show}}, "ATM029", Reserved, ("which is no Command",)
    ),
    "a nameless message is heard": Mistake(
        reacting(tell) | {"reactions": {Reserved: [tell], Fields: [tell]}},
        "ATM029",
        Fields,
        ("Fields, which is no Event",),
    ),
    "a command records a command": Mistake(
        {"records": {Reserve: [Reserved, Reserve]}}, "ATM029", Reserve, ("`records` of Reserve lists it",)
    ),
    "a query records": Mistake(
        {"records": {**WHOLE["records"], StockOf: [Reserved]}}, "ATM029", StockOf, ("no Command",)
    ),
    "a command is ignored": Mistake(
        {"ignored": {**WHOLE["ignored"], Reserve: "so"}}, "ATM029", Reserve, ("`ignored`", "no Event")
    ),
    "a reaction does not say what it returns": Mistake(
        reacting(reacts_bare), "ATM060", reacts_bare, ("does not say what it returns", "None, or events")
    ),
    "a reaction returns no event": Mistake(
        reacting(reacts_with_text), "ATM060", reacts_with_text, ("returns str",)
    ),
    "a projection returns an event": Mistake(
        projecting(projects_an_event),
        "ATM060",
        projects_an_event,
        ("returns Told; a projection returns None",),
    ),
    "a schedule's cron text is wrong": Mistake(
        ticking(every("0 25 * * *", told_daily)),
        "ATM062",
        told_daily,
        ("schedule 'daily'", "'0 25 * * *': bad hour"),
    ),
    "a schedule's zone is unknown": Mistake(
        ticking(every("0 2 * * *", Told(sku="x"), zone="Europe/Berlun")),
        "ATM062",
        Told,
        ("schedule 'daily'", "'Europe/Berlun'"),
    ),
    "a schedule has a blank in its name": Mistake(
        {"schedules": {"every day": every("0 2 * * *", told_daily)}}, "ATM062", told_daily, ("'every day'",)
    ),
    "a schedule does not say what it emits": Mistake(
        ticking(every("0 2 * * *", told_silently)), "ATM063", told_silently, ("returns nothing that it says",)
    ),
    "a schedule emits a command": Mistake(
        ticking(every("0 2 * * *", reserved_daily)),
        "ATM063",
        reserved_daily,
        ("its function returns Reserve",),
    ),
    "a schedule asks for more than the tick": Mistake(
        ticking(every("0 2 * * *", told_on_request)), "ATM063", told_on_request, ("asks for session",)
    ),
    "a schedule emits what only a command records": Mistake(
        ticking(every("0 2 * * *", Reserved(order_id="1", sku="x", quantity=1))),
        "ATM063",
        Reserved,
        ("emits Reserved, which keeps a read model",),
    ),
    "a schedule's function is asynchronous": Mistake(
        ticking(every("0 2 * * *", told_later)), "ATM006", told_later, ("async def",)
    ),
    "nobody hears what a schedule emits": Mistake(
        ticking(every("0 2 * * *", Unheard())), "ATM003", Unheard, ("schedule 'daily' emits it",)
    ),
    "an upcaster is of no message": Mistake(
        {"upcasts": {("shop.reservd", 1): upcast}},
        "ATM064",
        upcast,
        ("'shop.reservd'", "did you mean shop.reserved?"),
    ),
    "an upcaster is of today's version": Mistake(
        {"upcasts": {("shop.reserved", 1): upcast}},
        "ATM064",
        upcast,
        ("version 1 of shop.reserved, whose version is 1",),
    ),
    "an upcaster is of no version": Mistake(
        hearing_renewed({("shop.renewed", 0): upcast, ("shop.renewed", 2): upcast}),
        "ATM064",
        upcast,
        ("version 0",),
    ),
    "an upcaster between two is missing": Mistake(
        hearing_renewed({("shop.renewed", 1): upcast}),
        "ATM064",
        Renewed,
        ("version 1 of shop.renewed is upcast, and version 2 is not",),
    ),
    "a topic has a name that no broker takes": Mistake(
        {"publishes": {Reserved: "Shop Reserved"}}, "ATM080", Reserved, ("'Shop Reserved'",)
    ),
    "a topic's order is kept by no field": Mistake(
        {"publishes": {Reserved: by("oder_id", "shop.reserved")}}, "ATM061", Reserved, ("by 'oder_id'",)
    ),
    "a topic is named": Mistake(
        {"publishes": {Reserved: named("reserved", "shop.reserved")}}, "ATM065", Reserved, ("`named` is for",)
    ),
    "a reaction is published in step": Mistake(
        {"reactions": {Reserved: [in_step(tell)]}},
        "ATM065",
        tell,
        ("`in_step` and `optional` are for topics",),
    ),
    "two events go to one topic in two ways": Mistake(
        {"publishes": {Reserved: "shop.news", Told: in_step("shop.news")}, "ignored": {}},
        "ATM025",
        Told,
        ("in two ways",),
    ),
    "a subscription brings a command": Mistake(
        {"subscribes": {"shop.orders": Reserve}}, "ATM081", Reserve, ("no event",)
    ),
    "a subscription brings an event twice": Mistake(
        {"subscribes": {"shop.orders": [OrderPlaced, OrderPlaced]}},
        "ATM081",
        OrderPlaced,
        ("shop.orders brings OrderPlaced 2 times",),
    ),
    "nobody hears what a subscription brings": Mistake(
        {"subscribes": {"shop.news": Unheard}}, "ATM003", Unheard, ("the topic shop.news brings it",)
    ),
    "a subscription brings what only a command records": Mistake(
        {"subscribes": {"shop.news": Reserved}}, "ATM063", Reserved, ("keeps a read model",)
    ),
    "a translation returns no event": Mistake(
        {"subscribes": {"erp.orders": translated(translates_to_nothing)}},  # type: ignore[arg-type]
        "ATM081",
        translates_to_nothing,
        ("returns one event",),
    ),
    "a translation asks for more than the message": Mistake(
        {"subscribes": {"erp.orders": translated(translates_with_help)}},  # type: ignore[arg-type]
        "ATM081",
        translates_with_help,
        ("one argument, a ForeignMessage",),
    ),
    "what is published comes round again": Mistake(
        {
            "reactions": {Reserved: [tell]},
            "publishes": {Told: "shop.told"},
            "subscribes": {"shop.told": Told},
            "ignored": {},
        },
        "ATM014",
        Told,
        ("Told -> Told is a circle",),
    ),
    "order is kept by no field": Mistake(
        {"reactions": {Reserved: [by("oder_id", tell)]}},
        "ATM061",
        tell,
        ("by 'oder_id'", "Reserved has order_id, sku, quantity", "did you mean order_id?"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_once_by_its_code_at_its_place(mistake: Mistake) -> None:
    findings = found(**mistake.changes)

    assert [(each.code, each.place) for each in findings] == [(mistake.code, written_at(mistake.at))]
    report = str(findings[0])
    assert [words for words in mistake.says if words not in report] == []


@pytest.mark.parametrize(
    ("explained", "mistakes"),
    [
        ({(Back, There): "it ends"}, []),
        ({(Back, There): "it ends", (OrderPlaced, Reserve): "so"}, ["ATM020"]),
        ({(There, Back): "it ends"}, []),
        ({(Told, Told): "so"}, ["ATM014", "ATM020"]),
    ],
)
def test_one_explained_step_explains_a_circle(explained: Any, mistakes: list[str]) -> None:
    assert sorted(each.code for each in found(**circle(cycles=explained))) == mistakes


def test_a_circle_of_two_commands_is_one_mistake_and_takes_one_explanation() -> None:
    to_and_fro: dict[str, Any] = {
        "triggers": {**WHOLE["triggers"], Back: [There], Told: [Empty]},
        "commands": {Reserve: reserve, There: there, Empty: empty},
        "records": {**WHOLE["records"], There: [Told], Empty: [Back]},
        "ignored": {},
    }

    assert [each.detail.split(" is ")[0] for each in found(**to_and_fro)] == [
        "Back -> There -> Told -> Empty -> Back"
    ]
    assert found(**to_and_fro, cycles={(Told, Empty): "it ends"}) == []


def test_an_event_that_a_reaction_returns_closes_a_circle() -> None:
    around: dict[str, Any] = {
        "triggers": {OrderPlaced: [Reserve], Told: [Empty]},
        "commands": {Reserve: reserve, Empty: empty},
        "records": {Reserve: [Reserved], Empty: [Reserved]},
        "ignored": {},
    }

    assert [each.code for each in found(**around)] == ["ATM014"]
    assert found(**around, cycles={(Reserved, Told): "it is told once"}) == []


def test_two_unreadable_annotations_of_one_function_are_two_mistakes_and_hide_no_third() -> None:
    findings = found(**reacting(prices))

    assert [(each.code, each.detail.split()[1]) for each in sorted(findings)] == [
        ("ATM007", "price"),
        ("ATM008", "price:"),
        ("ATM013", "uow"),
    ]


# Two tables.


def joined(*tables: Routes, **more: Routes) -> list[Any]:
    contexts = {"shop": [Routes(**WHOLE), *tables], **{name: [table] for name, table in more.items()}}
    return check(join(**contexts), dict.fromkeys(contexts, OFFERS))


@pytest.mark.parametrize(
    ("table", "code", "at", "says"),
    [
        (Routes(commands={Reserve: reserve_again}), "ATM002", Reserve, (" reserve and by ", "reserve_again")),
        (Routes(queries={StockOf: stock_again}), "ATM002", StockOf, (" stock_of and by ", "stock_again")),
        (Routes(records={Reserve: []}), "ATM025", Reserve, ("two tables of shop", "(Reserve) in `records`")),
        (Routes(requires={StockOf: ""}), "ATM025", StockOf, ("(StockOf) in `requires`",)),
        (Routes(ignored={Told: "so"}), "ATM025", Told, ("(Told) in `ignored`",)),
        (Routes(reactions={Reserved: [tell]}), "ATM025", tell, ("is a reaction of Reserved twice",)),
    ],
)
def test_tables_of_one_context_do_not_say_one_thing_twice(
    table: Routes, code: str, at: Any, says: tuple[str, ...]
) -> None:
    (finding,) = joined(table)

    assert (finding.code, finding.place) == (code, written_at(at))
    assert [words for words in says if words not in str(finding)] == []


def test_a_second_table_does_not_loosen_a_permission() -> None:
    routes = join(shop=[Routes(**WHOLE)], other=[Routes(requires={StockOf: ""})])

    assert routes.requires[StockOf] == "orders:read"
    (finding,) = check(routes, {"shop": OFFERS})
    assert "two tables of shop and of other" in finding.detail


def test_a_projection_of_another_contexts_event_is_a_mistake_and_a_reaction_is_none() -> None:
    assert joined(other=Routes(reactions={Reserved: [decides_nothing]})) == []
    (finding,) = joined(other=Routes(projections={Reserved: [show]}))
    assert (finding.code, finding.place) == ("ATM028", written_at(show))
    assert "is a projection of other, and only commands of shop record Reserved" in finding.detail


@pytest.mark.parametrize(
    "upcasts",
    [
        {},
        {("shop.renewed", 2): upcast},
        {("shop.renewed", 1): upcast, ("shop.renewed", 2): upcast},
    ],
)
def test_upcasters_may_begin_at_any_version_and_lead_to_todays(upcasts: Any) -> None:
    assert found(**hearing_renewed(upcasts)) == []


@pytest.mark.parametrize("entry", [{"daily": "0 2 * * *"}, {"daily": partial}])
def test_a_schedule_that_every_did_not_make_is_a_mistake(entry: Any) -> None:
    [finding] = found(schedules=entry)
    assert (finding.code, finding.place) == ("ATM062", "'daily'")


@pytest.mark.parametrize("emitted", [partial, 5, Told])
def test_a_schedule_of_neither_an_event_nor_a_function_is_a_mistake(emitted: Any) -> None:
    [finding] = found(schedules={"daily": every("0 2 * * *", emitted)})
    assert finding.code == "ATM063"


@pytest.mark.parametrize(
    "entry", [{"shop.reserved": upcast}, {("shop.renewed", 1): 5}, {("a", 1, 2): upcast}]
)
def test_an_entry_of_upcasts_that_cannot_be_read_is_a_mistake(entry: Any) -> None:
    [finding] = found(upcasts=entry)
    assert (finding.code, finding.place) == ("ATM064", repr(next(iter(entry))))


def test_a_schedule_of_two_contexts_is_a_mistake() -> None:
    ticks = Routes(schedules={"daily": every("0 2 * * *", told_daily)})
    findings = check(join(shop=[Routes(**WHOLE), ticks], bar=[ticks]), {"shop": OFFERS, "bar": OFFERS})
    assert [(each.code, each.place) for each in findings] == [("ATM025", "'daily'")]


def test_contexts_may_have_functions_of_one_name() -> None:
    assert joined(other=Routes(reactions={Reserved: [tell]})) == []


def test_one_function_may_hear_two_events() -> None:
    assert found(reactions={Reserved: [tell, hears_both], Told: [hears_both]}, ignored={}) == []


# The report.


def test_all_mistakes_of_a_wiring_are_in_one_report() -> None:
    routes = join(
        shop=[
            Routes(
                triggers={OrderPlaced: [Reserve]},
                records={Reserve: [Unheard]},
                reactions={Reserved: [misspells, wants_clock, reacts_later]},
                queries={StockOf: query_works},
            )
        ]
    )

    with pytest.raises(WiringError) as raised:
        start(routes)

    codes = ["ATM001", "ATM003", "ATM006", "ATM008", "ATM009", "ATM013"]
    assert [each.code for each in raised.value.findings] == codes
    assert str(raised.value).startswith("6 mistakes in the wiring; nothing was started.")
    assert all(code in str(raised.value) for code in codes)


def test_a_report_names_code_place_what_is_wrong_and_the_remedy() -> None:
    with pytest.raises(WiringError) as raised:
        start(join(shop=[Routes(**{**WHOLE, **reacting(misspells)})]))

    line = misspells.__code__.co_firstlineno
    assert str(raised.value).splitlines() == [
        "1 mistake in the wiring; nothing was started.",
        "",
        "ATM008 A parameter is not offered",
        f"  {HERE}:{line} misspells: parameter notifcations: shop offers amount, clock, "
        "notifications, secretive, session, uow; did you mean notifications?",
        "  Rename the parameter after a provider, or add the provider to the context's container.",
    ]


def test_a_context_without_a_container_offers_nothing() -> None:
    findings = check(join(shop=[Routes(**WHOLE)]), {})

    assert {each.code for each in findings} == {"ATM008"}
    assert "shop offers nothing" in findings[0].detail


def start(routes: JoinedRoutes) -> MessageBus:
    unused: Any = None  # the bus is built, and nothing is sent
    return MessageBus(routes, {"shop": OFFERS}, log=unused, clock=unused, meter=SilentMeter())


def written_at(target: Any) -> str:
    name = target.__qualname__
    line = next(
        number
        for number, text in enumerate(inspect.getsource(inspect.getmodule(target)).splitlines(), 1)
        if text.lstrip().startswith((f"class {name}(", f"def {name}(", f"async def {name}("))
    )
    return f"{HERE}:{line} {name}"
