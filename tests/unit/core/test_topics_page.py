"""The page of topics: fields within fields, attributes, headers, and where a topic is."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Annotated, Any

import pytest

from atomos.core.api import asyncapi
from atomos.core.api.asyncapi import Wire
from atomos.core.api.topics_fields import Schemas
from atomos.core.api.topics_page import render
from atomos.core.domain import Event, Example, Length, ValueObject
from atomos.core.service import ForeignMessage, Routes, join, translated

from .test_asyncapi_places import NATS, RABBITMQ, REDIS, written


class Size(ValueObject):
    """How large it is."""

    width: int


class Box(ValueObject):
    """It may hold others."""

    label: Annotated[str, Length(1, 8), Example("A1")]
    size: Size | None = None
    holds: tuple[Box, ...] = ()


class Packed(Event, name="shop.packed"):
    """It is in boxes."""

    boxes: tuple[Box, ...]
    grid: tuple[tuple[int, ...], ...] = ()


def read_raw(message: ForeignMessage) -> Packed:
    return Packed(boxes=())


class Tables(HTMLParser):
    """Gathers the rows of every table of a page, and the pairs of its lists."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pairs: dict[str, str] = {}
        self._cell = self._term = ""
        self.feed(page)

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "dt", "dd"):
            self._cell = ""

    def handle_data(self, data: str) -> None:
        self._cell += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.rows[-1].append(self._cell.strip())
        if tag == "dt":
            self._term = self._cell
        if tag == "dd":
            self.pairs.setdefault(self._term, self._cell)


def document(mode: Any = "structured", **routes: Any) -> dict[str, Any]:
    joined = join(shop=[Routes(**routes)])
    return asyncapi.document(joined, title="Shop", version="1", wire=Wire(None, mode, source="/shop"))


def rows(page: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in Tables(page).rows}


def test_fields_within_fields_are_below_what_they_are_in() -> None:
    shown = rows(render(document(publishes={Packed: "shop.packed"})))
    assert shown["boxes"] == ["array of object", "yes", "It may hold others"]
    assert shown["boxes[].label"][:2] == ["string", "yes"]
    assert "at most 8 characters" in shown["boxes[].label"][2]
    assert shown["boxes[].size"] == ["object or null", "no", "How large it is"]
    assert shown["boxes[].size.width"] == ["integer", "yes", "int64"]
    assert shown["grid"][0] == "array of array of integer"


def test_what_holds_itself_ends() -> None:
    page = render(document(publishes={Packed: "shop.packed"}))
    shown = rows(page)
    assert "its fields are those above" in shown["boxes[].holds"][2]
    assert "boxes[].holds[].label" not in shown
    (example,) = re.findall("<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)
    boxes = json.loads(example.replace("&#34;", '"'))["data"]["boxes"]
    assert boxes == [{"label": "A1", "size": {"width": 1}, "holds": []}]


def test_the_example_is_one_that_the_schema_allows() -> None:
    from .test_asyncapi_attributes import errors

    said = document(publishes={Packed: "shop.packed"})
    payload = said["components"]["messages"]["shop.packed"]["payload"]
    assert errors(said, payload, Schemas(said).example(payload)) == []


def test_attributes_are_a_table_of_their_own() -> None:
    page = render(document(publishes={Packed: "shop.packed"}))
    shown = rows(page)
    assert shown["source"] == ["string", "yes", "Who publishes it; is /shop"]
    assert shown["partitionkey"][:2] == ["string", "no"]
    assert "data" not in shown
    assert re.findall("<h4[^>]*>(.*?)</h4>", page) == ["Attributes", "Data"]


def test_in_binary_mode_the_headers_are_shown_and_are_in_the_example() -> None:
    page = render(document("binary", publishes={Packed: "shop.packed"}))
    shown = rows(page)
    assert shown["ce-type"][2].endswith("is shop.packed")
    assert "boxes[].label" in shown
    assert re.findall("<h4[^>]*>(.*?)</h4>", page) == ["Headers", "Data"]
    assert "content-type: application/json\nce-specversion: 1.0\n" in page


def test_of_what_is_translated_the_members_are_shown_and_no_type() -> None:
    translation = translated(read_raw, identified_by="number")
    page = render(document(subscribes={"erp": translation}))
    assert rows(page)["number"][1] == "yes"
    assert "Its type is" not in page
    assert "An example" not in render(document(subscribes={"erp": translated(read_raw)}))


@pytest.mark.parametrize(
    ("url", "pairs"),
    [
        (RABBITMQ, {"address": "bank.payments", "amqp exchange name": "atomos", "amqp mandatory": "true"}),
        (RABBITMQ, {"queue name": "atomos.shop.bank.payments", "queue durable": "true"}),
        (REDIS, {"address": "atomos:bank.payments", "consumer-group": "shop"}),
        (NATS, {"address": "atomos.bank.payments", "stream": "atomos_bank_payments", "consumer": "shop+N"}),
    ],
)
def test_the_page_says_where_a_topic_is(url: str, pairs: dict[str, str]) -> None:
    found = Tables(render(written(url, served=True))).pairs
    assert {name: found.get(name) for name in pairs} == pairs


def test_every_server_is_named_where_the_document_names_them() -> None:
    page = render(written(NATS))
    assert "nats://n1.example" in page
    assert "nats://n2.example" in page


def test_what_is_code_in_a_description_is_code_on_the_page_and_is_escaped() -> None:
    said = written(RABBITMQ)
    said["channels"]["bank.payments"]["description"] = "See `<b>` & more."
    assert "See <code>&lt;b&gt;</code> &amp; more." in render(said)
