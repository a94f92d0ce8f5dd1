"""Routes: tables of contexts, joined into rows, each recipient with a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from atomos.core.domain import Command, Event, Message, Query
from atomos.core.service import Offer, Routes, UnitOfWork, by, every, join, named, parks
from atomos.core.service.plans import Flow
from atomos.core.service.ports import Clock
from atomos.core.service.routes import Double
from atomos.testing.probing import SilentMeter


class Fields(Message):
    order_id: str


class Placed(Fields, Event, name="shop.placed"):
    remark: str = "none"


class Imported(Fields, Event, name="shop.imported"):
    pass


class Pack(Fields, Command, name="shop.pack"):
    remark: str = "unsaid"


class Packed(Fields, Event, name="shop.packed"):
    pass


class OrderOf(Query[str], name="shop.order-of"):
    order_id: str


def pack(command: Pack) -> None: ...


def decide(event: Placed) -> Pack | None: ...


def show(event: Packed) -> None: ...


def tell(event: Packed) -> None: ...


def order_of(query: OrderOf) -> str: ...


WRITES = Routes(
    triggers={Placed: [Pack, decide], Imported: [Pack]},
    commands={Pack: pack},
    records={Pack: [Packed]},
    reactions={Packed: [parks(by("order_id", named("tell_people", tell)))]},
    requires={Placed: "orders:write"},
)
READS = Routes(projections={Packed: [show]}, queries={OrderOf: order_of})


def test_rows_keep_the_order_of_their_tables_and_know_their_context() -> None:
    rows = join(shop=[WRITES, READS]).rows

    assert [(row.kind, row.context, row.message, row.target) for row in rows] == [
        ("trigger", "shop", Placed, Pack),
        ("trigger", "shop", Placed, decide),
        ("trigger", "shop", Imported, Pack),
        ("reaction", "shop", Packed, tell),
        ("command", "shop", Pack, pack),
        ("projection", "shop", Packed, show),
        ("query", "shop", OrderOf, order_of),
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"triggers": {Placed: Pack}},
            "triggers: shop.placed has shop.pack, and needs a list of what it has: [shop.",
        ),
        ({"records": {Pack: Packed}}, "records: shop.pack has shop.packed, and"),
        (
            {"reactions": {Packed: tell}},
            "reactions: shop.packed has tell, and needs a list of what it has: [tell].",
        ),
        ({"projections": {Packed: show}}, "projections: shop.packed has show, and"),
    ],
)
def test_one_thing_in_place_of_a_list_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as raised:
        Routes(**entry)
    assert str(raised.value).startswith(said)


def test_each_row_has_a_name() -> None:
    assert [row.name for row in join(shop=[WRITES, READS]).rows] == [
        "trigger:shop.placed:shop.pack",
        "shop.decide",
        "trigger:shop.imported:shop.pack",
        "shop.tell_people",
        "command:shop.pack",
        "shop.show",
        "shop.order_of",
    ]


def test_recipients_are_triggers_reactions_and_commands() -> None:
    assert set(join(shop=[WRITES, READS]).recipients()) == {
        "trigger:shop.placed:shop.pack",
        "shop.decide",
        "trigger:shop.imported:shop.pack",
        "shop.tell_people",
        "command:shop.pack",
    }


def test_a_schedule_is_a_recipient_and_its_row_maps_from_what_it_emits() -> None:
    joined = join(shop=[Routes(schedules={"daily": every("0 2 * * *", Placed(order_id="1"))})])

    [row] = joined.recipients().values()
    assert (row.kind, row.name, row.message) == ("schedule", "schedule:daily", Placed)
    assert joined.ticking() == (row,)


def test_what_a_route_says_of_a_recipient_is_in_its_row() -> None:
    (row,) = join(shop=[WRITES]).of("reaction", Packed)

    assert (row.by, row.parks) == ("order_id", True)


@pytest.mark.parametrize(
    "recipient",
    [
        parks(by("order_id", named("tell_people", tell))),
        named("tell_people", parks(by("order_id", tell))),
        by("order_id", named("tell_people", parks(tell))),
    ],
)
def test_a_recipients_wishes_may_come_in_any_order(recipient: Any) -> None:
    assert recipient == parks(by("order_id", named("tell_people", tell)))


def test_a_trigger_class_may_be_given_a_name() -> None:
    (row,) = join(shop=[Routes(triggers={Placed: [named("pack_it", Pack)]})]).rows

    assert (row.name, row.target) == ("shop.pack_it", Pack)


def test_every_message_that_a_table_mentions_is_named_once() -> None:
    mentioned = Routes(ignored={Imported: "so"}, requires={OrderOf: "orders:read"})

    assert join(shop=[WRITES, mentioned]).messages() == (Placed, Pack, Imported, Packed, OrderOf)


def test_tables_of_several_contexts_are_one_table() -> None:
    joined = join(shop=[WRITES], stock=[READS])

    assert [row.context for row in joined.rows if row.message is Packed] == ["shop", "stock"]
    assert joined.records == {Pack: (Packed,)}
    assert joined.requires == {Placed: "orders:write"}
    assert joined.doubles == ()


def test_of_two_entries_for_one_message_the_first_counts_and_both_are_told() -> None:
    joined = join(shop=[WRITES], stock=[Routes(requires={Placed: ""}, records={Pack: []})])

    assert joined.requires == {Placed: "orders:write"}
    assert joined.records == {Pack: (Packed,)}
    assert set(joined.doubles) == {
        Double("requires", Placed, ("shop", "stock")),
        Double("records", Pack, ("shop", "stock")),
    }


def test_one_command_made_from_two_events_takes_the_fields_of_each() -> None:
    routes = Routes(
        triggers={Placed: [Pack], Imported: [Pack]}, commands={Pack: pack}, ignored={Packed: "so"}
    )
    flow = Flow(join(shop=[routes]), {"shop": {}}, SilentMeter())

    from_placed = flow.trigger("trigger:shop.placed:shop.pack")
    from_imported = flow.trigger("trigger:shop.imported:shop.pack")

    assert from_placed.handler.call(Placed(order_id="o-1", remark="soon")) == (
        Pack(order_id="o-1", remark="soon"),
    )
    assert from_imported.handler.call(Imported(order_id="o-1")) == (Pack(order_id="o-1"),)


class Work(UnitOfWork):
    """Only its class matters here."""


class Choosing(Work):
    begins_itself = True


def reads_too(command: Pack, uow: Work, clock: Clock) -> None: ...


def works(command: Pack, uow: Work) -> None: ...


def chooses(command: Pack, choosing: Work) -> None: ...


def works_twice(command: Pack, uow: Work, other: Work) -> None: ...


@pytest.mark.parametrize(
    ("handler", "at_once"),
    [(works, True), (works_twice, False), (chooses, False), (reads_too, False), (pack, False)],
)
def test_a_handler_begins_at_once_when_it_is_given_one_unit_of_work_and_nothing_else(
    handler: Callable[..., None], at_once: bool
) -> None:
    made = {"uow": Work, "other": Work, "choosing": Choosing, "clock": Clock}
    offers = {name: Offer(name, lambda: None, each, f"Shop.{name}") for name, each in made.items()}
    routes = Routes(triggers={Placed: [Pack]}, commands={Pack: handler})
    plan = Flow(join(shop=[routes]), {"shop": offers}, SilentMeter()).handlers[Pack]
    assert plan.begins_at_once is at_once
