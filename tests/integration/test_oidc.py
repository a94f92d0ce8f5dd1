"""Bearer tokens of an identity provider over HTTP: who may do what, and every token that is not accepted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from atomos.bootstrap import Atomos
from atomos.core.adapters.oidc import authenticator
from atomos.core.adapters.oidc.authenticator import TRUSTED_SECONDS, OidcAuthenticator
from atomos.core.service.credentials import Unauthenticated, mint
from atomos.core.service.errors import MissingExtra
from atomos.settings import OidcSettings, SecuritySettings
from atomos.testing.identity import IdentityProvider
from atomos.testing.processes import wait_until

from .token_attacks import ATTACKS, AUDIENCE, LACKS, NOBODY, SCOPES, TYPE, Attack, good

SECRET = "a secret of the tests that nobody else has"
BATCH = {"reference": "batch-1", "sku": "CHAIR", "quantity": 10}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class Elapsed:
    """This process's monotonic clock, as far as trust in tokens goes."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    moved = Elapsed()
    monkeypatch.setattr(authenticator, "monotonic", moved)
    return moved


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


Serve = Callable[..., Atomos]
"""Makes an application that needs credentials, and takes the tokens of a provider; more are settings of `[oidc]`."""


@pytest.fixture
def serve(atomos: Any, atomos_container: Any) -> Iterator[Serve]:
    made: list[Atomos] = []

    def serve(provider: IdentityProvider, **more: Any) -> Atomos:
        settings = replace(
            atomos.settings,
            security=SecuritySettings(authentication=True, secret=SECRET),
            oidc=OidcSettings(issuer=provider.issuer, audience="orders", **more),
        )
        made.append(Atomos(atomos_container, settings))
        return made[-1]

    yield serve
    for each in made:
        each.close()


def client_of(atomos: Atomos) -> FlaskClient:
    return atomos.init_app(Flask("guarded")).test_client()


@pytest.fixture
def guarded(serve: Serve, provider: IdentityProvider) -> Atomos:
    return serve(provider)


@pytest.fixture
def http(guarded: Atomos) -> FlaskClient:
    return client_of(guarded)


@pytest.fixture(scope="module")
def edge(
    atomos_container: Any, make_atomos: Any, tmp_path_factory: Any, provider: IdentityProvider
) -> Iterator[FlaskClient]:
    """A service whose database was never made: who is refused does not get so far."""
    usual = make_atomos(f"sqlite:///{tmp_path_factory.mktemp('nothing') / 'nothing.db'}").settings
    security, oidc = (
        SecuritySettings(authentication=True),
        OidcSettings(issuer=provider.issuer, audience="orders"),
    )
    guarded = Atomos(atomos_container, replace(usual, security=security, oidc=oidc))
    yield client_of(guarded)
    guarded.close()


def send(http: FlaskClient, token: str | None, path: str = "/allocation/batches", body: Any = None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if body is None:
        return http.get(path, headers=headers)
    return http.post(path, json=body, headers=headers)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_with_the_permission_may(serve: Serve, algorithm: str) -> None:
    with IdentityProvider(algorithm=algorithm) as provider:
        http = client_of(serve(provider, algorithms=(algorithm,)))
        token = provider.token(scope="stock:write stock:read")
        assert send(http, token, body=BATCH).status_code == 201
        assert len(send(http, token).json["items"]) == 1


def test_a_good_token_without_the_permission_may_not(http: FlaskClient, provider: IdentityProvider) -> None:
    answer = send(http, provider.token(scope="stock:read"), body=BATCH)
    assert (answer.status_code, answer.json["code"]) == (403, "ATM042")
    assert f"oidc:{provider.issuer}#ana" in answer.json["detail"]
    assert send(http, provider.token(scope=""), body=BATCH).status_code == 403
    assert send(http, provider.token(scope=None), body=BATCH).status_code == 403  # type: ignore[arg-type]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_token_that_is_not_as_it_has_to_be_is_refused_for_that(
    edge: FlaskClient, provider: IdentityProvider, attack: Attack
) -> None:
    token = attack.make(provider)
    began = time.monotonic()
    answer = send(edge, token)
    assert time.monotonic() - began < 3
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert attack.reason in answer.json["detail"]


