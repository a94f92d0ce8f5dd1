"""What a service in production refuses to start with."""

from __future__ import annotations

import base64
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atomos.allocation.api.blueprint import blueprint
from atomos.bootstrap import find_container, load_settings
from atomos.core.domain import AtomosError
from atomos.core.service import PUBLIC
from atomos.production import Requires, Unprotected, refuse_unprotected
from atomos.secrecy import can_be_guessed
from atomos.settings import HttpSettings, LimitsSettings, OidcSettings, SecuritySettings, Settings

TOKENS = OidcSettings(issuer="https://login.example.org", audience="orders")
CONFIG = Path(__file__).parents[2] / "config"
GOOD = SecuritySettings(authentication=True, secret=secrets.token_urlsafe(32))


def settings(**parts: Any) -> Settings:
    made = {"profile": "production", "http": HttpSettings(host="0.0.0.0"), "security": GOOD, **parts}  # noqa: S104
    return Settings(**made)


def refused(given: Settings, requires: Requires, *, debug: bool = False) -> str:
    with pytest.raises(Unprotected) as error:
        refuse_unprotected(given, requires, blueprint.endpoints, debug=debug)
    return str(error.value)


@pytest.fixture
def requires() -> Requires:
    core: Any = find_container()().core
    return core.routes().requires  # type: ignore[no-any-return]


def test_a_page_to_try_the_document_is_not_for_production() -> None:
    assert load_settings(profile="development").http.docs
    assert not load_settings(profile="production").http.docs


def test_the_reference_service_is_protected(requires: Requires) -> None:
    refuse_unprotected(settings(), requires, blueprint.endpoints, debug=False)


def test_every_reason_is_in_one_report(requires: Requires) -> None:
    bare = settings(security=SecuritySettings(secret="a" * 40))
    said = refused(bare, {}, debug=True)
    for part in ("debug is on", "listen on 0.0.0.0 without authentication", "can be guessed", "PUBLIC"):
        assert part in said
    assert said.count("anyone may send") == len(blueprint.endpoints)


def test_who_needs_credentials_needs_a_secret(requires: Requires) -> None:
    assert "secret is missing" in refused(settings(security=SecuritySettings(authentication=True)), requires)


def test_who_takes_tokens_of_an_identity_provider_needs_no_secret(requires: Requires) -> None:
    without_keys = settings(security=SecuritySettings(authentication=True), oidc=TOKENS)
    refuse_unprotected(without_keys, requires, blueprint.endpoints, debug=False)


def test_an_identity_provider_does_not_make_up_for_authentication_or_for_a_secret_that_is_weak(
    requires: Requires,
) -> None:
    said = refused(settings(security=SecuritySettings(secret="a" * 40), oidc=TOKENS), requires)
    assert "without authentication" in said
    assert "can be guessed" in said


def test_libraries_that_are_missing_are_in_the_same_report(
    requires: Requires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    said = refused(settings(security=SecuritySettings(secret="a" * 40), oidc=TOKENS), requires)
    assert "pip install 'atomos-framework[oidc]'" in said
    assert "can be guessed" in said
    refuse_unprotected(settings(), requires, blueprint.endpoints, debug=False)


def test_the_library_of_shared_counts_may_be_missing_too(
    requires: Requires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    counted = settings(limits=LimitsSettings(storage="redis://127.0.0.1:6379/0"))
    assert "pip install 'atomos-framework[redis]'" in refused(counted, requires)


@pytest.mark.parametrize("networks", [("0.0.0.0/0",), ("::/0",), ("0.0.0.0/1", "128.0.0.0/1")])
def test_not_everyone_is_a_proxy(requires: Requires, networks: tuple[str, ...]) -> None:
    behind = HttpSettings(host="0.0.0.0", trusted_proxies=("10.0.0.0/8", *networks))  # noqa: S104
    assert "http.trusted_proxies are all addresses" in refused(settings(http=behind), requires)


def test_who_is_reached_through_a_proxy_is_not_alone(requires: Requires) -> None:
    local = HttpSettings(trusted_proxies=("127.0.0.1",))
    said = refused(settings(http=local, security=SecuritySettings()), requires)
    assert "others reach it, and it has no authentication" in said


def test_production_limits_how_often_anyone_may_ask() -> None:
    limits = load_settings(profile="production").limits
    assert limits.principal
    assert limits.address


SHIPPED = re.findall(r'secret = "(.+)"', "".join(path.read_text() for path in CONFIG.glob("*.toml")))


@pytest.mark.parametrize(
    "secret",
    [
        "a" * 64,
        "ab" * 32,
        "password" * 5,
        "0123" * 10,
        "12345678901234567890123456789012",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "ChangeThisSecretBeforeYouDeployToProduction!",
        "changeme-changeme-changeme-changeme-",
        "your-256-bit-secretyour-256-bit-secret",
        *SHIPPED,
    ],
)
def test_a_secret_that_can_be_guessed_is_none(requires: Requires, secret: str) -> None:
    assert "can be guessed" in refused(
        settings(security=SecuritySettings(authentication=True, secret=secret)), requires
    )


def test_what_is_said_to_be_public_may_be(requires: Requires) -> None:
    public = {each.message: PUBLIC for each in blueprint.endpoints}
    refuse_unprotected(settings(), public, blueprint.endpoints, debug=False)


def test_on_this_machine_alone_nobody_needs_credentials(requires: Requires) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        local = settings(http=HttpSettings(host=host), security=SecuritySettings())
        refuse_unprotected(local, requires, blueprint.endpoints, debug=False)


def test_on_this_machine_alone_other_profiles_start_with_debug_and_without_permissions() -> None:
    anything = settings(profile="development", http=HttpSettings(), security=SecuritySettings())
    refuse_unprotected(anything, {}, blueprint.endpoints, debug=True)


def test_no_profile_is_open_to_the_network_without_authentication() -> None:
    said = refused(settings(profile="development", security=SecuritySettings()), {}, debug=True)
    assert "does not start in development" in said
    assert "would listen on 0.0.0.0 without authentication" in said
    assert "debug" not in said


def test_a_short_secret_is_refused_in_every_profile() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        SecuritySettings(secret="short")  # noqa: S106


def test_it_is_an_error_with_a_code() -> None:
    assert issubclass(Unprotected, AtomosError)
    assert Unprotected.code == "ATM058"


@pytest.mark.parametrize(
    "make",
    [secrets.token_urlsafe, secrets.token_hex, lambda n: base64.b64encode(secrets.token_bytes(n)).decode()],
)
def test_a_random_secret_is_good(make: Callable[[int], str]) -> None:
    # By chance one of 80,000 is refused.
    drawn = [can_be_guessed(make(size)) for size in (24, 32, 48) for _ in range(200)]
    assert drawn.count(True) <= 1
    assert len(SHIPPED) == 2
