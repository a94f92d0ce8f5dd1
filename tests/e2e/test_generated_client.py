"""A client that another tool generates from the document knows every kind of answer of a real service."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from atomos.bootstrap import build
from atomos.core.service.credentials import mint
from atomos.testing.faults.scenario import environment

from .conftest import PROJECT, StartService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = PROJECT / "docs/how-to/openapi.md"
COMMANDS = re.findall(r"(?m)^\$ (atomos openapi > \S+|openapi-python-client .+)$", PAGE.read_text("utf-8"))
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
OWN = {
    "ATOMOS_SECURITY__AUTHENTICATION": "true",
    "ATOMOS_SECURITY__SECRET": "a secret of the tests that nobody else has",
}
NOWHERE = "http://127.0.0.1:9"
"""A proxy that is none: whatever asks for the network fails."""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package `orders`, as the commands of the page generate it."""
    folder = tmp_path_factory.mktemp("generated")
    alone = {"PATH": PATH, "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ATOMOS_PROFILE": "development"}
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**os.environ, **OWN, **alone, "ATOMOS_APP": "atomos.container:Application"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "warning" not in ran.stdout.lower()
    sys.path.insert(0, str(folder))
    yield importlib.import_module("orders")
    sys.path.remove(str(folder))
    for name in [each for each in sys.modules if each.partition(".")[0] == "orders"]:
        del sys.modules[name]


class Open(NamedTuple):
    """Where the service is, and a token that may do everything."""

    url: str
    token: str


@pytest.fixture
def exposed(database_url: str, start_service: StartService) -> Open:
    own = {**OWN, "ATOMOS_DATABASE__URL": database_url}
    with environment(own):
        atomos = build("atomos.container:Application")
        scopes = sorted({scope for scope in atomos.bus.flow.routes.requires.values() if scope})
        made = mint("generated", scopes, OWN["ATOMOS_SECURITY__SECRET"], datetime.now(UTC))
        atomos.container.core.keys().add(made.key)
        atomos.close()
    return Open(start_service(environment=own).url, made.token)


sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@sqlite
def test_what_the_page_shows_happens(
    orders: ModuleType, exposed: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    [shown] = re.findall(r"(?ms)^```python\n(from orders .+?)^```", PAGE.read_text("utf-8"))
    code = shown.replace("http://127.0.0.1:8000", exposed.url)
    exec(code.replace("atk_...", exposed.token), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "batch-1 1 10\n"
    exec(code.replace("atk_...", "atk_none"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("401 urn:atomos:problem:unauthenticated ")


@sqlite
def test_every_kind_of_answer_has_its_class(orders: ModuleType, exposed: Open) -> None:
    def call(name: str, *given: Any, **named: Any) -> Any:
        module = importlib.import_module(f"orders.api.{name}")
        return module.sync_detailed(*given, client=client, **named)

    models = importlib.import_module("orders.models")
    client = orders.AuthenticatedClient(exposed.url, exposed.token, raise_on_unexpected_status=True)
    for reference in ("batch-1", "batch-2", "batch-3"):
        body = models.AllocationReceiveBatchBody(reference=reference, sku="CHAIR", quantity=10)
        created = call("allocation.allocation_receive_batch", body=body)
        assert (created.status_code, created.parsed.reference) == (201, reference)
        assert isinstance(created.parsed, models.BatchDetails)

    line = models.AllocationReceiveOrderLineBody(sku="CHAIR", quantity=3)
    promised = call(
        "allocation.allocation_receive_order_line", "order-1", body=line, idempotency_key="line-1"
    ).parsed
    assert isinstance(promised, models.LineAllocation)
    assert promised.batch == "batch-1"

    page = call("allocation.allocation_list_batches", sku="CHAIR", limit=2).parsed
    assert [each.available for each in page.items] == [7, 10]
    rest = call("allocation.allocation_list_batches", sku="CHAIR", limit=2, cursor=page.cursor).parsed
    assert ([each.reference for each in rest.items], rest.cursor) == (["batch-3"], None)

    placed = models.AllocationPlaceOrderBody(
        order_id="order-2",
        deadline=datetime(2026, 1, 31, tzinfo=UTC),
        lines=[models.OrderItemInput(sku="CHAIR", quantity=2)],
    )
    order = call("allocation.allocation_place_order", body=placed, prefer="respond-async").parsed
    assert isinstance(order, models.Progress)
    assert call("messages.atomos_show_message", order.id).parsed.id == order.id

    unknown = call("allocation.allocation_show_batch", "nobody").parsed
    assert isinstance(unknown, models.Problem)
    assert (unknown.status, unknown.type_) == (404, "urn:atomos:problem:not-found")
    invalid = call(
        "allocation.allocation_receive_batch", body=models.AllocationReceiveBatchBody("b", "CHAIR", 0)
    ).parsed
    assert [each.pointer for each in invalid.errors] == ["/quantity"]
    assert call("allocation.allocation_cancel_order_line", "order-1", "CHAIR").status_code == 204
