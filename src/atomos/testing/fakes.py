"""Adapters that only remember, for tests that ask what an application has told the outside."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.adapters.notifications import refuse_broken_lines
from ..core.service.ports import Notifications


@dataclass(frozen=True, slots=True)
class SentNotification:
    """One notification as it was sent; `effect_id` is None where there was none."""

    to: str
    subject: str
    text: str
    effect_id: str | None = None


class RecordedNotifications(Notifications):
    """Keeps notifications in `sent`, oldest first, and tells nobody. Refuses what every adapter refuses."""

    def __init__(self) -> None:
        self.sent: list[SentNotification] = []

    def send(self, *, to: str, subject: str, text: str, effect_id: str | None = None) -> None:
        """Remember one notification. Raises `NotificationRefused` as the port says."""
        refuse_broken_lines(to=to, subject=subject)
        self.sent.append(SentNotification(to, subject, text, effect_id))
