"""What operators type: what it prints, what it changes, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from atomos.core.service.envelope import new_id
from atomos.core.service.operations import HIDDEN
from atomos.core.service.receiving import conversation_of
from atomos.testing.databases import SqliteTemplate

from .test_cli import BATCH, Command, command, environment, logging_as_before

__all__ = ["command", "environment", "logging_as_before"]

LINE = '{"order_id": "o-1", "sku": "CHAIR", "quantity": 3}'
REACTION = "allocation.warn_buyers"


class Log:
    """The database of the commands, behind their backs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, statement: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.path)
        with connection:
            found = connection.execute(statement, values).fetchall()
        connection.close()
        return found

    def put(
        self,
        status: str = "dead",
        recipient: str = REACTION,
        error: str = "Broken: x",
        *,
        name: str = "shop.secret",
        payload: str = '{"pin": 1}',
        conversation: str | None = None,
    ) -> str:
        """Store a message with one delivery; `conversation` None: it begins one."""
        id_ = new_id()
        self.run(
            "insert into atomos_message (id, kind, name, version, payload, fingerprint, correlation_id, principal, "
            "deliveries, recorded_at) values (?, 'event', ?, 1, ?, '', ?, 'bob', 1, "
            "cast((julianday('now') - 2440587.5) * 86400000000 as integer))",
            id_,
            name,
            payload,
            conversation or id_,
        )
        self.run(
            "insert into atomos_delivery (message_id, recipient, status, until, completed_at, errors) "
            "values (?, ?, ?, ?, ?, ?)",
            id_,
            recipient,
            status,
            1 if status == "scheduled" else None,
            1 if status in ("done", "dead") else None,
            json.dumps([{"at": "2026-11-22T12:00:00+00:00", "error": error}]),
        )
        return id_

    def statuses(self) -> list[str]:
        return [row[0] for row in self.run("select status from atomos_delivery order by seq")]


@pytest.fixture
def log(sqlite_template: SqliteTemplate, tmp_path: Path) -> Log:
    """A migrated database, where `environment` says that it is."""
    sqlite_template.fresh(tmp_path)
    return Log(tmp_path / "atomos.db")


def data(command: Command, *arguments: str, code: int = 0) -> Any:
    return json.loads(command(*arguments, "--json", code=code).stdout)


def test_why_tells_each_delivery_and_an_unknown_message_is_refused(command: Command, log: Log) -> None:
    id_ = log.put("ready")
    text = command("why", id_).stdout
    assert text.startswith(f"{REACTION}  ready  {REACTION} is not in the register")
    told = data(command, "why", id_)
    assert told["deliveries"][0]["claimable"] is False
    assert told["deliveries"][0]["reasons"][0]["code"] == "unregistered"
    assert "There is no message" in command("why", new_id(), code=1).stderr
    assert "is no id of a message" in command("why", "x", code=2).stderr


def test_an_audit_that_finds_something_ends_with_1(command: Command, log: Log) -> None:
    assert command("audit").stdout.endswith(": nothing is wrong\n")
    id_ = log.put("done")
    log.run("delete from atomos_delivery")
    said = command("audit", code=1).stdout
    assert f"message {id_} (shop.secret) asked for 1, and has 0" in said
    assert said.endswith(": 1 kinds of damage\n")
    assert data(command, "audit", code=1)["damages"][0]["check"] == "deliveries-of-a-message"


def test_messages_are_listed_and_what_this_build_does_not_know_is_not_shown(
    command: Command, log: Log
) -> None:
    command("emit", "allocation.batch-received", BATCH)
    log.put()
    listed = data(command, "messages", "--since", "1h")["items"]
    payloads = {each["name"]: each["payload"] for each in listed}
    assert payloads["shop.secret"] == {"pin": "(hidden)"}
    assert payloads["allocation.batch-received"]["sku"] == "CHAIR"
    (received,) = data(command, "messages", "--name", "allocation.batch-received")["items"]
    assert received["answer"]["value"]["available"] == 10
    conversation = data(command, "messages", "--conversation", received["id"])["items"]
    assert {each["kind"] for each in conversation} == {"event", "command"}
    assert data(command, "messages", "--until", "1h")["items"] == []
    page = command("messages", "--limit", "1").stdout
    cursor = page.splitlines()[-1].removeprefix("There are more: --after ")
    assert "shop.secret 1" in page
    assert "shop.secret" not in command("messages", "--after", cursor).stdout
    assert "is no cursor" in command("messages", "--after", "x", code=2).stderr
    assert "is no time" in command("messages", "--since", "soon", code=2).stderr


