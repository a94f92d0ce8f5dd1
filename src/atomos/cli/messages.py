"""`atomos emit`: an event from the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from atomos.core.domain import Event, Message

from .application import UnusableInput, built, log_as, not_found, prepare_to_change
from .operating import sender
from .output import as_json, examples, say_json

if TYPE_CHECKING:
    from atomos.core.service import JoinedRoutes


@click.command(
    epilog=examples(
        'atomos emit allocation.batch-received \'{"reference": "b1", "sku": "CHAIR", "quantity": 10}\'',
        "atomos emit allocation.order-line-received - --key order-1/CHAIR < line.json",
    )
)
@click.argument("name")
@click.argument("content", metavar="JSON")
@click.option(
    "--id", "id_", metavar="UUID", help="The message's id: a repeat is told what the first one was."
)
@click.option("--key", help="Any text in place of an id: a repeat is told what the first one was.")
@as_json
@click.pass_obj
def emit(
    app: str | None, name: str, content: str, *, id_: str | None, key: str | None, as_json: bool
) -> None:
    """Let the application hear an event, and print the answer.

    NAME is a wire name (`atomos routes` lists them), JSON an object, or - to read it from standard input. It
    is emitted as the principal `cli:` and your name on this machine, who may do everything. Reactions are the
    work of a running service or worker. With --json, `created` says whether the answer is about something new.
    """
    from atomos.core.service import Origin

    if id_ is not None and key is not None:
        raise click.UsageError("Give --id or --key, not both.")
    origin = Origin(sender(), _id(name, id_, key))
    atomos = built(app)
    log_as(atomos.settings)
    event = read_event(atomos.bus.flow.routes, name, content)
    try:
        prepare_to_change(atomos)
        answer = atomos.bus.emit(event, origin)
        told = json.loads(atomos.container.core.codec().encode_answer(answer))
    finally:
        atomos.close()
    if as_json:
        say_json(told)
    else:
        click.echo(json.dumps(told["value"], indent=2))


def read_event(routes: JoinedRoutes, name: str, content: str) -> Event[Any]:
    """Make an event from its wire name and its fields as JSON. Raises `UnusableInput`."""
    import msgspec

    cls = _event_named(routes, name)
    text = sys.stdin.read() if content == "-" else content
    try:
        given = msgspec.json.decode(text)
        if not isinstance(given, dict):
            raise UnusableInput(
                f"{name}: the content is {text[:60]!r}; expected an object with {_fields(cls)}."
            )
        given = {field: value.strip() if isinstance(value, str) else value for field, value in given.items()}
        event: Event[Any] = msgspec.convert(given, cls)
    except msgspec.ValidationError as error:
        raise UnusableInput(f"{name}: {str(error).rstrip('.')}; its fields are {_fields(cls)}.") from error
    except msgspec.DecodeError as error:
        raise UnusableInput(f"{name}: the content is not JSON: {error}.") from error
    if unknown := list(_unknown(given, msgspec.to_builtins(event))):
        raise UnusableInput(f"{name} has no field {', '.join(unknown)}; its fields are {_fields(cls)}.")
    return event


def _event_named(routes: JoinedRoutes, name: str) -> type[Event[Any]]:
    messages = {each.wire_name: each for each in routes.messages()}
    events = {wire_name: each for wire_name, each in messages.items() if issubclass(each, Event)}
    if name in messages and name not in events:
        raise UnusableInput(
            f"{name} is {messages[name].__name__}, which is no event; only events are emitted."
        )
    if name not in events:
        raise not_found("event", name, events)
    return events[name]


def _unknown(given: Any, made: Any, pointer: str = "") -> Iterator[str]:
    # msgspec drops the fields that a dataclass lacks: what did not arrive was not known.
    if isinstance(given, Mapping) and isinstance(made, Mapping):
        for name, inner in given.items():
            if name not in made:
                yield f"{pointer}{name}"
            else:
                yield from _unknown(inner, made[name], f"{pointer}{name}.")
    elif isinstance(given, list) and isinstance(made, list):
        for index, inner in enumerate(given):
            yield from _unknown(inner, made[index], f"{pointer}{index}.")


def _fields(cls: type[Message]) -> str:
    return ", ".join(field.name for field in dataclasses.fields(cls)) or "none"


def _id(name: str, id_: str | None, key: str | None) -> str | None:
    from atomos.core.service.envelope import hashed_id

    if key is not None:
        return hashed_id("cli", name, key)
    try:
        return None if id_ is None else str(UUID(id_))
    except ValueError:
        raise click.BadParameter(
            f"{id_!r} is no UUID; give one, or --key with any text.", param_hint="--id"
        ) from None
