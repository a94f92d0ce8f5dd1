"""Requests on their way: whole when the last byte is there, however they are cut, and refused as soon as that shows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from gunicorn.config import Config
from gunicorn.http import errors
from hypothesis import given
from hypothesis import strategies as st

from atomos.connections.arriving import MOST_HEAD_BYTES, Allowed, Arriving, TooLarge
from atomos.connections.refusals import REFUSALS, refusal

MOST = 1000
HEAD = b"POST /things HTTP/1.1\r\nHost: here\r\n"
SIZED = HEAD + b"Content-Length: 5\r\n\r\n12345"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;how=fast\r\n12\r\n003\r\n345\r\n0\r\n\r\n"
TRAILED = CHUNKED[:-2] + b"X-Sum: 7\r\nX-More: 8\r\n\r\n"
EMPTY = b"GET /things HTTP/1.1\r\nHost: here\r\n\r\n"


def arriving() -> Arriving:
    return Arriving(Allowed(Config(), MOST), ("127.0.0.1", 1))


@given(st.data(), st.sampled_from([SIZED, CHUNKED, TRAILED, EMPTY]), st.sampled_from([b"", SIZED, EMPTY]))
def test_a_request_is_whole_with_its_last_byte_however_it_is_cut(
    data: st.DataObject, request: bytes, follows: bytes
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(request) - 1), max_size=20)))
    bounds = [0, *cuts, len(request)]
    pieces = [request[start:end] for start, end in pairwise(bounds)]
    client = arriving()

    assert [client.take(piece) for piece in pieces[:-1]] == [False] * (len(pieces) - 1)
    assert client.take(pieces[-1] + follows)
    client.read_body()
    assert client.head.body.read() == (b"" if request is EMPTY else b"12345")
    assert bytes(client.received) == follows


def test_what_came_after_a_request_is_the_next_one() -> None:
    client = arriving()
    assert client.take(SIZED + CHUNKED + EMPTY)
    assert client.head.path == "/things"
    for _ in range(2):
        client.begin()
        assert client.is_whole()
    assert client.head.method == "GET"
    client.begin()
    assert not client.is_begun


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"GET /\nHost: a", errors.InvalidRequestLine),
        (EMPTY[:-2] + b"X: a\n", errors.InvalidHeader),
        (b"GET /" + b"a" * 4095, errors.LimitRequestLine),
        (EMPTY[:-2] + b"X: a\r\n" * 101 + b"\r\n", errors.LimitRequestHeaders),
        (EMPTY[:-2] + b"X: " + b"a" * MOST_HEAD_BYTES, errors.LimitRequestHeaders),
        (b"GET / HTTP/1.1\r\n\r\n", errors.InvalidHeader),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", errors.UnsupportedTransferCoding),
        (HEAD + b"Content-Length: 1001\r\n\r\n", TooLarge),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3E9\r\n", TooLarge),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"e" * 900 + b"\r\na\r\n") * 80, TooLarge),
    ],
)
def test_what_cannot_become_a_request_is_refused_before_more_of_it_is_read(
    sent: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        arriving().take(sent)


@pytest.mark.parametrize(
    "frames",
    [
        b"2\r\n123\r\n0\r\n\r\n",  # longer than it says
        b"-2\r\n12\r\n0\r\n\r\n",
        b"0x2\r\n12\r\n0\r\n\r\n",
        b"\r\n12\r\n0\r\n\r\n",
        b"2;=\r\n12\r\n0\r\n\r\n",
        b"0\r\nNo trailer\r\n\r\n",
        b"0\r\n" + b"X: a\r\n" * 2000,
        b"2" + b"0" * 1100,
    ],
)
def test_a_body_that_is_no_chunked_one_is_read_to_where_that_shows_and_refused(frames: bytes) -> None:
    client = arriving()
    whole = client.take(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + frames)
    assert whole
    with pytest.raises((errors.ParseException, errors.NoMoreData)) as raised:
        client.read_body()
    assert refusal(raised.value).status == 400


def test_a_client_that_asks_is_told_to_go_on_only_once_its_head_is_there() -> None:
    client = arriving()
    client.take(HEAD + b"Expect: 100-continue\r\n")
    assert not client.wants_more
    client.take(b"Content-Length: 5\r\n\r\n")
    assert client.wants_more


def test_every_way_in_which_gunicorn_refuses_is_told_as_a_fault_of_the_client() -> None:
    # What the application does wrong, and what is configured wrongly, is no client's fault.
    inside = {errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName}
    known = {
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, Exception) and cls not in inside
    }
    assert known - set(REFUSALS) <= {
        errors.InvalidProxyLine,
        errors.InvalidProxyHeader,
        errors.InvalidSchemeHeaders,
        errors.ForbiddenProxyRequest,
        errors.InvalidH2CPreface,
    }
    for cls in known:
        assert 400 <= refusal(cls.__new__(cls)).status < 500, cls
