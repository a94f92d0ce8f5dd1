"""How gunicorn serves the reference service: as every other one, with three requests to try."""

from typing import Any

from atomos.gunicorn import *  # noqa: F403
from atomos.gunicorn import url, welcome

_JSON = "-H 'Content-Type: application/json'"


def when_ready(_server: Any) -> None:
    """Say what to try next, and who may."""
    welcome(
        f'curl -s {url}/allocation/batches {_JSON} -d \'{{"reference": "batch-1", "sku": "CHAIR", "quantity": 10}}\'',
        f'curl -s {url}/allocation/orders/order-1/lines {_JSON} -d \'{{"sku": "CHAIR", "quantity": 3}}\'',
        f"curl -s {url}/allocation/orders/order-1/allocations",
    )
