"""A request on its way: the bytes that came, and the head as soon as it is there."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, UnsupportedTransferCoding
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from .chunks import Chunks

MOST_HEAD_BYTES = 65_536
"""The largest head of a request: its first line and all header fields together."""

_END = b"\r\n\r\n"
_LINE = b"\r\n"


class TooLarge(Exception):
    """A body is larger than it may be."""


class CutOff(Exception):
    """A client ended what it sends in the middle of a request."""


class Allowed(NamedTuple):
    """How large a request may be: gunicorn's settings, and the bytes of a body."""

    cfg: Any
    body_bytes: int


class Arriving:
    """What one client sends, request after request; `head` is the one that is on its way, as soon as its head is."""

    def __init__(self, allowed: Allowed, client: Any) -> None:
        self.received = bytearray()
        self.head: Any = None
        self._allowed = allowed
        self._client = client
        self._count = 0
        self._seen = 0
        self._length = 0
        self._chunks: Chunks | None = None

    @property
    def is_begun(self) -> bool:
        """Whether a part of a request is there."""
        return self.head is not None or bool(self.received)

    @property
    def wants_more(self) -> bool:
        """Whether the client waits for a word before it sends the body (`Expect: 100-continue`)."""
        return self.head is not None and bool(self.head._expected_100_continue)

    @property
    def is_of_head(self) -> bool:
        """Whether the request on its way is a HEAD, whose answer has no body whatever it is (RFC 9110, 9.3.2)."""
        return self.received.startswith(b"HEAD ") if self.head is None else self.head.method == "HEAD"

    def begin(self) -> None:
        """Forget the request that was answered; what came after it is the next one."""
        self.head, self._chunks, self._seen = None, None, 0

    def take(self, data: bytes) -> bool:
        """Take what came, and say whether a request is whole. Raises what gunicorn raises, and `TooLarge`."""
        self.received += data
        return self.is_whole()

    def is_whole(self) -> bool:
        """Say whether a request is whole. Raises what gunicorn raises, and `TooLarge`."""
        if self.head is None:
            self.head = self._read_head()
        if self.head is None:
            return False
        end = self._chunks.end(self.received) if self._chunks else self._length
        self._check_size()
        if end is None or len(self.received) < end:
            return False
        self.head.unreader.unread(bytes(self.received[:end]))
        del self.received[:end]
        return True

    def read_body(self) -> None:
        """Read the body of a whole request, so that nothing can go wrong with it later. Raises what gunicorn raises."""
        self.head.body = BytesIO(self.head.body.read())

    def _read_head(self) -> Any:
        new, self._seen = self._seen, len(self.received)
        end = self.received.find(_END, max(0, new - len(_END) + 1))
        if (self._seen if end < 0 else end) > MOST_HEAD_BYTES:
            raise LimitRequestHeaders("all of them together")
        if end < 0 and not self._is_bad(new):
            return None
        source: Any = IterUnreader([bytes(self.received)])
        self._count += 1
        head: Any = Request(self._allowed.cfg, source, self._client, self._count)
        if head.version >= (1, 1) and not any(name == "HOST" for name, _ in head.headers):
            raise InvalidHeader("HOST", req=head)  # RFC 9112, 3.2
        if any(name == "TRANSFER-ENCODING" and value.lower() != "chunked" for name, value in head.headers):
            # gunicorn takes gzip, and leaves it as it is.
            raise UnsupportedTransferCoding("Transfer-Encoding")
        self.received[:] = source.take_buffered()
        self._chunks = Chunks() if isinstance(head.body.reader, ChunkedReader) else None
        self._length = getattr(head.body.reader, "length", 0)
        return head

    def _is_bad(self, new: int) -> bool:
        """Say whether it is clear before the end of a head that gunicorn will refuse it."""
        lines = self.received.count(b"\n", new)
        bare = lines != self.received.count(_LINE, max(0, new - 1))
        longest = int(self._allowed.cfg.limit_request_line) + len(_LINE)
        return bare or (self._seen > longest and self.received.find(_LINE, 0, longest) < 0)

    def _check_size(self) -> None:
        most = self._allowed.body_bytes
        if self._chunks is None:
            is_larger = self._length > most
        else:
            # Sizes and extensions of chunks may take as much room as what they hold, and not more.
            is_larger = self._chunks.size > most or len(self.received) > 2 * most + MOST_HEAD_BYTES
        if is_larger:
            raise TooLarge
