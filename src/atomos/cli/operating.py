"""What the commands of operators share: the application with its log, instants, and who is asking."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from .application import UnusableInput, built, log_as, prepare_known

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service.envelope import Principal
    from atomos.core.service.operations import Explanation

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Instant(click.ParamType[datetime]):
    """`2026-11-22`, `2026-11-22T12:30`, with or without a time zone (then UTC), or `90m`, which is ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            if ago := re.fullmatch(r"(\d+)([smhd])", value):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            at = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; expected one such as 2026-11-22T12:30 or 90m.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Id(click.ParamType[str]):
    """The id of a message, or of a conversation."""

    name = "uuid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        try:
            return str(UUID(value))
        except ValueError:
            self.fail(f"{value!r} is no id of a message.", param, ctx)


class Conversation(click.ParamType[str]):
    """The id of a conversation, or what another service calls it."""

    name = "uuid or text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Read it."""
        from atomos.core.service.receiving import conversation_of

        return conversation_of(value)


class Reason(click.ParamType[str]):
    """Why an operator does something: not blank, since others read it later."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        return str(value).strip() or self.fail("the reason is empty; say it in a few words.", param, ctx)


@contextmanager
def opened(app: str | None) -> Iterator[Atomos]:
    """Build the application, its database ready and its logging set up; everything is closed at the end.

    Raises `UnusableInput` where there is no database to look into.
    """
    atomos = built(app)
    log_as(atomos.settings)
    try:
        prepare_known(atomos)
        yield atomos
    finally:
        atomos.close()


def user() -> str:
    """Name who runs this, as the operating system knows it; in a container it may know a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def sender() -> Principal:
    """Say who emits and asks on the command line: `cli:ana`, who may do everything.

    Whoever runs it with the settings of an installation has its database in hand: a permission would be a pretence.
    """
    from atomos.core.service.envelope import Principal

    return Principal(f"cli:{user()}")


def by(command: F) -> F:
    """Give a command the option `--by`."""
    return click.option(
        "--by", default=user, help="Who does this; it is noted.  [default: you, on this machine]"
    )(command)


def found(atomos: Atomos, message_id: str) -> Explanation:
    """Find a message, and why each of its deliveries waits. Raises `UnusableInput`."""
    explanation = atomos.container.core.inspection().explain(message_id)
    if explanation is None:
        raise UnusableInput(
            f"There is no message {message_id}: it was never stored, or its retention is over."
        )
    return explanation  # type: ignore[no-any-return]
