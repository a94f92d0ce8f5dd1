"""Two identical requests at the same instant with one `Idempotency-Key`: one effect, and both are told the same."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from atomos.testing.faults import Scenario

from .asking import PATIENCE, Answer, Client, Request, batches, lines
from .conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAIRS = int(os.environ.get("ATOMOS_TEST_PAIRS", "1000"))
FEW = max(PAIRS // 20, 1)
COUPLES = 4
"""So many pairs at once, by two threads each: eight threads."""

CHANGES = (
    ("PATCH", "/allocation/batches/b{}", {"quantity": 500}, 200),
    ("PUT", "/counting/batches/b{}", {"quantity": 600}, 200),
    ("DELETE", "/allocation/orders/o{}/lines/sku-{}", {}, 204),
)


@pytest.fixture
def client(scenario: Scenario) -> Client:
    """A client of the service under gunicorn, with two processes."""
    return Client(scenario.start_service(PROJECT, processes=2))


def in_pairs(client: Client, requests: Sequence[Request]) -> Counter[int]:
    """Send each from two threads at the same instant, four pairs at a time; count the statuses.

    Both of a pair have to be told the same, headers and all.
    """
    with ThreadPoolExecutor(COUPLES) as couples:
        shares = [requests[number::COUPLES] for number in range(COUPLES)]
        told = [pair for some in couples.map(lambda share: by_two(client, share), shares) for pair in some]
    for one, other in told:
        assert one == other
    return Counter(one.status for one, _ in told)


def by_two(client: Client, requests: Sequence[Request]) -> list[tuple[Answer, Answer]]:
    """Send each from two threads at the same instant."""
    barrier = threading.Barrier(2)

    def send() -> list[Answer]:
        try:
            return [client.ask(each, lambda: barrier.wait(60)) for each in requests]
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(2) as two:
        one, other = two.submit(send), two.submit(send)
        return list(zip(one.result(), other.result(), strict=True))


def count(scenario: Scenario, name: str) -> int:
    return scenario.number(f"select count(*) from atomos_message where name = 'allocation.{name}'")  # noqa: S608


def test_of_two_posts_at_the_same_instant_with_one_key_one_has_an_effect_and_both_get_its_answer(
    scenario: Scenario, client: Client
) -> None:
    half = PAIRS // 2
    assert in_pairs(client, batches(half)) == {201: half}
    # Some that all want one of three SKUs, and others that each want another.
    wanted = [*lines(range(half // 2), 3), *lines(range(half // 2, half), half)]
    assert in_pairs(client, wanted) == {201: half}
    for heard, obeyed in (("batch-received", "create-batch"), ("order-line-received", "allocate")):
        assert (count(scenario, heard), count(scenario, obeyed)) == (half, half)
    # Each change raises a version by one.
    assert scenario.number("select sum(version) from allocation_product") == 2 * half
    assert scenario.number("select count(*) from allocation_line") == half
    print(f"told to come again: {len(client.refused)}")


def test_so_it_is_with_every_method_that_changes_something(scenario: Scenario, client: Client) -> None:
    for request in (*batches(FEW), *lines(range(FEW), FEW)):
        assert client.ask(request).status == 201
    for method, path, body, status in CHANGES:
        changes = [Request(method, path.format(n, n), body, f"change-{n}") for n in range(FEW)]
        assert in_pairs(client, changes) == {status: FEW}
    assert scenario.number("select sum(version) from allocation_product") == (2 + len(CHANGES)) * FEW


def test_a_repeat_of_one_that_takes_longer_than_five_seconds_is_told_to_come_again_and_gets_its_answer(
    scenario: Scenario, client: Client
) -> None:
    [batch], [line] = batches(1), lines([0], 1)
    assert client.ask(batch).status == 201
    scenario.arm("commit.before", f"delay:{PATIENCE + 2:g}")
    assert in_pairs(client, [line]) == {201: 1}
    assert len(client.refused) == 1
    assert count(scenario, "allocate") == 1