def test_the_token_that_the_attacks_begin_with_is_accepted(
    http: FlaskClient, provider: IdentityProvider
) -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) > 150
    assert send(http, good(provider)).status_code == 200


def test_the_keys_that_a_token_names_itself_are_not_asked_for(
    edge: FlaskClient, provider: IdentityProvider
) -> None:
    with IdentityProvider() as evil:
        for name in ("jku", "x5u"):
            token = good(provider, key=evil.keys[0], headers={name: evil.jwks_url})
            assert send(edge, token).status_code == 401
        assert evil.asked == []


def test_headers_that_nobody_honours_do_no_harm(http: FlaskClient, provider: IdentityProvider) -> None:
    headers = {"x5t": "a-thumbprint", "jku": "https://evil.example", "cty": "JWT"}
    assert send(http, good(provider, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["shop", "orders"]},
        {"nbf": 1},
        {"iat": None},
        {"exp": 4_102_444_800.5},
        {"sub": "Ana Müller (42)"},
        {"jti": "1", "client_id": "shop"},
    ],
    ids=str,
)
def test_what_the_rules_allow_is_accepted(http: FlaskClient, provider: IdentityProvider, claims: Any) -> None:
    assert send(http, good(provider, **claims)).status_code == 200


def test_clocks_may_differ_by_the_leeway(serve: Serve, provider: IdentityProvider) -> None:
    strict, lenient = client_of(serve(provider, leeway=0.0)), client_of(serve(provider, leeway=60.0))
    now = time.time()
    for claims in ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20}):
        token = good(provider, **claims)
        assert (send(strict, token).status_code, send(lenient, token).status_code) == (401, 200)


def test_a_list_of_roles_are_permissions_where_the_settings_say_so(
    serve: Serve, provider: IdentityProvider
) -> None:
    http = client_of(serve(provider, scopes_claim="roles"))
    assert send(http, provider.token(roles=["stock:read", "other"])).status_code == 200
    assert send(http, provider.token(roles="stock:read other")).status_code == 200
    assert send(http, provider.token(scope="stock:read")).status_code == 403
    assert SCOPES.replace("scope", "roles") in send(http, provider.token(roles={"a": 1})).json["detail"]


def test_another_claim_may_name_the_principal(serve: Serve, provider: IdentityProvider) -> None:
    http = client_of(serve(provider, principal_claim="client_id"))
    assert f"oidc:{provider.issuer}#shop" in send(http, provider.token(client_id="shop")).json["detail"]
    assert NOBODY.replace("sub", "client_id") in send(http, provider.token()).json["detail"]


def test_types_that_the_settings_name_are_taken(serve: Serve, provider: IdentityProvider) -> None:
    http = client_of(serve(provider, types=("JWT",)))
    for said, status in (("JWT", 200), ("jwt", 200), (None, 200), ("at+jwt", 401), ("id+jwt", 401)):
        assert send(http, good(provider, headers={"typ": said})).status_code == status, said
    usual = client_of(serve(provider))
    for said in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert send(usual, good(provider, headers={"typ": said})).status_code == 200, said


def test_a_token_is_for_one_issuer_and_one_audience(serve: Serve, provider: IdentityProvider) -> None:
    http = client_of(serve(provider))
    with IdentityProvider("/realms/other") as other:
        assert send(http, good(other)).status_code == 401
    assert AUDIENCE in send(http, good(provider, audience="billing")).json["detail"]
    assert LACKS in send(http, good(provider, aud=None)).json["detail"]
    assert TYPE in send(http, good(provider, headers={"typ": "JWT"})).json["detail"]


def test_without_credentials_the_challenge_names_no_error(http: FlaskClient) -> None:
    answer = send(http, None)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_api_keys_and_tokens_go_side_by_side(
    http: FlaskClient, guarded: Atomos, provider: IdentityProvider
) -> None:
    made = mint("ana", ["stock:read"], SECRET, datetime.now(UTC))
    guarded.container.core.keys().add(made.key)
    assert send(http, made.token).status_code == send(http, good(provider)).status_code == 200


