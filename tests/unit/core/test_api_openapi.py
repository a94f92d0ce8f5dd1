"""The OpenAPI document: valid, complete, and the same declarations that serve."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from atomos.core.api import Entrypoints, ask, document, emit
from atomos.core.domain import Event, Query

from .api_samples import BOOK, FAILURES, Book, BookOf, Library, TitlesOf


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    got: dict[str, Any] = Library(description="Books.").http.get("/openapi.json").json
    return got


def operation(written: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = written["paths"][path][method]
    return found


def parameters(of: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in of["parameters"] if "name" in each}


def test_the_document_is_valid_openapi_3_1(written: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(written).validate()
    assert written["openapi"].startswith("3.1")
    assert written["info"] == {"title": "Library", "version": "1.2.3", "description": "Books."}


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
    assert found["tags"]["schema"]["items"] == {"type": "string"}
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
    assert schema["properties"]["bought_at"] == {"type": ["string", "null"], "format": "date-time"}
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


def test_every_failure_is_a_problem(written: dict[str, Any]) -> None:
    for path, methods in written["paths"].items():
        for each in methods.values() if path.startswith("/library") else ():
            assert {"400", "403", "404", "406", "422", "500", "503"} <= set(each["responses"])
    responses = written["components"]["responses"]
    for response in (response for name, response in responses.items() if name != "Accepted"):
        assert response["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }


def test_headers_are_told_where_they_are_read(written: dict[str, Any]) -> None:
    def references(path: str, method: str) -> set[str]:
        found = operation(written, path, method)["parameters"]
        return {each["$ref"].rpartition("/")[2] for each in found if "$ref" in each}

    posted = {"Idempotency-Key", "Prefer", "X-Correlation-ID"}
    assert references("/library/books/{isbn}", "post") == posted
    assert references("/library/books/{isbn}", "delete") == {*posted, "If-Match"}
    assert references("/library/books/{isbn}", "get") == {"X-Correlation-ID"}


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


def test_a_request_that_its_author_reads_may_have_any_body() -> None:
    blueprint = Entrypoints("hooks", __name__)

    @blueprint.post("/hooks/<source>", reads=lambda request: Heard(body=""))
    def hear(event: Heard) -> None:
        return emit(event)

    app = Flask("hooks")
    app.register_blueprint(blueprint)
    written = document(app, title="Hooks", version="1")
    OpenAPIV31SpecValidator(written).validate()
    hear_operation = operation(written, "/hooks/{source}", "post")
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
    assert FAILURES
