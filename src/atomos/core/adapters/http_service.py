"""What adapters to other people's HTTP services are made from: time limits, careful repeats, clear errors."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import httpx2
import stamina

from ..domain.errors import DomainError
from ..service.ports import Outside, Unavailable

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""The methods of which several requests in a row have the effect of one (RFC 9110)."""

_PASSING = frozenset({429, 502, 503, 504})
"""The answers that say nothing of the request itself."""

_LOST = (
    httpx2.TimeoutException,
    httpx2.NetworkError,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
    httpx2.DecodingError,
)
"""After these nobody here knows whether the service has done what it was asked."""

_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f?#]")

_LONGEST_RETRY_AFTER = 3600.0
"""In seconds: what a service can make others wait at most."""


class ServiceRefused(DomainError):
    """A service refused a request for good. Sending the same one again will not help.

    `method` and `url` (without query and credentials) say which one. `status` is what it was answered with,
    None where it could not be sent at all. `body` came with the answer; the message does not show it.
    """

    def __init__(
        self, method: str, url: str, status: int | None, *, body: bytes = b"", advice: str = ""
    ) -> None:
        said = "could not be sent" if status is None else f"was answered with {status}"
        expected = advice or "An answer of 2xx was expected: correct what is sent."
        super().__init__(f"{method} {url} {said}. {expected}")
        self.method, self.url, self.status, self.body = method, url, status, body


class ServiceUnavailable(Unavailable):
    """A service does not answer, or asks to be tried later.

    `method` and `url` (without query and credentials) say which request it was. `status` is what it was
    answered with, None where no answer came. `asked_to_wait` is in seconds, None where nothing was asked.
    """

    def __init__(
        self,
        method: str,
        url: str,
        said: str,
        *,
        status: int | None = None,
        asked_to_wait: float | None = None,
    ) -> None:
        retry_after = 1.0 if asked_to_wait is None else asked_to_wait
        super().__init__(f"{method} {url} {said}. Trying later may help.", retry_after=retry_after)
        self.method, self.url, self.status, self.asked_to_wait = method, url, status, asked_to_wait