def test_the_document_says_whose_tokens_are_taken(serve: Serve, provider: IdentityProvider) -> None:
    document = client_of(serve(provider)).get("/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["openIdConnectUrl"] == f"{provider.issuer}/.well-known/openid-configuration"
    assert "key" in schemes
    asked = document["paths"]["/allocation/batches"]["post"]["security"]
    assert asked == [{"key": ["stock:write"]}, {"token": ["stock:write"]}]
    undiscovered = client_of(serve(provider, jwks_url=provider.jwks_url)).get("/openapi.json").json
    told = undiscovered["components"]["securitySchemes"]["token"]
    assert (told["type"], told["scheme"], told["bearerFormat"]) == ("http", "bearer", "JWT")


def test_the_document_of_a_service_without_keys_mentions_none(edge: FlaskClient) -> None:
    assert list(edge.get("/openapi.json").json["components"]["securitySchemes"]) == ["token"]


def principals(atomos: Atomos) -> list[str]:
    with atomos.container.core.database().look() as connection:
        rows = connection.exec_driver_sql(
            "select distinct principal from atomos_message order by 1"
        ).fetchall()
    return [row[0] for row in rows]


def test_what_a_user_caused_is_kept_under_the_issuer_and_the_subject_through_all_steps(
    http: FlaskClient, guarded: Atomos, provider: IdentityProvider
) -> None:
    token = provider.token(scope="stock:write stock:read orders:write orders:read")
    assert send(http, token, body=BATCH).status_code == 201
    headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
    order = {
        "order_id": "o-1",
        "deadline": "2099-01-01T00:00:00Z",
        "lines": [{"sku": "CHAIR", "quantity": 11}],
    }
    answer = http.post("/allocation/orders", json=order, headers=headers)
    assert answer.status_code == 202, answer.text
    guarded.worker().drain()
    assert http.get(answer.headers["Location"], headers=headers).json["state"] == "done"
    assert principals(guarded) == [f"oidc:{provider.issuer}#ana"]
    with guarded.container.core.database().look() as connection:
        kinds = {row[0] for row in connection.exec_driver_sql("select name from atomos_message")}
    assert len(kinds) >= 4, kinds


def test_nobody_is_taken_for_somebody_of_another_issuer_or_for_the_owner_of_a_key(
    serve: Serve, provider: IdentityProvider
) -> None:
    with IdentityProvider("/realms/other") as other:
        for number, each in enumerate((provider, other)):
            http, body = client_of(serve(each)), {**BATCH, "reference": f"batch-{number}"}
            assert send(http, good(each), body=body).status_code == 201
        guarded = serve(provider)
        owner = f"oidc:{provider.issuer}#ana"
        made = mint(owner, ["stock:write"], SECRET, datetime.now(UTC))
        guarded.container.core.keys().add(made.key)
        assert send(client_of(guarded), made.token, body={**BATCH, "reference": "batch-3"}).status_code == 201
        expected = sorted([f"oidc:{other.issuer}#ana", owner, f"key:{owner}"])
        assert sorted(principals(guarded)) == expected


def test_one_subject_cannot_take_the_answer_of_another_by_its_key(
    http: FlaskClient, provider: IdentityProvider
) -> None:
    for subject, status in (("one", 201), ("one", 201), ("two", 200)):
        token = good(provider, subject=subject)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "same"}
        assert http.post("/allocation/batches", json=BATCH, headers=headers).status_code == status


def tokens_of(atomos: Atomos) -> OidcAuthenticator:
    return atomos.guard.authenticators[-1]  # type: ignore[return-value]


