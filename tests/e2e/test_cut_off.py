"""Killed between the commit and the answer: a repeat gets the answer of what was done, and it is done once."""

from __future__ import annotations

import pytest

from atomos.testing.faults import Scenario

from .asking import Client, Request, batches, lines
from .conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LATER = {"Prefer": "respond-async"}
OF_SECOND = {"If-Match": '"2"'}
"""A condition that holds before the change, and no longer after it."""

CHANGES = {
    "POST": (201, "POST", "/allocation/orders/more-{n}/lines", {"sku": "sku-{n}", "quantity": 1}, {}),
    "PATCH": (200, "PATCH", "/allocation/batches/b{n}", {"quantity": 7}, {}),
    "PATCH of a version": (200, "PATCH", "/allocation/batches/b{n}", {"quantity": 7}, OF_SECOND),
    "PUT": (200, "PUT", "/counting/batches/b{n}", {"quantity": 7}, {}),
    "PUT of a version": (200, "PUT", "/counting/batches/b{n}", {"quantity": 7}, OF_SECOND),
    "DELETE": (204, "DELETE", "/allocation/orders/o{n}/lines/sku-{n}", {}, {}),
    "DELETE of a version": (204, "DELETE", "/allocation/orders/o{n}/lines/sku-{n}", {}, OF_SECOND),
}
"""What is cut off: the status that it would have got, and what is sent, about a SKU of its own number `n`."""


@pytest.fixture
def client(scenario: Scenario) -> Client:
    """A client of the service under gunicorn, whose one process is replaced when it is killed."""
    return Client(scenario.start_service(PROJECT))


def commands(scenario: Scenario) -> int:
    return scenario.number("select count(*) from atomos_message where kind = 'command'")


def version(scenario: Scenario, number: int) -> int:
    return scenario.number(f"select version from allocation_product where sku = 'sku-{number}'")  # noqa: S608


def asked(number: int, kind: str) -> Request:
    _, method, path, body, headers = CHANGES[kind]
    about = {
        name: value.format(n=number) if isinstance(value, str) else value for name, value in body.items()
    }
    return Request(method, path.format(n=number), about, kind.replace(" ", "-"), headers)


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_repeat_of_what_a_crash_cut_off_gets_its_answer_and_it_is_done_once(
    scenario: Scenario, client: Client, point: str
) -> None:
    for each in (*batches(len(CHANGES)), *lines(range(len(CHANGES)), len(CHANGES))):
        assert client.insist(each).status == 201
    for number, kind in enumerate(CHANGES):
        request, before, cut_off = asked(number, kind), commands(scenario), client.cut_off
        scenario.arm(point)
        answer = client.insist(request)
        assert answer.status == CHANGES[kind][0], (kind, answer)
        assert client.cut_off > cut_off, kind
        assert client.insist(request) == answer, kind
        assert commands(scenario) == before + 1, kind
        assert version(scenario, number) == 3, kind
        if answer.body and "ETag" in answer.headers:
            assert answer.headers["ETag"] == '"3"', kind
    assert [each.point for each in scenario.struck()] == [point] * len(CHANGES)


@pytest.mark.parametrize("point", ["append.before", "append.after"])
def test_what_is_stored_for_later_is_stored_once_whatever_a_crash_cut_off(
    scenario: Scenario, client: Client, point: str
) -> None:
    [batch] = batches(1)
    later = batch._replace(headers=LATER)
    scenario.arm(point)
    accepted = client.insist(later)
    assert (accepted.status, client.cut_off >= 1) == (202, True)
    assert [each.point for each in scenario.struck()] == [point]
    assert client.insist(later) == accepted
    assert scenario.number("select count(*) from atomos_message") == 1
    scenario.start_worker()
    scenario.settle()
    look = Request("GET", accepted.headers["Location"], {}, "-")
    done = client.insist(look).json
    assert (done["state"], done["result"]["reference"]) == ("done", "b0")
    assert version(scenario, 0) == 1
