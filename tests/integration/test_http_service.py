"""Calls to a real HTTP server on the loopback: what is repeated, what is refused, and what is never shown."""

from __future__ import annotations

import logging
import socket
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import stamina
import tenacity.nap
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from atomos.core.adapters.http_service import HttpService, ServiceRefused, ServiceUnavailable
from atomos.core.domain import DomainError
from atomos.core.service.ports import Outside, Unavailable


class Payments(Outside):
    @abstractmethod
    def charge(self, cents: int, *, effect_id: str) -> str: ...


class AcmePayments(HttpService, Payments):
    def charge(self, cents: int, *, effect_id: str) -> str:
        answer = self.request("POST", "/charges", json={"cents": cents}, effect_id=effect_id)
        return str(answer.json()["id"])


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been waited between attempts, in seconds; nobody waits."""
    waited: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def service(httpserver: HTTPServer) -> Iterator[HttpService]:
    service = HttpService(httpserver.url_for("/v1"))
    yield service
    service.close()


def answering(*answers: Response | int) -> Callable[[Request], Response]:
    """Give one answer after the other, and the last one from then on."""
    left = [Response(status=answer) if isinstance(answer, int) else answer for answer in answers]
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def asked(httpserver: HTTPServer) -> list[Request]:
    return [request for request, _ in httpserver.log]


def test_an_adapter_answers_its_port_in_the_words_of_the_service(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/charges", method="POST", json={"cents": 1200}).respond_with_json(
        {"id": "ch_1"}
    )
    payments = AcmePayments(httpserver.url_for("/v1/"), headers={"Authorization": "Bearer token"})

    assert payments.charge(1200, effect_id="m-1.charge.1") == "ch_1"
    assert isinstance(payments, Outside)
    [request] = asked(httpserver)
    assert request.headers["Idempotency-Key"] == "m-1.charge.1"
    assert request.headers["Authorization"] == "Bearer token"


def test_what_is_asked_reaches_the_service_as_it_was_given(
    service: HttpService, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/files/a b").respond_with_data(status=201)

    answer = service.request(
        "put", "/files/a%20b", params={"part": 2, "all": True}, content=b"\x00\xff", headers={"X-Trace": "t"}
    )

    [request] = asked(httpserver)
    assert answer.status_code == 201
    assert (request.method, request.query_string, request.data) == ("PUT", b"part=2&all=true", b"\x00\xff")
    assert request.headers["X-Trace"] == "t"
    assert "Idempotency-Key" not in request.headers


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"])
def test_what_may_be_repeated_is_repeated_until_it_works(
    service: HttpService, httpserver: HTTPServer, waits: list[float], method: str, status: int
) -> None:
    httpserver.expect_request("/v1/things", method=method).respond_with_handler(
        answering(status, status, 200)
    )

    assert service.request(method, "/things").status_code == 200
    assert len(asked(httpserver)) == 3
    assert len(waits) == 2
    assert all(0 <= wait <= 5 for wait in waits)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_has_an_effect_id_is_repeated_under_the_same_id(
    service: HttpService, httpserver: HTTPServer, method: str
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(503, 503, 200))

    service.request(method, "/things", json={"a": 1}, effect_id="m-1")

    assert [request.headers["Idempotency-Key"] for request in asked(httpserver)] == ["m-1"] * 3
    assert [request.data for request in asked(httpserver)] == [b'{"a":1}'] * 3


@pytest.mark.parametrize("effect_id", [None, ""])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_could_happen_twice_is_sent_once(
    service: HttpService, httpserver: HTTPServer, waits: list[float], method: str, effect_id: str | None
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(503))

    with pytest.raises(Unavailable):
        service.request(method, "/things", effect_id=effect_id)

    [request] = asked(httpserver)
    assert "Idempotency-Key" not in request.headers
    assert waits == []


def test_what_could_happen_twice_is_sent_once_in_the_test_mode_of_stamina_too(
    service: HttpService, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(503))

    with stamina.set_testing(True, attempts=4), pytest.raises(Unavailable):
        service.request("POST", "/things")

    assert len(asked(httpserver)) == 1


def test_when_the_attempts_are_used_up_the_service_is_unavailable(
    service: HttpService, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(502))

    with pytest.raises(
        Unavailable, match=r"was answered with 502 at attempt 3\. Trying later may help"
    ) as away:
        service.request("GET", "/things")

    assert len(asked(httpserver)) == 3
    assert isinstance(away.value, ServiceUnavailable)
    assert (away.value.status, away.value.asked_to_wait, away.value.retry_after) == (502, None, 1.0)


def test_one_attempt_means_no_repeats(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/things").respond_with_handler(answering(503))

    with pytest.raises(Unavailable):
        HttpService(httpserver.url_for("/"), attempts=1).request("GET", "/things")

    assert len(asked(httpserver)) == 1


@pytest.mark.parametrize("status", [500, 501, 505])
def test_an_error_inside_the_service_is_left_to_whoever_tries_later(
    service: HttpService, httpserver: HTTPServer, status: int
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(status))

    with pytest.raises(Unavailable, match=f"was answered with {status}"):
        service.request("GET", "/things")

    assert len(asked(httpserver)) == 1


@pytest.mark.parametrize("status", [301, 304, 307, 400, 401, 403, 404, 409, 410, 422, 451])
def test_any_other_answer_is_a_refusal_and_is_not_repeated(
    service: HttpService, httpserver: HTTPServer, status: int
) -> None:
    httpserver.expect_request("/v1/things").respond_with_data(
        "" if status == 304 else "why", status=status, headers={"Location": "/elsewhere"}
    )

    with pytest.raises(
        ServiceRefused, match=f"GET http://.*/v1/things was answered with {status}"
    ) as refused:
        service.request("GET", "/things")

    assert (refused.value.method, refused.value.status) == ("GET", status)
    assert refused.value.body == (b"" if status == 304 else b"why")
    assert isinstance(refused.value, DomainError)
    assert len(asked(httpserver)) == 1


def test_a_redirect_is_not_followed_and_the_error_says_so(
    service: HttpService, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/old").respond_with_data(status=308, headers={"Location": "/v1/new"})

    with pytest.raises(ServiceRefused, match="Redirects are not followed: correct the URL"):
        service.request("GET", "/old")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:04 GMT"}, 0.0),
    ],
)
def test_the_service_says_how_long_to_wait(
    service: HttpService, httpserver: HTTPServer, waits: list[float], headers: dict[str, str], seconds: float
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(_putting_off(headers), 200))

    service.request("GET", "/things")

    assert waits == [seconds]


def test_a_date_to_wait_for_is_read_by_the_clock_of_the_service(waits: list[float]) -> None:
    said = b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:04 GMT\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:
        service = HttpService(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.submit(_say_once, listening, b"HTTP/1.1 503 Busy\r\n" + said + b"Content-Length: 0\r\n\r\n")
        thread.submit(_say_once, listening, b"HTTP/1.1 204 Done\r\n\r\n")

        service.request("GET", "/things")

    assert waits == [4.0]


@pytest.mark.parametrize("said", ["soon", "-1", "1.5", "", "Wed, 99 Oct 2015 07:28:00 GMT", "²"])
def test_what_cannot_be_understood_is_as_good_as_nothing_said(
    service: HttpService, httpserver: HTTPServer, waits: list[float], said: str
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(
        answering(_putting_off({"Retry-After": said}), 200)
    )

    service.request("GET", "/things")

    assert len(waits) == 1


@pytest.mark.parametrize(("said", "seconds"), [("6", 6.0), ("3600", 3600.0), ("9" * 400, 3600.0)])
def test_a_wait_that_is_too_long_is_left_to_the_caller(
    service: HttpService, httpserver: HTTPServer, waits: list[float], said: str, seconds: float
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(
        answering(_putting_off({"Retry-After": said}), 200)
    )

    with pytest.raises(Unavailable) as away:
        service.request("GET", "/things")

    assert away.value.retry_after == seconds
    assert waits == []


def test_a_service_that_is_not_there_is_tried_again_and_then_unavailable(waits: list[float]) -> None:
    service = HttpService(f"http://127.0.0.1:{_closed_port()}")

    with pytest.raises(Unavailable, match=r"got no answer at attempt 3 \(ConnectError\)") as away:
        service.request("GET", "/things")

    assert isinstance(away.value, ServiceUnavailable)
    assert away.value.status is None
    assert len(waits) == 2


def test_a_service_that_says_nothing_is_unavailable_when_the_time_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = HttpService(f"http://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.05, attempts=2)

        with pytest.raises(Unavailable, match=r"got no answer at attempt 2 \(ReadTimeout\)"):
            service.request("POST", "/things", effect_id="m-1")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "RemoteProtocolError"),
        (b"nonsense\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "DecodingError"),
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(said: bytes, error: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:
        thread.submit(_say_once, listening, said)
        service = HttpService(f"http://127.0.0.1:{listening.getsockname()[1]}", attempts=1)

        with pytest.raises(Unavailable, match=error):
            service.request("GET", "/things")


def test_errors_show_neither_query_nor_credentials(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/refused").respond_with_data("secret-body", status=403)
    httpserver.expect_request("/v1/away").respond_with_data(status=503)
    url = httpserver.url_for("/v1").replace("http://", "http://user:secret-password@")
    service = HttpService(url, headers={"X-Token": "secret-header"}, attempts=1)

    for path in ("/refused", "/away"):
        with pytest.raises((ServiceRefused, ServiceUnavailable)) as raised:
            service.request("GET", path, params={"key": "secret-query"})
        assert str(raised.value).startswith(f"GET {httpserver.url_for(f'/v1{path}')} was answered")
        assert "secret" not in f"{raised.value}{raised.value!r}{raised.value.__context__!r}{service!r}"

    request = asked(httpserver)[0]
    assert request.authorization is not None
    assert (request.authorization.password, request.args["key"]) == ("secret-password", "secret-query")


def test_logs_show_no_query(
    service: HttpService, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(answering(503, 200))

    with caplog.at_level(logging.INFO):
        service.request("GET", "/things", params={"key": "secret-query"})

    assert "secret-query" not in str(
        [each.getMessage() for each in caplog.records if each.name != "werkzeug"]
    )


@pytest.mark.parametrize("header", [{"X-Token": "secret\nX-Other: 1"}, {"X-Token": "secret\0"}])
def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(
    service: HttpService, httpserver: HTTPServer, header: dict[str, str]
) -> None:
    with pytest.raises(
        ServiceRefused, match=r"could not be sent\. LocalProtocolError: correct its headers"
    ) as refused:
        service.request("GET", "/things", headers=header)

    assert refused.value.status is None
    assert refused.value.__suppress_context__
    assert "secret" not in str(refused.value)
    assert asked(httpserver) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "things",
        "http://elsewhere.example/",
        "https://elsewhere.example",
        "/../admin",
        "/things/..",
        "/things/./1",
        "/things/%2e%2e/admin",
        "/things/a%2F..%2Fb",
        "/things?admin=1",
        "/things#1",
        "/two\nlines",
    ],
)
def test_a_path_cannot_leave_the_base_url(service: HttpService, httpserver: HTTPServer, path: str) -> None:
    with pytest.raises(ValueError, match=r"path .* is wrong: it must begin with '/'"):
        service.request("GET", path)

    assert asked(httpserver) == []


def test_two_slashes_do_not_name_another_host(service: HttpService, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/x").respond_with_data()

    service.request("GET", "//elsewhere.example/x")

    assert len(asked(httpserver)) == 1


def test_several_threads_may_use_one_service(service: HttpService, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/things").respond_with_handler(
        lambda request: Response(request.headers["Idempotency-Key"])
    )

    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(
            lambda n: service.request("POST", "/things", effect_id=f"m-{n}").text, range(20)
        )

    assert list(answers) == [f"m-{number}" for number in range(20)]


def test_nothing_is_sent_after_the_service_was_closed(service: HttpService) -> None:
    service.close()

    with pytest.raises(RuntimeError, match="closed"):
        service.request("GET", "/things")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": ""}, "base_url must be like"),
        ({"base_url": "api.example.com"}, "base_url must be like"),
        ({"base_url": "ftp://api.example.com"}, "base_url must be like"),
        ({"base_url": "https://"}, "base_url must be like"),
        ({"base_url": "https://user:secret@api.example.com?key=secret"}, "base_url must be like"),
        ({"base_url": "https://user:secret\n@api.example.com"}, "base_url must be like"),
        ({"connect_timeout": 0}, "connect_timeout must be above 0 seconds, is 0"),
        ({"read_timeout": -1}, "read_timeout must be above 0 seconds, is -1"),
        ({"attempts": 0}, "attempts must be at least 1, is 0"),
        ({"longest_wait": -1}, "longest_wait must be at least 0 seconds, is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(settings: dict[str, Any], said: str) -> None:
    valid: dict[str, Any] = {"base_url": "https://api.example.com"}

    with pytest.raises(ValueError, match=said) as refused:
        HttpService(**(valid | settings))

    assert "secret" not in f"{refused.value}"
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_what_is_shown_of_a_service_is_where_it_is() -> None:
    service = AcmePayments("https://user:secret@api.example.com/v1")

    assert repr(service) == "<AcmePayments https://api.example.com/v1>"


def _putting_off(headers: dict[str, str]) -> Response:
    return Response(status=503, headers=headers)


def _say_once(listening: socket.socket, said: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(10_000)
        connection.sendall(said)


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as freed:
        return int(freed.getsockname()[1])
