"""The race that the book's code loses: two processes, eight clients, and nothing promised may be lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import create_engine, text

from .conftest import StartService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLIENTS = 8
LINES = 100


@pytest.mark.parametrize(
    "skus", [[f"sku-{n}" for n in range(CLIENTS)], ["the-one"] * CLIENTS], ids=["a SKU each", "one SKU"]
)
def test_every_201_is_in_the_database_and_in_the_read_model(
    start_service: StartService, database_url: str, skus: list[str]
) -> None:
    service = start_service(processes=2)
    for sku in dict.fromkeys(skus):
        batch = {"reference": f"of-{sku}", "sku": sku, "quantity": CLIENTS * LINES}
        httpx2.post(f"{service.url}/allocation/batches", json=batch).raise_for_status()

    def order(client: int) -> list[tuple[str, int]]:
        with httpx2.Client(base_url=service.url, timeout=60) as http:
            orders = [f"{client}-{number}" for number in range(LINES)]
            line = {"sku": skus[client], "quantity": 1}
            return [(o, http.post(f"/allocation/orders/{o}/lines", json=line).status_code) for o in orders]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [each for one in pool.map(order, range(CLIENTS)) for each in one]
    assert Counter(status for _, status in answers) == {201: CLIENTS * LINES}
    promised = {order_id for order_id, _ in answers}
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for table in ("allocation_line", "allocation_view"):
            found = connection.execute(text(f"select order_id from {table}")).scalars().all()  # noqa: S608
            assert len(found) == CLIENTS * LINES, table
            assert set(found) == promised, table
    engine.dispose()