class HttpService(Outside):
    """What an adapter to an HTTP service is made from: `class StripePayments(HttpService, Payments)`.

    `base_url` is what all its URLs begin with; credentials in it are sent as basic authentication.
    `connect_timeout` and `read_timeout` are in seconds, above zero: for one connection, and for each wait for
    data. `attempts` is how often a request is sent at most, if it may be repeated; 1 means no repeats.
    Between two it waits a growing time with jitter, or what the service asks for in `Retry-After`;
    `longest_wait` seconds at most, zero for none. Asked for more, it gives up at once and passes it on as
    `Unavailable.retry_after`. `headers` go with every request, None for none. `tls` says which certificates
    to trust, None for the system's. Redirects are not followed. Several threads may use it; it connects only
    to send. Raises ValueError when one of these is wrong.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        attempts: int = 3,
        longest_wait: float = 5.0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        url = _base(base_url)
        _check_settings(connect_timeout, read_timeout, attempts, longest_wait)
        _keep_urls_out_of_logs()
        self._attempts, self._longest_wait = attempts, longest_wait
        self._url = _shown(url)
        self._client = httpx2.Client(
            base_url=self._url,
            auth=(url.username, url.password) if url.userinfo else None,
            headers=headers,
            timeout=httpx2.Timeout(read_timeout, connect=connect_timeout, pool=connect_timeout),
            verify=tls or True,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    def close(self) -> None:
        """Close the connections; nothing can be sent after it."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        effect_id: str | None = None,
        params: Mapping[str, str | int | float | bool] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send a request and give its answer, whose status is 2xx.

        `path` begins with `/` and follows the base URL; quote the values in it. `effect_id` is sent as
        `Idempotency-Key`; with one, POST and PATCH are repeated as well, with None they are sent once.
        `json` or `content` is the body, None for none. Raises `ServiceRefused` for every answer but 2xx, 429
        and 5xx, `ServiceUnavailable` for the latter two and where none came, ValueError for a wrong path.
        """
        request = self._client.build_request(
            method.upper(), _checked(path), params=params, json=json, content=content, headers=headers
        )
        if effect_id:
            request.headers["Idempotency-Key"] = effect_id
        return self._send(request, may_repeat=request.method in _REPEATABLE or bool(effect_id))

    def _send(self, request: httpx2.Request, *, may_repeat: bool) -> httpx2.Response:
        # Not by the number of attempts, which stamina's test mode replaces.
        def pause(error: Exception) -> bool | float:
            return may_repeat and self._pause(error)

        for attempt in stamina.retry_context(
            on=pause, attempts=self._attempts, timeout=None, wait_max=self._longest_wait
        ):
            with attempt:
                return self._send_once(request, attempt.num)
        raise AssertionError("The last attempt returns or raises.")  # pragma: no cover

    def _pause(self, error: Exception) -> bool | float:
        """Say how many seconds to wait before the next attempt: True leaves it to stamina, False ends it."""
        if not isinstance(error, ServiceUnavailable) or error.status not in {None, *_PASSING}:
            return False
        if error.asked_to_wait is None:
            return True
        return error.asked_to_wait if error.asked_to_wait <= self._longest_wait else False

    def _send_once(self, request: httpx2.Request, attempt: int) -> httpx2.Response:
        method, url = request.method, _shown(request.url)
        try:
            response = self._client.send(request)
        except _LOST as error:
            said = f"got no answer at attempt {attempt} ({type(error).__name__})"
            raise ServiceUnavailable(method, url, said) from error
        except httpx2.RequestError as error:
            # The error's own text shows the header that is wrong, and with it the secret in there.
            advice = f"{type(error).__name__}: correct its headers; no value may have a line break."
            raise ServiceRefused(method, url, None, advice=advice) from None
        if response.is_success:
            return response
        if response.status_code == 429 or response.is_server_error:
            said = f"was answered with {response.status_code} at attempt {attempt}"
            asked = _asked_to_wait(response)
            raise ServiceUnavailable(method, url, said, status=response.status_code, asked_to_wait=asked)
        advice = "Redirects are not followed: correct the URL." if response.is_redirect else ""
        raise ServiceRefused(method, url, response.status_code, body=response.content, advice=advice)


def _base(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        # Not shown, as there may be a password in it.
        raise ValueError("base_url must be like 'https://api.example.com/v1': http(s), a host, and no query.")
    return url


def _check_settings(connect_timeout: float, read_timeout: float, attempts: int, longest_wait: float) -> None:
    for name, value in (("connect_timeout", connect_timeout), ("read_timeout", read_timeout)):
        if value <= 0:
            raise ValueError(f"{name} must be above 0 seconds, is {value}.")
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, is {attempts}.")
    if longest_wait < 0:
        raise ValueError(f"longest_wait must be at least 0 seconds, is {longest_wait}.")


def _keep_urls_out_of_logs() -> None:
    # httpx2 logs each URL as it is, with the tokens in its query.
    logger = logging.getLogger("httpx2")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _checked(path: str) -> str:
    """Give the path back, or refuse one that would take the headers to another path or host."""
    leaves = not path.startswith("/") or not {".", ".."}.isdisjoint(unquote(path).split("/"))
    if leaves or _NOT_IN_A_PATH.search(path):
        raise ValueError(
            f"path {path!r} is wrong: it must begin with '/' and have no part '.' or '..', no '?', no '#' "
            "and no control character. "
            "Quote the values in it with urllib.parse.quote(value, safe=''), and give the query as `params`."
        )
    return path


def _shown(url: httpx2.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _asked_to_wait(response: httpx2.Response) -> float | None:
    """Read `Retry-After`, in seconds or as a date; None where there is none that can be understood."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), _LONGEST_RETRY_AFTER)
    if (at := _date(said)) is None:
        return None
    # By the service's own clock where it tells: ours may be an hour off.
    now = _date(response.headers.get("Date", "")) or datetime.now(UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (OverflowError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
