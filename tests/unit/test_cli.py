"""The command line: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result
from flask import Flask

from atomos.bootstrap import build
from atomos.cli import cli
from atomos.core.adapters.logs import QUIET
from atomos.serving import gunicorn

PROJECT = Path(__file__).parents[2]
BATCH = '{"reference": "b-1", "sku": "CHAIR", "quantity": 10}'

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.configure(**config)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference service, on a database of its own; what `run` adds here is gone afterwards."""
    monkeypatch.chdir(PROJECT)
    for name, value in {
        "ATOMOS_APP": "atomos.container:Application",
        "ATOMOS_PROFILE": "test",
        "ATOMOS_CONFIG": "config",
        "ATOMOS_DATABASE__URL": f"sqlite:///{tmp_path / 'atomos.db'}",
        "ATOMOS_DATABASE__ECHO": "false",
        "ATOMOS_HTTP__HOST": "127.0.0.1",
        "ATOMOS_HTTP__PORT": "8000",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def command() -> Command:
    def invoke(
        *arguments: str,
        input: str | None = None,  # noqa: A002
        code: int = 0,
        env: dict[str, str] | None = None,
    ) -> Result:
        result = CliRunner().invoke(cli, arguments, input=input, env=env)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """What writes a module with an application, and gives its name for `--app`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "shop_app.py").write_text(text)
        return "shop_app:Shop"

    yield write
    sys.modules.pop("shop_app", None)


SHOP = '''
"""A shop."""

from pathlib import Path
from typing import NamedTuple

import click
from dependency_injector import containers, providers
from sqlalchemy import Column, MetaData, String, Table

from atomos.core.adapters import History
from atomos.core.api import Entrypoints, emit
from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Event
from atomos.core.service import Routes, join


class Opened(Event, name="shop.opened"):
    """The door is open."""

    by: str


class Rung(Event, name="shop.rung"):
    """The bell has rung."""


class Bell(NamedTuple):
    """What rings."""

    tone: str = "ding"


def ring(event: Opened, {parameter}) -> None:
    """Ring the bell."""
    print("rang", {parameter}.tone)


blueprint = Entrypoints("shop", __name__, url_prefix="/shop")
{view}

METADATA = MetaData()
Table("shop_door", METADATA, Column("name", String(20), primary_key=True))

CONTEXT = Context(
    name="shop",
    routes=(Routes(reactions={{Opened: [ring]}}),),
    blueprints=(blueprint,),
    history=History("shop", Path(__file__).parent / "migrations", METADATA),
    commands=click.Group(name="counter", help="At the counter."),
)


@CONTEXT.commands.command()
def sweep():
    """Sweep the floor."""
    click.echo("swept")


class ShopContainer(containers.DeclarativeContainer):
    """What the shop has."""

    core = providers.DependenciesContainer()
    bell = providers.Factory(Bell)


class Shop(containers.DeclarativeContainer):
    """The application."""

    contexts = (CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(shop=CONTEXT.routes))
    shop = providers.Container(ShopContainer, core=core)
'''

VIEW = """

@blueprint.post("/doors")
def open_door(event: {message}) -> None:
    return emit(event)
"""


def shop(*, parameter: str = "bell: Bell", message: str = "Opened") -> str:
    name = parameter.partition(":")[0]
    return (
        SHOP.format(parameter="PARAMETER", view=VIEW.format(message=message))
        .replace("PARAMETER.tone", f"{name}.tone")
        .replace("PARAMETER", parameter)
    )


# The help


def test_the_help_lists_the_commands_the_groups_of_contexts_and_the_exit_codes(command: Command) -> None:
    text = command("--help").output
    for name in ("run", "worker", "verify", "routes", "graph", "explain", "config", "db", "emit", "shell"):
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name
    assert re.search(r"^  allocation +Stock and orders\.", text, re.MULTILINE)
    assert re.search(r"^    1  something is wrong, or has failed$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [
        *("run", "worker", "verify", "routes", "graph", "explain", "config", "db upgrade", "db revision"),
        *("emit", "shell", "allocation load", "db purge"),
        *("why", "audit", "messages", "workers", "deliveries list", "deliveries show", "deliveries retry"),
        *("deliveries discard", "recipients list", "recipients pause", "recipients resume"),
        *("recipients forget", "recipients backfill"),
    ],
)
def test_the_help_of_every_command_has_examples_each_on_its_line(name: str, command: Command) -> None:
    text = command(*name.split(), "--help").output
    examples = text.partition("  Examples:\n")[2].splitlines()
    assert examples
    assert all(line.startswith("    ") for line in examples)
    assert "\b" not in text


def test_the_help_is_there_when_the_application_cannot_be_loaded(command: Command) -> None:
    result = command("--app", "nowhere.at_all:App", "--help")
    assert "verify" in result.stdout
    assert "cannot be loaded: ATM051: 'nowhere.at_all:App' cannot be imported" in result.stderr


def test_a_command_that_does_not_exist_is_a_usage_error_that_names_the_nearest(command: Command) -> None:
    result = command("verfy", code=2)
    assert "No such command 'verfy'" in result.stderr
    assert "verify" in result.stderr


def test_a_context_brings_a_group_of_its_own(command: Command, package: Callable[[str], str]) -> None:
    app = package(shop())
    assert "At the counter." in command("--app", app, "--help").output
    assert command("--app", app, "counter", "sweep").output == "swept\n"


# verify


def test_verify_counts_what_is_whole(command: Command) -> None:
    said = command("verify").output
    first, *declared = said.splitlines()
    assert re.fullmatch(
        r"\d+ entrypoints, \d+ messages, \d+ handlers, \d+ recipients: the wiring is whole", first
    )
    assert "  atomos reads stock.batch-received, in the service's own database." in declared
    assert json.loads(command("verify", "--json").stdout) == []


def test_verify_says_what_there_has_to_be_where_nothing_is_declared(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_BROKER__DECLARE", "false")
    said = command("verify").output
    assert "declares nothing (broker.declare is false). There has to be:" in said
    assert "  atomos reads stock.batch-received, in the service's own database." in said


def test_verify_names_a_permission_of_the_broker_that_nobody_requires(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_BROKER__PERMISSIONS", '["stock:read", "stock:wriet"]')
    (named,) = (line for line in command("verify").output.splitlines() if "permission" in line)
    assert named.startswith("broker.permissions names what nothing here requires: stock:wriet. There are ")
    assert "stock:write" in named


def test_verify_needs_no_database(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    for name in (["verify"], ["routes"], ["graph"], ["explain", "allocate"], ["config"]):
        command(*name)
    assert list(tmp_path.iterdir()) == []


def test_verify_reports_every_mistake_with_its_place_and_remedy(
    command: Command, package: Callable[[str], str]
) -> None:
    app = package(shop(parameter="bel: Bell", message="int"))
    report = command("--app", app, "verify", code=1).stdout
    assert "2 mistakes in the wiring" in report
    assert "ATM008" in report
    assert "did you mean bell?" in report
    findings = json.loads(command("--app", app, "verify", "--json", code=1).stdout)
    assert [finding["code"] for finding in findings] == ["ATM008", "ATM023"]
    assert all(set(each) == {"code", "title", "place", "detail", "remedy"} for each in findings)
    assert "shop_app.py:" in findings[0]["place"]


def test_verify_reports_a_message_that_no_table_has(command: Command, package: Callable[[str], str]) -> None:
    findings = json.loads(command("--app", package(shop(message="Rung")), "verify", "--json", code=1).stdout)
    assert [finding["code"] for finding in findings] == ["ATM037"]


def test_verify_reports_wrong_settings(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMOS_HTTP__PORT", "many")
    monkeypatch.setenv("ATOMOS_LOG__LEVEL", "loud")
    findings = json.loads(command("verify", "--json", code=1).stdout)
    assert [finding["code"] for finding in findings] == ["ATM050", "ATM050"]
    assert "http.port must be an integer" in findings[0]["detail"]


def test_other_commands_print_the_report_of_a_broken_wiring_and_fail(
    command: Command, package: Callable[[str], str]
) -> None:
    result = command("--app", package(shop(parameter="bel: Bell")), "routes", code=1)
    assert "1 mistake in the wiring" in result.stderr
    assert result.stdout == ""


def test_an_application_that_does_not_exist_is_an_error_in_words(command: Command) -> None:
    said = command("--app", "atomos.container:Nobody", "verify", code=1).stderr
    assert said.startswith("ATM051: 'atomos.container:Nobody' cannot be imported: AttributeError: ")


def test_where_no_application_is_named_none_is_taken_for_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ATOMOS_APP")
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path} has no pyproject.toml with [tool.atomos] app" in command("verify", code=1).stderr
    Path("pyproject.toml").write_text("[tool.atomos]\n")
    assert f"{tmp_path} has no pyproject.toml with [tool.atomos] app" in command("verify", code=1).stderr


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("by: str", "by: str = ring", "NameError: name 'ring' is not defined"),
        ("from pathlib import Path", "from pathlib import Paths", "ImportError: cannot import name 'Paths'"),
        ("by: str", "by: str = (", "SyntaxError: '(' was never closed"),
        ('Event, name="shop.rung"', "Event", "TypeError: Rung has no wire name: write class Rung("),
        ("),),\n    blueprints", ")),\n    blueprints", "TypeError: The context shop: routes is Routes("),
        ("(blueprint,)", "blueprint", "TypeError: The context shop: blueprints is <Entrypoints"),
    ],
)
def test_an_application_that_cannot_be_imported_is_told_by_the_line_that_is_wrong(
    right: str, wrong: str, said: str, command: Command, package: Callable[[str], str], tmp_path: Path
) -> None:
    text = shop().replace(right, wrong)
    app = package(text)
    told = command("--app", app, "verify", code=1).stderr
    found = re.fullmatch(
        r"ATM051: 'shop_app:Shop' cannot be imported: (\S+/shop_app\.py):(\d+): (.*)\n", told
    )
    assert found is not None, told
    assert (Path(found[1]).resolve(), found[3][: len(said)]) == (tmp_path / "shop_app.py", said)
    first = next(
        n for n, (a, b) in enumerate(zip(shop().splitlines(), text.splitlines(), strict=False), 1) if a != b
    )
    assert abs(int(found[2]) - first) <= 3, "a statement is told by one of its lines"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "    shop = ",
            "    shops = ",
            "Shop has no shop; it needs a provider for each of config, core, shop, ",
        ),
        ("    contexts = ", "    context = ", "joined under shop, and the application's contexts are none; "),
        ("join(shop=", "join(shops=", "joined under shops, and the application's contexts are shop; "),
    ],
)
def test_names_that_do_not_agree_are_said_instead_of_all_that_follows_from_them(
    right: str, wrong: str, said: str, command: Command, package: Callable[[str], str]
) -> None:
    text = shop()
    assert right in text
    told = command("--app", package(text.replace(right, wrong)), "verify", code=1).stderr
    assert told.startswith("ATM051: ")
    assert said in told


# routes, graph, explain


def test_routes_are_listed_url_first_with_the_place_of_the_handler(command: Command) -> None:
    lines = command("routes").output.splitlines()
    first = next(line for line in lines if "allocation.order-line-received" in line)
    assert re.match(r"POST /allocation/orders/<order_id>/lines +trigger ", first)
    place = next(line for line in lines if " create_batch " in line).split()[-1]
    assert re.fullmatch(r"atomos/allocation/service/handlers\.py:\d+", place)
    with_url = [bool(line.startswith(("GET", "POST", "PATCH", "DELETE", "topic"))) for line in lines]
    assert with_url == sorted(with_url, reverse=True)


def test_routes_as_json_have_every_row_once(command: Command) -> None:
    rows = json.loads(command("routes", "--json").stdout)
    assert all(set(row) == {"url", "kind", "message", "handler", "place", "name"} for row in rows)
    reaction = next(row for row in rows if row["kind"] == "reaction")
    assert (reaction["name"], reaction["url"]) == ("allocation.warn_buyers", "")
    assert len({(row["url"], row["name"], row["message"]) for row in rows}) == len(rows)
    topics = {row["url"] for row in rows if row["url"].startswith("topic ")}
    assert topics == {"topic stock.batch-received", "topic stock.batch-quantity-reported"}


def test_the_document_is_printed_without_a_database_and_the_same_every_time(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/nothing")
    printed = command("openapi").stdout
    assert printed == command("openapi").stdout
    written = json.loads(printed)
    assert written["openapi"] == "3.1.0"
    assert "/allocation/batches" in written["paths"]


def test_the_document_of_topics_is_printed_without_a_database_or_a_broker(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("ATOMOS_BROKER__URL", "amqp://ana:hidden@127.0.0.1:1/shop")
    printed = command("asyncapi").stdout
    assert printed == command("asyncapi").stdout
    written = json.loads(printed)
    assert written["asyncapi"] == "3.0.0"
    assert written["servers"]["broker"]["host"] == "127.0.0.1:1"
    assert "hidden" not in printed


@pytest.mark.parametrize("url", ["amqp://ana:hidden@mq.example/vault", "nats://mq.example"])
def test_what_is_served_of_topics_is_what_is_printed_without_the_brokers_place(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ATOMOS_BROKER__URL", url)
    atomos = build()
    app = Flask("test")
    served = atomos.init_app(app).test_client().get("/asyncapi.json")
    atomos.close()
    assert [word for word in ("mq.example", "hidden", "vault", "servers") if word in served.text] == []
    printed = json.loads(command("asyncapi").stdout)
    del printed["servers"]
    for channel in printed["channels"].values():
        channel["bindings"].get("amqp", {}).get("exchange", {}).pop("vhost", None)
    assert served.json == printed


@pytest.mark.parametrize(
    ("url", "address", "queue"),
    [
        ("amqp://127.0.0.1:1", "stock.batch-received", "shop.stock-keeper.stock.batch-received"),
        ("redis://127.0.0.1:1", "shop:stock.batch-received", None),
        ("nats://127.0.0.1:1", "shop.stock.batch-received", None),
    ],
)
def test_the_document_of_topics_has_the_names_that_the_settings_make(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str, address: str, queue: str | None
) -> None:
    monkeypatch.setenv("ATOMOS_BROKER__URL", url)
    monkeypatch.setenv("ATOMOS_BROKER__PREFIX", "shop")
    monkeypatch.setenv("ATOMOS_BROKER__SERVICE", "stock-keeper")
    written = json.loads(command("asyncapi").stdout)
    assert written["channels"]["stock.batch-received"]["address"] == address
    sent = written["components"]["messages"]["allocation.went-out-of-stock"]
    assert sent["payload"]["properties"]["source"]["const"] == "/stock-keeper"
    received = written["operations"]["receive.stock.batch-received"]
    assert received.get("x-queue", {}).get("name") == queue


def test_the_document_is_that_of_the_profile_and_its_settings(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_PROFILE", "production")
    monkeypatch.setenv("ATOMOS_HTTP__PUBLIC_URL", "https://api.example.org/shop")
    written = json.loads(command("openapi").stdout)
    assert written["servers"] == [{"url": "https://api.example.org/shop"}]
    assert written["paths"]["/allocation/batches"]["post"]["security"] == [{"key": ["stock:write"]}]


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"]])
def test_the_graph_as_json_is_the_same_every_time(options: list[str], command: Command) -> None:
    first = command("graph", *options).output
    assert first == command("graph", *options).output
    edges = json.loads(first)["edges"]
    emits = {
        "source": "entrypoint:POST /allocation/batches",
        "target": "event:allocation.batch-received",
        "verb": "emits",
    }
    assert emits in edges


def test_the_graph_is_a_text_or_a_flowchart(command: Command) -> None:
    assert "POST /allocation/batches\n  emits BatchReceived" in command("graph").output
    assert command("graph", "--format", "mermaid").output.startswith("flowchart LR\n")


@pytest.mark.parametrize(
    "name", ["allocate", "allocation.allocate", "command:allocation.allocate", "Allocate"]
)
def test_a_handler_is_explained_by_any_of_its_names(name: str, command: Command) -> None:
    stories = json.loads(command("explain", name, "--json").stdout)
    story = next(story for story in stories if story["kind"] == "command")
    assert re.fullmatch(r"atomos/allocation/service/handlers\.py:\d+", story["place"])
    assert story["answers"] == "Created[LineAllocation] | LineAllocation"
    (uow,) = story["given"]
    assert (uow["name"], uow["wants"]) == ("uow", "AllocationUnitOfWork")
    assert uow["from"] == "allocation.uow"
    assert uow["makes"] == "SqlAllocationUnitOfWork"
    assert (
        "records WentOutOfStock, heard by reaction warn_buyers, topic allocation.went-out-of-stock"
        in story["leads to"]
    )
    posted = "POST /allocation/orders/<order_id>/lines emits OrderLineReceived, which requires orders:write"
    assert posted in story["comes from"]


def test_a_reaction_is_explained_in_text(command: Command) -> None:
    text = command("explain", "allocation.warn_buyers").output
    assert text.startswith("warn_buyers (reaction)\n  says        Ask the buyers to restock.\n")
    assert "notifications: Notifications from allocation.notifications, which makes LogNotifications" in text
    assert "hears       WentOutOfStock (allocation.went-out-of-stock, version 1)" in text
    assert "recipient   allocation.warn_buyers" in text


def test_a_function_that_hears_two_events_is_explained_once(command: Command) -> None:
    (story,) = json.loads(command("explain", "hide_allocation", "--json").stdout)
    assert len(story["hears"]) == 2


def test_a_message_is_explained_by_everyone_who_hears_it(command: Command) -> None:
    stories = json.loads(command("explain", "allocation.deallocated", "--json").stdout)
    assert {story["handler"] for story in stories} == {"hide_allocation"}


def test_a_trigger_that_is_a_class_is_explained_by_its_fields(command: Command) -> None:
    text = command("explain", "allocation.batch-received").output
    assert "sku from the field of BatchReceived" in text
    assert "triggers CreateBatch" in text


def test_an_unknown_handler_is_answered_with_the_nearest(command: Command) -> None:
    said = command("explain", "warn_byers", code=1).stderr
    assert "There is no handler, recipient or message 'warn_byers'; did you mean warn_buyers?" in said


# config


def test_config_shows_every_setting_and_where_it_came_from(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://app:S3CR3T@db.example/shop")
    lines = command("config").output.splitlines()
    assert next(line.split() for line in lines if line.startswith("http.port")) == [
        "http.port",
        "8000",
        "ATOMOS_HTTP__PORT",
    ]
    rows = {row["key"]: row for row in json.loads(command("config", "--json").stdout)}
    assert rows["storage.url"] == {"key": "storage.url", "value": "memory://", "source": "config/test.toml"}
    assert rows["database.pool_size"]["source"] == "code"
    assert "S3CR3T" not in "".join(lines)


def test_wrong_settings_are_all_reported(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMOS_HTTP__PORT", "many")
    monkeypatch.setenv("ATOMOS_HTPP__PORT", "1")
    said = command("config", code=1).stderr
    assert said.startswith("2 mistakes in the settings:")


# db


def test_the_database_is_brought_up_to_date_once(command: Command) -> None:
    applied = json.loads(command("db", "upgrade", "--json").stdout)["applied"]
    assert "allocation 0001" in applied
    assert command("db", "upgrade").output == "The database is up to date.\n"


def test_a_database_that_cannot_be_reached_is_said_in_words(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    said = command("db", "upgrade", code=1).stderr
    assert said.startswith("The database cannot be reached: connection failed: ")
    assert said.endswith("Connection refused. `atomos config` shows database.url.\n")


def test_a_migration_is_written_from_the_tables_in_code(
    command: Command, package: Callable[[str], str], tmp_path: Path
) -> None:
    app = package(shop())
    result = command("--app", app, "db", "revision", "-m", "doors", "shop", "--json")
    path = Path(json.loads(result.stdout)["path"])
    assert result.stderr == ""
    assert path.name.startswith("0001")
    assert "shop_door" in path.read_text()
    assert command("--app", app, "db", "upgrade").output == "applied shop 0001\n"


def test_a_migration_of_a_context_that_has_no_tables_is_refused(command: Command) -> None:
    said = command("db", "revision", "-m", "x", "allocations", code=1).stderr
    assert "There is no context with tables of its own 'allocations'; did you mean allocation?" in said


# emit


def test_an_event_is_emitted_and_its_answer_printed(command: Command) -> None:
    answer = json.loads(command("emit", "allocation.batch-received", BATCH).stdout)
    expected = {
        "reference": "b-1",
        "version": 1,
        "sku": "CHAIR",
        "eta": None,
        "quantity": 10,
        "available": 10,
    }
    assert answer == expected
    again = json.loads(command("emit", "allocation.batch-received", "-", "--json", input=BATCH).stdout)
    assert (again["created"], again["value"]) == (False, answer)


def test_an_event_without_an_answer_prints_null(command: Command) -> None:
    command("emit", "allocation.batch-received", BATCH)
    line = '{"order_id": "o-1", "sku": "CHAIR", "quantity": 3}'
    command("emit", "allocation.order-line-received", line)
    cancelled = command("emit", "allocation.order-line-cancelled", '{"order_id": "o-1", "sku": "CHAIR"}')
    assert json.loads(cancelled.stdout) is None


@pytest.mark.parametrize("options", [["--key", "k"], ["--id", "0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e"]])
def test_a_repeat_under_one_key_or_id_is_told_the_same_and_another_content_is_refused(
    options: list[str], command: Command
) -> None:
    for _ in range(2):
        told = json.loads(command("emit", "allocation.batch-received", BATCH, *options, "--json").stdout)
        assert told["created"] is True
    other = BATCH.replace("10", "11")
    assert "ATM038" in command("emit", "allocation.batch-received", other, *options, code=1).stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("allocation.batch-recieved", "{}", "did you mean allocation.batch-received"),
        ("allocation.allocate", "{}", "is Allocate, which is no event"),
        ("allocation.batch-received", "{", "the content is not JSON"),
        ("allocation.batch-received", "[]", "expected an object with reference, sku, quantity, eta"),
        ("allocation.batch-received", "{}", "missing required field `reference`"),
        ("allocation.batch-received", BATCH.replace("10", '"10"'), "Expected `int`, got `str`"),
        ("allocation.batch-received", BATCH.replace("10", "0"), "/quantity: must be at least 1, is 0"),
        ("allocation.batch-received", BATCH.replace("}", ', "colour": "red"}'), "has no field colour"),
    ],
)
def test_what_cannot_be_emitted_is_refused_in_words(
    name: str, content: str, said: str, command: Command
) -> None:
    assert said in command("emit", name, content, code=1).stderr


def test_what_the_domain_refuses_is_said_and_fails(command: Command) -> None:
    line = '{"order_id": "o-1", "sku": "SOFA", "quantity": 3}'
    result = command("emit", "allocation.order-line-received", line, code=1)
    assert result.stderr == "No batch of SOFA was ever received.\n"
    assert result.stdout == ""


def test_id_and_key_together_or_a_bad_id_are_usage_errors(command: Command) -> None:
    both = command("emit", "allocation.batch-received", BATCH, "--id", "1", "--key", "k", code=2)
    assert "not both" in both.stderr
    assert "is no UUID" in command("emit", "allocation.batch-received", BATCH, "--id", "1", code=2).stderr


def test_who_emits_on_the_command_line_is_kept(command: Command) -> None:
    command("emit", "allocation.batch-received", BATCH, env={"LOGNAME": "ana"})
    listed = json.loads(command("messages", "--principal", "cli:ana", "--json").stdout)["items"]
    assert [each["name"] for each in listed] == ["allocation.create-batch", "allocation.batch-received"]


def test_a_repeat_on_the_command_line_is_one_whoever_sends_it(command: Command) -> None:
    for user in ("ana", "root"):
        arguments = ("emit", "allocation.batch-received", BATCH, "--key", "one", "--json")
        assert json.loads(command(*arguments, env={"LOGNAME": user}).stdout)["created"]
    assert json.loads(command("messages", "--principal", "cli:root", "--json").stdout)["items"] == []


# shell


def test_what_the_shell_emits_is_kept_under_its_user(command: Command) -> None:
    line = "emit(BatchReceived(reference='b-1', sku='CHAIR', quantity=10))"
    command("shell", input=f"{line}\n", env={"LOGNAME": "ana"})
    assert len(json.loads(command("messages", "--principal", "cli:ana", "--json").stdout)["items"]) == 2


def test_the_shell_has_the_application_and_its_messages(command: Command) -> None:
    lines = [
        "print(emit(BatchReceived(reference='b-1', sku='CHAIR', quantity=10)).value.available)",
        "print(ask(ProductOf(sku='CHAIR')).available, bus is atomos.bus, container is atomos.container)",
    ]
    result = command("shell", input="\n".join([*lines, ""]))
    assert "10 True True" in result.stdout
    assert "ask(query) is read-only" in result.output


# run, worker


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the process would have become."""
    programs: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: programs.append([path, *arguments]))
    return programs


