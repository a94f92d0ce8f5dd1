"""The OpenAPI document: valid, complete, and the same declarations that serve."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import ValidationError
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from atomos.core.api import Entrypoints, ask, document, emit
from atomos.core.api.openapi import CONVENTIONS, as_text
from atomos.core.api.schemas import Shapes
from atomos.core.api.security import API_KEY, Guard
from atomos.core.domain import (
    Contradiction,
    Event,
    Example,
    Length,
    NotFound,
    Pattern,
    Query,
    Sensitive,
    ValueObject,
    Version,
)
from atomos.core.service import PUBLIC, Routes, WiringError

from .api_samples import BOOK, Book, BookArrived, BookOf, Library, TitlesOf


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    got: dict[str, Any] = Library(description="Books.").http.get("/openapi.json").json
    return got


def operation(written: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = written["paths"][path][method]
    return found


def documented(*blueprints: Entrypoints) -> dict[str, Any]:
    app = Flask("documented")
    for each in blueprints:
        app.register_blueprint(each)
    written = document(app, title="Documented", version="1")
    OpenAPIV31SpecValidator(written).validate()
    return written


def parameters(of: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in of["parameters"] if "name" in each}


def test_the_document_is_valid_openapi_3_1(written: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(written).validate()
    assert written["openapi"].startswith("3.1")
    assert written["info"] == {
        "title": "Library",
        "version": "1.2.3",
        "description": f"Books.\n\n{CONVENTIONS}",
    }
    assert written["servers"] == [{"url": "/"}]


def test_an_application_without_entrypoints_has_a_valid_document_too() -> None:
    OpenAPIV31SpecValidator(Library(blueprints=[]).http.get("/openapi.json").json).validate()


def test_every_endpoint_is_in_it_and_nothing_else(written: dict[str, Any]) -> None:
    found = {(method, path) for path, methods in written["paths"].items() for method in methods}
    assert found == {
        ("post", "/library/books/{isbn}"),
        ("delete", "/library/books/{isbn}"),
        ("get", "/library/books/{isbn}"),
        ("get", "/library/shelves/{shelf}/books"),
        ("get", "/library/shelves/{shelf}/titles"),
        ("post", "/library/cards"),
        ("get", "/library/failures/{how}"),
        ("get", "/messages/{message_id}"),
    }


def test_summaries_descriptions_tags_and_ids_come_from_the_views(written: dict[str, Any]) -> None:
    receive = operation(written, "/library/books/{isbn}", "post")
    assert receive["summary"] == "Take a book in."
    assert receive["description"] == "A book that is there already is left as it is."
    assert receive["tags"] == ["library"]
    assert receive["operationId"] == "library.receive_book"


def test_path_variables_have_their_constraints(written: dict[str, Any]) -> None:
    isbn = parameters(operation(written, "/library/books/{isbn}", "get"))["isbn"]
    assert isbn["in"] == "path"
    assert isbn["required"] is True
    assert isbn["schema"] == {"type": "string", "minLength": 1, "maxLength": 20, "pattern": "^(?:[0-9X-]+)$"}


def test_query_parameters_have_their_constraints_and_defaults_and_are_never_null(
    written: dict[str, Any],
) -> None:
    found = parameters(operation(written, "/library/shelves/{shelf}/books", "get"))
    assert found["limit"]["schema"] == {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": 100,
        "default": 10,
    }
    assert found["rare"]["schema"] == {"type": "boolean"}
    assert found["since"]["schema"] == {"type": "string", "format": "date"}
    assert found["tags"]["schema"]["items"]["type"] == "string"
    assert [found[name]["required"] for name in ("shelf", "limit", "rare")] == [True, False, False]


def test_a_body_is_closed_and_lacks_what_the_path_says(written: dict[str, Any]) -> None:
    body = operation(written, "/library/books/{isbn}", "post")["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert schema["required"] == ["copies", "title"]
    assert schema["additionalProperties"] is False
    assert "isbn" not in schema["properties"]
    assert schema["properties"]["price"]["type"] == "string"
    assert schema["properties"]["price"]["format"] == "decimal"
    assert schema["properties"]["binding"] == {
        "type": "string",
        "enum": ["paper", "cloth"],
        "default": "paper",
    }
    assert schema["properties"]["bought_at"]["type"] == ["string", "null"]
    assert schema["properties"]["bought_at"]["format"] == "date-time"
    assert schema["properties"]["authors"]["maxItems"] == 3
    assert written["components"]["schemas"]["AuthorInput"]["additionalProperties"] is False


def test_answers_are_open_and_have_all_their_fields(written: dict[str, Any]) -> None:
    for name in ("Book", "Author", "PageOfBook"):
        schema = written["components"]["schemas"][name]
        assert schema.get("additionalProperties") is not False
        assert set(schema["required"]) == set(schema["properties"])
    assert written["components"]["schemas"]["Book"]["properties"]["price"]["type"] == "string"


def test_statuses_follow_the_answer(written: dict[str, Any]) -> None:
    book = {"$ref": "#/components/schemas/Book"}
    receive = operation(written, "/library/books/{isbn}", "post")["responses"]
    assert {"200", "201"} <= set(receive)
    assert receive["201"]["content"]["application/json"]["schema"] == book
    assert "Location" in receive["201"]["headers"]
    lose = operation(written, "/library/books/{isbn}", "delete")["responses"]
    assert "content" not in lose["204"]
    pages = operation(written, "/library/shelves/{shelf}/books", "get")["responses"]
    assert "Link" in pages["200"]["headers"]
    titles = operation(written, "/library/shelves/{shelf}/titles", "get")["responses"]
    assert titles["200"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"type": "string"},
    }


def failures(of: dict[str, Any]) -> set[int]:
    return {int(status) for status in of["responses"] if status >= "400"}


ALWAYS = {400, 401, 406, 408, 412, 413, 414, 417, 422, 429, 431, 500, 503}


@pytest.mark.parametrize(
    ("path", "method", "besides"),
    [
        ("/library/books/{isbn}", "post", {404, 409, 415}),
        ("/library/books/{isbn}", "delete", {404, 409}),
        ("/library/books/{isbn}", "get", {404}),
        ("/library/cards", "post", {409, 415}),
    ],
)
def test_an_operation_has_the_failures_that_it_can_have_and_no_others(
    written: dict[str, Any], path: str, method: str, besides: set[int]
) -> None:
    assert failures(operation(written, path, method)) == ALWAYS | besides


def test_every_failure_is_a_problem_with_examples(written: dict[str, Any]) -> None:
    problem, statuses = written["components"]["schemas"]["Problem"], set()
    for name, response in written["components"]["responses"].items():
        if name == "Accepted":
            continue
        [(media_type, content)] = response["content"].items()
        assert media_type == "application/problem+json"
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for example in content["examples"].values():
            OAS31Validator(problem, format_checker=oas31_format_checker).validate(example["value"])
            statuses.add(example["value"]["status"])
    assert statuses == ALWAYS | {403, 404, 409, 415}


def test_headers_are_told_where_they_are_read(written: dict[str, Any]) -> None:
    def references(path: str, method: str) -> set[str]:
        found = operation(written, path, method)["parameters"]
        return {each["$ref"].rpartition("/")[2] for each in found if "$ref" in each}

    asked = {"X-Correlation-ID", "traceparent"}
    told = {*asked, "Idempotency-Key", "If-Match"}
    assert references("/library/books/{isbn}", "post") == {*told, "Prefer"}
    assert references("/library/books/{isbn}", "delete") == {*told, "Prefer"}
    assert references("/library/cards", "post") == told, "nobody hears it, so there is nothing to wait for"
    assert references("/library/books/{isbn}", "get") == asked


def test_a_version_is_told_with_its_tag_and_its_conditions() -> None:
    blueprint = Entrypoints("versions", __name__)

    @blueprint.get("/counted/<isbn>")
    def show(query: CountedOf) -> Counted:
        return ask(query)

    shown = operation(documented(blueprint), "/counted/{isbn}", "get")
    references = {each.get("$ref", "").rpartition("/")[2] for each in shown["parameters"]}
    assert {"If-Match", "If-None-Match"} <= references
    assert "ETag" in shown["responses"]["200"]["headers"]
    assert set(shown["responses"]["304"]["headers"]) == {"X-Correlation-ID", "ETag"}


def test_who_does_not_wait_is_told_where_to_look_unless_nobody_hears(written: dict[str, Any]) -> None:
    assert "202" in operation(written, "/library/books/{isbn}", "post")["responses"]
    assert "202" not in operation(written, "/library/cards", "post")["responses"]
    [link] = written["components"]["responses"]["Accepted"]["links"].values()
    follow = operation(written, "/messages/{message_id}", "get")
    assert link["operationId"] == follow["operationId"]
    assert failures(follow) == {400, 401, 404, 408, 413, 414, 417, 429, 431, 500, 503}


def test_what_is_created_is_linked_to_where_it_can_be_read(written: dict[str, Any]) -> None:
    receive = operation(written, "/library/books/{isbn}", "post")["responses"]
    assert receive["201"]["links"] == {
        "show_book": {
            "operationId": "library.show_book",
            "parameters": {"isbn": "$response.body#/isbn"},
            "description": "Show one book.",
        }
    }
    assert "links" not in receive["200"]


def test_tags_are_described_by_the_modules_of_their_blueprints(written: dict[str, Any]) -> None:
    library, messages = written["tags"]
    assert library["name"] == "library"
    assert library["description"].startswith("A small library")
    assert messages["name"] == "messages"


def secured(*, required: bool) -> dict[str, Any]:
    requires = Routes(requires={BookArrived: "books:write", BookOf: PUBLIC})
    guard = Guard((), required, {"key": API_KEY})
    written = Library(more=requires, guard=guard).installation.document
    OpenAPIV31SpecValidator(written).validate()
    return written


def test_permissions_are_told_where_credentials_are_required() -> None:
    written = secured(required=True)
    receive = operation(written, "/library/books/{isbn}", "post")
    assert receive["security"] == [{"key": ["books:write"]}]
    assert "books:write" in receive["description"]
    assert failures(receive) >= {401, 403}
    for public in (operation(written, "/library/books/{isbn}", method) for method in ("get", "delete")):
        assert public["security"] == [{}, {"key": []}]
        assert 403 not in failures(public)
    assert written["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_without_authentication_credentials_are_welcome_and_nobody_needs_them() -> None:
    receive = operation(secured(required=False), "/library/books/{isbn}", "post")
    assert receive["security"][0] == {}


def test_where_nobody_is_known_nothing_is_said_of_security(written: dict[str, Any]) -> None:
    assert "security" not in operation(written, "/library/books/{isbn}", "post")
    assert "securitySchemes" not in written["components"]


def test_what_is_answered_is_what_is_documented(written: dict[str, Any]) -> None:
    http = Library().http
    for method, path, rule in [
        ("post", "/library/books/1", "/library/books/{isbn}"),
        ("get", "/library/books/1", "/library/books/{isbn}"),
        ("get", "/library/books/2", "/library/books/{isbn}"),
        ("get", "/library/shelves/a/books", "/library/shelves/{shelf}/books"),
        ("post", "/library/books/1", "/library/books/{isbn}"),
        ("delete", "/library/books/1", "/library/books/{isbn}"),
        ("delete", "/library/books/1", "/library/books/{isbn}"),
    ]:
        response = http.open(path, method=method.upper(), json=BOOK if method == "post" else None)
        assert str(response.status_code) in operation(written, rule, method)["responses"]


def test_the_document_is_written_once_and_only_when_asked_for() -> None:
    library = Library()
    assert "document" not in vars(library.installation)
    library.http.get("/openapi.json")
    assert library.installation.document is library.installation.document


class Heard(Event, name="openapi.heard"):
    body: str


class Nothing(Query[int], name="openapi.nothing"):
    pass


class Counted(ValueObject):
    version: Version


class CountedOf(Query[Counted], name="openapi.counted-of"):
    isbn: str
    near: Annotated[str, Example("a street")] | None = None


class Known(ValueObject):
    """Somebody who is known."""

    name: Annotated[str, Length(2), Example("Jane")]
    height: float
    born: date
    is_member: bool


class Met(Event[Known], name="openapi.met"):
    """Somebody was met."""

    who: Known
    isbn: Annotated[str, Pattern("[0-9]+")]
    pin: Sensitive[str]
    amount: Decimal
    note: str
    tags: tuple[Annotated[str, Example("old")], ...]
    left: datetime | None = None


class Wrong(Event, name="openapi.wrong"):
    sku: Annotated[str, Length(1, 3), Example("CHAIR")]


class NoPerson(NotFound):
    """Nobody is there."""


class NoShelf(NotFound):
    """There is no shelf."""


class MetBefore(Contradiction):
    """They have met."""


def test_a_request_that_its_author_reads_may_have_any_body() -> None:
    blueprint = Entrypoints("hooks", __name__)

    @blueprint.post("/hooks/<source>", reads=lambda request: Heard(body=""))
    def hear(event: Heard) -> None:
        return emit(event)

    hear_operation = operation(documented(blueprint), "/hooks/{source}", "post")
    assert hear_operation["requestBody"]["content"] == {"*/*": {"schema": {}}}
    assert parameters(hear_operation)["source"]["schema"] == {"type": "string"}


def test_paths_are_where_the_application_has_them() -> None:
    blueprint = Entrypoints("books", __name__, url_prefix="/books")

    @blueprint.get("/<path:shelf>/titles")
    def titles(query: TitlesOf) -> list[str]:
        return ask(query)

    @blueprint.get("/<string(length=3):isbn>")
    def show(query: BookOf) -> Book:
        return ask(query)

    @blueprint.post("/nothing")
    def nothing(query: Nothing) -> int:
        return ask(query)

    app = Flask("books")
    app.register_blueprint(blueprint, url_prefix="/v2", name="second")
    written = document(app, title="Books", version="1")
    OpenAPIV31SpecValidator(written).validate()
    assert set(written["paths"]) == {"/v2/{shelf}/titles", "/v2/{isbn}", "/v2/nothing"}
    assert operation(written, "/v2/{isbn}", "get")["operationId"] == "second.show"
    assert "requestBody" not in operation(written, "/v2/nothing", "post")


def meeting(**options: Any) -> Entrypoints:
    blueprint = Entrypoints("meeting", __name__)

    @blueprint.post("/met", **options)
    def meet(event: Met) -> Known:
        return emit(event)

    return blueprint


def test_examples_are_the_authors_or_derived_from_the_declaration() -> None:
    written = documented(meeting())
    body = operation(written, "/met", "post")["requestBody"]
    assert body["description"] == "Somebody was met."
    found = body["content"]["application/json"]["schema"]["properties"]
    assert {name: each.get("examples") for name, each in found.items()} == {
        "who": None,  # its parts have
        "isbn": None,  # its name would not match
        "pin": None,  # a secret
        "amount": ["12.50"],
        "note": ["note"],
        "tags": None,
        "left": ["2026-01-31T12:30:00Z"],
    }
    assert found["tags"]["items"]["examples"] == ["old"]
    known = written["components"]["schemas"]["Known"]
    assert known["description"] == "Somebody who is known."
    assert known["properties"]["name"]["examples"] == ["Jane"]
    assert known["properties"]["height"]["examples"] == [1.5]
    assert known["properties"]["born"]["examples"] == ["2026-01-31"]


def test_what_a_url_may_leave_out_has_no_example_and_may_be_empty() -> None:
    blueprint = Entrypoints("counted", __name__)

    @blueprint.get("/counted/<isbn>")
    def show(query: CountedOf) -> Counted:
        return ask(query)

    found = parameters(operation(documented(blueprint), "/counted/{isbn}", "get"))
    assert found["isbn"]["example"] == "isbn"
    assert "example" not in found["near"]
    assert "examples" not in found["near"]["schema"]
    assert found["near"]["allowEmptyValue"] is True
    assert "allowEmptyValue" not in found["isbn"]


def test_an_example_that_breaks_its_constraints_is_a_mistake_at_start() -> None:
    blueprint = Entrypoints("wrong", __name__)

    @blueprint.post("/wrong")
    def hear(event: Wrong) -> None:
        return emit(event)

    [finding] = blueprint.findings()
    assert finding.code == "ATM024"
    assert "field sku: its example must have at most 3, has 5" in finding.detail


def test_errors_that_an_author_names_are_told_with_their_sentences() -> None:
    told = operation(documented(meeting(raises=[NoPerson, NoShelf, MetBefore])), "/met", "post")["responses"]
    assert told["404"] == {
        "$ref": "#/components/responses/NotFound",
        "description": "Nobody is there. There is no shelf.",
    }
    assert told["409"]["description"] == "They have met."
    assert "description" not in told["412"]
    assert "404" not in operation(documented(meeting()), "/met", "post")["responses"]


def test_only_errors_of_the_domain_can_be_named() -> None:
    with pytest.raises(WiringError, match="raises=ValueError is no DomainError"):
        documented(meeting(raises=[ValueError]))


@pytest.mark.parametrize(
    ("kind", "fits", "does_not"),
    [
        (str, ["", " ", "a", "ü\n"], ["\0", "a\0"]),
        (
            Annotated[str, Length(1, 3)],
            ["a", " a ", "\ta", "a\x01"],
            ["", " ", "\x1f", "\x85", "\u2003", "a\0"],
        ),
        (Annotated[str, Length(3)], ["abc", " a c "], ["ab", "  ab", "ab  ", " a ", "a\0c"]),
        (Annotated[str, Length(1), Pattern("[^/]+")], ["a", " a"], ["/", " ", "\0", "a\0"]),
        (Annotated[str, Length(1), Pattern("[0-9]+")], ["1"], ["", "a", " ", "\0"]),
    ],
)
def test_what_a_document_says_of_a_text_is_what_is_taken(
    kind: Any, fits: list[str], does_not: list[str]
) -> None:
    field = Shapes().field(kind)
    plugin = MarshmallowPlugin()
    APISpec("", "", "3.1.0", plugins=[plugin])
    assert plugin.converter is not None
    said = OAS31Validator(plugin.converter.field2property(field))
    for text in fits:
        assert said.is_valid(text)
        field.deserialize(text)
    for text in does_not:
        assert not said.is_valid(text), text
        with pytest.raises(ValidationError):
            field.deserialize(text)


def test_the_same_declarations_make_the_same_text() -> None:
    first, second = Library().installation, Library().installation
    assert first.document_text == second.document_text == as_text(first.document)
    assert first.document_text.endswith("}\n")
