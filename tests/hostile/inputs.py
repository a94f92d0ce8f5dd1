"""Hostile requests to the reference service, as data: what is sent, and the statuses that are documented for it.

Add a row: a name, what is sent, the statuses that are right. `BATCH` and `LINE` stand for good bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Headers = Mapping[str, str]


class Hostile(NamedTuple):
    """One request. `headers` come beside the credentials and the type of the body; None takes one of these away.

    `wire` is the status where a server reads the request first and refuses it by itself; None: `statuses` hold there.
    """

    name: str
    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str | None] = {}
    statuses: tuple[int, ...] = (422,)
    wire: int | None = None


MARKER = "n0b0dy-may-read-this-1n-a-l0g"
"""Stands where secrets do: whoever looks for it in a log must not find it."""

JSON = "application/json"
BATCHES, LINES, ORDERS = "/allocation/batches", "/allocation/orders/order-1/lines", "/allocation/orders"
BATCH = {"reference": "batch-9", "sku": "CHAIR", "quantity": 10}
LINE = {"sku": "CHAIR", "quantity": 3}
ORDER = {
    "order_id": "order-9",
    "deadline": "2126-01-31T12:30:00Z",
    "lines": [{"sku": "CHAIR", "quantity": 1}],
}
BODY = json.dumps(BATCH).encode()

_TEXTS: list[Any] = [1, 1.5, True, None, [], {}, "", " ", "x" * 101, "a\0b", "\ud800", ["CHAIR"], {"a": 1}]
_WHOLES: list[Any] = ["1", "", 1.5, True, None, [], {}, 0, -1, 2**31, 2**63, -(2**63), 10**40, [1], "NaN"]
_TIMES: list[Any] = [
    *(1, True, [], {}, "", "now", "2026-01-31", "2026-01-31T12:30:00", "2026-02-30T00:00:00Z"),
    *("9999-12-31T23:59:59-14:00", "2026-01-31T25:00:00Z", "12:30", "0000-01-01T00:00:00Z"),
]
_DAYS: list[Any] = [
    *(value for value in _TIMES if value != "2026-01-31"),
    "2026-13-01",
    "31.01.2026",
    "20260131T",
]
_ROWS: list[Any] = [
    *(1, True, None, {}, "", "CHAIR", [], [1], [None], [[]], ["CHAIR"], [{}], [{"sku": "CHAIR"}]),
    *([{"quantity": 1}], [{"sku": "CHAIR", "quantity": 0}], [{"sku": "CHAIR", "quantity": 1, "more": 1}]),
    [{"sku": "CHAIR", "quantity": 1}] * 2,
]
_NAMES = [*_TEXTS, "a/b", ".", ".."]

FIELDS: list[tuple[str, str, dict[str, Any], dict[str, list[Any]]]] = [
    ("POST", BATCHES, BATCH, {"reference": _TEXTS, "sku": _TEXTS, "quantity": _WHOLES, "eta": _DAYS}),
    ("PATCH", f"{BATCHES}/batch-1", {"quantity": 5}, {"quantity": _WHOLES}),
    ("POST", LINES, LINE, {"sku": _TEXTS, "quantity": _WHOLES}),
    ("POST", ORDERS, ORDER, {"order_id": _NAMES, "deadline": [None, *_TIMES], "lines": _ROWS}),
]
"""Every field of every body, and what it does not take."""


def wrong_fields() -> Iterator[Hostile]:
    """Put each wrong value into each field; leave each field out; add one that there is not."""
    for method, target, good, fields in FIELDS:
        for field, values in fields.items():
            for number, value in enumerate(values):
                body = json.dumps({**good, field: value}).encode()
                yield Hostile(f"{method} {target} {field} {number}: {value!r:.30}", method, target, body)
        for field in good:
            rest = {name: value for name, value in good.items() if name != field}
            yield Hostile(f"{method} {target} without {field}", method, target, json.dumps(rest).encode())
        more = json.dumps({**good, "is_admin": True}).encode()
        yield Hostile(f"{method} {target} with a field more", method, target, more)


_BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 422),
    "a space": (b" ", 400),
    "one brace": (b"{", 400),
    "half a text": (b'{"sku": "CHA', 400),
    "cut in an escape": (b'{"sku": "\\u12', 400),
    "two objects": (BODY + BODY, 400),
    "a list": (b"[]", 422),
    "a text": (b'"CHAIR"', 422),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "a list of it": (b"[" + BODY + b"]", 422),
    "XML": (b"<?xml version='1.0'?><batch/>", 400),
    "a form": (b"reference=batch-9&sku=CHAIR&quantity=10", 400),
    "a trailing comma": (b'{"reference": "a", "sku": "b", "quantity": 1,}', 400),
    "a comment": (b'{"reference": "a" /* b */}', 400),
    "single quotes": (b"{'reference': 'a'}", 400),
    "NaN": (b'{"reference": "a", "sku": "b", "quantity": NaN}', 400),
    "Infinity": (b'{"reference": "a", "sku": "b", "quantity": -Infinity}', 400),
    "1e400": (b'{"reference": "a", "sku": "b", "quantity": 1e400}', 422),
    "-0": (b'{"reference": "a", "sku": "b", "quantity": -0}', 422),
    "1.5": (b'{"reference": "a", "sku": "b", "quantity": 1.5}', 422),
    "a leading zero": (b'{"reference": "a", "sku": "b", "quantity": 010}', 400),
    "a hexadecimal number": (b'{"reference": "a", "sku": "b", "quantity": 0x10}', 400),
    "five thousand digits": (b'{"quantity": ' + b"9" * 5000 + b"}", 400),
    "UTF-16": (json.dumps(BATCH).encode("utf-16"), 400),
    "UTF-32": (json.dumps(BATCH).encode("utf-32"), 400),
    "Latin-1": ('{"reference": "bätch", "sku": "b", "quantity": 1}'.encode("latin-1"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + BODY, 400),
    "overlong UTF-8": (b'{"reference": "a\xc0\xaf", "sku": "b", "quantity": 1}', 400),
    "a surrogate as UTF-8": (b'{"reference": "\xed\xa0\x80", "sku": "b", "quantity": 1}', 400),
    "a surrogate as an escape": (b'{"reference": "\\ud800", "sku": "b", "quantity": 1}', 422),
    "NUL as an escape": (b'{"reference": "a\\u0000", "sku": "b", "quantity": 1}', 422),
    "NUL as a byte": (b'{"reference": "a\0", "sku": "b", "quantity": 1}', 400),
    "a raw line break in a text": (b'{"reference": "a\nb", "sku": "b", "quantity": 1}', 400),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", 400),
    "random bytes": (bytes(range(128, 256)), 400),
    "a member twice": (b'{"reference": "a", "reference": "b", "sku": "c", "quantity": 1}', 422),
    "a member twice by an escape": (b'{"sku": "a", "\\u0073ku": "b", "reference": "c", "quantity": 1}', 422),
    "a member of prototypes": (b'{"__proto__": {"x": 1}, "reference": "a", "sku": "b", "quantity": 1}', 422),
    "a member of classes": (b'{"__class__": "x", "reference": "a", "sku": "b", "quantity": 1}', 422),
    "an empty name": (b'{"": 1, "reference": "a", "sku": "b", "quantity": 1}', 422),
    "65 lists": (b"[" * 65 + b"]" * 65, 400),
    "a hundred thousand lists": (b"[" * 100_000, 400),
    "a hundred thousand objects": (b'{"a":' * 100_000, 400),
    "deep in a field": (b'{"reference": ' + b"[" * 70 + b"]" * 70 + b"}", 400),
    "fifty thousand members": (json.dumps({f"m{n}": n for n in range(50_000)}).encode(), 400),
    "half a million items": (b"[" + b"1," * 500_000 + b"1]", 400),
    "nine thousand members": (json.dumps({f"m{n}": n for n in range(9_000)}).encode(), 422),
    "a million commas in a text": (json.dumps({**BATCH, "sku": "," * 1_000_000}).encode(), 422),
    "as many escapes": (b'{"sku": "' + b'\\"' * 500_000 + b'"}', 422),
    "a long text": (json.dumps({**BATCH, "sku": "x" * 900_000}).encode(), 422),
    "too large": (b" " * 1_048_577, 413),
    "a secret": (json.dumps({**BATCH, "password": MARKER, "quantity": MARKER}).encode(), 422),
    "half a secret": (f'{{"password": "{MARKER}'.encode(), 400),
    "SQL": (json.dumps({**BATCH, "quantity": "1; drop table atomos_message"}).encode(), 422),
    "an operator of queries": (json.dumps({**BATCH, "sku": {"$gt": ""}}).encode(), 422),
}


def wrong_bodies() -> Iterator[Hostile]:
    """Send each wrong body."""
    for name, (body, status) in _BODIES.items():
        yield Hostile(f"a body: {name}", "POST", BATCHES, body, statuses=(status,))


_TYPES: dict[str | None, int] = {
    None: 415,
    "": 415,
    "text/plain": 415,
    "text/json; charset=utf-8": 415,
    "application/xml": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application": 415,
    "application/jsonp": 415,
    "text/html,application/json": 415,
    "application/octet-stream": 415,
    "*/*": 415,
}


def wrong_headers() -> Iterator[Hostile]:
    """Send a good body under each wrong header."""
    for kind, status in _TYPES.items():
        yield Hostile(f"type {kind!r}", "POST", BATCHES, BODY, {"Content-Type": kind}, (status,))
    for header, values, status in _HEADERS:
        for value in values:
            name = f"{header}: {value!r:.40}"
            yield Hostile(name, "POST", BATCHES, BODY, {header: value}, (status,))
    for header, values, status in _READERS:
        for value in values:
            yield Hostile(
                f"GET with {header}: {value!r:.40}", "GET", BATCHES, None, {header: value}, (status,)
            )


_HEADERS: list[tuple[str, list[str], int]] = [
    ("Idempotency-Key", ["", " ", "a,b", "a b", '"', '""', '"a', "ä", "x" * 256, "a\tb", '"\\a"'], 400),
    ("X-Correlation-ID", ["", "1", "x" * 5_000, "0190b3a2", "../../etc/passwd", "' or 1=1 --"], 400),
    ("If-Match", ["", "7", '"7', "W/7", "*, *", '"a" "b"', "x" * 5000], 400),
    ("If-None-Match", ["*", '"7"'], 400),
    ("Content-Encoding", ["gzip", "br, gzip", "identity, gzip", "identity;q=1", "x"], 415),
    ("Accept", ["text/html", "application/xml", "application/json;q=0", "image/*, text/*"], 406),
    (
        "Authorization",
        [
            *("", "Bearer", "Bearer ", "Basic dTpw", "Digest x", "bearer", "Bearer a b", "atk_x_y"),
            *("Bearer atk_", "Bearer atk_abcdefghijkl_", "Bearer atk_abcdefghijkl_x", f"Bearer {'x' * 8000}"),
            *("Bearer null", "Bearer undefined", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30."),
            *("Bearer ' or 1=1 --", "Bearer ../../x", "Bearer \u00e4", "Negotiate x", "Bearer\tx"),
            *(f"Bearer {MARKER}", f"Bearer atk_abcdefghijkl_{MARKER}", f"Basic {MARKER}", MARKER),
        ],
        401,
    ),
]

_READERS: list[tuple[str, list[str], int]] = [
    ("If-Match", ["", "7", '"7', "W/7"], 400),
    ("Accept", ["text/html", "application/json;q=0"], 406),
    ("X-Correlation-ID", ["1", "x" * 200], 400),
]

_TARGETS: dict[str, tuple[int, ...]] = {
    "/": (404,),
    "//": (404,),
    "/allocation": (404,),
    "/allocation/": (404,),
    "/allocation/batches/": (404,),
    "/ALLOCATION/BATCHES": (404,),
    "/allocation/batches;x=1": (404,),
    "/allocation/batches.json": (404,),
    "/allocation/../etc/passwd": (404,),
    "/allocation/batches/..": (404,),
    "/allocation/batches/../../etc/passwd": (404,),
    "/allocation/batches/%2e%2e": (404,),
    "/allocation/batches/%2e%2e%2f%2e%2e%2fetc%2fpasswd": (404,),
    "/allocation/batches/..%5c..%5cwindows": (404,),
    "/allocation/batches/%00": (422,),
    "/allocation/batches/a%00b": (422,),
    "/allocation/batches/%ff": (400,),
    "/allocation/batches/%c0%af": (400,),
    "/allocation/batches/%ed%a0%80": (400,),
    "/allocation/batches/%": (404,),
    "/allocation/batches/%zz": (404,),
    "/allocation/batches/%20": (422,),
    f"/allocation/batches/{'x' * 101}": (422,),
    "/allocation/batches/%0d%0aSet-Cookie:%20a=b": (404,),
    "/allocation/batches/%3Cscript%3E": (404,),
    "/allocation/batches/'%20or%201=1%20--": (404,),
    "/allocation/batches/${jndi:ldap:x}": (404,),
    "/allocation/batches/{{7*7}}": (404,),
    "/allocation/batches/%E2%80%AE": (404,),
    "/.git/config": (404,),
    "/.env": (404,),
    "/static/../wsgi.py": (404,),
    "/wsgi.py": (404,),
    "/config/default.toml": (404,),
    "/messages/x": (404,),
    "/messages/00000000-0000-0000-0000-000000000000": (404,),
    "/messages/0190b3a2-7f6e-7c1a-9c53-0f6a1f3b2d4e'": (404,),
    "/allocation/batches?limit=0": (422,),
    "/allocation/batches?limit=501": (422,),
    "/allocation/batches?limit=-1": (422,),
    "/allocation/batches?limit=1.5": (422,),
    "/allocation/batches?limit=1e3": (422,),
    "/allocation/batches?limit=0x10": (422,),
    "/allocation/batches?limit=%EF%BC%91": (422,),
    "/allocation/batches?limit=99999999999999999999999": (422,),
    "/allocation/batches?limit=1&limit=2": (422,),
    "/allocation/batches?limit[]=1": (422,),
    "/allocation/batches?limit[$gt]=1": (422,),
    "/allocation/batches?sku=%00": (422,),
    "/allocation/batches?sku=%ff": (400,),
    f"/allocation/batches?sku={'x' * 101}": (422,),
    f"/allocation/batches?cursor={'x' * 101}": (422,),
    "/allocation/batches?nosuch=1": (422,),
    "/allocation/batches?SKU=x": (422,),
    "/allocation/batches?sku=a;limit=5&nosuch": (422,),
    "/allocation/batches?__proto__[x]=1": (422,),
    f"/allocation/batches?api_key={MARKER}": (422,),
    f"/{MARKER}": (404,),
}


def wrong_targets() -> Iterator[Hostile]:
    """Ask for each wrong target."""
    for target, statuses in _TARGETS.items():
        yield Hostile(f"GET {target:.60}", "GET", target, statuses=statuses)


def wrong_methods() -> Iterator[Hostile]:
    """Use each wrong method, and a body or a query string where there is to be none."""
    for method in ("PUT", "DELETE", "TRACE", "PROPFIND", "FOO", "PATCH"):
        yield Hostile(f"{method} on {BATCHES}", method, BATCHES, statuses=(405,))
    for method in ("POST", "DELETE", "PUT"):
        yield Hostile(f"{method} on a document", method, "/openapi.json", statuses=(405,))
    yield Hostile("a GET with a body", "GET", BATCHES, BODY, statuses=(400,))
    yield Hostile("a DELETE with a body", "DELETE", f"{LINES}/CHAIR", BODY, statuses=(400,))
    yield Hostile("a POST with a query string", "POST", f"{BATCHES}?sku=TABLE", BODY)
    yield Hostile(
        "a method by a header", "POST", f"{BATCHES}/batch-1", BODY, {"X-HTTP-Method": "PATCH"}, (405,)
    )


def too_long() -> Iterator[Hostile]:
    """Ask for more in a first line, or in a header, than a server reads; it says so before anyone is asked."""
    parameters = "&".join(f"a{n}=1" for n in range(1001))
    yield Hostile("1,001 parameters", "GET", f"{BATCHES}?{parameters}", statuses=(400,), wire=414)
    for header, value, status in (
        ("X-Correlation-ID", "x" * 10_000, 400),
        ("Authorization", f"Bearer {MARKER * 400}", 401),
    ):
        yield Hostile(
            f"a long {header}", "POST", BATCHES, BODY, {header: value}, statuses=(status,), wire=431
        )


def everything() -> list[Hostile]:
    """Give every request."""
    return [
        *wrong_fields(),
        *wrong_bodies(),
        *wrong_headers(),
        *wrong_targets(),
        *wrong_methods(),
        *too_long(),
    ]
