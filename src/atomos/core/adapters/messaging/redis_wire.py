"""Messages as entries of a Redis stream, and what Redis says when it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...service.errors import MissingExtra
from ...service.messaging import WireMessage
from ...service.ports import Unavailable

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as missing:
    raise MissingExtra("redis", "broker.url is a Redis") from missing

__all__ = ["Fields", "client_of", "fields_of", "message_of", "redis", "told_plainly"]

Fields = Mapping[bytes, bytes]
"""The fields of an entry: `body`, and where there is one `content-type`, `key`, `id`; `h:NAME` for each header."""

_BODY, _CONTENT_TYPE, _KEY, _ID = b"body", b"content-type", b"key", b"id"
_HEADER = b"h:"
_LOST = re.compile("NOGROUP|UNBLOCKED|no such key")


def client_of(url: str, timeout: float, *, single: bool = False) -> Any:
    """Make a client. `timeout` is in seconds, for a connection and for a reply; `single` keeps one connection."""
    # No second try: it would publish twice, and the caller decides. The second protocol, because its replies have
    # had the same form in all versions.
    return redis.Redis.from_url(
        url,
        single_connection_client=single,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def fields_of(message: WireMessage) -> dict[bytes, bytes]:
    """Give the fields of a message's entry."""
    named = {_CONTENT_TYPE: message.content_type, _KEY: message.key, _ID: message.id}
    fields = {_BODY: message.body}
    fields |= {name: text.encode() for name, text in named.items() if text is not None}
    fields |= {_HEADER + name.lower().encode(): text.encode() for name, text in message.headers.items()}
    return fields


def message_of(fields: Fields) -> WireMessage:
    """Read a message from its entry; what other programs wrote is read as far as it goes."""
    headers = {
        _text(name[len(_HEADER) :]): _text(each) for name, each in fields.items() if name[:2] == _HEADER
    }
    content_type, key, message_id = (fields.get(each) for each in (_CONTENT_TYPE, _KEY, _ID))
    return WireMessage(
        fields.get(_BODY, b""),
        None if content_type is None else _text(content_type),
        {name.lower(): text for name, text in headers.items()},
        None if message_id is None else _text(message_id),
        None if key is None else _text(key),
    )


@contextmanager
def told_plainly(client: Any, doing: str) -> Iterator[None]:
    """Turn what the library raises into `Unavailable`; `doing` is what was tried, for the sentence."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise Unavailable(f"{_name(client)} refused the user or the password: correct broker.url.") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise Unavailable(
            f"{_name(client)} (broker.url) does not answer: it refused a connection, closed it, or did not reply in "
            "time."
        ) from error
    except redis.ResponseError as error:
        if _LOST.search(str(error)):
            raise Unavailable(
                f"{_name(client)} could not {doing}: the stream or its group is not there."
            ) from error
        raise Unavailable(f"{_name(client)} could not {doing}: {str(error).rstrip('.')}.") from error


def _name(client: Any) -> str:
    said = client.connection_pool.connection_kwargs
    return f"Redis at {said.get('path') or '{}:{}'.format(said.get('host', 'localhost'), said.get('port', 6379))}"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
