"""`atomos faults`: kill and stop real workers under load, and see whether everything holds."""

from __future__ import annotations

import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import click

from .application import UnusableInput
from .output import as_json, examples, say_json, say_table

if TYPE_CHECKING:
    from atomos.testing.faults import Report


def _usable(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    from atomos.core.domain.constraints import checks_of
    from atomos.settings.kinds import DatabaseUrl

    if url is not None and (problem := checks_of(DatabaseUrl)(url)):
        raise click.BadParameter(f"It {problem}.")
    if url is None or not url.startswith("sqlite"):
        return url
    # The workers run in another folder.
    from sqlalchemy import make_url

    return f"sqlite:///{Path(str(make_url(url).database)).resolve()}"


@click.command(
    epilog=examples(
        "atomos faults --seed 7",
        "atomos faults --kills 1000 --database postgresql://postgres@127.0.0.1/postgres",
        "atomos --app shop.container:Application faults --drive shop.faults:drive --check shop.faults:check",
    )
)
@click.option(
    "--seed", type=int, help="What is done to whom.  [default: another one each time; it is printed]"
)
@click.option(
    "--kills", type=click.IntRange(min=1), default=50, show_default=True, help="Until so many died."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=3, show_default=True, help="Processes at once."
)
@click.option(
    "--lease",
    type=click.FloatRange(min=0.5),
    default=12.0,
    show_default=True,
    help="Seconds that a batch belongs to a worker (delivery.lease).",
)
@click.option(
    "--database",
    metavar="URL",
    callback=_usable,
    help="A server, where a database is made, or a SQLite file.  [default: SQLite]",
)
@click.option("--drive", metavar="MODULE:FUNCTION", help="Your load.  [default: the kit's own application]")
@click.option("--check", metavar="MODULE:FUNCTION", help="Your own invariants, beside those of the log.")
@as_json
@click.pass_obj
def faults(
    app: str | None,
    *,
    seed: int | None,
    kills: int,
    workers: int,
    lease: float,
    database: str | None,
    drive: str | None,
    check: str | None,
    as_json: bool,
) -> None:
    """Kill and stop real workers under load, and see whether everything holds.

    Without --drive it hurts an application of its own. With it, yours: `drive(bus, number)` sends what belongs to
    a number, and is called with the same number again when it raised; `check(atomos, numbers)` gives sentences
    about what is broken. Workers run in this folder, on a new database that is removed afterwards (a SQLite file
    that is named stays). A seed repeats what is done, not when the processes run.
    """
    from atomos.testing.faults import Run, Scenario, fresh_database
    from atomos.testing.faults.ledger import driving

    if check is not None and drive is None:
        raise click.UsageError("--check needs --drive: the kit's own application has a check of its own.")
    load, verdict = (
        (_function(drive), _function(check) if check else _nothing)
        if drive
        else (driving.drive, driving.check)
    )
    seed = secrets.randbelow(1_000_000_000) if seed is None else seed
    folder = Path(mkdtemp(prefix="atomos-faults-"))
    say = _told if as_json else click.echo
    say(f"seed {seed}; what the workers say is in {folder}")
    with _terminated_in_order(), fresh_database(folder, database) as url:
        own = None if drive is None else app or _named()
        home = None if drive is None else Path.cwd()
        settings = {"ATOMOS_DELIVERY__LEASE": str(lease)}
        with Scenario(folder, url, app=own, settings=settings, home=home) as scenario:
            report = Run(scenario, seed, kills, workers, tell=say)(load, verdict)
    if as_json:
        say_json(_document(report))
    else:
        _say(report)
    if report.broken:
        raise click.exceptions.Exit(1)


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Let SIGTERM end what is running as Ctrl-C does: the database that was made is removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _document(report: Report) -> dict[str, Any]:
    from .telling import plain

    summed_up = {"median": report.median, "usual": report.usual, "worst": report.worst}
    return {**report._asdict(), **summed_up, "slowest": plain(report.slowest)}


def _say(report: Report) -> None:
    def seconds(value: float | None) -> str:
        return "nothing had to be recovered" if value is None else f"{value:.1f} s"

    killed = Counter(report.killed)
    rows = [(what, str(count)) for what, count in sorted(killed.items())]
    say_table([*rows, *((what, str(count)) for what, count in sorted(report.others.items()))])
    click.echo()
    say_table(
        [
            ("killed", str(killed.total())),
            ("recovery, median", seconds(report.median)),
            ("recovery, 95 of 100", seconds(report.usual)),
            ("recovery, worst", seconds(report.worst)),
            ("not counted: a stopped one kept all from writing", f"{report.still:.1f} s"),
            ("numbers driven", str(report.numbers)),
            ("messages", str(report.messages)),
            ("deliveries", str(report.deliveries)),
            ("took", f"{report.seconds:.0f} s"),
        ]
    )
    if report.slowest:
        click.echo("\nThe slowest, and what the last row of each waited for:")
        for slow in report.slowest:
            click.echo(f"  {slow}")
        click.echo()
    for each in report.broken:
        click.echo(f"broken: {each}")
    click.echo(
        f"Do it again: atomos faults --seed {report.seed} --kills {killed.total()}"
        if report.broken
        else "Nothing lost, nothing doubled, order kept."
    )


def _function(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise click.UsageError(
            f"{name!r} is no function; expected MODULE:FUNCTION, such as shop.faults:drive."
        )
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnusableInput(f"{name!r} leads to no function: {error}.") from error


def _named() -> str:
    from atomos.bootstrap import find_container

    found = find_container()
    return f"{found.__module__}:{found.__qualname__}"


def _told(line: str) -> None:
    click.echo(line, err=True)


def _nothing(_atomos: Any, _numbers: Any) -> tuple[str, ...]:
    return ()
