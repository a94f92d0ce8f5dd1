"""The flow as a graph: what leads to what, and how it is written for people, programs and documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime

from atomos.core.domain import Command, Event, Query
from atomos.core.service import Routes, every, join, named
from atomos.core.service.graph import Edge, Entrypoint, Graph, as_json, as_mermaid, as_text, graph_of


class OrderPlaced(Event, name="shop.order-placed"):
    """A customer ordered."""


class Ordered(Event, name="shop.ordered"):
    """An order is on the books."""


class Shipped(Event, name="shop.shipped"):
    """A parcel has left."""


class Place(Command, name="shop.place"):
    """Put an order on the books."""


class Pack(Command, name="shop.pack"):
    """Pack a parcel."""


class Label(Command, name="shop.label"):
    """Print a label."""


class OrdersOf(Query[int], name="shop.orders-of"):
    """How many?"""


def place(command: Place) -> None: ...


def pack(command: Pack) -> None: ...


def label(command: Label) -> None: ...


def orders_of(query: OrdersOf) -> int:
    return 0


def prepare(event: Ordered) -> list[Pack | Label]:
    return []


def show_order(event: Ordered) -> None: ...


def hand_over(event: Ordered) -> Shipped:
    return Shipped()


ROUTES = Routes(
    triggers={OrderPlaced: [Place], Ordered: [prepare]},
    commands={Place: place, Pack: pack, Label: label},
    records={Place: [Ordered]},
    projections={Ordered: [show_order]},
    reactions={Ordered: [named("carrier", hand_over)]},
    queries={OrdersOf: orders_of},
    requires={OrderPlaced: "orders:write", OrdersOf: ""},
    ignored={Shipped: "the carrier tells the customer"},
)

ENTRYPOINTS = (
    Entrypoint("POST /orders", OrderPlaced, "shop/api/blueprint.py:12 place_order"),
    Entrypoint("GET /orders/<customer>", OrdersOf, "shop/api/blueprint.py:18 list_orders"),
)


def flow(*tables: Routes, entrypoints: Iterable[Entrypoint] = ENTRYPOINTS) -> Graph:
    return graph_of(join(shop=tables or [ROUTES]), entrypoints)


def test_every_step_from_the_url_to_the_reaction_is_an_edge() -> None:
    assert set(flow().edges) == {
        Edge("entrypoint:POST /orders", "emits", "event:shop.order-placed"),
        Edge("entrypoint:GET /orders/<customer>", "asks", "query:shop.orders-of"),
        Edge("event:shop.order-placed", "triggers", "command:shop.place"),
        Edge("command:shop.place", "records", "event:shop.ordered"),
        Edge("event:shop.ordered", "triggers", "trigger:shop.prepare"),
        Edge("trigger:shop.prepare", "decides", "command:shop.pack"),
        Edge("trigger:shop.prepare", "decides", "command:shop.label"),
        Edge("event:shop.ordered", "projects", "projection:shop.show_order"),
        Edge("event:shop.ordered", "reacts", "reaction:shop.carrier"),
        Edge("reaction:shop.carrier", "returns", "event:shop.shipped"),
    }


def test_a_node_says_what_it_is_called_where_it_is_and_what_it_requires() -> None:
    nodes = flow().nodes
    event, command = nodes["event:shop.order-placed"], nodes["command:shop.place"]
    assert (event.title, event.permission) == ("OrderPlaced", "orders:write")
    assert event.place == "tests/unit/core/test_graph.py OrderPlaced"
    assert command.place == "tests/unit/core/test_graph.py place"  # the handler's
    assert nodes["query:shop.orders-of"].permission is None  # everyone may
    assert nodes["entrypoint:POST /orders"].place == "shop/api/blueprint.py place_order"


def test_the_entrypoints_that_lead_to_a_reaction_are_found_however_far_away() -> None:
    graph = flow()
    assert [node.name for node in graph.entrypoints_to("reaction:shop.carrier")] == ["POST /orders"]
    assert [node.name for node in graph.entrypoints_to("query:shop.orders-of")] == ["GET /orders/<customer>"]
    assert graph.entrypoints_to("event:nowhere") == ()


def test_the_text_is_a_tree_for_each_entrypoint_with_handlers_and_permissions() -> None:
    assert as_text(flow()).splitlines() == [
        "POST /orders",
        "  emits OrderPlaced [orders:write]",
        "    triggers Place -> place",
        "      records Ordered",
        "        trigger prepare",
        "          decides Pack -> pack",
        "          decides Label -> label",
        "        projection show_order",
        "        reaction hand_over",
        "          returns Shipped",
        "",
        "GET /orders/<customer>",
        "  asks OrdersOf -> orders_of",
    ]


def test_what_no_entrypoint_leads_to_is_in_the_text_too() -> None:
    lines = as_text(flow(entrypoints=())).splitlines()
    assert "event OrderPlaced [orders:write]" in lines
    assert "query OrdersOf -> orders_of" in lines


def nightly(tick: datetime) -> OrderPlaced:
    return OrderPlaced()


def test_a_schedule_emits_its_event_and_is_a_tree_of_its_own() -> None:
    graph = flow(ROUTES, Routes(schedules={"nightly": every("0 2 * * *", nightly)}))
    assert Edge("schedule:nightly", "emits", "event:shop.order-placed") in graph.edges
    assert graph.nodes["schedule:nightly"].place == "tests/unit/core/test_graph.py nightly"
    assert "schedule nightly\n  emits OrderPlaced [orders:write] ..." in as_text(graph)
    assert '(["nightly"])' in as_mermaid(graph)


def test_what_was_written_out_before_is_only_named() -> None:
    again = Entrypoint("PUT /orders", OrderPlaced, "shop/api/blueprint.py:30 replace_order")
    lines = as_text(flow(entrypoints=(*ENTRYPOINTS, again))).splitlines()
    assert lines[lines.index("PUT /orders") + 1] == "  emits OrderPlaced [orders:write] ..."
    assert lines.count("    triggers Place -> place") == 1


class Tick(Event, name="shop.tick"):
    """Time has passed."""


class Wait(Command, name="shop.wait"):
    """Let time pass."""


def wait(command: Wait) -> None: ...


def test_a_circle_that_nothing_leads_to_is_written_once() -> None:
    circle = Routes(triggers={Tick: [Wait]}, commands={Wait: wait}, records={Wait: [Tick]})
    assert as_text(flow(circle, entrypoints=())).splitlines() == [
        "event Tick",
        "  triggers Wait -> wait",
        "    records Tick ...",
    ]


def test_the_json_is_the_same_whatever_the_order_of_the_tables() -> None:
    halves = (
        Routes(triggers=ROUTES.triggers, commands=ROUTES.commands, records=ROUTES.records),
        Routes(
            projections=ROUTES.projections,
            reactions=ROUTES.reactions,
            queries=ROUTES.queries,
            requires=ROUTES.requires,
            ignored=ROUTES.ignored,
        ),
    )
    assert as_json(flow(*halves)) == as_json(flow(*reversed(halves), entrypoints=reversed(ENTRYPOINTS)))


def test_the_json_is_sorted_and_has_no_line_numbers() -> None:
    text = as_json(flow())
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, sort_keys=True)
    assert [node["id"] for node in document["nodes"]] == sorted(flow().nodes)
    assert not any(":" in node["place"] for node in document["nodes"])
    assert document["edges"][0] == {
        "source": "command:shop.place",
        "target": "event:shop.ordered",
        "verb": "records",
    }


def test_the_mermaid_chart_escapes_what_would_break_it() -> None:
    chart = as_mermaid(flow())
    assert chart.startswith("flowchart LR\n")
    assert '>"GET /orders/#lt;customer#gt;"]' in chart
    declared = re.findall(r"^  (n\d+)[^ \d]", chart, re.MULTILINE)
    used = re.findall(r"^  (n\d+) -->\|\w+\| (n\d+)$", chart, re.MULTILINE)
    assert len(declared) == len(set(declared)) == len(flow().nodes)
    assert len(used) == len(flow().edges)
    assert {name for edge in used for name in edge} <= set(declared)


def test_an_application_without_routes_has_an_empty_graph() -> None:
    empty = flow(Routes(), entrypoints=())
    assert (as_text(empty), as_mermaid(empty)) == ("", "flowchart LR")
    assert json.loads(as_json(empty)) == {"edges": [], "nodes": []}
