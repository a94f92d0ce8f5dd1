"""Rows of stock and order lines in CSV files: read, checked as the messages they stand for, and keyed."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from urllib.parse import quote

from atomos.core.domain import AtomosError, InvalidMessage
from atomos.core.domain.constraints import checks_of

from ..domain.events import BatchReceived, OrderLineReceived
from ..domain.fields import NewOrderId

_CHECK_ORDER_ID = checks_of(NewOrderId)

_GZIP = b"\x1f\x8b"
_LONGEST_REASON = 300
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class UnusableFile(AtomosError):
    """A file that cannot be read as rows."""


class Request(NamedTuple):
    """What is sent for a row: to which path, with which body and idempotency key, and for which SKU."""

    path: str
    body: Mapping[str, Any]
    key: str
    sku: str


class Row(NamedTuple):
    """One row of a file. `line` counts from 1, the header included; `cells` are as they were written.

    `request` is None for a row that cannot be sent, and `reason` says why.
    """

    file: str
    line: int
    cells: tuple[str, ...]
    request: Request | None
    reason: str = ""


class Kind(NamedTuple):
    """One kind of row: its columns, and the path and body of the request that its trimmed cells make."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[Mapping[str, str]], tuple[str, dict[str, Any]]]


def read_batch(cells: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Read a batch of stock; an empty ETA means that it is in the warehouse. Raises `InvalidMessage`."""
    day: Any = _day(cells["eta"]) if cells["eta"] else None
    quantity: Any = _whole(cells["quantity"])
    event = BatchReceived(reference=cells["reference"], sku=cells["sku"], quantity=quantity, eta=day)
    return "/allocation/batches", asdict(event) | {"eta": cells["eta"] or None}


def read_line(cells: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Read a line of an order. Raises `InvalidMessage`, and ValueError for an order that no URL can name."""
    quantity: Any = _whole(cells["quantity"])
    event = OrderLineReceived(order_id=cells["order_id"], sku=cells["sku"], quantity=quantity)
    if problem := _CHECK_ORDER_ID(event.order_id):
        raise ValueError(f"order_id {problem}")
    body = {"sku": event.sku, "quantity": event.quantity}
    return f"/allocation/orders/{quote(event.order_id, safe='')}/lines", body


BATCHES = Kind("batch", ("reference", "sku", "quantity", "eta"), read_batch)
"""Rows of stock."""

LINES = Kind("line", ("order_id", "sku", "quantity"), read_line)
"""Rows of order lines."""


def count_rows(path: Path, kind: Kind) -> int:
    """Count the rows of a file, without those that are blank. Raises `UnusableFile`."""
    return sum(1 for _ in _raw(path, kind))


def read_rows(path: Path, kind: Kind, run: str) -> Iterator[Row]:
    """Read the rows of a file, in their order, each with its key. Raises `UnusableFile`."""
    keys = _Keys(run, kind)
    for line, cells, columns in _raw(path, kind):
        try:
            named = _named(cells, columns)
            where, body = kind.read(named)
            request = Request(where, body, keys.next(where, body), str(body["sku"]))
            yield Row(path.name, line, cells, request)
        except (InvalidMessage, ValueError) as error:
            yield Row(path.name, line, cells, None, reason_of(error))


def reason_of(error: Exception) -> str:
    """Say in one short line why a row cannot be sent."""
    if isinstance(error, InvalidMessage):
        said = "; ".join(f"{each.pointer.lstrip('/')} {each.detail}" for each in error.problems)
    else:
        said = str(error)
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]}..."


class _Keys:
    """Makes the idempotency key of each row: from its content and how many rows like it came before.

    So that a second run repeats every request, rows added elsewhere in the file change no key, and a row that
    is there twice is two requests: the second is told what became of the first.
    """

    def __init__(self, run: str, kind: Kind) -> None:
        self._seed = json.dumps(["atomos-load-1", run, kind.name]).encode()
        self._seen: Counter[bytes] = Counter()

    def next(self, path: str, body: Mapping[str, Any]) -> str:
        """Make the key of the next row."""
        content = blake2b(self._seed + json.dumps([path, body]).encode(), digest_size=16).digest()
        self._seen[content] += 1
        return blake2b(content, digest_size=16, salt=self._seen[content].to_bytes(8)).hexdigest()


def _raw(path: Path, kind: Kind) -> Iterator[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    with _opened(path) as file:
        reader = csv.reader(file)
        columns = _header(path, kind, reader)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells = [f"({error})"]
            if cells:
                yield line, tuple(cells), columns


def _header(path: Path, kind: Kind, reader: Iterator[list[str]]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in next(reader, []))
    expected = f"expected a first line with the columns {','.join(kind.columns)}"
    if missing := [name for name in kind.columns if name not in columns]:
        raise UnusableFile(f"{path}: line 1 has no column {', '.join(missing)}; {expected}.")
    if twice := [name for name in kind.columns if columns.count(name) > 1]:
        raise UnusableFile(f"{path}: line 1 names {', '.join(twice)} twice; {expected}.")
    return columns


def _named(cells: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise ValueError(f"has {len(cells)} columns, and the header has {len(columns)}")
    if any("\udc80" <= character <= "\udcff" for cell in cells if not cell.isascii() for character in cell):
        raise ValueError("is not UTF-8")
    if any("\n" in cell or "\r" in cell for cell in cells):
        raise ValueError("holds a line break: is a quotation mark left open?")
    return {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP
        opener: Any = gzip.open if is_gzip else open
        # So that a row that is not UTF-8 is one bad row, and not the end of the file.
        with opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise UnusableFile(f"{path} cannot be read: {error}. Give a CSV file, plain or gzip.") from error


def _whole(text: str) -> int | str:
    # What is no number stays a text, for the message to say what it expected.
    return int(text) if _WHOLE.fullmatch(text) else text


def _day(text: str) -> date | str:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else text
    except ValueError:
        return text
