"""Bytes on the wire that are no request, or more than one: what a server of HTTP has to refuse by itself."""

from __future__ import annotations

from typing import NamedTuple

from .inputs import MARKER


class Raw(NamedTuple):
    """Bytes that are sent on a connection of their own, without credentials that hold, and the status that is right."""

    name: str
    sent: bytes
    status: int = 400


_KEPT = f"Authorization: Bearer {MARKER}\r\n".encode()
_HOST = b"Host: 127.0.0.1\r\n"
_JSON = b"Content-Type: application/json\r\n"
_LARGE = b"Content-Length: 99999999\r\n\r\n"
_POST = b"POST /allocation/batches HTTP/1.1\r\n" + _HOST + _JSON

RAW = [
    Raw("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n"),
    Raw("HTTP/0.9", b"GET /\r\n\r\n"),
    Raw("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Raw("a version that there is not", b"GET / HTTP/9.9\r\n" + _HOST + b"\r\n"),
    Raw("a small method", b"get / HTTP/1.1\r\n" + _HOST + b"\r\n"),
    Raw("a method with a colon", b"G:T / HTTP/1.1\r\n" + _HOST + b"\r\n"),
    Raw("a space before a colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    Raw("a header without a colon", b"GET / HTTP/1.1\r\n" + _HOST + b"nonsense\r\n\r\n"),
    Raw("a header without a name", b"GET / HTTP/1.1\r\n" + _HOST + b": x\r\n\r\n"),
    Raw("a NUL in a header", b"GET / HTTP/1.1\r\n" + _HOST + b"X-A: a\0b\r\n\r\n"),
    Raw("a folded header", b"GET / HTTP/1.1\r\n" + _HOST + b"X-A: a\r\n b\r\n\r\n"),
    Raw("a long request line", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", 414),
    Raw("a long header", b"GET / HTTP/1.1\r\n" + _HOST + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    Raw(
        "a flood of headers",
        b"GET / HTTP/1.1\r\n" + _HOST + b"".join(b"X-%d: a\r\n" % n for n in range(2000)) + b"\r\n",
        431,
    ),
    Raw("a secret in a first line", f"GET /?key={MARKER} HTTP/9.9\r\n".encode() + _HOST + b"\r\n"),
    Raw("a secret in a head", b"GET / HTTP/1.1\r\n" + _KEPT + b"nonsense\r\n\r\n"),
    Raw("a secret in a folded header", b"GET / HTTP/1.1\r\n" + _HOST + _KEPT + b" x\r\n\r\n"),
    Raw("a secret before a length that is none", _POST + _KEPT + b"Content-Length: abc\r\n\r\n{}"),
    Raw("too large a body of a GET", b"GET /health/live HTTP/1.1\r\n" + _HOST + _LARGE, 413),
    Raw("too large a body of a HEAD", b"HEAD /allocation/batches HTTP/1.1\r\n" + _HOST + _LARGE, 413),
    Raw("too large a body of nothing", b"GET /nowhere HTTP/1.1\r\n" + _HOST + _LARGE, 413),
    Raw("two lengths", _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    Raw("two lengths in one", _POST + b"Content-Length: 2, 3\r\n\r\n{} "),
    Raw("a length that is none", _POST + b"Content-Length: abc\r\n\r\n{}"),
    Raw("a length below zero", _POST + b"Content-Length: -1\r\n\r\n{}"),
    Raw("a length with a sign", _POST + b"Content-Length: +2\r\n\r\n{}"),
    Raw("a length in other digits", _POST + "Content-Length: \uff12\r\n\r\n{}".encode()),
    Raw("an endless length", _POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n{}", 413),
    Raw("more than is taken", _POST + b"Content-Length: 99999999999\r\n\r\n{}", 413),
    Raw(
        "both lengths",
        _POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    Raw("an encoding that there is not", _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    Raw("an encoding before chunked", _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    Raw("chunked twice", _POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    Raw(
        "chunked and not the last",
        _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    Raw("a chunk of no size", _POST + b"Transfer-Encoding: chunked\r\n\r\n;\r\n\r\n"),
    Raw("a chunk below zero", _POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
    Raw(
        "a chunk in hexadecimal",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ),
    Raw(
        "an endless chunk",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n",
        413,
    ),
]
"""Each row: its name, what is sent, and what is answered."""
