"""Allocation on the command line: `atomos allocation ...`."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from .loading import Progress, Report

commands = click.Group(name="allocation", help="Stock and orders.")
"""The group that the context adds to `atomos`."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_EXAMPLES = """\b
Examples:
  atomos allocation load --batches stock.csv --lines orders.csv.gz
  atomos allocation load --lines orders.csv --url https://shop.example --concurrency 8 --json
"""
_TITLES = {"batch": "Batches", "line": "Order lines"}


def _address(_context: click.Context, _option: click.Parameter, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(
            f"{url!r} is no address of a service; expected one such as http://127.0.0.1:8000."
        )
    return url


@commands.command(
    epilog=_EXAMPLES,
)
@click.option(
    "--batches", type=_FILE, help="CSV of stock: reference,sku,quantity,eta (empty: in the warehouse)."
)
@click.option("--lines", type=_FILE, help="CSV of order lines: order_id,sku,quantity.")
@click.option(
    "--url", default="http://127.0.0.1:8000", show_default=True, callback=_address, help="The service."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Connections, and requests at once.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows go that were not taken, written anew.  [default: LINES.rejected.csv]",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for a service that is away.",
)
@click.option(
    "--key-file", type=_FILE, help="A file with the API key to send, where the service asks for one."
)
@click.option("--run", default="", help="A name for this run; another name has every row judged again.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def load(
    *,
    batches: Path | None,
    lines: Path | None,
    url: str,
    concurrency: int,
    rejects: Path | None,
    patience: float,
    key_file: Path | None,
    run: str,
    as_json: bool,
) -> None:
    """Send stock and order lines to a running service.

    Both files may be gzip. All batches are sent before the first line. Rows of one SKU are sent one after the
    other, in the order of the file; with --concurrency 1 all rows are.

    Running it again changes nothing: each row has an idempotency key, made of its content, of how many rows
    like it came before in the file, and of --run. When the service or the loader was killed, run the same
    command again: rows that were taken are not taken twice, and are counted as they were the first time.
    After new stock has come, give another --run to have lines that were out of stock judged again; lines that
    have their stock keep it.

    Rows that cannot be right, and rows that the service rejects, go to the file of rejects with line number
    and reason. They do not make the command fail. It fails (1) when it had to stop, or when the service
    failed at a row.
    """
    from .loading import Load, Report, carry_out

    source = lines or batches
    if source is None:
        raise click.UsageError("Nothing to load: give --batches, --lines, or both.")
    rejects = rejects or _beside(source)
    if any(each is not None and rejects.exists() and rejects.samefile(each) for each in (batches, lines)):
        raise click.BadParameter(f"{rejects} is one of the files to load.", param_hint="--rejects")
    report = Report()
    with ExitStack() as stack:
        what = Load(url, batches, lines, rejects, concurrency, patience, run, _token(key_file))
        carry_out(what, report, _progress(stack))
    _show(report, rejects, as_json)
    if report.stopped:
        click.echo(report.stopped, err=True)
    if not report.is_whole:
        raise click.exceptions.Exit(1)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    token = file.read_text("utf-8", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise click.BadParameter(
            f"{file} has to have one API key in it, such as `atomos keys create` prints.",
            param_hint="--key-file",
        )
    return token


def _beside(source: Path) -> Path:
    name = source.name.removesuffix(".gz").removesuffix(".csv")
    return source.with_name(f"{name}.rejected.csv")


def _progress(stack: ExitStack) -> Progress:
    from .loading import Progress
    from .rows import Kind

    bars: list[Any] = []

    def begins(kind: Kind, rows: int) -> None:
        hidden = not sys.stderr.isatty()
        stack.close()
        bar = click.progressbar(
            length=rows, label=_TITLES[kind.name], file=sys.stderr, hidden=hidden, show_pos=True
        )
        bars.append(stack.enter_context(bar))

    return Progress(begins, lambda: bars[-1].update(1))


def _show(report: Report, rejects: Path, as_json: bool) -> None:
    accounts = {kind: report.of(kind) for kind in report.rows}
    if as_json:
        names = {"batch": "batches", "line": "lines"}
        told = {names[kind]: account for kind, account in accounts.items()}
        more = {"seconds": round(report.seconds, 3), "rate": round(report.rate, 1), "rejects": str(rejects)}
        click.echo(json.dumps({**told, **more, "stopped": report.stopped}, indent=2, sort_keys=True))
        return
    for kind, account in accounts.items():
        counted = (f"{count:,} {name.replace('_', ' ')}" for name, count in account.items() if name != "rows")
        click.echo(f"{_TITLES[kind]}: {account['rows']:,} rows: {', '.join(counted)}")
    if any(account["rejected"] or account["failed"] for account in accounts.values()):
        click.echo(f"Rows that were not taken: {rejects}")
    click.echo(f"{report.seconds:,.1f} s, {report.rate:,.0f} rows a second")
