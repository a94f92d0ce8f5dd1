"""What handlers do outside the database: a book of effects, and deeds that no handler should do."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from atomos.core.domain import RuleBroken
from atomos.core.service.failpoints import hit

from .messages import Numbered


class Effect(NamedTuple):
    """One line of the book: who had which effect, under which id, for which number of an account."""

    listener: str
    account: str
    number: int
    id: str
    process: int


class Book:
    """A file outside the database, with a line for every effect; lines of several processes do not mix.

    Who is killed while it writes may leave the beginning of a line: an effect that nobody had.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def write(self, listener: str, message: Numbered, effect_id: str) -> None:
        """Have an effect: once written, it stays."""
        line = json.dumps(Effect(listener, message.account, message.number, effect_id, os.getpid()))
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # The first line feed ends what somebody else began.
            os.write(file, f"\n{line}\n".encode())
        finally:
            os.close(file)

    def beside(self, name: str) -> Book:
        """Give a book of its own, in a file beside this one; `name` is any text of a hundred characters or so."""
        return Book(f"{self._path}.{quote(name, safe=' ')}")

    def read(self) -> list[Effect]:
        """Give every effect, in the order in which they were had."""
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8").splitlines()
        return [Effect(*json.loads(line)) for line in lines if line.endswith("]")]


class Refused(RuleBroken):
    """The message said that it is to be refused."""

    def __init__(self) -> None:
        super().__init__("Refused, as it was told to be.")


class Deeds:
    """Misbehaves as a message says: `"notify fail 2; deposit wait 0.5"`, a listener, what it does, how much.

    `wait SECONDS`; `fail [TIMES]` raises, the first times or always; `refuse` raises a domain error; `leave`
    raises SystemExit; `kill` and `stop` send SIGKILL or SIGSTOP to this process, the first TIMES or always.
    """

    def __init__(self, book: Book) -> None:
        self._book = book

    def perform(self, listener: str, message: Numbered) -> None:
        """Do what the message says that this listener does."""
        for each in message.deed.split(";"):
            who, _, deed = each.strip().partition(" ")
            if who == listener:
                what, _, much = deed.partition(" ")
                self._do(what, much, listener, message)

    def _do(self, what: str, much: str, listener: str, message: Numbered) -> None:
        if what == "wait":
            time.sleep(float(much))
        elif what == "refuse":
            raise Refused
        elif self._is_over(much, f"{listener} {what}", message):
            return
        elif what == "fail":
            raise RuntimeError(f"{listener} fails for {message.account} {message.number}.")
        elif what == "leave":
            raise SystemExit(1)
        else:
            hit(signal.SIGKILL if what == "kill" else signal.SIGSTOP)

    def _is_over(self, times: str, deed: str, message: Numbered) -> bool:
        if not times:
            return False
        # In the book with all effects it would take the longer to be found, the longer the load goes on.
        done = self._book.beside(f"{deed}.{message.account}.{message.number}")
        if len(done.read()) >= int(times):
            return True
        done.write(deed, message, "")
        return False