def test_deliveries_are_listed_and_shown(command: Command, log: Log) -> None:
    id_ = log.put(error="Broken: " + "x" * 100)
    log.put("done")
    (listed,) = data(command, "deliveries", "list")["items"]
    assert (listed["message_id"], listed["status"]) == (id_, "dead")
    assert "..." in command("deliveries", "list", "--status", "dead", "--error", "broken").stdout
    assert "is no cursor" in command("deliveries", "list", "--after", "x", code=2).stderr
    log.run("update atomos_delivery set losses = 2 where status = 'dead'")
    shown = command("deliveries", "show", id_).stdout
    assert "  lost leases: 2\n" in shown
    assert f"{REACTION}: dead, 0 attempts" in shown
    assert "2026-11-22T12:00:00+00:00  Broken: xxx" in shown
    assert data(command, "deliveries", "show", id_)["message"]["payload"] == {"pin": "(hidden)"}


def test_more_than_one_is_a_dry_run_until_it_is_said_twice(command: Command, log: Log) -> None:
    log.put()
    log.put("parked")
    said = command("deliveries", "retry").stdout
    assert "2 would be retried; nothing was changed. Say --yes to do it." in said
    assert data(command, "deliveries", "retry")["dry_run"] is True
    assert "Say --yes" not in command("deliveries", "retry", "--yes", "--dry-run").stdout
    assert log.statuses() == ["dead", "parked"]
    assert command("deliveries", "retry", "--yes", "--by", "ana").stdout == "2 retried.\n"
    assert log.statuses() == ["ready", "ready"]
    assert "retried by ana" in log.run("select errors from atomos_delivery")[0][0]


