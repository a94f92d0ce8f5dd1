"""The nursery: starts processes quickly, and lets none of them outlive the one that asked for them.

It is a process of its own that has imported the libraries once, and forks; what it starts imports Atomos and the
application anew, and is a process like any other. When its input ends, because whoever asked has ended in
whatever way, it kills what is left. As a script it imports nothing of Atomos.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, cast

_LIBRARIES = (
    "alembic.command",
    "alembic.context",
    "click",
    "dependency_injector.containers",
    "flask",
    "marshmallow",
    "prometheus_client",
    "psycopg",
    "pydantic_settings",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.orm",
    "structlog",
)
_ENDING_SECONDS = 10.0


class Birth(NamedTuple):
    """What is to be started: a module with its arguments, where, in which environment; `output` is a file."""

    what: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    output: str


class Nursery:
    """The nursery, as its parent sees it; any thread may ask. Once it has ended, so has all that it started."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._asking = threading.Lock()
        self._is_closed = False

    def start(self, birth: Birth) -> int:
        """Start a process; give its id."""
        return cast("int", self._ask(birth._asdict()))

    def ended(self, process: int) -> int | None:
        """Give the exit code of a process that it started, negative for a signal; None while it runs."""
        return -signal.SIGKILL if self._is_closed else cast("int | None", self._ask(process))

    def close(self) -> None:
        """Kill what is left, and end."""
        assert self._process.stdin is not None
        self._is_closed = True
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(_ENDING_SECONDS)

    def _ask(self, question: object) -> object:
        pipe = self._process
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        with self._asking:
            try:
                pipe.stdin.write(json.dumps(question).encode() + b"\n")
                pipe.stdin.flush()
                if answer := pipe.stdout.readline():
                    return json.loads(answer)
            except BaseException:  # Ctrl-C: the answer would be taken for that of the next question
                self.close()
                raise
            raise RuntimeError("the nursery has ended; what it said is above")


@cache
def nursery() -> Nursery:
    """Give the nursery of this process."""
    made = Nursery()
    atexit.register(made.close)
    return made


class _Keeper:
    """The nursery from within: forks, and buries."""

    def __init__(self) -> None:
        self._alive: set[int] = set()
        self._ended: dict[int, int] = {}

    def keep(self) -> Birth | None:
        """Answer until nobody asks or listens; in a process that was forked, give what it is to be."""
        with suppress(BrokenPipeError):
            for line in sys.stdin.buffer:
                asked: Any = json.loads(line)
                if isinstance(asked, int):
                    self._say(self.end_of(asked))
                    continue
                if not (process := os.fork()):
                    return Birth(**asked)
                self.begin(process)
                self._say(process)
        for process in self._alive:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return None

    def begin(self, process: int) -> None:
        """Note a process that was started just now, whatever its id was before."""
        self._ended.pop(process, None)
        self._alive.add(process)

    def end_of(self, process: int) -> int | None:
        """Give the exit code of a process that ended; None while it runs."""
        if process in self._alive:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                self._alive.remove(process)
                self._ended[process] = os.waitstatus_to_exitcode(status)
        return self._ended.get(process)

    def _say(self, answer: int | None) -> None:
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _become(birth: Birth) -> None:
    """Go on as `python -m` would have begun."""
    os.setsid()
    said = os.open(birth.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), said, said)):
        os.dup2(file, number)
    os.chdir(birth.folder)
    os.environ.clear()
    os.environ.update(birth.environment)
    more = [each for each in birth.environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:0] = [birth.folder, *more]
    sys.argv[:] = birth.what
    runpy.run_module(birth.what[0], run_name="__main__", alter_sys=True)


def _main() -> None:
    for each in _LIBRARIES:
        with suppress(ImportError):
            import_module(each)
    if (birth := _Keeper().keep()) is not None:
        _become(birth)


if __name__ == "__main__":
    _main()