def test_run_migrates_the_embedded_database_and_becomes_gunicorn(
    command: Command, became: list[list[str]], tmp_path: Path
) -> None:
    command("run", "--host", "127.0.0.7", "--port", "8123", "--sql")
    assert became == [[sys.executable, sys.executable, *gunicorn(PROJECT)]]
    assert (tmp_path / "atomos.db").exists()
    given = ("ATOMOS_HTTP__HOST", "ATOMOS_HTTP__PORT", "ATOMOS_DATABASE__ECHO")
    assert [os.environ[name] for name in given] == ["127.0.0.7", "8123", "true"]
    assert json.loads(command("db", "upgrade", "--json").stdout)["applied"] == []


def test_run_listens_to_nobody_else_without_authentication(command: Command, became: list[list[str]]) -> None:
    said = command("run", "--host", "10.0.0.7", code=1).output
    assert "it would listen on 10.0.0.7 without authentication" in said
    assert became == []


def test_run_hands_the_application_on(
    command: Command, became: list[list[str]], package: Callable[[str], str], tmp_path: Path
) -> None:
    app = package(shop())
    command("--app", app, "db", "revision", "-m", "doors", "shop")
    command("--app", app, "run")
    assert os.environ["ATOMOS_APP"] == app


def test_a_table_that_no_migration_makes_is_said_before_anything_is_served(
    command: Command, became: list[list[str]], package: Callable[[str], str]
) -> None:
    app = package(shop())
    for changing in (["run"], ["worker"], ["emit", "shop.opened", '{"by": "ana"}']):
        said = command("--app", app, *changing, code=1).stderr
        assert said.startswith(
            "ATM079: The database lacks shop_door. Write the migration: `atomos db revision "
        )
    assert became == []
    command("--app", app, "routes")


