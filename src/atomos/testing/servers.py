"""Servers of a test's own: a PostgreSQL that may be stopped, killed, frozen, copied and made read-only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, LiteralString, Self

import psutil
import psycopg

from .processes import free_port, wait_until

Mode = Literal["smart", "fast", "immediate"]

_SIGNALS: Mapping[Mode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0

# Nothing here survives a power cut, and nobody asks it to.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_senders": "3",
    "wal_receiver_status_interval": "1s",
}


class PostgresServer:
    """A PostgreSQL of a test's own, on a free port of the loopback: entered, it serves; left, it is gone.

    `settings` are added to its configuration, as text. Its programs are looked for where ATOMOS_TEST_POSTGRES_BIN
    says, or `pg_config`; `FileNotFoundError` when there are none. Under root it runs as the user `postgres`.
    """

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._programs = _programs()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._root: Path | None = None
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, for its superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, with a fresh cluster the first time, and wait until it answers."""
        if self._root is None:
            self._make_cluster()
        assert self._root is not None
        given = [f"--{name}={value}" for name, value in {**self._settings, "port": self.port}.items()]
        with (self._root / "server.log").open("ab") as log:
            command = [str(self._programs / "postgres"), "-D", str(self._root / "data"), *given]
            user = _its_user()
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **user)  # noqa: S603
        wait_until(self._answers, _START_SECONDS, f"the server on port {self.port} to answer")

    def stop(self, mode: Mode = "fast") -> None:
        """Stop it: `smart` waits for its clients to leave, `fast` ends them, `immediate` is a crash with a goodbye."""
        assert self._process is not None, "the server was not started"
        self._process.send_signal(_SIGNALS[mode])
        self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """Kill all its processes at once (SIGKILL)."""
        processes = self._processes()
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes, _STOP_SECONDS)
        if self._process is not None:
            self._process.wait(_STOP_SECONDS)

    def restart(self, mode: Mode = "fast") -> None:
        """Stop it and start it again, on the same port."""
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """Stop all its processes where they are (SIGSTOP): connections stay open, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its processes go on."""
        self._signal_all(signal.SIGCONT)

    def run(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction; give its rows."""
        # Not read-only, so that it can undo `be_read_only`.
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5, options=options) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def be_read_only(self, read_only: bool = True) -> None:
        """Refuse every write from the next transaction on, of connections that are open too; or take them again."""
        wanted: LiteralString = "on" if read_only else "off"
        self.run(f"alter system set default_transaction_read_only = {wanted}")
        self.run("select pg_reload_conf()")
        wait_until(
            lambda: self._default() == wanted, _START_SECONDS, f"default_transaction_read_only = {wanted}"
        )

    def replica(self) -> PostgresServer:
        """Make a server that follows this one (streaming): not started, on a port of its own, and read-only."""
        replica = PostgresServer(settings=self._settings)
        replica._root = _folder()
        source = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        options = ["-D", str(replica._root / "data"), "-X", "stream", "-R", "--checkpoint=fast", "--no-sync"]
        self._call("pg_basebackup", *source, *options)
        return replica

    def promote(self) -> None:
        """Make a replica a server of its own, which takes writes."""
        self.run("select pg_promote(true, 60)")

    def follow(self, other: PostgresServer) -> None:
        """Be a replica of another from the next start on: what was the primary comes back as a follower.

        It must have been stopped, not killed, before the other was promoted.
        """
        assert self._root is not None, "the server was not started"
        link = f"host=127.0.0.1 port={other.port} user=postgres"
        with (self._root / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{link}'\nrecovery_target_timeline = 'latest'\n")
        (self._root / "data" / "standby.signal").touch()

    def remove(self) -> None:
        """Kill it, where it still runs, and remove its files."""
        self.kill()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def _make_cluster(self) -> None:
        self._root = _folder()
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._call("initdb", "-D", self._root / "data", *options)

    def _call(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        ended = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
            command, capture_output=True, text=True, check=False, cwd="/", **_its_user()
        )
        if ended.returncode:
            raise RuntimeError(f"{program} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")

    def _answers(self) -> bool:
        assert self._process is not None and self._root is not None
        if self._process.poll() is not None:
            said = (self._root / "server.log").read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"the server ended with {self._process.returncode}: {said}")
        with suppress(psycopg.OperationalError):
            return self.run("select 1") == [(1,)]
        return False

    def _default(self) -> str:
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("show default_transaction_read_only").fetchone()
        assert row is not None
        return str(row[0])

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(self._process.pid)
            # The postmaster first: it would start others in the place of those that end.
            return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _signal_all(self, number: signal.Signals) -> None:
        for each in self._processes():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)


def _programs() -> Path:
    if named := os.environ.get("ATOMOS_TEST_POSTGRES_BIN"):
        return Path(named)
    if (asked := shutil.which("pg_config")) is not None:
        said = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=True)  # noqa: S603
        if (Path(said.stdout.strip()) / "initdb").exists():
            return Path(said.stdout.strip())
    if (found := shutil.which("initdb")) is not None and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    raise FileNotFoundError(
        "no initdb beside pg_config or on the path; ATOMOS_TEST_POSTGRES_BIN names the folder"
    )


def _folder() -> Path:
    """Make a folder that the server's user can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="atomos-postgres-"))
    if user := _its_user():
        os.chown(folder, user["user"], user["group"])
    return folder


def _its_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
