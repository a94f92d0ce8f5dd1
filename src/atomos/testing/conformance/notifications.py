"""What every adapter of the `Notifications` port must do."""

# A suite is made of assertions.

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from atomos.core.service.ports import NotificationRefused, Notifications, Outside
from atomos.testing.fakes import SentNotification

BROKEN_LINES = [
    "two\nlines",
    "two\r\nBcc: eve@example.com",
    "two\rlines",
    "nul\0",
    "two\u2028lines",
    "two\x85lines",
]
"""Texts that must not become a header: each could begin a second one."""


class NotificationsSuite:
    """Subclass it as `class TestSmsNotifications(NotificationsSuite)` and give the fixtures that it asks for.

    `notifications` is the adapter. `arrived` is a list, or another live sequence, of what has reached the
    receivers since the test began, oldest first. `recipient` is an address that the adapter understands.
    """

    @pytest.fixture
    def notifications(self) -> Notifications:
        """Give the adapter."""
        pytest.fail(f"{type(self).__name__} must have a fixture `notifications`: the adapter.")

    @pytest.fixture
    def arrived(self) -> Sequence[SentNotification]:
        """Give what has reached the receivers."""
        pytest.fail(f"{type(self).__name__} must have a fixture `arrived`: what was received.")

    @pytest.fixture
    def recipient(self) -> str:
        """Give an address; this one unless a subclass gives another."""
        return "ana@example.com"

    def test_it_is_known_as_something_outside(self, notifications: Notifications) -> None:
        """The boot check refuses it where a repeat would tell people twice."""
        assert isinstance(notifications, Notifications)
        assert isinstance(notifications, Outside)

    def test_a_notification_arrives_with_all_that_was_said(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str
    ) -> None:
        """Recipient, subject and text are the receiver's to read."""
        notifications.send(to=recipient, subject="Out of stock", text="Order more.", effect_id="m-1.warn.1")

        assert [_said(each) for each in arrived] == [(recipient, "Out of stock", ["Order more."])]

    def test_the_effect_id_arrives_so_that_a_repeat_can_be_dropped(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str
    ) -> None:
        """A repeat carries the same one, another effect another one."""
        for effect_id in ("0193a5f0-1111-7abc-8def-0123456789ab.warn.1", "m-1.warn.1", "m-1.warn.1"):
            notifications.send(to=recipient, subject="Again", text="and again", effect_id=effect_id)

        first, second, repeat = [each.effect_id for each in arrived]
        assert first == "0193a5f0-1111-7abc-8def-0123456789ab.warn.1"
        assert second == repeat == "m-1.warn.1"

    def test_an_effect_id_is_not_needed(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str
    ) -> None:
        """What nobody repeats needs no mark."""
        notifications.send(to=recipient, subject="Once", text="only")

        assert len(arrived) == 1

    def test_notifications_arrive_in_the_order_in_which_they_were_sent(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str
    ) -> None:
        """One caller's order is kept."""
        for number in range(5):
            notifications.send(to=recipient, subject=f"Number {number}", text="text")

        assert [each.subject for each in arrived] == [f"Number {number}" for number in range(5)]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Grüße, 世界 \N{SNOWMAN}",
            "one\ntwo\n\nthree",
            ".\n..\n.end",
            "long " * 1000,
            "From me\n> to you",
        ],
    )
    def test_any_text_arrives_unchanged(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str, text: str
    ) -> None:
        """Whatever its lines, its length and its script; how lines end is the receiver's affair."""
        notifications.send(to=recipient, subject="Text", text=text)

        assert [each.text.splitlines() for each in arrived] == [text.splitlines()]

    @pytest.mark.parametrize("subject", ["", "Grüße, 世界", "word " * 60 + "end", "=?utf-8?q?Bob?=", "a: b"])
    def test_any_subject_of_one_line_arrives_unchanged(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str, subject: str
    ) -> None:
        """Whatever its length and its script."""
        notifications.send(to=recipient, subject=subject, text="text")

        assert [each.subject for each in arrived] == [subject]

    @pytest.mark.parametrize("broken", BROKEN_LINES, ids=ascii)
    @pytest.mark.parametrize("field", ["to", "subject"])
    def test_a_line_break_is_refused_and_nothing_is_sent(
        self,
        notifications: Notifications,
        arrived: Sequence[SentNotification],
        recipient: str,
        field: str,
        broken: str,
    ) -> None:
        """Nobody can add a header by way of a recipient or a subject."""
        said = {"to": recipient, "subject": "Subject", field: recipient + broken}

        with pytest.raises(NotificationRefused, match=f"`{field}` has a line break"):
            notifications.send(to=said["to"], subject=said["subject"], text="text")

        assert list(arrived) == []

    @pytest.mark.parametrize("nobody", ["", "  "])
    def test_nobody_cannot_be_told(
        self, notifications: Notifications, arrived: Sequence[SentNotification], nobody: str
    ) -> None:
        """An empty recipient is a mistake of the sender."""
        with pytest.raises(NotificationRefused, match="`to` is empty"):
            notifications.send(to=nobody, subject="Subject", text="text")

        assert list(arrived) == []

    def test_several_threads_may_send_at_once(
        self, notifications: Notifications, arrived: Sequence[SentNotification], recipient: str
    ) -> None:
        """One adapter serves all of a worker's threads."""

        def send(number: int) -> None:
            notifications.send(to=recipient, subject=f"Number {number}", text=f"text {number}")

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(send, range(12)))

        assert {(each.subject, each.text.strip()) for each in arrived} == {
            (f"Number {number}", f"text {number}") for number in range(12)
        }
        assert len(arrived) == 12


def _said(sent: SentNotification) -> tuple[str, str, list[str]]:
    return sent.to, sent.subject, sent.text.splitlines()