def test_run_does_not_migrate_a_server_but_says_what_to_do(
    command: Command, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMOS_DATABASE__URL", "postgresql://app@db.example/shop")
    monkeypatch.setattr("atomos.core.adapters.pending", lambda *_: ["allocation 0001"])
    said = command("run", code=1).stderr
    assert said.startswith("ATM052: The database lacks allocation 0001.")
    assert "`atomos db upgrade`" in said
    assert became == []


def test_a_project_without_files_for_gunicorn_is_served_with_those_of_the_package(
    command: Command, became: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere/config").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    command("run")
    Path("wsgi.py").touch()
    command("run")
    Path("config/gunicorn.conf.py").touch()
    command("run")
    assert [each[4:] for each in became] == [
        ["atomos.wsgi:app", "-c", "python:atomos.gunicorn"],
        ["wsgi:app", "-c", "python:atomos.gunicorn"],
        ["wsgi:app", "-c", "config/gunicorn.conf.py"],
    ]


def test_the_debugger_is_for_this_machine_only(command: Command) -> None:
    assert "not only this machine" in command("run", "--dev", "--host", "10.0.0.7", code=2).stderr


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the development server was told to serve."""
    calls: list[dict[str, Any]] = []

    def run_simple(host: str, port: int, application: Any, **options: Any) -> None:
        answer = application.test_client().get("/health/ready") if isinstance(application, Flask) else None
        calls.append({"host": host, "port": port, "application": application, "answer": answer, **options})

    monkeypatch.setattr("werkzeug.serving.run_simple", run_simple)
    return calls


def test_the_reloaders_parent_has_no_application(
    command: Command, served: list[dict[str, Any]], tmp_path: Path
) -> None:
    command("run", "--dev")
    (call,) = served
    assert (call["host"], call["port"]) == ("127.0.0.1", 8000)
    assert call["use_reloader"]
    assert call["use_debugger"]
    assert not isinstance(call["application"], Flask)
    assert list(tmp_path.iterdir()) == []


def test_the_reloaders_child_serves_a_migrated_application(
    command: Command, served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    command("run", "--dev")
    (call,) = served
    assert call["application"].debug
    assert call["answer"].status_code == 200


def test_the_reloaders_child_shows_what_is_wrong_and_waits_for_it_to_be_mended(
    command: Command,
    served: list[dict[str, Any]],
    package: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    result = command("--app", package(shop(parameter="bel: Bell")), "run", "--dev")
    assert "did you mean bell?" in result.stderr
    started: list[Any] = []
    (body,) = served[0]["application"]({}, lambda *given: started.append(given))
    assert started[0][0].startswith("500")
    assert b"did you mean bell?" in body


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_prints_its_id_and_stops_when_asked_to(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "atomos", "worker"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(number)
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    worker = re.fullmatch(r"Worker (\S+) delivers; SIGTERM or Ctrl-C stops it\.\n", first)
    assert worker is not None
    assert f":{process.pid}:" in worker[1]
    assert rest == f"Worker {worker[1]} has stopped.\n"
