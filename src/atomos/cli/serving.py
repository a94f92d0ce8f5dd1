"""`atomos run` and `atomos worker`: the processes of a service."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atomos.core.domain import AtomosError
from atomos.core.domain.addresses import is_loopback
from atomos.serving import gunicorn

from .application import UnusableInput, built, log_as, prepare_to_change
from .output import examples

if TYPE_CHECKING:
    from flask import Flask

_ENDING = (signal.SIGTERM, signal.SIGINT)
_RELOADED = "WERKZEUG_RUN_MAIN"


@click.command(
    epilog=examples(
        "atomos run",
        "atomos run --host 0.0.0.0 --port 8080",
        "atomos run --dev --sql",
    )
)
@click.option("--dev", is_flag=True, help="With reloader and debugger, on this machine only.")
@click.option("--sql", is_flag=True, help="Log every SQL statement.")
@click.option("--host", help="The address to listen on.  [default: http.host]")
@click.option("--port", type=click.IntRange(1, 65_535), help="The port to listen on.  [default: http.port]")
@click.pass_obj
def run(app: str | None, *, dev: bool, sql: bool, host: str | None, port: int | None) -> None:
    """Serve over HTTP, from the project's folder.

    With SQLite it brings the database up to date, and delivers in the same process. With PostgreSQL the
    migrations must be there (`atomos db upgrade`), and `atomos worker` delivers.
    """
    if dev and host is not None and not is_loopback(host):
        raise click.BadParameter(
            f"--dev has a debugger that runs code for whoever reaches it; {host} is not only this machine. "
            "Leave --host out, or leave --dev out.",
            param_hint="--host",
        )
    given = {"ATOMOS_APP": app, "ATOMOS_HTTP__HOST": host, "ATOMOS_HTTP__PORT": port and str(port)}
    os.environ.update({name: value for name, value in given.items() if value})
    if sql:
        os.environ["ATOMOS_DATABASE__ECHO"] = "true"
    if dev:
        serve_for_development(app, host)
    else:
        serve_with_gunicorn(app)


@click.command(
    epilog=examples(
        "atomos worker",
        "ATOMOS_DELIVERY__THREADS=16 atomos worker",
    )
)
@click.pass_obj
def worker(app: str | None) -> None:
    """Deliver what is waiting, until SIGTERM or Ctrl-C.

    Any number of workers, on any number of machines, share the work; one that is killed loses nothing.
    Deliveries in hand are let end; a second signal ends the process at once.
    """
    atomos = built(app)
    log_as(atomos.settings)
    prepare_to_change(atomos)
    with _signals() as wait:
        working = atomos.worker()
        working.start()
        click.echo(f"Worker {working.id} delivers; SIGTERM or Ctrl-C stops it.")
        wait()
        atomos.close()
    click.echo(f"Worker {working.id} has stopped.")


def serve_with_gunicorn(app: str | None) -> None:
    """Become gunicorn, once the wiring and the database are as they should be."""
    atomos = built(app)
    log_as(atomos.settings)
    atomos.refuse_unprotected()
    must_be_free(atomos.settings.http.host, atomos.settings.http.port)
    prepare_to_change(atomos)
    atomos.close()
    sys.stdout.flush()
    serving = [sys.executable, *gunicorn(Path.cwd())]
    os.execv(sys.executable, serving)  # noqa: S606 - no shell, and nothing that was given


def must_be_free(host: str, port: int) -> None:
    """Refuse a port that is taken: gunicorn shares it, and two services would get every other request each."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return  # gunicorn says what is wrong with the address
            raise UnusableInput(
                f"{host}:{port} is taken. Stop the service that listens there, or give another --port."
            ) from error


def serve_for_development(app: str | None, host: str | None) -> None:
    """Serve with reloader and debugger. Only the reloader's child has the application, and begins it anew."""
    from werkzeug.serving import run_simple

    is_child = os.environ.get(_RELOADED) == "true"
    if not is_child:
        from atomos.bootstrap import find_container, load_settings

        os.environ["ATOMOS_HTTP__PORT"] = str(load_settings(find_container(app)).http.port)
    serving = _started() if is_child else _told("The reloader's parent serves nothing.\n")
    try:
        run_simple(
            host or "127.0.0.1",
            int(os.environ["ATOMOS_HTTP__PORT"]),
            serving,
            use_reloader=True,
            use_debugger=True,
            threaded=True,
            extra_files=[
                str(path) for path in Path(os.environ.get("ATOMOS_CONFIG", "config")).glob("*.toml")
            ],
        )
    finally:
        if is_child and (atomos := getattr(serving, "extensions", {}).get("atomos")) is not None:
            atomos.close()


def _started() -> Flask | Callable[..., Iterable[bytes]]:
    from atomos.bootstrap import serve

    try:
        serving = serve()
        serving.debug = True
        atomos = serving.extensions["atomos"]
        log_as(atomos.settings)
        prepare_to_change(atomos)
        atomos.start()
    except Exception as error:  # noqa: BLE001 - it is shown, and the reloader waits for it to be mended
        said = str(error) if isinstance(error, AtomosError) else traceback.format_exc()
        click.echo(said, err=True)
        return _told(f"{said}\n\nMend it, and this page is made anew.\n")
    return serving


def _told(said: str) -> Callable[..., Iterable[bytes]]:
    def tell(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])
        return [said.encode()]

    return tell


@contextmanager
def _signals() -> Iterator[Callable[[], object]]:
    """Give what waits for the first signal to end; a second one ends the process at once."""

    def handle(_number: int, _frame: object) -> None:
        for each in _ENDING:
            signal.signal(each, signal.SIG_DFL)

    # Sockets, because a thread that waits for a lock may not notice a signal: another thread may be given it.
    told, teller = socket.socketpair()
    teller.setblocking(False)
    with told, teller:
        signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
        for each in _ENDING:
            signal.signal(each, handle)
        try:
            yield lambda: told.recv(1)
        finally:
            signal.set_wakeup_fd(-1)
