"""Pages that run: the files, changes and commands of a page, in order, and what comes of them.

A block of a page is one of these, and anything else is a mistake of the page:

- a file: its path in backticks on a line of its own, then the block with all of its text
- a change: the same with a `diff`, whose hunks `@@` separates; what it takes away or finds is there exactly once
- `console`: `$ ` before a command, what it prints below. `atomos run` goes on serving until `^C`. A block without
  a command is what the serving terminal shows meanwhile.

After a comment `<!-- not run ... -->` a block is only read.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import httpx2

from atomos.testing.processes import free_port, wait_until

_BLOCK = re.compile(r"(?ms)^(?:<!-- (not run)[^\n]*-->\n)?(?:`([^`\n]+)`\n\n)?```(\w*)\n(.*?)^```$")
_HEADING = re.compile(r"(?m)^## (.+)$")
_PROMPT, _INTERRUPT, _SERVE = "$ ", "^C", "atomos run"
_SECONDS, _SHOWN_SECONDS = 30.0, 10.0

_NOT_A_READERS = ("ATOMOS", "PYTEST", "COV", "PYTHON")
"""What the variables begin with that a test may have, and a reader has not."""

_DIFFERS: Sequence[tuple[str, str]] = (
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "<time>"),
    (r"(?<=key[ =])[a-z0-9]{12}\b", "<key>"),
    (r"(?<= in )\d+\.\d\ds$", "<seconds>"),
)
"""What nobody can foretell. Everything else has to be as the page prints it."""


class Block(NamedTuple):
    """A block of a page: `kind` is the word behind its fence, `path` its file (empty: none), `place` page and line."""

    place: str
    heading: str
    kind: str
    path: str
    text: str


class Command(NamedTuple):
    """A command, or empty for what a page shows without one, and the lines that the page prints below it."""

    command: str
    printed: list[str]


class PageIsWrong(AssertionError):
    """A page does not do what it says."""


def blocks(page: Path) -> list[Block]:
    """Give the blocks of a page that run, in order. Raises `PageIsWrong` for one that is neither file nor command."""
    text, found = page.read_text("utf-8"), []
    matches = list(_BLOCK.finditer(text))
    if len(re.findall("(?m)^```", text)) != 2 * len(matches):
        raise PageIsWrong(f"{page.name}: a block is not closed, or not at the beginning of a line")
    for each in matches:
        line = text.count("\n", 0, each.start(3)) + 1
        place = f"{page.name}:{line}"
        above = _HEADING.findall(text[: each.start()])
        if each[1]:
            continue
        block = Block(place, above[-1] if above else "", each[3], each[2] or "", each[4])
        if (block.kind == "console") == bool(block.path):
            raise PageIsWrong(f"{place}: a file has its path above it; a command is `console`, and has none")
        found.append(block)
    return found


def write(block: Block, folder: Path) -> None:
    """Write the file of a block, or change it. Raises `PageIsWrong` where that cannot be done as the page says."""
    path = folder / block.path
    if block.kind != "diff":
        if path.exists():
            raise PageIsWrong(f"{block.place}: {block.path} is shown in full, and is there already")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        return
    for hunk in re.split("(?m)^@@\n", block.text):
        lines = [line or " " for line in hunk.splitlines()]
        if wrong := [line for line in lines if line[0] not in " -+"]:
            raise PageIsWrong(f"{block.place}: a line of a change begins with a space, - or +: {wrong[0]!r}")
        old, new = ([line[1:] for line in lines if line[0] in signs] for signs in (" -", " +"))
        text = path.read_text("utf-8").splitlines()
        found = [at for at in range(len(text)) if text[at : at + len(old)] == old]
        if len(found) != 1 or old == new:
            said = "\n".join(old)
            raise PageIsWrong(f"{block.place}: it changes what {block.path} has {len(found)} times:\n{said}")
        text[found[0] : found[0] + len(old)] = new
        path.write_text("".join(f"{line}\n" for line in text), "utf-8")


def commands(block: Block) -> Iterator[Command]:
    """Give the commands of a block, each with what the page prints below it."""
    current = Command("", [])
    for line in block.text.splitlines():
        if line.startswith(_PROMPT) or line == _INTERRUPT:
            if current.command or current.printed:
                yield current
            current = Command(line.removeprefix(_PROMPT), [])
        else:
            current.printed.append(line)
    yield current


def plain(text: str) -> list[str]:
    """Give the lines of a text without what may differ, and without spaces at their ends."""
    for pattern, said in _DIFFERS:
        text = re.sub(f"(?m){pattern}", said, text)
    return [line.rstrip() for line in text.splitlines()]


class Terminals:
    """Two terminals in the folder of a project: one that serves, one for everything else. Left, both are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        kept = {name: each for name, each in os.environ.items() if not name.startswith(_NOT_A_READERS)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**kept, "PATH": path, "ATOMOS_HTTP__PORT": str(self._port)}
        self._log = folder.parent / "serving.log"
        self._serving: subprocess.Popen[bytes] | None = None
        self._seen: list[str] = []
        pipes: Mapping[str, int] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
        self._bash = self._start(["bash"], **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in filter(None, (self._serving, self._bash)):
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait(_SECONDS)
        for pipe in filter(None, (self._bash.stdin, self._bash.stdout)):
            pipe.close()

    def run(self, block: Block) -> None:
        """Run the commands of a block. Raises `PageIsWrong` where something else is printed than the page says."""
        for command, printed in commands(block):
            expected = plain("\n".join(printed))
            came = self._came(command, expected)
            if came != expected:
                raise PageIsWrong(
                    f"{block.place}: {command or 'the serving terminal'}\nThe page says:\n"
                    + "\n".join(expected)
                    + "\nand this came:\n"
                    + "\n".join(came)
                )

    def _came(self, command: str, expected: Sequence[str]) -> Sequence[str]:
        if command == _INTERRUPT:
            return self._interrupt()
        if command == _SERVE:
            return self._serve()
        return self._asked(command) if command else self._shown_meanwhile(expected)

    def _asked(self, command: str) -> list[str]:
        """Give what a command prints in the second terminal."""
        end = "that was all of it"
        assert self._bash.stdin is not None and self._bash.stdout is not None
        here = command.replace("127.0.0.1:8000", f"127.0.0.1:{self._port}")
        self._bash.stdin.write(f"{{ {here}\n}} < /dev/null\necho; echo {end}\n".encode())
        self._bash.stdin.flush()
        lines = []
        while (line := self._bash.stdout.readline().decode()) != f"{end}\n":
            if not line:
                raise PageIsWrong(f"`{command}` ended the terminal")
            lines.append(line)
        # The line that `echo` ends, or an empty one behind one that had ended.
        return self._as_printed("".join(lines).removesuffix("\n"))

    def _serve(self) -> list[str]:
        """Begin to serve in the first terminal, and give what is printed until it is ready, or has failed."""
        if self._serving is not None and self._serving.poll() is None:
            raise PageIsWrong("`atomos run` while the service runs: ^C comes first")
        with self._log.open("wb") as log:
            serving = self._start(_SERVE.split(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._serving = serving
        wait_until(lambda: serving.poll() is not None or self._answers(), _SECONDS, "the service to answer")
        self._seen = self._serving_lines()
        return self._seen

    def _shown_meanwhile(self, expected: Sequence[str]) -> Sequence[str]:
        """Wait for lines in the first terminal, others between them; give them, or all that came in their place."""

        def are_there() -> bool:
            coming = iter(self._serving_lines()[len(self._seen) :])
            return all(line in coming for line in expected)

        with suppress(TimeoutError):
            wait_until(are_there, _SHOWN_SECONDS, "lines in the serving terminal")
            return expected
        return self._serving_lines()[len(self._seen) :]

    def _serving_lines(self) -> list[str]:
        return self._as_printed(self._log.read_text("utf-8"))

    def _answers(self) -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(f"http://127.0.0.1:{self._port}/health/ready").status_code == httpx2.codes.OK
        return False

    def _interrupt(self) -> list[str]:
        """Press Ctrl-C in the first terminal; what is printed then is not compared."""
        if self._serving is None or self._serving.poll() is not None:
            raise PageIsWrong("^C, and nothing runs")
        os.killpg(self._serving.pid, signal.SIGINT)
        self._serving.wait(_SECONDS)
        return []

    def _as_printed(self, text: str) -> list[str]:
        return plain(text.replace(f":{self._port}", ":8000"))

    def _start(self, command: Sequence[str], **pipes: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            command, cwd=self._folder, env=self._environment, start_new_session=True, **pipes
        )