def test_one_that_is_named_by_its_message_is_changed_at_once(command: Command, log: Log) -> None:
    id_ = log.put()
    assert data(command, "deliveries", "retry", "--message", id_) == {"dry_run": False, "count": 1}
    refused = command("deliveries", "retry", "--message", id_, code=1).stderr
    assert refused.startswith(f"ATM055: Nothing of message {id_} can be retried: {REACTION}: ready, ")
    command("deliveries", "discard", "--message", id_, "--status", "ready", "--why", "told by phone")
    assert log.statuses() == ["discarded"]
    assert "There is no message" in command("deliveries", "retry", "--message", new_id(), code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("audit --rows 0", "0 is not in the range x>=1"),
        ("messages --kind fact", "'fact' is not one of 'event', 'command', 'schedule'"),
        ("deliveries retry --status done", "'done' is not one of 'dead', 'parked'"),
        ("deliveries discard --why x --status done", "'done' is not one of 'scheduled', 'ready', 'retrying'"),
        ("deliveries discard --why= --yes", "the reason is empty; say it in a few words."),
        ("recipients pause allocation.warn_buyers --why=", "the reason is empty; say it in a few words."),
        ("faults --database mysql://host/name", "It must be sqlite:///FILE"),
        ("faults --drive shop.faults", "'shop.faults' is no function; expected MODULE:FUNCTION"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use(command: Command, log: Log, arguments: str, said: str) -> None:
    log.put()
    assert said in command(*arguments.split(), code=2).stderr
    assert log.statuses() == ["dead"]


@pytest.mark.parametrize("arguments", ["audit", "workers", "verify --live"])
def test_who_only_looks_makes_no_database(command: Command, tmp_path: Path, arguments: str) -> None:
    said = command(*arguments.split(), code=1).stderr
    assert (
        f"ATM053: There is no database {tmp_path / 'atomos.db'}; `atomos config` shows database.url" in said
    )
    assert not (tmp_path / "atomos.db").exists()


def test_recipients_are_paused_resumed_and_forgotten(command: Command, log: Log) -> None:
    log.put("ready")
    log.run("insert into atomos_recipient (name) values (?), ('shop.retired')", REACTION)
    assert command("recipients", "pause", REACTION, "--why", "stock import", "--by", "ana").stdout
    again = command("recipients", "pause", REACTION, "--why", "x", "--by", "bob", code=1).stderr
    assert "by ana: stock import. Resume it first." in again, "who paused it first is not forgotten"
    listed = command("recipients", "list").stdout
    assert "paused by ana since 20" in listed
    assert "not in this build" in listed
    (own,) = [each for each in data(command, "recipients", "list") if each["known"]]
    assert (own["registered"]["paused_why"], own["counts"]) == ("stock import", {"ready": 1})
    assert command("recipients", "resume", REACTION).stdout == f"{REACTION} goes on.\n"
    assert "ATM055" in command("recipients", "forget", REACTION, code=1).stderr
    assert data(command, "recipients", "forget", "shop.retired") == {
        "recipient": "shop.retired",
        "forgotten": True,
    }
    assert "ATM055" in command("recipients", "pause", "shop.retired", "--why", "x", code=1).stderr


def test_a_backfill_is_a_dry_run_until_it_is_said_twice(command: Command, log: Log) -> None:
    command("emit", "allocation.batch-received", BATCH)
    command("emit", "allocation.order-line-received", LINE)
    command("emit", "allocation.order-line-received", LINE.replace("3", "30").replace("o-1", "o-2"))
    kinds = {each["name"]: each["kind"] for each in data(command, "routes")}
    found = [row[0] for row in log.run("select distinct recipient from atomos_delivery")]
    reaction = next(name for name in found if kinds[name] == "reaction")
    (before,) = log.run("select count(*) from atomos_delivery where recipient = ?", reaction)[0]
    log.run("delete from atomos_delivery where recipient = ?", reaction)
    log.run(
        "update atomos_message set deliveries = "
        "(select count(*) from atomos_delivery where message_id = atomos_message.id)"
    )
    would = data(command, "recipients", "backfill", reaction, "--since", "1h")
    assert would == {"dry_run": True, "count": before}
    assert "nothing was changed" in command("recipients", "backfill", reaction, "--since", "1h").stdout
    done = data(command, "recipients", "backfill", reaction, "--since", "1h", "--yes")
    assert done == {"dry_run": False, "count": before}
    command("audit")
    unknown = command("recipients", "backfill", f"{reaction}x", "--since", "1h", code=1).stderr
    assert "did you mean" in unknown


def test_workers_are_listed(command: Command, log: Log) -> None:
    log.run(
        "insert into atomos_worker (id, host, pid, version, started, seen) values ('w-1', 'h', 7, '1', 1, 1)"
    )
    (worker,) = data(command, "workers")
    assert (worker["id"], worker["alive"], worker["seen"]) == (
        "w-1",
        False,
        "1970-01-01T00:00:00.000001+00:00",
    )
    assert "w-1     h     7    1        1970-01-01T00:00:00Z" in command("workers").stdout


def test_a_purge_is_a_dry_run_until_it_is_said_twice(
    command: Command, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.put("done")
    assert command("db", "purge").stdout.startswith("0 messages would be removed")
    assert data(command, "db", "purge", "--before", "0s") == {"dry_run": True, "count": 1}
    assert log.statuses() == ["done"]
    assert command("db", "purge", "--before", "0s", "--yes").stdout == "1 messages were removed.\n"
    assert log.statuses() == []
    monkeypatch.setenv("ATOMOS_DELIVERY__RETENTION", "0")
    assert "keeps everything for ever" in command("db", "purge", code=1).stderr


def test_verify_live_names_what_waits_for_another_build(command: Command, log: Log) -> None:
    assert "all that waits fits this build" in command("verify", "--live").stdout
    log.put("ready", recipient="shop.retired")
    said = command("verify", "--live", code=1).stdout
    assert "ATM056" in said
    assert "recipient shop.retired: a delivery waits for this recipient" in said
    assert "message shop.secret 1: a delivery waits for a build that reads it" in said
    assert {each["place"] for each in data(command, "verify", "--live", code=1)} == {
        "recipient shop.retired",
        "message shop.secret 1",
    }


def test_of_what_was_not_understood_all_is_shown_but_what_headers_say(command: Command, log: Log) -> None:
    raw = {"topic": "stock.counts", "body": "aGVsbG8=", "content_type": None, "headers": {"a": "b"}}
    id_ = log.put("parked", "subscription:stock.counts", name="atomos.raw-message", payload=json.dumps(raw))
    (shown,) = json.loads(command("messages", "--conversation", id_, "--json").stdout)["items"]
    assert shown["payload"] == {**raw, "headers": {"a": HIDDEN}}


def test_a_conversation_is_found_by_what_a_sender_calls_it(command: Command, log: Log) -> None:
    id_ = log.put(conversation=conversation_of("conv-1"))
    (shown,) = json.loads(command("messages", "--conversation", "conv-1", "--json").stdout)["items"]
    assert shown["id"] == id_
    assert json.loads(command("messages", "--conversation", "conv-2", "--json").stdout)["items"] == []
