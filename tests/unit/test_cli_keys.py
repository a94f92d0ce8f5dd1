"""`atomos keys`: keys are made, listed, replaced and ended, and what cannot be done is said in words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .test_cli import Command, command, environment, logging_as_before

__all__ = ["command", "environment", "logging_as_before"]

SECRET = "a secret of the tests that nobody else has"
TOKEN = re.compile(r"atk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}")
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def installation(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """An installation has a secret, and a database."""
    monkeypatch.setenv("ATOMOS_SECURITY__SECRET", SECRET)
    command("db", "upgrade")


def data(command: Command, *arguments: str) -> Any:
    return json.loads(command("keys", *arguments, "--json").stdout)


def made(command: Command, *options: str, owner: str = "warehouse") -> dict[str, Any]:
    created: dict[str, Any] = data(command, "create", owner, *options)
    return created


def listed(command: Command) -> dict[str, Any]:
    return {each["id"]: each for each in data(command, "list")}


def at(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


# create


def test_a_key_is_shown_once_and_alone_on_standard_output(command: Command) -> None:
    result = command("keys", "create", "warehouse", "--scope", "stock:write")
    assert TOKEN.fullmatch(result.stdout.strip())
    assert "of warehouse. It is not shown again." in result.stderr
    assert result.stdout.strip() not in json.dumps(listed(command))
    assert result.stdout.strip() not in command("keys", "list").stdout


def test_a_key_has_what_was_asked_for_and_ends_in_a_year(command: Command) -> None:
    key = made(command, "--scope", "stock:write", "--scope", "stock:read", "--scope", "operations:read")
    assert key["scopes"] == ["operations:read", "stock:read", "stock:write"]
    assert abs(at(key["expires_at"]) - datetime.now(UTC) - 365 * DAY) < DAY
    assert (key["revoked_at"], key["used_at"]) == (None, None)
    assert made(command, "--never-ends")["expires_at"] is None
    assert abs(at(made(command, "--days", "0.5")["expires_at"]) - datetime.now(UTC) - DAY / 2) < DAY / 100


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (("warehouse", "--scope", "stock:wirte"), "did you mean stock:write", 1),
        (("warehouse", "--scope", ""), "There is no permission ''", 1),
        (("  ",), "The owner of a key", 1),
        (("x" * 101,), "The owner of a key", 1),
        (("ware\nhouse",), "The owner of a key", 1),
        (("warehouse", "--days", "0"), "0.0 is not in the range", 2),
        (("warehouse", "--days", "-1"), "is not in the range", 2),
        (("warehouse", "--days", "nan"), "nan is not in the range", 2),
        (("warehouse", "--days", "inf"), "inf is not in the range", 2),
        (("warehouse", "--days", "1e9"), "is not in the range", 2),
        (("warehouse", "--days", "soon"), "'soon' is not a valid float", 2),
        (("warehouse", "--days", "3", "--never-ends"), "--days or --never-ends, not both", 2),
        ((), "Missing argument 'OWNER'", 2),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_in_words(
    command: Command, options: tuple[str, ...], said: str, code: int
) -> None:
    assert said in command("keys", "create", *options, code=code).stderr
    assert listed(command) == {}


def test_without_a_secret_there_are_no_keys(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATOMOS_SECURITY__SECRET")
    assert "set security.secret" in command("keys", "create", "warehouse", code=1).stderr


# list


def test_keys_are_listed_by_owner_with_their_state(command: Command) -> None:
    assert data(command, "list") == []
    shop = made(command, owner="shop")["id"]
    first, second = made(command)["id"], made(command, "--scope", "stock:read")["id"]
    command("keys", "revoke", first)
    lines = command("keys", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["KEY", shop, first, second]
    assert [line.split()[-1] for line in lines] == ["STATE", "good", "revoked", "good"]
    assert "none" in lines[1]
    assert "stock:read" in lines[3]


# rotate


def test_a_key_that_is_rotated_goes_on_for_a_day_beside_the_new_one(command: Command) -> None:
    old = made(command, "--scope", "stock:write", "--days", "90")
    new = data(command, "rotate", old["id"])
    assert TOKEN.fullmatch(new["token"])
    assert (new["owner"], new["scopes"]) == ("warehouse", ["stock:write"])
    assert new["token"] != old["token"]
    keys = listed(command)
    assert abs(at(keys[old["id"]]["expires_at"]) - datetime.now(UTC) - DAY) < DAY / 100
    assert abs(at(keys[new["id"]]["expires_at"]) - datetime.now(UTC) - 90 * DAY) < DAY


def test_an_overlap_of_zero_ends_the_old_one_now(command: Command) -> None:
    old = made(command)["id"]
    new = data(command, "rotate", old, "--overlap", "0")["id"]
    states = {line.split()[0]: line.split()[-1] for line in command("keys", "list").stdout.splitlines()}
    assert (states[old], states[new]) == ("expired", "good")


def test_a_rotation_does_not_prolong_the_old_one(command: Command) -> None:
    old = made(command, "--days", "0.01")
    data(command, "rotate", old["id"], "--overlap", "48")
    assert listed(command)[old["id"]]["expires_at"] == old["expires_at"]


def test_a_key_that_never_ends_is_replaced_by_one_that_never_does(command: Command) -> None:
    old = made(command, "--never-ends")
    assert data(command, "rotate", old["id"])["expires_at"] is None
    assert listed(command)[old["id"]]["expires_at"] is not None


def test_what_has_ended_is_not_rotated(command: Command) -> None:
    old = made(command)["id"]
    command("keys", "revoke", old)
    assert f"The key {old} has ended" in command("keys", "rotate", old, code=1).stderr
    assert len(listed(command)) == 1


@pytest.mark.parametrize("overlap", ["-1", "nan", "inf", "1e9"])
def test_an_overlap_that_is_none_is_refused(command: Command, overlap: str) -> None:
    old = made(command)["id"]
    assert "is not in the range" in command("keys", "rotate", old, "--overlap", overlap, code=2).stderr
    assert len(listed(command)) == 1


# revoke


def test_a_key_that_was_revoked_is_so_for_ever_and_keeps_its_first_time(command: Command) -> None:
    key = made(command)["id"]
    assert command("keys", "revoke", key).stdout == f"{key} of warehouse is revoked.\n"
    first = data(command, "revoke", key)["revoked_at"]
    assert data(command, "revoke", key)["revoked_at"] == first is not None


# Which key?


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_said_to_be_not_there(command: Command, verb: str) -> None:
    key = made(command)["id"]
    assert "There is no key 'zzzzzzzzzzzz'; there are" in command("keys", verb, "zzzzzzzzzzzz", code=1).stderr
    assert f"did you mean {key}?" in command("keys", verb, key[:-1], code=1).stderr


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_who_gives_the_whole_key_is_told_its_id_and_it_is_not_shown(command: Command, verb: str) -> None:
    key = made(command)
    said = command("keys", verb, key["token"], code=1)
    assert f"only its id: {key['id']}" in said.stderr
    assert key["token"] not in said.output
