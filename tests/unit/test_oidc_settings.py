"""The section `[oidc]`: what is refused in the report, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atomos.settings import OidcSettings, SettingsError, explain, load
from atomos.settings.oidc import SIGNATURES

ISSUER = {
    "ATOMOS_OIDC__ISSUER": "https://login.example.org/realms/shop",
    "ATOMOS_OIDC__AUDIENCE": "orders",
}


def refused(tmp_path: Path, toml: str = "", **environment: str) -> str:
    (tmp_path / "default.toml").write_text(toml)
    with pytest.raises(SettingsError) as error:
        load(folder=tmp_path, environment={**ISSUER, **environment})
    assert len(error.value.mistakes) == 1
    return str(error.value)


def test_without_it_no_tokens_are_taken() -> None:
    assert load(folder=Path("no-such-folder"), environment={}).oidc == OidcSettings()
    assert OidcSettings().issuer is None


def test_every_setting_of_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text('[oidc]\nalgorithms = ["EdDSA"]\n')
    shown = {row.key: row.shown for row in explain(load(folder=tmp_path, environment=ISSUER))}
    assert shown["oidc.issuer"] == "https://login.example.org/realms/shop"
    assert (shown["oidc.algorithms"], shown["oidc.types"]) == ('["EdDSA"]', '["at+jwt"]')
    assert (shown["oidc.jwks_url"], shown["oidc.leeway"]) == ("null", "30.0")


def test_a_list_may_be_given_as_a_variable(tmp_path: Path) -> None:
    environment = {**ISSUER, "ATOMOS_OIDC__ALGORITHMS": '["ES256", "EdDSA"]'}
    (tmp_path / "default.toml").write_text("")
    assert load(folder=tmp_path, environment=environment).oidc.algorithms == ("ES256", "EdDSA")


@pytest.mark.parametrize(
    ("algorithm", "flaw"),
    [
        ("HS256", "'HS256' is no signature: whoever can check it can make it"),
        ("hs512", "'hs512' is no signature: whoever can check it can make it"),
        ("none", "'none' is no signature at all"),
        ("None", "'None' is no signature at all"),
        ("RS1", "'RS1' is not known"),
        ("rs256", "'rs256' is not known"),
        ("*", "'*' is not known"),
        ("", "'' is not known"),
    ],
)
def test_algorithms_that_are_no_signatures_are_refused(tmp_path: Path, algorithm: str, flaw: str) -> None:
    said = refused(tmp_path, f'[oidc]\nalgorithms = ["RS256", "{algorithm}"]\n')
    assert "oidc.algorithms must name only RS256, " in said
    assert flaw in said
    assert "default.toml" in said


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("algorithms = []", "must name at least one of RS256, "),
        ('algorithms = "RS256"', "must be a list, given 'RS256'"),
        ("types = []", "must not be empty"),
        ("leeway = -1.0", "must be from 0 to 300"),
        ("leeway = 301.0", "must be from 0 to 300"),
        ("leeway = nan", "must be a number"),
        ('scopes_claim = ""', "must not be empty"),
        ("timeout = 0.0", "must be from 0.001 to 86400"),
        ("refresh = 5.0", "pause must not be longer than refresh, nor refresh than outage"),
        ("outage = 299.0", "pause must not be longer than refresh, nor refresh than outage"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, toml: str, expected: str) -> None:
    assert expected in refused(tmp_path, f"[oidc]\n{toml}\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.org",
        "http://10.0.0.1/keys",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://[::ffff:10.0.0.1]/",
        "ftp://login.example.org",
        "file:///etc/passwd",
        "login.example.org",
        "//login.example.org",
        "https://",
        "https:///keys",
        "https://user@login.example.org",
        "https://user:secret@login.example.org",
        "https://login.example.org:99999",
        "https://login.example.org:0",
        "https://login.exämple.org",
        "https://login.example.org/a b",
        "https://login.example.org/\n",
        "https://[::1",
    ],
)
def test_an_address_that_somebody_could_answer_for_another_is_refused(tmp_path: Path, url: str) -> None:
    expected = "must be https://HOST/..., or http:// on the loopback, without a password"
    for name in ("ISSUER", "JWKS_URL"):
        said = refused(tmp_path, **{f"ATOMOS_OIDC__{name}": url})
        assert expected in said
        assert "secret" not in said


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.org",
        "https://login.example.org:8443/realms/shop/",
        "HTTPS://LOGIN.EXAMPLE.ORG",
        "http://127.0.0.1:8099/realms/shop",
        "http://127.1.2.3",
        "http://localhost:8099",
        "http://[::1]:8099",
    ],
)
def test_addresses_with_tls_and_on_this_machine_may_be(url: str) -> None:
    made = load(folder=Path("no-such-folder"), environment={**ISSUER, "ATOMOS_OIDC__ISSUER": url})
    assert made.oidc.issuer == url


def test_an_issuer_has_no_query_and_an_address_of_keys_may_have_one(tmp_path: Path) -> None:
    url = "https://login.example.org/keys?policy=a"
    assert "must have no query and no fragment" in refused(tmp_path, ATOMOS_OIDC__ISSUER=url)
    assert "must have no query and no fragment" in refused(tmp_path, ATOMOS_OIDC__ISSUER=f"{url[:25]}#ana")
    assert "must have no fragment" in refused(tmp_path, ATOMOS_OIDC__JWKS_URL=f"{url}#a")
    assert load(folder=tmp_path, environment={**ISSUER, "ATOMOS_OIDC__JWKS_URL": url}).oidc.jwks_url == url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"issuer": "https://login.example.org"}, "issuer needs an audience"),
        ({"audience": "orders"}, "need an issuer"),
        ({"jwks_url": "https://login.example.org/keys"}, "need an issuer"),
    ],
)
def test_half_of_it_is_refused(given: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        OidcSettings(**given)  # type: ignore[arg-type]
    environment = {f"ATOMOS_OIDC__{name.upper()}": value for name, value in given.items()}
    with pytest.raises(SettingsError, match=f"oidc contradicts itself: .*{expected}"):
        load(folder=Path("no-such-folder"), environment=environment)


def test_no_algorithm_that_may_be_set_can_be_made_by_who_checks_it() -> None:
    assert not [each for each in SIGNATURES if each[:2] not in ("RS", "PS", "ES", "Ed")]
