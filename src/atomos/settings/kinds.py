"""The kinds of values that settings have: times, counts, ports and URLs, each with its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from ..core.domain import AtLeast, Length


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `minimum` to `maximum`, both included; never NaN."""

    minimum: float
    maximum: float

    def problem(self, value: float) -> str | None:
        """Say that the number is outside, or None."""
        return (
            None
            if self.minimum <= value <= self.maximum
            else f"must be from {self.minimum} to {self.maximum}"
        )


@dataclass(frozen=True, slots=True)
class Form:
    """A text that matches the whole of a regular expression, which `said` describes to people."""

    said: str
    expression: str

    def problem(self, value: str) -> str | None:
        """Say which form is wanted, or None. The text is not repeated: it may hold a password."""
        return None if re.fullmatch(self.expression, value) else f"must be {self.said}"


@dataclass(frozen=True, slots=True)
class Server:
    """The URL of a server, or several with commas between them: a port that is one, and a path as `paths` has it.

    `paths` are regular expressions by scheme; a URL of another scheme is let pass.
    """

    said: str
    paths: Mapping[str, str] = field(hash=False)

    def problem(self, value: str) -> str | None:
        """Say what is wrong, or None. The text is not repeated: it may hold a password."""
        # A comma may be a part of a password.
        several = re.split(r",(?=[a-z]+://)", value)
        if value.partition(":")[0] not in self.paths or all(map(self._is_one, several)):
            return None
        return f"must be {self.said}; what is special in user or password is written as %40, %2F and so on"

    def _is_one(self, text: str) -> bool:
        try:
            url = urlsplit(text)
            return url.port != 0 and re.fullmatch(self.paths[url.scheme], url.path) is not None
        except (KeyError, ValueError):  # urlsplit says the one of a port, and of what is no host
            return False


# Databases count timeouts in whole milliseconds and read 0 as "no limit": less than one would switch it off.
Seconds = Annotated[float, Between(0.001, 86_400)]
"""A time from a millisecond to a day."""

Patience = Annotated[float, Between(0, 604_800)]
"""A time of up to a week; zero is for ever."""

Tries = Annotated[int, Between(0, 10)]
"""How often something is tried again, zero to ten times."""

Days = Annotated[float, Between(0, 36_500)]
"""A time of up to a hundred years, in days."""

Count = Annotated[int, AtLeast(1)]
"""How many, at least one."""

Port = Annotated[int, Between(1, 65_535)]
"""A TCP port."""

Text = Annotated[str, Length(1)]
"""A text that is not empty."""

DatabaseUrl = Annotated[
    str,
    Form(
        "sqlite:///FILE (not :memory:, which no other connection sees) or postgresql://USER:PASSWORD@HOST/NAME",
        r"sqlite:///(?!(:memory:)?(\?|$)|file:)[^?].*|postgresql(\+psycopg)?://.*",
    ),
]
"""Where a database is: `sqlite:///FILE`, `postgresql://...` or `postgresql+psycopg://...`."""

StorageUrl = Annotated[str, Form("file://FOLDER or memory://", r"file://.+|memory://.*")]
"""Where files are kept."""

Rate = Annotated[
    str,
    Form(
        "a number and a time, such as 600/minute (second, minute, hour or day)",
        r"[1-9][0-9]{0,8}/(second|minute|hour|day)",
    ),
]
"""How often: so many in a time."""

REDIS = {"redis": "/?[0-9]*", "rediss": "/?[0-9]*"}
"""The path of a Redis' URL: the number of a database, or nothing."""

CountsUrl = Annotated[
    str,
    Form("redis://HOST:PORT/NUMBER or rediss://...", r"rediss?://.+"),
    Server("redis://HOST:PORT/NUMBER, with a port up to 65535 and the number of a database", REDIS),
]
"""A Redis that counts."""

Hourly = Annotated[float, Between(0, 86_400)]
"""A time of up to a day; zero is none."""

Address = Annotated[str, Form("an e-mail address such as shop@example.org", r"[^\r\n]+@[^\r\n]+")]
"""An e-mail address, with or without a name in front of it."""

PublicUrl = Annotated[
    str,
    Form(
        "https://HOST or http://HOST, with a path or without, or only a path",
        r"https?://[^\s/?#]+(/[^\s?#]*)?|/[^\s?#]*",
    ),
]
"""Where callers reach a service; a path is on the host that they have reached already."""
