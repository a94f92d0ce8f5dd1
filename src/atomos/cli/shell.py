"""`atomos shell`: a Python prompt with the application in it."""

from __future__ import annotations

import code
from contextlib import suppress
from typing import Any

import click

from .application import built, log_as, prepare
from .operating import sender
from .output import examples


@click.command(
    epilog=examples(
        'ask(ProductOf(sku="CHAIR"))',
        'emit(BatchReceived(reference="b1", sku="CHAIR", quantity=10))',
    )
)
@click.pass_obj
def shell(app: str | None) -> None:
    """Open a Python prompt with the application in it.

    There are `atomos`, `bus`, `container`, `emit`, `ask`, and every message by its class. What is emitted is kept
    under `cli:` and your name on this machine.
    """
    from atomos.core.service import Origin

    origin = Origin(sender())
    atomos = built(app)
    log_as(atomos.settings)
    prepare(atomos)
    names: dict[str, Any] = {each.__name__: each for each in atomos.bus.flow.routes.messages()}
    names |= {
        "atomos": atomos,
        "bus": atomos.bus,
        "container": atomos.container,
        "emit": lambda event, origin=origin: atomos.bus.emit(event, origin),
        "ask": lambda query, origin=origin: atomos.bus.ask(query, origin),
    }
    _complete(names)
    banner = (
        f"Atomos, profile {atomos.settings.profile}.\n"
        "ask(query) is read-only; emit(event) may change what is stored.\n"
        f"Messages: {', '.join(sorted(each.__name__ for each in atomos.bus.flow.routes.messages()))}"
    )
    try:
        code.interact(banner, local=names, exitmsg="")
    finally:
        atomos.close()


def _complete(names: dict[str, Any]) -> None:
    # Python may have been built without it.
    with suppress(ImportError):
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
