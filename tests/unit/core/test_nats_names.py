"""Names and headers of NATS: two subjects have two streams, and what a message says fits into headers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomos.core.adapters.messaging.names import stream_of
from atomos.core.adapters.messaging.nats_wire import headers_of, message_of, size_of
from atomos.core.service.messaging import WireMessage

SUBJECTS = st.text(alphabet="ab._-=5FA/é", min_size=1, max_size=8)


def test_the_stream_of_a_subject_can_be_read() -> None:
    assert stream_of("atomos.shop.line-allocated") == "atomos_shop_line-allocated"
    assert stream_of("atomos.a_b") == "atomos_a=5Fb"


@given(one=SUBJECTS, other=SUBJECTS)
def test_two_subjects_have_two_streams(one: str, other: str) -> None:
    assert (stream_of(one) == stream_of(other)) == (one == other)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", stream_of(one))


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_fits_into_a_header(text: str) -> None:
    sent = WireMessage(b"body", "text/plain", {"ce-subject": text, "ce-id": "1"}, "id-1", text)
    headers = headers_of(sent)
    for each in headers.values():
        assert each == each.strip()
        assert each.isprintable()
    assert message_of(b"body", headers) == sent


def test_what_a_header_keeps_is_written_as_it_is() -> None:
    headers = headers_of(WireMessage(b"", "application/json", {"ce-type": "a%20b ü"}, "id-1", "key-1"))
    assert headers == {
        "ce-type": "a%20b ü",
        "content-type": "application/json",
        "atomos-key": "key-1",
        "Nats-Msg-Id": "id-1",
    }


@pytest.mark.parametrize(("headers", "size"), [({}, 5), ({"a": "b"}, 5 + 12 + 6)])
def test_the_size_of_a_message_counts_its_headers(headers: dict[str, str], size: int) -> None:
    assert size_of(b"12345", headers) == size
