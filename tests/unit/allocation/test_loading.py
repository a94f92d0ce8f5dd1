"""Loading: every row is accounted for, whatever the files hold and whatever the service does."""

from __future__ import annotations

import csv
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import make_server

from atomos.allocation.api import loading
from atomos.allocation.api.commands import commands
from atomos.allocation.api.lanes import in_lanes
from atomos.allocation.api.rows import BATCHES, LINES, Row, UnusableFile, read_rows
from atomos.allocation.api.rows import Request as RowRequest
from atomos.core.domain import AtomosError

BATCH_HEADER = "reference,sku,quantity,eta"
LINE_HEADER = "order_id,sku,quantity"

Answer = Callable[[Request], Response]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(loading, "_LONGEST_PAUSE", 0.01)


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    return written(
        tmp_path / "stock.csv", BATCH_HEADER, "b-1,CHAIR,10,", "b-2,CHAIR,10,2030-01-31", "b-3,LAMP,5,"
    )


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def rows_of(path: Path, kind: Any = LINES, run: str = "") -> list[Row]:
    return list(read_rows(path, kind, run))


def lines_of(tmp_path: Path, *lines: str) -> list[Row]:
    return rows_of(written(tmp_path / "lines.csv", LINE_HEADER, *lines))


def load(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, ["load", *map(str, arguments)], obj=None)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def rejected(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Reading rows


def test_a_line_becomes_a_request(tmp_path: Path) -> None:
    (row,) = lines_of(tmp_path, " order 1 ,CHAIR,3")
    assert row.request is not None
    assert row.request.path == "/allocation/orders/order%201/lines"
    assert row.request.body == {"sku": "CHAIR", "quantity": 3}
    assert (row.file, row.line) == ("lines.csv", 2)


def test_a_batch_becomes_a_request_and_an_empty_eta_is_the_warehouse(stock: Path) -> None:
    first, second, _ = rows_of(stock, BATCHES)
    assert first.request is not None
    assert second.request is not None
    assert first.request.path == "/allocation/batches"
    assert first.request.body == {"reference": "b-1", "sku": "CHAIR", "quantity": 10, "eta": None}
    assert second.request.body["eta"] == "2030-01-31"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("o-1,CHAIR,-6", "quantity must be at least 1, is -6"),
        ("o-1,CHAIR,0", "quantity must be at least 1, is 0"),
        ("o-1,CHAIR,six", "quantity must be an integer, is 'six'"),
        ("o-1,CHAIR,6.0", "quantity must be an integer, is '6.0'"),
        ("o-1,CHAIR,", "quantity must be an integer, is ''"),
        ("o-1,,6", "sku must not be empty"),
        ("o-1,   ,6", "sku must not be empty"),
        (",,x", "order_id must not be empty; sku must not be empty; quantity must be an integer, is 'x'"),
        (f"o-1,{'x' * 101},6", "sku must have at most 100, has 101"),
        ("o-1,CHAIR", "has 2 columns, and the header has 3"),
        ("o-1,CHAIR,6,7", "has 4 columns, and the header has 3"),
        ('o-1,"CHAIR\n",6', "holds a line break: is a quotation mark left open?"),
        ('o-1,"CHAIR,6\no-2,CHAIR,6', "has 2 columns, and the header has 3"),
        ("a/b,CHAIR,6", "order_id must have no slash, and not be one dot or two: it is a part of a URL"),
        ("..,CHAIR,6", "order_id must have no slash, and not be one dot or two: it is a part of a URL"),
    ],
)
def test_a_line_that_cannot_be_right_is_not_sent_and_says_why(line: str, reason: str, tmp_path: Path) -> None:
    (row,) = lines_of(tmp_path, line)
    assert row.request is None
    assert row.reason == reason


@pytest.mark.parametrize("eta", ["2030-02-30", "soon", "20300131", "31.01.2030", "2030-W05-4"])
def test_a_bad_date_is_not_sent(eta: str, tmp_path: Path) -> None:
    (row,) = rows_of(written(tmp_path / "stock.csv", BATCH_HEADER, f"b-1,CHAIR,10,{eta}"), BATCHES)
    assert (row.request, row.reason) == (None, f"eta must be a date, is '{eta}'")


