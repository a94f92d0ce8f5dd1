"""The keys of an identity provider: when it is asked, when not, and what holds while it is slow or away."""

from __future__ import annotations

import gzip
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from atomos.bootstrap import Atomos
from atomos.core.adapters.oidc import KeyTimes, TokenRules, oidc_authenticator, ring
from atomos.core.adapters.oidc.authenticator import OidcAuthenticator
from atomos.core.adapters.oidc.keys import KINDS
from atomos.core.service.credentials import Unauthenticated
from atomos.core.service.ports import Unavailable
from atomos.settings import OidcSettings, SecuritySettings
from atomos.settings.oidc import SIGNATURES
from atomos.testing.identity import Answer, IdentityProvider
from atomos.testing.identity.keys import new_key
from atomos.testing.processes import wait_until

TIMES = KeyTimes(refresh=300.0, pause=10.0, unknown=60.0, outage=3600.0, timeout=5.0)
DISCOVERY = "/.well-known/openid-configuration"


class Elapsed:
    """This process's monotonic clock, as far as the age of keys goes; it stands still unless it is moved."""

    seconds = 1000.0

    def __call__(self) -> float:
        # Two calls are never the same instant.
        self.seconds += 1e-6
        return self.seconds


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    moved = Elapsed()
    monkeypatch.setattr(ring, "monotonic", moved)
    return moved


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(algorithm="ES256") as provider:
        yield provider


Accept = Callable[..., OidcAuthenticator]


@pytest.fixture
def accept(provider: IdentityProvider) -> Iterator[Accept]:
    made: list[OidcAuthenticator] = []

    def accept(
        jwks_url: str | None = None, algorithms: Any = ("ES256",), **times: float
    ) -> OidcAuthenticator:
        rules = TokenRules(provider.issuer, "orders", algorithms, ("at+jwt",), "sub", "scope", 30.0)
        made.append(oidc_authenticator(rules=rules, times=TIMES._replace(**times), jwks_url=jwks_url))
        return made[-1]

    yield accept
    for each in made:
        each.close()


def check(accepted: OidcAuthenticator, token: str) -> str:
    """Check a token as if it were seen for the first time."""
    accepted._known.clear()
    return accepted.principal(token).name


def fetches(provider: IdentityProvider) -> int:
    return provider.asked.count("/keys")


def until(holds: Callable[[], bool]) -> None:
    wait_until(holds, 10, "the keys to be as they should")


def test_nothing_is_fetched_before_the_first_token(provider: IdentityProvider, accept: Accept) -> None:
    accepted = accept()
    assert provider.asked == []
    check(accepted, provider.token())
    assert provider.asked == [DISCOVERY, "/keys"]


def test_an_address_of_keys_needs_no_discovery(provider: IdentityProvider, accept: Accept) -> None:
    check(accept(jwks_url=f"{provider.jwks_url}"), provider.token())
    assert provider.asked == ["/keys"]


