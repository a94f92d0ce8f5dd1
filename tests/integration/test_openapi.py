"""The reference service's document: what is printed is what is served, and what is sent is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from atomos.connections.refusals import REFUSALS, refuse

from .headers import undocumented

JSON = "application/json"


@pytest.fixture
def written(http: FlaskClient) -> dict[str, Any]:
    got: dict[str, Any] = http.get("/openapi.json").json
    return got


def test_what_is_printed_is_what_is_served(http: FlaskClient, atomos: Any) -> None:
    served = http.get("/openapi.json")
    assert served.content_type == JSON
    assert served.text == atomos.document()


def test_the_document_is_valid(written: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(written).validate()


def test_the_document_says_what_the_project_says(written: dict[str, Any]) -> None:
    info = written["info"]
    assert (info["title"], info["version"]) == ("atomos-framework", "0.1.0")
    assert info["description"].startswith("Event-driven enterprise backends: ")
    assert written["tags"][0] == {"name": "allocation", "description": "Allocation over HTTP."}


def test_unknown_things_can_be_named_only_where_a_path_names_one(written: dict[str, Any]) -> None:
    for path, methods in written["paths"].items():
        for each in methods.values():
            assert ("404" in each["responses"]) is ("{" in path)


def test_what_the_server_refuses_before_the_application_is_in_it(written: dict[str, Any]) -> None:
    answers = [refuse(refused.__new__(refused), None).partition(b"\r\n\r\n") for refused in REFUSALS]
    for path, methods in written["paths"].items():
        for each in methods.values():
            assert {head[9:12].decode() for head, _, _ in answers} <= each["responses"].keys(), path
    problem = OAS31Validator(written["components"]["schemas"]["Problem"], format_checker=oas31_format_checker)
    for _, _, body in answers:
        problem.validate(json.loads(body))


def test_the_examples_of_the_document_are_good_requests(http: FlaskClient, written: dict[str, Any]) -> None:
    answers = [(method, path, response.status_code) for method, path, response in sent(http, written)]
    # The last line that was cancelled leaves nothing allocated.
    assert [each for each in answers if each[2] >= 400] == [
        ("get", "/allocation/orders/order-1/allocations", 404)
    ]


def test_every_header_that_is_sent_is_documented(http: FlaskClient, written: dict[str, Any]) -> None:
    for method, path, response in sent(http, written):
        assert undocumented(written, method, path, response) == set()
    for method, path, headers in [
        ("get", "/allocation/batches", {"Accept-Encoding": "gzip"}),
        ("get", "/allocation/batches/batch-1", {"If-None-Match": "*"}),
        ("get", "/allocation/batches/nobody", {}),
        ("get", "/allocation/batches/batch-1", {"Accept": "text/html"}),
        ("get", "/allocation/batches/batch-1", {"If-Match": '"99"'}),
        ("get", "/allocation/batches/batch-1", {"Authorization": "Basic none"}),
        ("get", "/allocation/batches?limit=0", {}),
        ("get", "/allocation/batches?limit=1", {}),
        ("post", "/allocation/batches", {}),
    ]:
        response = http.open(path, method=method.upper(), headers=headers)
        assert undocumented(written, method, path.partition("?")[0], response) == set()


def sent(http: FlaskClient, written: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Send each operation's example; of `/messages` there is none."""
    for template, methods in written["paths"].items():
        for method, operation in methods.items():
            path = template
            for each in operation["parameters"]:
                if each.get("in") == "path":
                    path = path.replace(f"{{{each['name']}}}", each.get("example", ""))
            if path.startswith("/messages"):
                continue
            body = operation.get("requestBody", {"content": {JSON: {"schema": None}}})
            made = example(written, body["content"][JSON]["schema"])
            yield method, path, http.open(path, method=method.upper(), json=made)


def example(written: dict[str, Any], schema: Any) -> Any:
    """Make an example of a schema from those of its parts."""
    if schema is None:
        return None
    if "$ref" in schema:
        return example(written, written["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if schema["type"] == "object":
        return {name: example(written, each) for name, each in schema["properties"].items()}
    if schema["type"] == "array":
        return [example(written, schema["items"])]
    return schema["examples"][0]


def test_a_document_can_be_made_without_a_database(make_atomos: Any) -> None:
    nowhere = make_atomos("postgresql://nobody@127.0.0.1:1/nothing")
    assert json.loads(nowhere.document())["openapi"] == "3.1.0"
    nowhere.close()
