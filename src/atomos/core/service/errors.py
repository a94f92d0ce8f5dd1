"""What can go wrong while a message is handled."""

from __future__ import annotations

from ..domain.errors import NotFound
from .diagnostics import Diagnosed
from .ports import Unavailable


class NotCommitted(Diagnosed):
    """A command handler returned without a commit."""

    code = "ATM030"


class AnswerDiffers(Diagnosed):
    """A handler returned something else than it committed."""

    code = "ATM031"


class CommittedTwice(Diagnosed):
    """A second commit in one handling."""

    code = "ATM032"


class NotListed(Diagnosed):
    """An aggregate recorded an event that its command may not record."""

    code = "ATM033"


class InsideHandling(Diagnosed):
    """The bus was used from inside a handling."""

    code = "ATM034"


class ReadOnly(Diagnosed):
    """Something other than a command tried to write."""

    code = "ATM035"


class NoHandling(Diagnosed):
    """The session of a handling was asked for, and none is in progress."""

    code = "ATM036"


class NoRoute(Diagnosed):
    """A message that no route mentions."""

    code = "ATM037"


class Reused(Diagnosed):
    """An id was used again with another content."""

    code = "ATM038"


class InFlight(Diagnosed):
    """The same message is still being handled. `retry_after` is in seconds."""

    code = "ATM039"
    retry_after = 1.0


class Unreadable(Diagnosed):
    """A stored message that this build cannot read."""

    code = "ATM040"


class NewerBuild(Diagnosed, Unavailable):
    """A newer build carried out what is repeated here; its processes know the answer."""

    code = "ATM076"


class NotLookedUp(Unavailable):
    """Whether a message is a repeat could not be looked up. Nothing was done."""


class StoredAnswer(Diagnosed):
    """The answer that a message was given has another shape than this build knows."""

    code = "ATM072"


class LeaseLost(Diagnosed):
    """The delivery that led here is no longer this worker's."""

    code = "ATM041"


class NotPermitted(Diagnosed):
    """The principal lacks a permission."""

    code = "ATM042"


class Conflict(Diagnosed):
    """Someone else was first: a stale version, a deadlock, a lock timeout, or the same thing made twice."""

    code = "ATM043"


class NotOpen(Diagnosed):
    """A unit of work was used while it was not open."""

    code = "ATM044"


class NoAnswer(Diagnosed):
    """The triggers decided for no command that gives the event's answer."""

    code = "ATM045"


class ForeignTable(Diagnosed):
    """A projection touched a table that is not one of its views."""

    code = "ATM046"


class NoRecipient(Diagnosed):
    """A delivery for a recipient that this build does not have."""

    code = "ATM047"


class MadeInvalid(Diagnosed):
    """A handler made a message or an answer that breaks its constraints."""

    code = "ATM048"


class OnlyRecorded(Diagnosed):
    """An event was emitted that only a command may record."""

    code = "ATM049"


class NoTimerKey(Diagnosed):
    """A timer has a name and no key."""

    code = "ATM070"


class MissingExtra(Diagnosed):
    """Something that is configured needs libraries that are not installed."""

    code = "ATM059"

    def __init__(self, extra: str, needed_because: str) -> None:
        super().__init__(f"{needed_because}: run `pip install 'atomos-framework[{extra}]'`.")


class Repeated(Diagnosed):
    """The message's id is in the log already: a repeat, which the bus answers with what the first one was told."""

    code = "ATM038"


class Outdated(Diagnosed):
    """What was to be changed has another version than its sender expects."""

    code = "ATM077"


class SentLater(Diagnosed):
    """An event with this id was sent to be handled later; `message_id` is its id."""

    code = "ATM078"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"The event {message_id} was sent to be handled later.")
        self.message_id = message_id


class UnknownMessage(NotFound):
    """No message of this id was sent, or not by whoever asks."""


class TooLong(Diagnosed):
    """A handler took longer than its recipient's time limit."""

    code = "ATM073"