def test_keys_are_fetched_once_for_many_tokens(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept()
    for _ in range(20):
        check(accepted, provider.token())
        elapsed.seconds += 5
    assert fetches(provider) == 1


def test_a_new_key_is_taken_without_a_restart(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept()
    before = provider.token()
    check(accepted, before)
    elapsed.seconds += TIMES.pause
    provider.rotate()
    check(accepted, provider.token())
    check(accepted, before)
    assert fetches(provider) == 2


def test_a_new_key_of_another_kind_is_taken_too(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept(algorithms=("ES256", "RS256"))
    check(accepted, provider.token())
    elapsed.seconds += TIMES.pause
    provider.rotate("RS256")
    check(accepted, provider.token())


def test_a_key_that_was_withdrawn_is_not_accepted_for_longer_than_refresh(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted, old = accept(), provider.keys[0]
    token = provider.token()
    check(accepted, token)
    provider.rotate()
    provider.withdraw(old)
    check(accepted, token)
    elapsed.seconds += TIMES.refresh
    with pytest.raises(Unauthenticated, match="its key is none that the issuer has"):
        check(accepted, token)


def test_from_half_of_refresh_on_the_keys_are_fetched_while_nobody_waits(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept(jwks_url=provider.jwks_url)
    token = provider.token()
    check(accepted, token)
    elapsed.seconds += TIMES.refresh / 2
    with provider.slow(2):
        assert timed(lambda: check(accepted, token)) < 1.5
        until(lambda: fetches(provider) == 2)
    until(lambda: accepted._tokens.ring._held.since > 1000 + TIMES.refresh / 2)
    elapsed.seconds += TIMES.refresh / 2 + 1
    check(accepted, token)
    assert fetches(provider) <= 3


def test_made_up_keys_make_the_provider_be_asked_once_in_pause(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept()
    good = provider.token()
    check(accepted, good)
    for number in range(200):
        with pytest.raises(Unauthenticated):
            check(accepted, provider.token(headers={"kid": f"made-up-{number}"}))
        check(accepted, good)
    assert fetches(provider) == 1
    elapsed.seconds += TIMES.pause
    for number in range(200):
        with pytest.raises(Unauthenticated):
            check(accepted, provider.token(headers={"kid": f"made-up-{number}"}))
    assert fetches(provider) == 2


def test_for_a_key_that_is_known_to_be_unknown_the_provider_is_not_asked_again_for_a_while(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted, made_up = accept(), provider.token(headers={"kid": "made-up"})
    with pytest.raises(Unauthenticated):
        check(accepted, made_up)
    for _ in range(5):
        elapsed.seconds += TIMES.pause
        with pytest.raises(Unauthenticated):
            check(accepted, made_up)
    assert fetches(provider) == 1
    elapsed.seconds += TIMES.pause + 1
    with pytest.raises(Unauthenticated):
        check(accepted, made_up)
    assert fetches(provider) == 2


def test_a_key_that_was_unknown_is_taken_as_soon_as_it_is_fetched(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted, coming = accept(), new_key("ES256")
    with pytest.raises(Unauthenticated):
        check(accepted, provider.token(key=coming))
    provider.keys.append(coming)
    elapsed.seconds += TIMES.pause
    with pytest.raises(Unauthenticated):
        check(accepted, provider.token(headers={"kid": "made-up"}))
    check(accepted, provider.token(key=coming))


def test_what_is_remembered_of_unknown_keys_has_an_end(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_MOST_UNKNOWN", 3)
    accepted = accept(pause=0.001)
    for number in range(6):
        elapsed.seconds += 1
        with pytest.raises(Unauthenticated):
            check(accepted, provider.token(headers={"kid": f"made-up-{number}"}))
    assert len(accepted._tokens.ring._unknown) == 3


def test_known_keys_go_on_being_used_while_the_provider_is_away_and_unknown_ones_wait(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept()
    token = provider.token()
    check(accepted, token)
    with provider.away():
        for _ in range(10):
            elapsed.seconds += TIMES.refresh
            check(accepted, token)
        with pytest.raises(Unavailable) as told:
            check(accepted, provider.token(headers={"kid": "made-up"}))
        assert 1 <= told.value.retry_after <= TIMES.pause
        elapsed.seconds += TIMES.outage - 10 * TIMES.refresh
        with pytest.raises(Unavailable):
            check(accepted, token)
    elapsed.seconds += TIMES.pause
    until(lambda: is_accepted(accepted, token, elapsed))


def is_accepted(accepted: OidcAuthenticator, token: str, elapsed: Elapsed) -> bool:
    try:
        check(accepted, token)
    except Unavailable:
        elapsed.seconds += TIMES.pause
        return False
    return True


def test_a_service_that_starts_while_the_provider_is_away_serves_when_it_is_back(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted, token = accept(), provider.token()
    with provider.away(), pytest.raises(Unavailable):
        check(accepted, token)
    elapsed.seconds += TIMES.pause
    check(accepted, token)


def test_while_the_provider_is_away_it_is_asked_once_in_pause(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    provider.answers(DISCOVERY, Answer(503))
    accepted = accept()
    for _ in range(50):
        with pytest.raises(Unavailable):
            check(accepted, provider.token())
    assert len(provider.asked) == 1
    elapsed.seconds += TIMES.pause
    for _ in range(50):
        with pytest.raises(Unavailable):
            check(accepted, provider.token())
    assert len(provider.asked) == 2


def test_many_threads_that_need_keys_make_one_fetch(provider: IdentityProvider, accept: Accept) -> None:
    accepted, tokens = accept(), [provider.token(str(number)) for number in range(16)]
    with provider.slow(0.2), ThreadPoolExecutor(16) as threads:
        names = set(threads.map(lambda token: accepted.principal(token).name, tokens))
    assert len(names) == 16
    assert provider.asked == [DISCOVERY, "/keys"]


def test_nobody_waits_longer_than_the_time_out_and_who_has_a_known_key_not_at_all(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept(timeout=2.0)
    token = provider.token()
    check(accepted, token)
    elapsed.seconds += TIMES.pause
    with provider.slow(30), ThreadPoolExecutor(9) as threads:
        made_up = [provider.token(headers={"kid": f"made-up-{number}"}) for number in range(8)]
        waiting = [threads.submit(timed, lambda t=each: check(accepted, t)) for each in made_up]  # type: ignore[misc]
        until(lambda: any(t.name == "atomos-oidc" for t in threading.enumerate()))
        assert timed(lambda: accepted.principal(token)) < 1.5
        assert all(each.result() < 2.0 + 3.0 for each in waiting)
        # It is known to be in trouble now: nobody waits for it any more.
        assert timed(lambda: check(accepted, provider.token(headers={"kid": "made-up-9"}))) < 1.5
        assert timed(lambda: check(accepted, token)) < 1.5


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    with suppress(Unavailable):
        act()
    return time.monotonic() - began


@pytest.fixture
def dripping(provider: IdentityProvider) -> Iterator[tuple[str, threading.Event]]:
    """A server that sends its first answer letter by letter, without an end, and any later one at once."""
    stopped, body = threading.Event(), json.dumps(provider.published()).encode()
    first = iter([True])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            if next(first, False):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not stopped.wait(0.02):
                    self.request.sendall(b"x")
            self.request.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/keys", stopped
        stopped.set()
        server.shutdown()


def test_a_fetch_that_never_ends_keeps_nobody_waiting_and_another_is_begun_after_a_minute(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed, dripping: tuple[str, threading.Event]
) -> None:
    url, stopped = dripping
    accepted, token = accept(jwks_url=url, timeout=0.2), provider.token()
    for _ in range(3):
        assert timed(lambda: check(accepted, token)) < 5
        with pytest.raises(Unavailable):
            check(accepted, token)
        elapsed.seconds += 10
    elapsed.seconds += 60
    check(accepted, token)
    stopped.set()
    until(lambda: not any(each.name == "atomos-oidc" for each in threading.enumerate()))
    check(accepted, token)


JUNK = b"x" * 300_000

UNUSABLE = {
    "a redirect": (DISCOVERY, Answer(302, headers={"Location": "/realms/shop/keys"}), "answered with 302"),
    "an error": (DISCOVERY, Answer(500, b"oops"), "answered with 500"),
    "nothing": (DISCOVERY, Answer(404), "answered with 404"),
    "no JSON": (DISCOVERY, Answer(body=b"<html>"), "no JSON object"),
    "a list": (DISCOVERY, Answer(body=b"[]"), "no JSON object"),
    "a document that is too large": (DISCOVERY, Answer(body=JUNK), "more than 262144 bytes"),
    "another issuer": (DISCOVERY, Answer(body=b'{"issuer": "https://evil.example"}'), "of another issuer"),
    "keys: a redirect": (
        "/keys",
        Answer(307, headers={"Location": "/realms/shop/keys2"}),
        "answered with 307",
    ),
    "keys: too large": ("/keys", Answer(body=JUNK), "more than 262144 bytes"),
    "keys: packed": (
        "/keys",
        Answer(body=gzip.compress(b'{"keys": []}'), headers={"Content-Encoding": "gzip"}),
        "no JSON",
    ),
    "keys: no JSON": ("/keys", Answer(body=b"{"), "no JSON that is a set of keys"),
    "keys: nested": ("/keys", Answer(body=b"[" * 100_000), "no JSON that is a set of keys"),
    "keys: not UTF-8": ("/keys", Answer(body=b"\xff\xfe"), "no JSON that is a set of keys"),
    "keys: no list": ("/keys", Answer(body=b'{"keys": {}}'), "no JSON that is a set of keys"),
    "keys: said twice": ("/keys", Answer(body=b'{"keys": [], "keys": []}'), "no JSON that is a set of keys"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_answer_that_cannot_be_used_is_as_if_the_provider_was_away(
    provider: IdentityProvider, accept: Accept, name: str
) -> None:
    path, answer, reason = UNUSABLE[name]
    provider.answers(path, answer)
    accepted = accept()
    with capture_logs() as logged, pytest.raises(Unavailable):
        check(accepted, provider.token())
    [line] = [line for line in logged if line["event"] == "identity.unavailable"]
    assert reason in line["reason"]
    assert "/keys2" not in provider.asked


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "//127.0.0.1/keys",
        "",
        None,
        7,
        [],
    ],
)
def test_discovery_leads_to_no_address_without_tls(
    provider: IdentityProvider, accept: Accept, url: object
) -> None:
    said = json.dumps({"issuer": provider.issuer, "jwks_uri": url}).encode()
    provider.answers(DISCOVERY, Answer(body=said))
    with capture_logs() as logged, pytest.raises(Unavailable):
        check(accept(), provider.token())
    assert "names no jwks_uri that is https" in logged[0]["reason"]


def test_keys_that_come_too_slowly_are_given_up(provider: IdentityProvider, accept: Accept) -> None:
    with provider.slow(3), capture_logs() as logged:
        with pytest.raises(Unavailable, match=r"no answer"):
            check(accept(timeout=0.2), provider.token())
        until(lambda: any("gave no answer (ReadTimeout)" in line.get("reason", "") for line in logged))


def test_only_keys_that_are_public_and_for_signatures_are_used(
    provider: IdentityProvider, accept: Accept
) -> None:
    public = provider.keys[0].public()
    private = {**public, "d": public["x"]}
    small = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": public["kid"]}
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": public["kid"], "alg": "HS256"}
    for each in (
        private,
        small,
        secret,
        {**public, "use": "enc"},
        {**public, "key_ops": ["sign"]},
        {**public, "alg": "ES384"},
        {**public, "crv": "P-384"},
        {**public, "x": "AA"},
        {**public, "x": 7},
        {**public, "kid": 7},
        {**public, "kid": "k" * 256},
        {**public, "kty": "RSA"},
        {**public, "y": public["x"]},
        7,
        None,
    ):
        provider.answers("/keys", Answer(body=json.dumps({"keys": [each]}).encode()))
        with pytest.raises(Unauthenticated, match="its key is none that the issuer has"):
            check(accept(algorithms=SIGNATURES), provider.token())
    odd = {"keys": [7, {**public, "x": 7}, public, {"kty": "new"}]}
    provider.answers("/keys", Answer(body=json.dumps(odd).encode()))
    check(accept(algorithms=SIGNATURES), provider.token())


def test_an_rsa_key_below_2048_bits_is_not_used(provider: IdentityProvider, accept: Accept) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = new_key("RS256")._replace(private=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point
    provider.keys.append(weak)
    with pytest.raises(Unauthenticated, match="its key is none that the issuer has"):
        check(accept(algorithms=("RS256",)), provider.token())


def test_a_key_without_an_algorithm_is_used_with_those_of_its_kind(
    provider: IdentityProvider, accept: Accept
) -> None:
    provider.rotate("PS256")
    public = [{**each.public(), "alg": None} for each in provider.keys]
    for each in public:
        del each["alg"]
    provider.answers("/keys", Answer(body=json.dumps({"keys": public}).encode()))
    accepted = accept(algorithms=("RS256", "PS256", "ES256"))
    check(accepted, provider.token())
    check(accepted, provider.token(key=provider.keys[-1]._replace(algorithm="RS256")))
    check(accepted, provider.token(key=provider.keys[0]))


def test_the_settings_and_the_checks_know_the_same_algorithms() -> None:
    assert set(SIGNATURES) == set(KINDS)


@pytest.fixture
def guarded(atomos: Any, atomos_container: Any, provider: IdentityProvider) -> Iterator[Atomos]:
    oidc = OidcSettings(issuer=provider.issuer, audience="orders", algorithms=("ES256",))
    settings = replace(atomos.settings, security=SecuritySettings(authentication=True), oidc=oidc)
    made = Atomos(atomos_container, settings)
    yield made
    made.close()


@pytest.fixture
def http(guarded: Atomos) -> FlaskClient:
    return guarded.init_app(Flask("guarded")).test_client()


def ask(http: FlaskClient, token: str) -> Any:
    return http.get("/allocation/batches", headers={"Authorization": f"Bearer {token}"})


def test_while_the_provider_is_away_a_known_key_is_200_and_an_unknown_one_503(
    http: FlaskClient, provider: IdentityProvider, elapsed: Elapsed
) -> None:
    token = provider.token(scope="stock:read")
    assert ask(http, token).status_code == 200
    elapsed.seconds += TIMES.pause
    with provider.away():
        assert ask(http, provider.token("bob", scope="stock:read")).status_code == 200
        answer = ask(http, provider.token(scope="stock:read", headers={"kid": "made-up"}))
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
        assert provider.issuer not in answer.text
        assert (
            warnings(http, provider)["identity"]
            == "The keys of the identity provider cannot be fetched; the log says why."
        )
    elapsed.seconds += TIMES.pause
    assert ask(http, provider.token(scope="stock:read", headers={"kid": "made-up"})).status_code == 401
    assert "identity" not in warnings(http, provider)


def warnings(http: FlaskClient, provider: IdentityProvider) -> Any:
    headers = {"Authorization": f"Bearer {provider.token('olga', scope='operations:read')}"}
    return http.get("/health/ready", headers=headers).json.get("warnings", {})


def test_a_provider_without_keys_is_told_as_a_warning(
    http: FlaskClient, guarded: Atomos, provider: IdentityProvider
) -> None:
    provider.keys[:] = [new_key("RS256")]
    look = guarded.warnings()["identity"]
    assert look() is None
    assert ask(http, provider.token(key=new_key("ES256"))).status_code == 401
    assert look() == "The identity provider has no key that oidc.algorithms can use."


def test_new_keys_are_logged_by_their_ids(
    provider: IdentityProvider, accept: Accept, elapsed: Elapsed
) -> None:
    accepted = accept()
    with capture_logs() as logged:
        check(accepted, provider.token())
        elapsed.seconds += TIMES.refresh
        check(accepted, provider.token())
        provider.rotate()
        elapsed.seconds += TIMES.refresh
        check(accepted, provider.token())
    changed = [line["keys"] for line in logged if line["event"] == "identity.keys_changed"]
    assert changed == [[provider.keys[0].id], sorted(each.id for each in provider.keys)]
