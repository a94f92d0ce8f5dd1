"""Entrypoints: what a request becomes, what an answer becomes, and which views are refused."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, Request
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from atomos.core.api import Entrypoints, ask, emit
from atomos.core.domain import Aggregate, Command, Created, Event, InvalidMessage, Page, Query, ValueObject
from atomos.core.service.diagnostics import WiringError
from atomos.core.service.routes import Routes
from atomos.core.service.unit_of_work import UnitOfWork

from .api_samples import (
    BOOK,
    AddBook,
    Book,
    BookArrived,
    BookLost,
    BookOf,
    BooksOf,
    Library,
    MemoryUnitOfWork,
    TitlesOf,
)


def shelve(library: Library, *isbns: str) -> None:
    for isbn in isbns:
        assert library.http.post(f"/library/books/{isbn}", json=BOOK).status_code == 201


def pointers(response: Any) -> dict[str, str]:
    assert response.status_code == 422, response.text
    return {each["pointer"]: each["detail"] for each in response.json["errors"]}


def emitted(library: Library) -> Any:
    return next(record.message for record in library.log.records if record.kind == "event")


# What a request becomes


def test_the_path_and_the_body_make_the_event() -> None:
    library = Library()
    body = {**BOOK, "binding": "cloth", "authors": [{"name": "Jane", "born": "1775-12-16"}], "tags": ["a"]}
    assert library.http.post("/library/books/12-X", json=body).status_code == 201
    event = emitted(library)
    assert (event.isbn, event.title, event.copies, str(event.price)) == ("12-X", "Emma", 2, "12.50")
    assert (event.binding.value, event.authors[0].born.year, event.tags) == ("cloth", 1775, ("a",))


def test_texts_are_trimmed_before_the_event_is_made() -> None:
    library = Library()
    authors = [{"name": "  Jane\n"}]
    library.http.post("/library/books/%20123%20", json={**BOOK, "title": "\tEmma ", "authors": authors})
    event = emitted(library)
    assert (event.isbn, event.title, event.authors[0].name) == ("123", "Emma", "Jane")


def test_a_text_of_spaces_is_an_empty_text() -> None:
    assert pointers(Library().http.post("/library/books/1", json={**BOOK, "title": "  "})) == {
        "/title": "must not be empty"
    }


def test_every_mistake_is_told_at_once_each_with_its_pointer() -> None:
    body = {
        "copies": "3",
        "price": 1.5,
        "authors": [{"name": "Jane"}, {"name": "", "born": "1775-13-01", "died": None}],
        "tags": ["ok", 7],
        "rare": 1,
        "binding": "stone",
        "bought_at": "2026-01-31T12:00:00",
        "colour/~": "red",
    }
    assert pointers(Library().http.post("/library/books/a", json=body)) == {
        "/isbn": "must match [0-9X-]+",
        "/title": "is missing",
        "/copies": "must be an integer, is '3'",
        "/price": "must be a decimal number written as a text, such as '12.50', is 1.5",
        "/authors/1/name": "must not be empty",
        "/authors/1/born": "must be a date, such as '2026-01-31', is '1775-13-01'",
        "/authors/1/died": "is unknown; the fields are: name, born",
        "/tags/1": "must be a text, is 7",
        "/rare": "must be true or false, is 1",
        "/binding": "must be one of 'paper', 'cloth', is 'stone'",
        "/bought_at": "must be a date and time with a time zone, such as '2026-01-31T12:30:00Z', "
        "is '2026-01-31T12:00:00'",
        "/colour~1~0": "is unknown; the fields are: isbn, title, copies, price, binding, bought_at, authors, "
        "tags, rare",
    }


def test_nothing_is_emitted_when_a_field_is_wrong() -> None:
    library = Library()
    library.http.post("/library/books/1", json={**BOOK, "copies": 0})
    assert library.log.records == []


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_refused(body: str) -> None:
    response = Library().http.post("/library/books/1", data=body, content_type="application/json")
    assert pointers(response) == {"": "must be an object"}


def test_a_member_that_is_given_twice_is_refused_however_deep() -> None:
    body = '{"title": "a", "title": "a", "authors": [{"name": "x"}, {"name": "y", "name": "z"}]}'
    response = Library().http.post("/library/books/1", data=body, content_type="application/json")
    assert pointers(response) == {
        "/title": "is given more than once",
        "/authors/1/name": "is given more than once",
    }


def test_what_the_path_says_may_not_be_said_by_the_body_too() -> None:
    response = Library().http.post("/library/books/1", json={**BOOK, "isbn": "1"})
    assert pointers(response) == {"/isbn": "comes from the path; leave it out of the body"}


def test_a_query_string_beside_a_body_is_refused() -> None:
    response = Library().http.post("/library/books/1?copies=3&x=1", json=BOOK)
    assert set(pointers(response)) == {"/copies", "/x"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"", None),
        (b'{"copies": NaN}', "NaN"),
        (b'{"copies": -Infinity}', "infinite"),
        (b'{"copies": ' + b"1" * 5000 + b"}", "too long"),
        (b'{"title": "\xff"}', "not UTF-8"),
        ('{"title": "é"}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper than 64 levels"),
        (b"[" * 100_000, "nested deeper than 64 levels"),
        (b'{"title": "a", "title": "b", "x": ' + b"[" * 100_000, "nested deeper than 64 levels"),
    ],
)
def test_a_malformed_body_is_400_and_an_empty_one_lacks_its_fields(body: bytes, said: str | None) -> None:
    response = Library().http.post("/library/books/1", data=body, content_type="application/json")
    if said is None:
        assert pointers(response) == {"/title": "is missing", "/copies": "is missing"}
    else:
        assert response.status_code == 400
        assert said in response.json["detail"]


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 201)])
def test_a_body_that_is_not_sent_as_it_is_is_415(coding: str, status: int) -> None:
    coded = {"Content-Encoding": coding}
    assert Library().http.post("/library/books/1", json=BOOK, headers=coded).status_code == status


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_is_415(media_type: str) -> None:
    response = Library().http.post("/library/books/1", data=json.dumps(BOOK), content_type=media_type)
    assert response.status_code == 415
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/vnd.library+json"])
def test_json_may_say_more_about_itself(media_type: str) -> None:
    response = Library().http.post("/library/books/1", data=json.dumps(BOOK), content_type=media_type)
    assert response.status_code == 201


@pytest.mark.parametrize(("text", "said"), [("a\0b", "NUL"), ("a\ud800b", "surrogate")])
def test_a_text_that_no_database_takes_is_refused(text: str, said: str) -> None:
    response = Library().http.post("/library/books/1", json={**BOOK, "title": text})
    assert said in pointers(response)["/title"]


def test_a_nul_in_the_path_is_refused() -> None:
    assert "NUL" in pointers(Library().http.get("/library/books/1%002"))["/isbn"]


def test_an_unknown_name_that_utf_8_cannot_write_is_told() -> None:
    response = Library().http.post(
        "/library/books/1", data=b'{"\\ud800": 1}', content_type="application/json"
    )
    assert "/\ud800" in pointers(response)


def test_a_path_that_is_not_utf_8_is_400() -> None:
    path = {"PATH_INFO": "/library/shelves/\xff/titles"}
    assert Library().http.get("/", environ_overrides=path).status_code == 400
    assert Library().http.get("/library/shelves/%ef%bf%bd/titles").status_code == 200


def test_query_parameters_are_read_as_their_fields() -> None:
    library = Library()
    response = library.http.get(
        "/library/shelves/a/books?limit=%205&rare=true&since=2026-01-31&tags=x&tags=y"
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=1&limit=2", {"/limit": "is given more than once"}),
        ("limit=&limit=2", {"/limit": "is given more than once"}),
        ("shelf=b", {"/shelf": "comes from the path; leave it out here"}),
        ("limit=0", {"/limit": "must be at least 1, is 0"}),
        ("limit=1.0", {"/limit": "must be an integer, is '1.0'"}),
        ("limit=%D9%A3", {"/limit": "must be an integer, is '٣'"}),
        ("rare=1", {"/rare": "must be true or false, is '1'"}),
        ("since=now", {"/since": "must be a date, such as '2026-01-31', is 'now'"}),
        (
            "limit=x&rare=y",
            {"/limit": "must be an integer, is 'x'", "/rare": "must be true or false, is 'y'"},
        ),
    ],
)
def test_query_parameters_that_are_not_as_they_should_be_are_422(
    query: str, expected: dict[str, str]
) -> None:
    assert pointers(Library().http.get(f"/library/shelves/a/books?{query}")) == expected


def test_an_unknown_query_parameter_is_refused_even_when_it_is_empty() -> None:
    assert set(pointers(Library().http.get("/library/shelves/a/books?x=&Limit=1"))) == {"/x", "/Limit"}


def test_an_empty_query_parameter_is_absent() -> None:
    assert Library().http.get("/library/shelves/a/books?limit=&rare=%20&tags=").status_code == 200


def test_a_query_string_with_too_many_parameters_is_400() -> None:
    query = "&".join(f"x{number}=1" for number in range(1001))
    assert Library().http.get(f"/library/shelves/a/books?{query}").status_code == 400


def test_a_query_string_with_bytes_that_are_not_utf_8_is_400() -> None:
    assert Library().http.get("/library/shelves/a/books?limit=%ff").status_code == 400
    response = Library().http.get(
        "/library/shelves/a/books", environ_overrides={"QUERY_STRING": "limit=\xff"}
    )
    assert response.status_code == 400


def test_a_delete_takes_its_fields_from_the_query_string_and_no_body() -> None:
    library = Library()
    shelve(library, "1")
    assert library.http.delete("/library/books/1", json={"reason": "rain"}).status_code == 400
    response = library.http.delete("/library/books/1?reason=rain")
    assert (response.status_code, response.data, response.content_type) == (204, b"", None)
    assert library.log.records[-2].message == BookLost(isbn="1", reason="rain")


def test_who_takes_no_json_is_406_and_nothing_happens() -> None:
    library = Library()
    response = library.http.post("/library/books/1", json=BOOK, headers={"Accept": "text/html"})
    assert response.status_code == 406
    assert library.log.records == []


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/*;q=0.5", ""])
def test_who_takes_json_among_others_is_served(accept: str) -> None:
    assert Library().http.get("/library/shelves/a/titles", headers={"Accept": accept}).status_code == 200


@pytest.fixture(scope="module")
def shared() -> Library:
    """One for all examples of a test: it takes longer to make than to ask."""
    return Library()


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.strip("./ ") and "/" not in text))
def test_whatever_a_path_says_the_answer_is_no_failure(shared: Library, text: str) -> None:
    path = quote(text, errors="surrogatepass")
    assert shared.http.get(f"/library/shelves/{path}/titles").status_code in (200, 308, 400, 404, 422)


FIELDS = st.sampled_from(["title", "copies", "price", "authors", "name", "tags", "rare", "binding"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner),
    max_leaves=8,
)


@given(st.dictionaries(FIELDS, VALUES, max_size=1))
def test_whatever_one_field_says_the_others_are_good_and_it_is_never_a_failure(
    shared: Library, field: dict[str, Any]
) -> None:
    shared.books.clear()
    response = shared.http.post("/library/books/1", json={**BOOK, **field})
    assert response.status_code in (201, 400, 422), response.text


@given(VALUES)
def test_whatever_a_body_says_it_is_taken_or_refused_but_never_a_failure(shared: Library, body: Any) -> None:
    shared.books.clear()
    response = shared.http.post("/library/books/1", json=body)
    assert response.status_code in (201, 400, 422), response.text


# What an answer becomes


def test_what_is_created_is_201_at_its_location_and_a_second_time_200() -> None:
    library = Library()
    first = library.http.post("/library/books/12-X", json=BOOK)
    second = library.http.post("/library/books/12-X", json=BOOK)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json == second.json == library.http.get(first.headers["Location"]).json
    assert "Location" not in second.headers


def test_decimals_and_times_are_texts_in_an_answer() -> None:
    library = Library()
    shelve(library, "1")
    assert library.http.get("/library/books/1").json == {
        "isbn": "1",
        "title": "Emma",
        "price": "12.50",
        "added_at": "2026-01-31T12:30:00Z",
        "authors": [],
    }


class Renamed(Event[Created[int] | int], name="library.renamed"):
    old: str


class Rename(Command[Created[int] | int], name="library.rename"):
    old: str


def rename(command: Rename, uow: MemoryUnitOfWork) -> Created[int] | int:
    with uow:
        return uow.commit(Created(value=7) if command.old == "new" else 8)


def test_put_and_patch_emit_and_an_answer_may_be_a_number() -> None:
    blueprint = Entrypoints("odd", __name__)

    @blueprint.put("/names/<old>")
    def put(event: Renamed) -> Created[int] | int:
        return emit(event)

    @blueprint.patch("/names/<old>")
    def patch(event: Renamed) -> Created[int] | int:
        return emit(event)

    routes = Routes(triggers={Renamed: [Rename]}, commands={Rename: rename})
    http = Library(blueprints=[blueprint], more=routes).http
    first, second = http.put("/names/new"), http.patch("/names/old")
    assert (first.status_code, first.json, first.headers.get("Location")) == (201, 7, None)
    assert (second.status_code, second.json) == (200, 8)


def test_a_location_is_under_the_root_that_serves() -> None:
    response = Library().http.post("/library/books/1", json=BOOK, environ_overrides={"SCRIPT_NAME": "/v1"})
    assert response.headers["Location"] == "/v1/library/books/1"


def test_a_list_is_an_array() -> None:
    library = Library()
    shelve(library, "1", "2")
    assert library.http.get("/library/shelves/a/titles").json == ["Emma", "Emma"]


def test_a_page_links_to_the_next_until_there_is_none() -> None:
    library = Library()
    shelve(library, "1", "2", "3")
    seen, path = [], "/library/shelves/a%20b/books?limit=2&rare=&tags=x&tags=%26"
    while path:
        response = library.http.get(path)
        seen += [book["isbn"] for book in response.json["items"]]
        link = response.headers.get("Link")
        assert (link is None) == (response.json["cursor"] is None)
        path = link.removeprefix("<").removesuffix('>; rel="next"') if link else ""
    assert seen == ["1", "2", "3"]


def test_a_link_keeps_the_other_parameters() -> None:
    library = Library()
    shelve(library, "1", "2")
    link = library.http.get("/library/shelves/a%20b/books?cursor=0&limit=1&tags=x&tags=%26").headers["Link"]
    assert link == '</library/shelves/a%20b/books?limit=1&tags=x&tags=%26&cursor=1>; rel="next"'


def test_a_head_is_a_get_without_its_body() -> None:
    library = Library()
    shelve(library, "1")
    head, get = library.http.head("/library/books/1"), library.http.get("/library/books/1")
    assert (head.status_code, head.data, head.content_length) == (200, b"", get.content_length)
    assert library.http.head("/library/books/2").status_code == 404


def test_options_say_what_is_allowed() -> None:
    response = Library().http.options("/library/books/1")
    assert response.status_code == 200
    assert set(response.allow) == {"DELETE", "GET", "HEAD", "OPTIONS", "POST"}


# A request that its author reads


class Called(Event, name="library.called"):
    body: str


def read_call(request: Request) -> Called:
    if request.headers.get("X-Signature") != "right":
        raise InvalidMessage("Called", ())
    return Called(body=request.get_data(as_text=True))


def hooks(reads: Any) -> Entrypoints:
    blueprint = Entrypoints("hooks", __name__)

    @blueprint.post("/hooks/<source>", reads=reads)
    def hear(event: Called) -> None:
        return emit(event)

    return blueprint


def calls(reads: Any = read_call) -> Library:
    return Library(blueprints=[hooks(reads)], more=Routes(ignored={Called: "it is only kept"}))


def test_a_function_may_read_the_request() -> None:
    library = calls()
    response = library.http.post("/hooks/shop", data="<xml/>", headers={"X-Signature": "right"})
    assert (response.status_code, emitted(library)) == (204, Called(body="<xml/>"))


def test_what_the_reading_function_raises_is_a_problem() -> None:
    assert calls().http.post("/hooks/shop", data="<xml/>").status_code == 422


def test_a_reading_function_that_gives_something_else_is_a_failure() -> None:
    with capture_logs():
        assert calls(lambda request: None).http.post("/hooks/shop").status_code == 500


# Which views are refused


class Unwritten(Query[None], name="library.unwritten"):
    either: int | str


class OnePage(Query[Page[Book]], name="library.one-page"):
    shelf: str


class Strange(ValueObject):
    thing: object


class StrangeOf(Query[Strange], name="library.strange-of"):
    shelf: str


def takes_a_command(command: AddBook) -> Created[Book] | Book: ...
def takes_a_model(model: Aggregate) -> None: ...
def takes_any_event(event: Event) -> None: ...  # type: ignore[type-arg]
def takes_nothing() -> None: ...
def takes_a_bare_name(event) -> None: ...  # type: ignore[no-untyped-def]
def takes_more(event: BookArrived, uow: UnitOfWork) -> Created[Book] | Book: ...
def takes_rest(event: BookArrived, *rest: str) -> Created[Book] | Book: ...
async def is_asynchronous(event: BookArrived) -> Created[Book] | Book: ...
def names_nowhere(event: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def returns_half(event: BookArrived) -> Book: ...
def returns_more(event: BookLost) -> Book | None: ...
def returns_unsaid(event: BookLost): ...  # type: ignore[no-untyped-def]
def asks(query: BookOf) -> Book: ...
def asks_a_page(query: OnePage) -> Page[Book]: ...
def asks_either(query: Unwritten) -> None: ...
def asks_strangely(query: StrangeOf) -> Strange: ...
def loses(event: BookLost) -> None: ...
def arrives(event: BookArrived) -> Created[Book] | Book: ...
def lists(query: BooksOf) -> Page[Book]: ...


@pytest.mark.parametrize(
    ("method", "rule", "view", "code", "said"),
    [
        ("POST", "/<isbn>", takes_a_command, "ATM023", "takes command: AddBook"),
        ("POST", "/x", takes_a_model, "ATM023", "takes model: Aggregate"),
        ("POST", "/x", takes_any_event, "ATM023", "has to be an Event or a Query"),
        ("POST", "/x", takes_nothing, "ATM023", "takes nothing"),
        ("POST", "/x", takes_a_bare_name, "ATM023", "takes event without an annotation; "),
        ("POST", "/<isbn>", takes_more, "ATM023", "takes uow: "),
        ("POST", "/<isbn>", takes_rest, "ATM023", "takes *rest: "),
        ("POST", "/<isbn>", is_asynchronous, "ATM006", "async def"),
        ("POST", "/x", names_nowhere, "ATM007", "Nowhere"),
        (
            "POST",
            "/<isbn>",
            returns_half,
            "ATM024",
            "returns Book, and BookArrived declares the answer Book | ",
        ),
        (
            "POST",
            "/<isbn>",
            returns_more,
            "ATM024",
            "returns Book | None, and BookLost declares the answer None",
        ),
        ("POST", "/<isbn>", returns_unsaid, "ATM024", "has no return annotation"),
        ("GET", "<isbn>", asks, "ATM024", "the path <isbn> does not begin with a slash; write /<isbn>"),
        ("GET", "/<isbnn>", asks, "ATM024", "isbnn, which is no field of BookOf; did you mean isbn?"),
        ("GET", "/<path:x>", asks, "ATM024", "x, which is no field of BookOf; its fields are isbn"),
        ("GET", "/<isbn>", loses, "ATM024", "a GET changes nothing, and it emits BookLost; use POST"),
        (
            "GET",
            "/<shelf>",
            asks_a_page,
            "ATM024",
            "a Page, which takes a GET and a field `cursor` in OnePage",
        ),
        ("POST", "/<shelf>", lists, "ATM024", "a Page, which takes a GET"),
        ("GET", "/x", asks_either, "ATM024", "field either: int | str is one of several types"),
        (
            "GET",
            "/<shelf>",
            asks_strangely,
            "ATM024",
            "the answer Strange cannot be written: field thing: object",
        ),
        ("DELETE", "/<isbn>", arrives, "ATM024", "field authors: an object cannot be written into a URL"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(method: str, rule: str, view: Any, code: str, said: str) -> None:
    blueprint = Entrypoints("odd", __name__)
    blueprint.route(rule, methods=[method])(view)
    with pytest.raises(WiringError) as raised:
        Flask("odd").register_blueprint(blueprint)
    found = raised.value.findings
    assert [finding.code for finding in found] == [code]
    assert said in found[0].detail
    assert "test_api_entrypoints.py:" in found[0].place


def test_a_view_that_forgets_to_return_the_answer_is_told_by_its_line() -> None:
    library, blueprint = Library(), Entrypoints("odd", __name__)

    @blueprint.post("/<isbn>")
    def arrive(event: BookArrived) -> Created[Book] | Book:
        emit(event)  # type: ignore[return]

    library.app.register_blueprint(blueprint)
    with capture_logs() as logs:
        assert library.http.post("/1", json=BOOK).status_code == 500
    (error,) = [each["exc_info"] for each in logs if each["event"] == "http.failed"]
    assert re.match(
        r"ATM024: \S+test_api_entrypoints.py:\d+ \S+arrive: returned None; end the view", str(error)
    )


def test_who_asks_an_event_or_emits_a_query_is_told_which_is_which() -> None:
    bus: Any = Library().bus
    with pytest.raises(TypeError, match="BookLost cannot be asked: it is no Query"):
        bus.ask(BookLost(isbn="1"))
    with pytest.raises(TypeError, match="BookOf cannot be emitted: it is no Event"):
        bus.emit(BookOf(isbn="1"))


def located(location: str) -> Entrypoints:
    blueprint = Entrypoints("odd", __name__)

    @blueprint.get("/titles/<shelf>")
    def titles(query: TitlesOf) -> list[str]:
        return ask(query)

    @blueprint.get("/books/<isbn>")
    def show(query: BookOf) -> Book:
        return ask(query)

    @blueprint.post("/books/<isbn>", location=location)
    def receive(event: BookArrived) -> Created[Book] | Book:
        return emit(event)

    @blueprint.delete("/books/<isbn>", location="show")
    def lose(event: BookLost) -> None:
        return emit(event)

    return blueprint


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("shown", "location='shown' is no GET of this blueprint, which has show, titles"),
        ("lose", "location='lose' is no GET of this blueprint, which has show, titles"),
        ("titles", "location='titles' needs shelf, which Book has not"),
    ],
)
def test_a_location_that_leads_nowhere_is_refused(location: str, said: str) -> None:
    found = [finding.detail for finding in located(location).findings()]
    assert found == [said, "location='show', and the answer is never Created"]


def test_two_views_of_one_name_and_a_view_of_two_methods_are_refused() -> None:
    blueprint = Entrypoints("odd", __name__)
    blueprint.get("/a/<isbn>")(asks)
    blueprint.get("/b/<isbn>")(asks)
    blueprint.route("/c/<isbn>", methods=["POST", "PUT"])(arrives)
    said = [finding.detail for finding in blueprint.findings()]
    assert "the name asks is taken by" in said[0]
    assert said[1] == "/c/<isbn> takes POST, PUT; write one view for each method"


def test_a_rule_without_a_view_is_refused() -> None:
    with pytest.raises(TypeError, match=r"/x in the blueprint 'odd' has no view"):
        Entrypoints("odd", __name__).add_url_rule("/x")


# The table


def test_the_table_says_what_each_endpoint_is() -> None:
    endpoints = {each.name: each for each in located("show").endpoints}
    receive = endpoints["receive"]
    assert (receive.method, receive.path, receive.message) == ("POST", "/books/<isbn>", BookArrived)
    assert (receive.emits, receive.has_body, receive.variables) == (True, True, {"isbn"})
    assert receive.bodies == {201: (Book,), 200: (Book,)}
    assert "located.<locals>.receive" in receive.place
    assert endpoints["lose"].bodies == {204: (type(None),)}
    assert not endpoints["show"].emits


def test_a_path_in_the_table_has_the_prefix_of_the_blueprint() -> None:
    blueprint = Entrypoints("odd", __name__, url_prefix="/shelves/<shelf>/")
    blueprint.get("/titles")(lambda query: None)
    assert len(blueprint.findings()) == 1
    good = Entrypoints("good", __name__, url_prefix="/shelves/<shelf>/")

    @good.get("/titles")
    def titles(query: TitlesOf) -> list[str]:
        """List titles."""
        return ask(query)

    assert [(each.path, each.summary) for each in good.endpoints] == [
        ("/shelves/<shelf>/titles", "List titles.")
    ]


def test_a_view_stays_a_plain_function() -> None:
    blueprint = Entrypoints("good", __name__)
    assert blueprint.get("/<isbn>")(asks) is asks


# Keys


def keyed() -> Entrypoints:
    blueprint = Entrypoints("keyed", __name__)

    @blueprint.post("/books/<isbn>", needs_key=True)
    def receive(event: BookArrived) -> Created[Book] | Book:
        """Take a book in."""
        return emit(event)

    return blueprint


def test_what_needs_a_key_is_refused_without_one() -> None:
    library = Library(blueprints=[keyed()])
    without = library.http.post("/books/1", json=BOOK)
    assert without.status_code == 400
    assert "needs the header Idempotency-Key" in without.json["detail"]
    assert not library.log.records
    assert library.http.post("/books/1", json=BOOK, headers={"Idempotency-Key": "one"}).status_code == 201


def test_the_document_says_that_a_key_is_needed() -> None:
    operation = Library(blueprints=[keyed()]).installation.document["paths"]["/books/{isbn}"]["post"]
    key = next(each for each in operation["parameters"] if each.get("name") == "Idempotency-Key")
    assert (key["in"], key["required"], key["schema"]["maxLength"]) == ("header", True, 512)


def test_a_question_needs_no_key() -> None:
    blueprint = Entrypoints("odd", __name__)
    blueprint.get("/a/<isbn>", needs_key=True)(asks)
    said = "it needs an Idempotency-Key, and asks BookOf, which changes nothing"
    assert [finding.detail for finding in blueprint.findings()] == [said]
