"""`atomos openapi`, `atomos asyncapi`: the documents of the service's URLs and topics, without a database."""

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


@click.command(
    epilog=examples(
        "atomos asyncapi > docs/asyncapi.json",
        "atomos asyncapi | diff docs/asyncapi.json -",
        "ATOMOS_BROKER__MODE=binary atomos asyncapi",
    )
)
@click.pass_obj
def asyncapi(app: str | None) -> None:
    """Print the AsyncAPI 3.0 document of the topics, which the service serves under /asyncapi.json.

    It is JSON: what is published and read, from the same messages as the OpenAPI document, as CloudEvents. It says
    where the broker is, without credentials, which the one that is served does not. Needs no database and no broker.
    """
    click.echo(built(app).topics_document(), nl=False)
