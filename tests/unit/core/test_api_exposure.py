"""What stands before a request: hosts, rates, proxies, and other origins' pages; and the headers of every answer."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from atomos.core.adapters.limits import ProcessCounts
from atomos.core.api.exposure import Exposure
from atomos.core.api.protecting import ALWAYS
from atomos.core.api.proxies import BehindProxies
from atomos.core.api.security import Guard
from atomos.core.api.sharing import Sharing
from atomos.core.service.authentication import Authenticator
from atomos.core.service.credentials import Unauthenticated
from atomos.core.service.envelope import Principal, hashed_id
from atomos.core.service.limits import Limit, Rate
from atomos.core.service.ports import Unavailable

from .api_samples import BOOK, Library

BOOKS = "/library/shelves/a/books"
APP = "https://app.example.org"
PEER = {"REMOTE_ADDR": "192.0.2.1"}


class Names(Authenticator):
    """Takes a token for the name of who has it; counts how often it was asked."""

    asked = 0

    def takes(self, token: str) -> bool:
        return True

    def principal(self, token: str) -> Principal:
        self.asked += 1
        if token == "wrong":
            raise Unauthenticated("It is wrong.")
        if token == "away":
            raise Unavailable("Nobody is there.")
        return Principal(token, None)

    def close(self) -> None: ...


def limit(name: str, amount: int) -> Limit:
    return Limit(name, f"requests of this {name}", Rate(amount, 60), ProcessCounts())


def limited(*, principal: int | None = None, address: int | None = None, **more: Any) -> Library:
    by_principal = limit("principal", principal) if principal else None
    by_address = limit("address", address) if address else None
    exposure = Exposure(by_principal=by_principal, by_address=by_address)
    return Library(exposure=exposure, **{"guard": Guard([Names()]), **more})


def get(
    library: Library, path: str = BOOKS, who: str | None = None, peer: str = "192.0.2.1", **more: Any
) -> Any:
    headers = {"Authorization": f"Bearer {who}"} if who else {}
    return library.http.get(path, headers=headers, environ_overrides={"REMOTE_ADDR": peer}, **more)


def statuses(library: Library, times: int, **asked: Any) -> list[int]:
    return [get(library, **asked).status_code for _ in range(times)]


# Rates


def test_one_request_too_many_is_429_with_the_seconds_to_wait() -> None:
    library = limited(address=2)
    assert statuses(library, 3) == [200, 200, 429]
    refused = get(library)
    assert refused.content_type == "application/problem+json"
    assert refused.json["type"] == "urn:atomos:problem:too-many-requests"
    assert "more than 2 requests of this address within 60 s" in refused.json["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_who_shows_credentials_is_counted_by_name_wherever_it_asks_from() -> None:
    library = limited(principal=2, address=1)
    assert [get(library, who="ana", peer=f"192.0.2.{n}").status_code for n in range(3)] == [200, 200, 429]
    assert statuses(library, 2, who="ben") == [200, 200]
    assert statuses(library, 2) == [200, 429]


def test_a_flood_without_credentials_keeps_nobody_out_who_has_some_at_the_same_address() -> None:
    library = limited(principal=5, address=1)
    assert statuses(library, 2) == [200, 429]
    assert get(library, who="ana").status_code == 200


def test_refused_credentials_are_counted_by_address_and_then_not_even_told_to_be_wrong() -> None:
    library = limited(principal=5, address=2)
    assert statuses(library, 3, who="wrong") == [401, 401, 429]


def test_who_says_who_asks_is_asked_once_a_request_also_when_it_is_away() -> None:
    for token, status in (("ana", 200), ("wrong", 401), ("away", 503)):
        names = Names()
        library = limited(principal=5, address=5, guard=Guard([names]))
        assert get(library, who=token).status_code == status
        assert names.asked == 1


def test_a_window_that_is_used_up_is_told_once_in_the_log() -> None:
    library = limited(address=1)
    with capture_logs() as logs:
        statuses(library, 4)
    assert [entry["status"] for entry in logs if entry["event"] == "http.refused"] == [429]


def test_everything_is_counted_but_what_looks_after_processes_and_preflights() -> None:
    library = limited(address=3)
    for path in ("/openapi.json", "/docs", "/nowhere"):
        assert get(library, path).status_code in {200, 404}
    assert get(library, "/openapi.json").status_code == 429
    assert get(library, "/nowhere").status_code == 429
    assert get(library, "/health/live").status_code == 200
    assert get(library, "/health/ready").status_code == 200
    asks = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    assert library.http.options(BOOKS, headers=asks, environ_overrides=PEER).status_code == 200
    assert library.http.options(BOOKS, environ_overrides=PEER).status_code == 429


def test_views_of_the_application_that_are_not_of_atomos_are_its_own_affair() -> None:
    app = Flask("own")
    app.add_url_rule("/own", view_func=lambda: "fine")
    library = limited(address=1, app=app)
    answers = [get(library, "/own") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert "Content-Security-Policy" not in answers[0].headers


def test_addresses_of_one_ipv6_network_are_one_and_those_of_ipv4_are_each_one() -> None:
    library = limited(address=1)
    assert get(library, peer="2001:db8::1").status_code == 200
    assert get(library, peer="2001:db8::ffff:2").status_code == 429
    assert get(library, peer="2001:db8:0:1::1").status_code == 200
    assert get(library, peer="192.0.2.7").status_code == 200
    assert get(library, peer="192.0.2.8").status_code == 200
    assert get(library, peer="::ffff:192.0.2.8").status_code == 429


@pytest.mark.parametrize(
    "text", ["0/minute", "600", "600/week", "-1/minute", "1.5/minute", "/minute", "600/", ""]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        Rate.of(text)


def test_a_rate_is_a_number_and_a_time() -> None:
    assert [Rate.of(each) for each in ("5/second", "600/minute", "7/hour", "9/day")] == [
        (5, 1),
        (600, 60),
        (7, 3600),
        (9, 86400),
    ]


def test_nobody_works_out_the_id_of_a_message_of_those_who_have_no_name() -> None:
    ids = []
    for salt in ("", "one", "one", "two"):
        library = Library(guard=Guard(salt=salt))
        library.http.post("/library/books/1", json=BOOK, headers={"Idempotency-Key": "order-1"})
        ids.append(library.log.records[0].envelope.id)
    assert ids[0] == hashed_id("http", "anonymous", "POST /library/books/<>", "order-1")
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


# Hosts


@pytest.fixture
def named() -> Library:
    return Library(exposure=Exposure(hosts=["api.example.org", ".shop.example.org", "[::1]"]))


@pytest.mark.parametrize(
    "host", ["api.example.org", "api.example.org:8443", "a.shop.example.org", "shop.example.org"]
)
def test_its_hosts_are_answered_on_any_port(named: Library, host: str) -> None:
    assert named.http.get(BOOKS, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "api.example.org.evil.example", "xapi.example.org", "", "a b", "ä"]
)
def test_another_host_is_400_and_not_repeated(named: Library, host: str) -> None:
    refused = named.http.get(BOOKS, environ_overrides={"HTTP_HOST": host})
    assert refused.status_code == 400
    assert "http.allowed_hosts" in refused.json["detail"]
    assert "evil" not in refused.text


def test_what_looks_after_processes_may_use_any_name(named: Library) -> None:
    assert named.http.get("/health/ready", headers={"Host": "10.1.2.3"}).status_code == 200


# Proxies


def client_of(peer: str, said: str | None, *networks: str) -> str:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], _: Any) -> list[bytes]:
        seen.update(environ)
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https"}
    if said is not None:
        environ["HTTP_X_FORWARDED_FOR"] = said
    BehindProxies(application, networks)(environ, None)
    return f"{seen['wsgi.url_scheme']} {seen['REMOTE_ADDR']}"


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("10.0.0.7", "192.0.2.1", "https 192.0.2.1"),
        ("10.0.0.7", "198.51.100.9, 192.0.2.1", "https 192.0.2.1"),
        ("10.0.0.7", "192.0.2.1, 10.0.0.8", "https 192.0.2.1"),
        ("10.0.0.7", "10.0.0.9, 10.0.0.8", "https 10.0.0.9"),
        ("10.0.0.7", "192.0.2.1:4711", "https 192.0.2.1"),
        ("10.0.0.7", "[2001:db8::1]:4711", "https 2001:db8::1"),
        ("10.0.0.7", "2001:DB8::1", "https 2001:db8::1"),
        ("10.0.0.7", "192.0.2.1, unknown", "https 10.0.0.7"),
        ("10.0.0.7", "192.0.2.1, unknown, 10.0.0.8", "https 10.0.0.8"),
        ("10.0.0.7", "", "https 10.0.0.7"),
        ("10.0.0.7", None, "https 10.0.0.7"),
        ("::ffff:10.0.0.7", "192.0.2.1", "https 192.0.2.1"),
        ("192.0.2.66", "198.51.100.9", "http 192.0.2.66"),
        ("", "198.51.100.9", "http "),
    ],
)
def test_only_proxies_say_who_asks_and_only_of_the_last_step(
    peer: str, said: str | None, client: str
) -> None:
    assert client_of(peer, said, "10.0.0.0/8") == client


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_client_writes_before_its_proxy_does_its_address_is_the_one_that_the_proxy_saw(
    made_up: str, more: str
) -> None:
    assert client_of("10.0.0.7", f"{made_up},{more}, 192.0.2.1", "10.0.0.0/8") == "https 192.0.2.1"


def test_a_scheme_that_is_none_is_nothing() -> None:
    seen: dict[str, Any] = {}
    environ = {"REMOTE_ADDR": "10.0.0.7", "wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "gopher"}
    BehindProxies(lambda given, _: seen.update(given) or [], ["10.0.0.7"])(environ, None)
    assert seen["wsgi.url_scheme"] == "http"


# Pages of other origins


def test_no_page_of_another_origin_reads_anything_unless_it_is_named() -> None:
    answer = Library().http.get(BOOKS, headers={"Origin": APP})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def test_a_page_that_is_named_may_send_requests_and_read_answers() -> None:
    http = Library(exposure=Exposure(sharing=Sharing([APP, "https://admin.example.org"], 60))).http
    asked = {"Origin": APP, "Access-Control-Request-Method": "PATCH"}
    before = http.options(
        BOOKS, headers={**asked, "Access-Control-Request-Headers": "authorization, if-match"}
    )
    assert before.headers["Access-Control-Allow-Origin"] == APP
    assert "PATCH" in before.headers["Access-Control-Allow-Methods"]
    assert before.headers["Access-Control-Allow-Headers"].lower() == "authorization, if-match"
    assert before.headers["Access-Control-Max-Age"] == "60"
    for answer in (http.get(BOOKS, headers={"Origin": APP}), http.get("/nowhere", headers={"Origin": APP})):
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert {"Allow", "X-Correlation-ID"} <= set(
            answer.headers["Access-Control-Expose-Headers"].split(", ")
        )
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    for other in ("https://app.example.org.evil.example", "http://app.example.org", "null"):
        assert "Access-Control-Allow-Origin" not in http.get(BOOKS, headers={"Origin": other}).headers


@pytest.mark.parametrize("origin", ["https://[2001:db8::1]", "http://[::1]:3000", APP])
def test_an_origin_is_the_whole_of_it_and_no_pattern(origin: str) -> None:
    http = Library(exposure=Exposure(sharing=Sharing([origin]))).http
    assert http.get(BOOKS, headers={"Origin": origin}).headers["Access-Control-Allow-Origin"] == origin
    longer = (f"{origin}.evil.com", f"https://x{origin.partition('//')[2]}")
    for other in ("https://d.evil.com", "http://1:3000.evil.com", "https://appxexample.org", *longer):
        assert "Access-Control-Allow-Origin" not in http.get(BOOKS, headers={"Origin": other}).headers


def test_every_page_may_where_that_is_said() -> None:
    http = Library(exposure=Exposure(sharing=Sharing(["*"]))).http
    assert http.get(BOOKS, headers={"Origin": APP}).headers["Access-Control-Allow-Origin"] == "*"


# Headers of every answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", BOOKS),
        ("POST", "/library/books/1"),
        ("GET", "/nowhere"),
        ("PUT", BOOKS),
        ("GET", "/openapi.json"),
    ],
)
def test_every_answer_tells_browsers_to_do_nothing_but_read_it_and_nobody_to_keep_it(
    method: str, path: str
) -> None:
    answer = Library().http.open(path, method=method, json=BOOK if method == "POST" else None)
    assert {name: answer.headers[name] for name in ALWAYS} == dict(ALWAYS)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_a_page_of_ours_says_itself_what_it_may_load() -> None:
    answer = Library().http.get("/docs")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "no-cache" in answer.headers["Cache-Control"]


def test_over_tls_browsers_are_told_to_come_over_tls_only() -> None:
    http = Library().http
    assert "Strict-Transport-Security" not in http.get(BOOKS).headers
    secure = http.get(BOOKS, base_url="https://api.example.org")
    assert secure.headers["Strict-Transport-Security"] == "max-age=63072000"
