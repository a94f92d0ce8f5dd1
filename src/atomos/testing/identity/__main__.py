"""Tokens to try on this machine: `python -m atomos.testing.identity --scope stock:read`, until it is stopped."""

from __future__ import annotations

import threading
from contextlib import suppress

import click

from . import IdentityProvider

_DAY = 86_400.0


@click.command()
@click.option("--audience", default="orders", show_default=True, help="What the token has in `aud`.")
@click.option("--scope", default="", help="What its bearer may, with spaces between.")
@click.option("--subject", default="ana", show_default=True, help="Whose token it is.")
@click.option("--algorithm", default="RS256", show_default=True, help="What it is signed with.")
@click.option("--port", default=8099, show_default=True, help="Where the provider listens, on the loopback.")
def serve(audience: str, scope: str, subject: str, algorithm: str, port: int) -> None:
    """Issue one token that is good for a day, and publish the key that it is signed with."""
    with IdentityProvider(algorithm=algorithm, port=port) as provider:
        for name, value in provider.environment(audience).items():
            click.echo(f"export {name}={value}")
        click.echo(f"export TOKEN={provider.token(subject, audience=audience, scope=scope, seconds=_DAY)}")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    serve()
