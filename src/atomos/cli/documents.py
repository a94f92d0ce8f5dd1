"""`atomos openapi`: the document of the service's URLs, without a database."""

from __future__ import annotations

import click

from .application import built
from .output import examples


@click.command(
    epilog=examples(
        "atomos openapi > docs/openapi.json",
        "atomos openapi | diff docs/openapi.json -",
        "ATOMOS_PROFILE=production atomos openapi",
    )
)
@click.pass_obj
def openapi(app: str | None) -> None:
    """Print the OpenAPI 3.1 document, as the service serves it under /openapi.json.

    It is JSON, and the same text for the same declarations and settings: keep it in the repository, and CI shows what
    a change does to callers. Needs no database and no broker.
    """
    click.echo(built(app).document(), nl=False)
