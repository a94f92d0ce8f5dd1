"""`atomos config`: every setting, and where it came from."""

from __future__ import annotations

from dataclasses import asdict

import click

from .output import as_json, examples, say_json, say_table


@click.command(
    epilog=examples(
        "atomos config",
        "ATOMOS_PROFILE=production atomos config",
        "atomos config --json | jq -r '.[] | select(.source != \"code\") | .key'",
    )
)
@as_json
@click.pass_obj
def config(app: str | None, *, as_json: bool) -> None:
    """Print every setting, and where it came from.

    Of the layers the last one counts: code, config/default.toml, config/PROFILE.toml (ATOMOS_PROFILE), the
    environment (ATOMOS_HTTP__PORT=8080), secrets from files (ATOMOS_DATABASE__URL_FILE=/run/secrets/url).
    Secrets are hidden.
    """
    from atomos.bootstrap import find_container, load_settings
    from atomos.settings import explain

    rows = explain(load_settings(find_container(app)))
    if as_json:
        say_json([{"key": row.key, "value": row.shown, "source": row.source} for row in rows])
    else:
        say_table([tuple(asdict(row).values()) for row in rows])