def test_one_row_that_is_not_utf_8_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes(b"order_id,sku,quantity\no-1,CH\xc4IR,1\no-2,CH\xc3\x84IR,1\n")
    first, second = rows_of(path)
    assert first.reason == "is not UTF-8"
    assert second.request is not None
    assert second.request.sku == "CHÄIR"


def test_blank_lines_are_no_rows_and_line_numbers_count_them(tmp_path: Path) -> None:
    rows = lines_of(tmp_path, "", "o-1,CHAIR,1", "", "o-2,CHAIR,1")
    assert [row.line for row in rows] == [3, 5]


def test_columns_may_be_in_any_order_and_others_are_ignored(tmp_path: Path) -> None:
    (row,) = rows_of(written(tmp_path / "l.csv", "\ufeffquantity,note,sku,order_id", "3,gift,CHAIR,o-1"))
    assert row.request is not None
    assert row.request.body == {"sku": "CHAIR", "quantity": 3}


def test_gzip_is_read_whatever_the_name(tmp_path: Path) -> None:
    for name in ("lines.csv.gz", "lines.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(b"order_id,sku,quantity\no-1,CHAIR,1\n"))
        assert len(rows_of(path)) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1 has no column order_id, sku, quantity; expected"),
        (b"order,sku,quantity\n", "line 1 has no column order_id; expected a first line with the columns"),
        (b"order_id,sku,sku,quantity\n", "line 1 names sku twice"),
        (gzip.compress(b"order_id,sku,quantity\n" * 100, mtime=0)[:40], "cannot be read"),
    ],
)
def test_a_file_that_is_no_such_table_is_an_error_in_words(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes(content)
    with pytest.raises(UnusableFile, match=said):
        rows_of(path)
    with pytest.raises(AtomosError):
        list(read_rows(path, LINES, ""))


def keys_of(*rows: Row) -> list[str]:
    return [row.request.key for row in rows if row.request]


def test_the_keys_of_a_file_are_the_same_in_every_run_and_differ_within_it(tmp_path: Path) -> None:
    lines = ["o-1,CHAIR,1", "o-1,CHAIR,2", "o-1,CHAIR,1", "o-2,CHAIR,1"]
    keys = keys_of(*lines_of(tmp_path, *lines))
    assert keys == keys_of(*lines_of(tmp_path, *lines))
    assert len(set(keys)) == len(lines)  # a line that is there twice is two requests


def test_rows_added_elsewhere_change_no_key(tmp_path: Path) -> None:
    before = keys_of(*lines_of(tmp_path, "o-1,CHAIR,1", "o-1,CHAIR,1"))
    after = keys_of(*lines_of(tmp_path, "o-0,LAMP,1", "o-1,CHAIR,1", "bad", "o-1,CHAIR,1"))
    assert after[1:] == before


def test_another_run_has_other_keys(tmp_path: Path) -> None:
    path = written(tmp_path / "lines.csv", LINE_HEADER, "o-1,CHAIR,1")
    assert keys_of(*rows_of(path, run="")) != keys_of(*rows_of(path, run="second"))


@given(cells=st.lists(st.lists(st.text(max_size=5), min_size=3, max_size=3), max_size=8))
def test_whatever_a_file_holds_each_row_is_sent_or_says_why(
    cells: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "lines.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([LINE_HEADER.split(","), *cells])
    rows = rows_of(path)
    assert len(rows) == len(cells)
    assert all((row.request is None) == bool(row.reason) for row in rows)


# Lanes


def row(sku: str, line: int) -> Row:
    request = RowRequest("/", {}, f"{sku}-{line}", sku)
    return Row("lines.csv", line, (), request)


def test_one_lane_works_in_the_order_of_the_file() -> None:
    seen: list[int] = []
    rows = (row(f"sku-{number % 7}", number) for number in range(500))
    in_lanes(rows, lambda each: seen.append(each.line), 1, threading.Event())
    assert seen == list(range(500))


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_rows_of_one_sku_are_worked_on_in_order_whatever_the_number_of_lanes(lanes: int) -> None:
    seen: dict[str, list[int]] = {}
    rows = [row(f"sku-{number % 7}", number) for number in range(500)]
    lock = threading.Lock()

    def work(each: Row) -> None:
        assert each.request is not None
        with lock:
            seen.setdefault(each.request.sku, []).append(each.line)

    in_lanes(rows, work, lanes, threading.Event())
    assert sum(map(len, seen.values())) == 500
    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_the_first_error_ends_all_lanes() -> None:
    def work(each: Row) -> None:
        raise loading.Stopped(f"row {each.line}")

    with pytest.raises(loading.Stopped, match="row 0"):
        in_lanes((row("CHAIR", number) for number in range(10_000)), work, 4, threading.Event())


# A service that does as a test says


@pytest.fixture
def service(httpserver: HTTPServer) -> HTTPServer:
    page: dict[str, Any] = {"items": [], "cursor": None}
    httpserver.expect_request("/allocation/batches", method="GET").respond_with_json(page)
    return httpserver


def taking(*answers: Response) -> Answer:
    """Give one answer after the other, and the last one from then on."""
    left = list(answers)
    lock = threading.Lock()

    def answer(_: Request) -> Response:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


def body(status: int, document: object, kind: str = "application/json", **headers: str) -> Response:
    return Response(json.dumps(document), status, headers, content_type=kind)


def problem(status: int, detail: str, **headers: str) -> Response:
    return body(status, {"detail": detail}, "application/problem+json", **headers)


ALLOCATED = body(201, {"order_id": "o-1", "sku": "CHAIR", "quantity": 1, "batch": "b-1"})


def posted(service: HTTPServer) -> list[Request]:
    return [request for request, _ in service.log if request.method == "POST"]


def sending(
    service: HTTPServer,
    tmp_path: Path,
    *answers: Response,
    lines: Sequence[str] = ("o-1,CHAIR,1",),
    **more: Any,
) -> Result:
    service.expect_request("/allocation/orders/o-1/lines").respond_with_handler(taking(*answers))
    path = written(tmp_path / "lines.csv", LINE_HEADER, *lines)
    options = [part for name, value in more.items() if name != "code" for part in (f"--{name}", value)]
    return load("--lines", path, "--url", service.url_for(""), "--json", *options, code=more.get("code", 0))


@pytest.mark.parametrize(
    "passing",
    [
        problem(503, "Not available just now"),
        problem(429, "Too much"),
        Response("Bad gateway", 502),
        problem(409, "Still in progress", **{"Retry-After": "0"}),
        problem(500, "Something went wrong inside"),
    ],
)
def test_a_service_that_is_away_is_asked_again_under_the_same_key(
    passing: Response, service: HTTPServer, tmp_path: Path
) -> None:
    report = json.loads(sending(service, tmp_path, passing, passing, ALLOCATED).stdout)
    assert report["lines"]["allocated"] == 1
    assert len({request.headers["Idempotency-Key"] for request in posted(service)}) == 1
    assert len(posted(service)) == 3


def test_a_service_that_stays_away_stops_the_load_which_says_how_to_go_on(
    service: HTTPServer, tmp_path: Path
) -> None:
    lines = [f"o-1,sku-{number},1" for number in range(200)]
    result = sending(service, tmp_path, ALLOCATED, problem(503, "Closed"), lines=lines, code=1, patience=0.05)
    report = json.loads(result.stdout)
    account = report["lines"]
    assert (account["rows"], account["allocated"], account["not_sent"]) == (200, 1, 199)
    assert "could not be used for 0.05 s (503 Closed)" in report["stopped"]
    assert "run the same command again" in result.stderr


def test_nobody_at_the_address_is_said_before_anything_is_sent(tmp_path: Path, stock: Path) -> None:
    result = load("--batches", stock, "--url", "http://127.0.0.1:1", "--patience", "0", code=1)
    assert "http://127.0.0.1:1 could not be used for 0 s (ConnectError" in result.stderr
    assert "3 not sent" in result.stdout


def test_the_address_of_something_else_is_not_sent_anything(httpserver: HTTPServer, stock: Path) -> None:
    httpserver.expect_request("/allocation/batches", method="GET").respond_with_data("<html>")
    result = load("--batches", stock, "--url", httpserver.url_for(""), code=1)
    assert "which is not how the service answers. Give --url the address" in result.stderr
    assert posted(httpserver) == []


def test_a_row_that_the_service_always_fails_at_is_failed_and_the_others_go_on(
    service: HTTPServer, tmp_path: Path
) -> None:
    fails = [problem(500, "Something went wrong inside")] * 3
    lines = ["o-1,CHAIR,1", "o-1,LAMP,1"]
    result = sending(service, tmp_path, *fails, ALLOCATED, lines=lines, concurrency=1, code=1)
    account = json.loads(result.stdout)["lines"]
    assert (account["failed"], account["allocated"], account["not_sent"]) == (1, 1, 0)
    (reject,) = rejected(tmp_path / "lines.rejected.csv")
    assert reject["reason"] == "500 Something went wrong inside"


def test_ctrl_c_ends_the_load_with_its_account(
    service: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, kind: Any, run: str) -> Iterator[Row]:
        yield from read_rows(path, kind, run)
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "read_rows", interrupted)
    report = json.loads(sending(service, tmp_path, ALLOCATED, code=1).stdout)
    assert sum(report["lines"].values()) == 2  # the one row, and what became of it
    assert report["stopped"].startswith("The load stopped before its end.")


def test_who_may_not_load_is_told_at_once(service: HTTPServer, tmp_path: Path) -> None:
    lines = [f"o-1,sku-{number},1" for number in range(200)]
    result = sending(service, tmp_path, problem(403, "It requires orders:write."), lines=lines, code=1)
    assert "does not allow it: It requires orders:write." in result.stderr
    assert len(posted(service)) < 10
    assert json.loads(result.stdout)["lines"]["not_sent"] == 200


def test_a_key_in_a_file_is_sent_with_every_request_and_shown_nowhere(
    service: HTTPServer, tmp_path: Path
) -> None:
    file = written(tmp_path / "key", "atk_abcdefghijkl_secret")
    result = sending(service, tmp_path, ALLOCATED, **{"key-file": file})
    assert {each.headers["Authorization"] for each, _ in service.log} == {"Bearer atk_abcdefghijkl_secret"}
    assert "secret" not in result.output


def test_who_needs_a_key_and_has_none_is_told_before_anything_is_sent(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    answer = problem(401, "This needs credentials.")
    httpserver.expect_request("/allocation/batches").respond_with_handler(taking(answer))
    result = sending(httpserver, tmp_path, ALLOCATED, code=1)
    assert "This needs credentials. Nothing more was sent. Give --key-file a file" in result.stderr
    assert posted(httpserver) == []


@pytest.mark.parametrize("content", ["", "  ", "two keys", "atk_é"])
def test_a_file_without_a_key_is_refused(service: HTTPServer, tmp_path: Path, content: str) -> None:
    file = written(tmp_path / "key", content)
    result = sending(service, tmp_path, ALLOCATED, code=2, **{"key-file": file})
    assert "has to have one API key in it" in result.stderr


def test_fields_that_the_service_names_are_in_the_reason(service: HTTPServer, tmp_path: Path) -> None:
    document = {"detail": "Look", "errors": [{"pointer": "/sku", "detail": "must not contain NUL"}]}
    sending(service, tmp_path, body(422, document, "application/problem+json"))
    (reject,) = rejected(tmp_path / "lines.rejected.csv")
    assert reject == {
        "file": "lines.csv",
        "line": "2",
        "reason": "422 sku must not contain NUL",
        "row": "o-1,CHAIR,1",
    }


# The real application, behind a real socket


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


DIRTY = [
    "o-1,CHAIR,3",
    "o-1,CHAIR,3",  # an exact duplicate
    "o-1,CHAIR,4",  # contradicts it
    "o-2,CHAIR,20",  # more than any batch has
    "o-3,SOFA,1",  # unknown
    "o-4,LAMP,-1",
    "o-5,LAMP",
    "o-6,LAMP,5",
]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_every_row_of_both_files_is_accounted_for(
    concurrency: int, url: str, stock: Path, tmp_path: Path
) -> None:
    lines = written(tmp_path / "lines.csv", LINE_HEADER, *DIRTY)
    arguments = ("--batches", stock, "--lines", lines, "--url", url, "--concurrency", concurrency, "--json")
    first, second = (json.loads(load(*arguments).stdout) for _ in range(2))
    assert first["batches"] == {
        "rows": 3,
        "created": 3,
        "already_there": 0,
        "rejected": 0,
        "failed": 0,
        "not_sent": 0,
    }
    assert first["lines"] == {
        "rows": 8,
        "allocated": 2,
        "already_allocated": 1,
        "out_of_stock": 1,
        "rejected": 4,
        "failed": 0,
        "not_sent": 0,
    }
    assert (second["batches"], second["lines"]) == (first["batches"], first["lines"])
    reasons = {int(each["line"]): each["reason"] for each in rejected(tmp_path / "lines.rejected.csv")}
    assert reasons == {
        4: "409 Order o-1 has 3 of CHAIR allocated; cancel that line to change it.",
        6: "404 No batch of SOFA was ever received.",
        7: "quantity must be at least 1, is -1",
        8: "has 2 columns, and the header has 3",
    }


def test_running_it_again_changes_nothing_but_another_run_judges_again(
    url: str, stock: Path, tmp_path: Path, bus: Any
) -> None:
    from atomos.allocation.service.queries import ProductOf

    lines = written(tmp_path / "lines.csv", LINE_HEADER, "o-1,CHAIR,20", "o-2,CHAIR,1")
    arguments = ("--lines", lines, "--url", url, "--json")
    load("--batches", stock, *arguments)
    more = written(tmp_path / "more.csv", BATCH_HEADER, "b-9,CHAIR,100,")
    again = json.loads(load("--batches", more, *arguments).stdout)
    assert again["lines"]["out_of_stock"] == 1  # it was judged, before there was more
    assert bus.ask(ProductOf(sku="CHAIR")).allocated == 1
    anew = json.loads(load(*arguments, "--run", "second").stdout)
    assert (anew["lines"]["allocated"], anew["lines"]["already_allocated"]) == (1, 1)
    assert bus.ask(ProductOf(sku="CHAIR")).allocated == 21


def test_a_load_that_was_stopped_goes_on_where_it_stopped(
    app: Flask, url: str, stock: Path, tmp_path: Path, bus: Any
) -> None:
    from atomos.allocation.service.queries import ProductOf

    lines = written(tmp_path / "lines.csv", LINE_HEADER, *(f"o-{number},LAMP,1" for number in range(5)))
    arguments = ("--batches", stock, "--lines", lines, "--url", url, "--json", "--concurrency", 1)
    left = [6]

    @app.after_request
    def lose(response: Any) -> Any:
        # What was asked has been done; the answer is lost.
        left[0] -= 1
        return response if left[0] >= 0 else Response(status=503)

    stopped = json.loads(load(*arguments, "--patience", "0.02", code=1).stdout)
    assert stopped["lines"]["allocated"] == 2
    assert stopped["lines"]["not_sent"] == 3
    left[0] = 1_000
    resumed = json.loads(load(*arguments).stdout)
    assert resumed["lines"]["allocated"] == 5
    assert bus.ask(ProductOf(sku="LAMP")).available == 0


def test_the_summary_for_people_names_the_file_of_rejects(url: str, stock: Path, tmp_path: Path) -> None:
    rejects = tmp_path / "bad.csv"
    lines = written(tmp_path / "lines.csv", LINE_HEADER, "o-1,CHAIR,1", "o-1,CHAIR,x")
    result = load("--batches", stock, "--lines", lines, "--url", url, "--rejects", rejects)
    said = result.stdout.splitlines()
    assert said[0] == "Batches: 3 rows: 3 created, 0 already there, 0 rejected, 0 failed, 0 not sent"
    assert said[1].startswith(
        "Order lines: 2 rows: 1 allocated, 0 already allocated, 0 out of stock, 1 rejected"
    )
    assert said[2] == f"Rows that were not taken: {rejects}"
    assert said[3].endswith("rows a second")
    assert result.stderr == ""  # no progress bar where nobody looks


# How it is called


def test_nothing_to_load_is_a_usage_error() -> None:
    assert "give --batches, --lines, or both" in load(code=2).stderr


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "http://", "shop"])
def test_an_address_that_is_none_is_a_usage_error(address: str, stock: Path) -> None:
    assert "is no address of a service" in load("--batches", stock, "--url", address, code=2).stderr


def test_the_file_of_rejects_is_never_one_of_the_files_to_load(stock: Path) -> None:
    before = stock.read_bytes()
    assert "is one of the files to load" in load("--batches", stock, "--rejects", stock, code=2).stderr
    assert stock.read_bytes() == before


def test_a_file_of_rejects_that_cannot_be_written_is_said(service: HTTPServer, stock: Path) -> None:
    result = load("--batches", stock, "--rejects", "/proc/no.csv", "--url", service.url_for(""), code=1)
    assert "/proc/no.csv cannot be written" in result.stderr
    assert "--rejects" in result.stderr