def test_a_token_is_checked_once_a_minute_and_never_past_its_end(
    serve: Serve, provider: IdentityProvider, elapsed: Elapsed
) -> None:
    guarded = serve(provider, leeway=0.0)
    http, token = client_of(guarded), good(provider, exp=int(time.time()) + 2)
    with capture_logs() as logged:
        for _ in range(3):
            assert send(http, token).status_code == 200
        assert [line["event"] for line in logged].count("authentication.accepted") == 1

    def is_refused() -> bool:
        elapsed.seconds += 2
        return send(http, token).status_code == 401

    wait_until(is_refused, 10, "the token to end")
    assert TRUSTED_SECONDS == 60
    long = good(provider)
    with capture_logs() as logged:
        send(http, long)
        elapsed.seconds += TRUSTED_SECONDS - 1
        send(http, long)
        assert [line["event"] for line in logged].count("authentication.accepted") == 1
        elapsed.seconds += 1
        send(http, long)
        assert [line["event"] for line in logged].count("authentication.accepted") == 2


def test_tokens_are_remembered_by_their_hash_and_not_without_end(
    guarded: Atomos, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "_MOST_KNOWN", 3)
    accepted = tokens_of(guarded)
    made = [good(provider, subject=str(number)) for number in range(5)]
    for token in made:
        accepted.principal(token)
    assert len(accepted._known) == 3
    assert not any(token in repr(accepted._known) for token in made)


def test_what_is_logged_of_tokens_is_never_the_token(http: FlaskClient, provider: IdentityProvider) -> None:
    fine, bad = good(provider), good(provider, audience="billing")
    with capture_logs() as logged:
        send(http, fine)
        send(http, bad)
    accepted, rejected, refused = (
        next(line for line in logged if line["event"] == action)
        for action in ("authentication.accepted", "authentication.rejected", "http.refused")
    )
    assert accepted["principal"] == f"oidc:{provider.issuer}#ana"
    assert (accepted["credentials"], accepted["key"]) == ("oidc", provider.keys[0].id)
    assert (rejected["credentials"], rejected["reason"]) == ("oidc", AUDIENCE)
    assert refused["status"] == 401
    assert not any(part in str(logged) for token in (fine, bad) for part in token.split("."))


@given(st.data())
def test_whatever_is_done_to_a_token_it_is_accepted_or_refused(
    provider: IdentityProvider, data: st.DataObject
) -> None:
    accepted = authenticator_for(provider)
    token = good(provider)
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.text(st.characters(max_codepoint=255), max_size=3))
    changed = token[:at] + put + token[at + data.draw(st.integers(0, 5)) :]
    if changed != token and accepted.takes(changed):
        with pytest.raises(Unauthenticated):
            accepted.principal(changed)


_AUTHENTICATORS: dict[str, OidcAuthenticator] = {}


def authenticator_for(provider: IdentityProvider) -> OidcAuthenticator:
    from atomos.core.adapters.oidc import KeyTimes, TokenRules, oidc_authenticator

    if provider.issuer not in _AUTHENTICATORS:
        rules = TokenRules(provider.issuer, "orders", ("RS256",), ("at+jwt",), "sub", "scope", 30.0)
        _AUTHENTICATORS[provider.issuer] = oidc_authenticator(
            rules=rules, times=KeyTimes(300, 10, 60, 86_400, 3)
        )
    return _AUTHENTICATORS[provider.issuer]


def test_without_the_extra_it_is_said_what_to_install(
    serve: Serve, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(MissingExtra, match=r"ATM059: oidc\.issuer is set.*atomos-framework\[oidc\]"):
        serve(provider).init_app(Flask("without"))


def test_without_an_issuer_no_token_is_taken_and_no_library_is_needed(
    atomos: Any, monkeypatch: pytest.MonkeyPatch, provider: IdentityProvider
) -> None:
    token = good(provider)
    monkeypatch.setitem(sys.modules, "jwt", None)
    answer = send(client_of(atomos), token)
    assert answer.status_code == 401
    assert "no kind that is accepted here" in answer.json["detail"]


def test_nothing_of_it_is_imported_where_it_is_not_configured() -> None:
    import subprocess

    code = (
        "import sys, atomos.bootstrap, atomos.testing; assert not {'jwt', 'cryptography'} & set(sys.modules)"
    )
    folder = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
