"""What commands need of the application: built, its database ready, its logging set up, names looked up."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from atomos.core.service.diagnostics import Diagnosed

if TYPE_CHECKING:
    from atomos.bootstrap import Atomos
    from atomos.core.service.graph import Entrypoint
    from atomos.settings import Settings


class UnusableInput(Diagnosed):
    """An argument or a payload that cannot be used."""

    code = "ATM053"


def built(app: str | None) -> Atomos:
    """Build the application; nothing is opened. Raises `NoApplication`, `SettingsError`, `WiringError`."""
    from atomos.bootstrap import build

    return build(app)


def log_as(settings: Settings) -> None:
    """Log as the settings say."""
    from atomos.core.adapters.logs import configure

    configure(settings.log.level, settings.log.format)


def prepare(atomos: Atomos) -> None:
    """Migrate an embedded database; refuse another one that lacks migrations. Raises `DatabaseVersion`."""
    from atomos.core.adapters import DatabaseVersion, pending

    if atomos.settings.database.is_sqlite:
        atomos.migrate()
    elif missing := pending(atomos.container.core.database(), atomos.histories):
        raise DatabaseVersion(f"The database lacks {', '.join(missing)}.")


def prepare_to_change(atomos: Atomos) -> None:
    """Prepare a database, and refuse one without the tables of the code. Raises `DatabaseVersion`, `NoMigration`."""
    from atomos.core.adapters import NoMigration, unmade

    prepare(atomos)
    if lacking := unmade(atomos.container.core.database(), atomos.histories):
        raise NoMigration(f"The database lacks {', '.join(lacking)}.")


def prepare_known(atomos: Atomos) -> None:
    """Prepare a database that is there, for who only looks into it: a wrong path would lead to a new, empty one.

    Raises `UnusableInput`, `DatabaseVersion`.
    """
    database = atomos.container.core.database()
    if atomos.settings.database.is_sqlite and not Path(database.url.database).exists():
        raise UnusableInput(
            f"There is no database {Path(database.url.database).resolve()}; `atomos config` shows database.url, "
            "and `atomos run` or `atomos db upgrade` makes one."
        )
    prepare(atomos)


def entrypoints_of(atomos: Atomos) -> tuple[Entrypoint, ...]:
    """List the application's URLs, in the order of its blueprints."""
    from atomos.core.service.graph import Entrypoint

    return tuple(
        Entrypoint(f"{each.method} {each.path}", each.message, each.place)
        for context in atomos.contexts
        for blueprint in context.blueprints
        for each in blueprint.endpoints
    )


def permissions_of(atomos: Atomos) -> frozenset[str]:
    """Name every permission that somebody may need: those of the routes, and that of operators."""
    from atomos.core.service.following import OPERATOR

    return frozenset(filter(None, atomos.bus.flow.routes.requires.values())) | {OPERATOR}


def not_found(what: str, name: str, known: Iterable[str]) -> UnusableInput:
    """Make the error for a name that is not known; it names the nearest, or all."""
    names = sorted(set(known))
    near = get_close_matches(name, names, n=3, cutoff=0.75)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}."
    return UnusableInput(f"There is no {what} {name!r}; {hint}")
