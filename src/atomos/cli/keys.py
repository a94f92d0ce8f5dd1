"""`atomos keys`: API keys for those who call the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from atomos.core.domain import Length
from atomos.core.service.credentials import Key

from .application import UnusableInput, not_found, permissions_of
from .operating import opened
from .output import as_json, examples, say_json, say_table

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service.credentials import Keys, Minted

_USUAL_DAYS = 365.0
_MOST_DAYS = 36_500
_MOST_HOURS = 8_760
_OWNER = Length(1, 100)


class Range(click.FloatRange):
    """A number between two others; what is no number is not between them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        number = super().convert(value, param, ctx)
        if number != number:  # noqa: PLR0124 - only what is no number differs from itself
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return float(number)


@click.group()
def keys() -> None:
    """Make API keys, and end them. A key is sent as `Authorization: Bearer atk_...`."""


@keys.command(
    epilog=examples(
        "atomos keys create warehouse --scope stock:write --scope stock:read",
        "atomos keys create reports --scope orders:read --days 30",
    )
)
@click.argument("owner")
@click.option("--scope", "scopes", multiple=True, help="A permission that it has; give it several times.")
@click.option(
    "--days",
    type=Range(0, _MOST_DAYS, min_open=True),
    help=f"How long it is good.  [default: {_USUAL_DAYS:g}]",
)
@click.option("--never-ends", is_flag=True, help="It is good until it is revoked.")
@as_json
@click.pass_obj
def create(
    app: str | None,
    owner: str,
    *,
    scopes: tuple[str, ...],
    days: float | None,
    never_ends: bool,
    as_json: bool,
) -> None:
    """Make a key for OWNER, and show it once: nobody can read it again.

    What it may do are the permissions that `requires` in the routes names, and operations:read.
    """
    if never_ends and days is not None:
        raise click.UsageError("Give --days or --never-ends, not both.")
    if problem := _OWNER.problem(owner.strip()):
        raise UnusableInput(f"The owner of a key {problem}.")
    if not owner.strip().isprintable():
        raise UnusableInput("The owner of a key has to be one line of text, such as warehouse.")
    with opened(app) as atomos:
        _refuse_unknown(atomos, scopes)
        now = datetime.now(UTC)
        ends = None if never_ends else now + timedelta(days=_USUAL_DAYS if days is None else days)
        _show(_mint(atomos, owner.strip(), scopes, now, ends), as_json=as_json)


@keys.command("list", epilog=examples("atomos keys list", "atomos keys list --json"))
@as_json
@click.pass_obj
def list_(app: str | None, *, as_json: bool) -> None:
    """List the keys: whose, what they may do, until when, and when they were used last."""
    with opened(app) as atomos:
        found = atomos.container.core.keys().listed()
    if as_json:
        say_json([_plain(key) for key in found])
        return
    head = ("KEY", "OWNER", "SCOPES", "MADE", "ENDS", "USED", "STATE")
    now = datetime.now(UTC)
    say_table([head, *(_row(key, now) for key in found)])


@keys.command(
    epilog=examples("atomos keys rotate abcdefghijkl", "atomos keys rotate abcdefghijkl --overlap 24")
)
@click.argument("key")
@click.option(
    "--overlap",
    type=Range(0, _MOST_HOURS),
    default=24.0,
    show_default=True,
    help="Hours for which the old one is good beside the new one; zero ends it now.",
)
@as_json
@click.pass_obj
def rotate(app: str | None, key: str, *, overlap: float, as_json: bool) -> None:
    """Make a key like KEY, with the same owner, permissions and life, and let KEY end."""
    with opened(app) as atomos:
        kept = atomos.container.core.keys()
        old, now = _known(kept, key), datetime.now(UTC)
        if not old.is_good(now):
            raise UnusableInput(f"The key {key} has ended; make a new one with `atomos keys create`.")
        ends = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        made = _mint(atomos, old.owner, sorted(old.scopes), now, ends)
        kept.expire(key, now + timedelta(hours=overlap))
        _show(made, as_json=as_json)


@keys.command(epilog=examples("atomos keys revoke abcdefghijkl"))
@click.argument("key")
@as_json
@click.pass_obj
def revoke(app: str | None, key: str, *, as_json: bool) -> None:
    """End KEY for ever. Within five seconds no process accepts it any more."""
    with opened(app) as atomos:
        kept = atomos.container.core.keys()
        ended = kept.revoke(_known(kept, key).id)
    if as_json:
        say_json(_plain(ended))
    else:
        click.echo(f"{key} of {ended.owner} is revoked.")


def _known(kept: Keys, key: str) -> Key:
    from atomos.core.service.credentials import id_of

    if (id_ := id_of(key)) is not None:
        raise UnusableInput(
            f"That is a whole key, which belongs into no command line; give only its id: {id_}."
        )
    found = kept.find(key)
    if found is None:
        raise not_found("key", key, [each.id for each in kept.listed()])
    return found


def _mint(
    atomos: Atomos, owner: str, scopes: tuple[str, ...] | list[str], now: datetime, ends: datetime | None
) -> Minted:
    from atomos.core.service.credentials import mint

    secret = atomos.settings.security.secret
    if secret is None:
        raise UnusableInput(
            "There are no API keys without a secret: set security.secret, at least 32 characters by chance, "
            "best in the file that ATOMOS_SECURITY__SECRET_FILE names."
        )
    made = mint(owner, scopes, secret, now, ends)
    atomos.container.core.keys().add(made.key)
    return made


def _refuse_unknown(atomos: Atomos, scopes: tuple[str, ...]) -> None:
    known = permissions_of(atomos)
    for scope in scopes:
        if scope not in known:
            raise not_found("permission", scope, known)


def _show(made: Minted, *, as_json: bool) -> None:
    if as_json:
        say_json({**_plain(made.key), "token": made.token})
        return
    click.echo(made.token)
    click.echo(f"This is key {made.key.id} of {made.key.owner}. It is not shown again.", err=True)


def _plain(key: Key) -> dict[str, object]:
    times = ("created_at", "expires_at", "revoked_at", "used_at")
    said = {name: value and value.isoformat() for name, value in key._asdict().items() if name in times}
    return {"id": key.id, "owner": key.owner, "scopes": sorted(key.scopes), **said}


def _row(key: Key, now: datetime) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at else "good" if key.is_good(now) else "expired"
    days = (f"{at:%Y-%m-%d}" if at else "never" for at in (key.created_at, key.expires_at, key.used_at))
    return (key.id, key.owner, " ".join(sorted(key.scopes)) or "none", *days, state)
