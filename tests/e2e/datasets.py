"""Real order data as files for `atomos allocation load`: Northwind, and a week of Online Retail."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ON_THE_WAY = "1998-06-01"
"""When Northwind's ordered stock arrives: after the last of its orders."""

WEEKS = 52
"""So many weeks' sales are in Online Retail's `units_sold`; a batch holds those of one."""


class Files(NamedTuple):
    """The two files of a data set, and how many rows each of them has."""

    batches: Path
    lines: Path
    batch_rows: int
    line_rows: int


def data_folder() -> Path:
    """Find the data: ATOMOS_TEST_DATA, or `shared/data` beside the repository.

    Without it the test is skipped, or fails where ATOMOS_TEST_SERVICES says `required`.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("ATOMOS_TEST_DATA") or beside)
    if folder.is_dir():
        return folder
    said = f"{folder} is no folder; ATOMOS_TEST_DATA has to name the one with northwind/ and online_retail/"
    if os.environ.get("ATOMOS_TEST_SERVICES") == "required":
        pytest.fail(said)
    pytest.skip(said)


def northwind(target: Path) -> Files:
    """Write Northwind: its stock as batches, its order lines by date, order, and their place in the file."""
    folder = data_folder() / "northwind"
    dates = {row["order_id"]: row["order_date"] for row in _rows(folder / "orders.csv")}
    # Sorting is stable: the lines of one order stay as they are.
    lines = sorted(
        _rows(folder / "order_details.csv"), key=lambda row: (dates[row["order_id"]], int(row["order_id"]))
    )
    return _written(
        target,
        "northwind",
        _northwind_batches(_rows(folder / "products.csv")),
        ((row["order_id"], row["product_id"], row["quantity"]) for row in lines),
    )


def online_retail(target: Path) -> Files:
    """Write a week of Online Retail: each product's batch holds a week's sales; all lines, as they are."""
    folder = data_folder() / "online_retail"
    batches = (
        (f"stock-{row['stock_code']}", row["stock_code"], _week_of(row), "")
        for row in _rows(folder / "products.csv")
        if row["is_product"] == "1"
    )
    lines = _rows(folder / "sample_first_week_order_lines.csv.gz")
    return _written(
        target,
        "online_retail",
        batches,
        ((row["invoice_no"], row["stock_code"], row["quantity"]) for row in lines),
    )


def _week_of(product: dict[str, str]) -> int:
    return max(1, int(product["units_sold"]) // WEEKS)


def _northwind_batches(products: Iterable[dict[str, str]]) -> Iterator[tuple[object, ...]]:
    for row in products:
        sku = row["product_id"]
        if int(row["units_in_stock"]) > 0:
            yield f"stock-{sku}", sku, row["units_in_stock"], ""
        if int(row["units_on_order"]) > 0:
            yield f"order-{sku}", sku, row["units_on_order"], ON_THE_WAY


def _written(
    target: Path, name: str, batches: Iterable[tuple[object, ...]], lines: Iterable[tuple[object, ...]]
) -> Files:
    files = (target / f"{name}_batches.csv", target / f"{name}_lines.csv")
    headers = (("reference", "sku", "quantity", "eta"), ("order_id", "sku", "quantity"))
    counts = []
    for path, header, rows in zip(files, headers, (batches, lines), strict=True):
        kept = list(rows)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *kept])
        counts.append(len(kept))
    return Files(*files, *counts)


def _rows(path: Path) -> list[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
