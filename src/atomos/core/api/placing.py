"""Endpoints where an application has them: with every prefix, and with what its routes say of their messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from typing import NamedTuple

from flask import Flask

from ..domain.messages import Event, Message
from ..service.bus import MessageBus
from ..service.envelope import PUBLIC
from .endpoints import Endpoint
from .entrypoints import Entrypoints
from .security import OPEN, Guard

_CONVERTER = re.compile(r"<(?:[^<>:]*:)?(\w+)>")


class Placed(NamedTuple):
    """An endpoint where an application has it: `path` is as OpenAPI writes it, `tag` the blueprint's name.

    `permission` is what its message requires, PUBLIC where that is nothing, or where nobody's credentials are known.
    `may_wait` says that somebody hears its event later too, so that its sender need not wait.
    """

    endpoint: Endpoint
    path: str
    id: str
    tag: str
    permission: str
    may_wait: bool


class Site(NamedTuple):
    """What decides on the document besides the blueprints: where they are, what is routed, and who may.

    Without a `bus`, nothing requires a permission, and every event may wait.
    """

    app: Flask
    bus: MessageBus | None = None
    guard: Guard = OPEN

    def placed(self) -> Iterator[Placed]:
        """Give every endpoint of every `Entrypoints`, in the order of the blueprints and of their modules."""
        for name, blueprint in self._blueprints():
            for endpoint in blueprint.endpoints:
                for rule in self.app.url_map.iter_rules(f"{name}.{endpoint.name}"):
                    path = _CONVERTER.sub(r"{\1}", rule.rule)
                    said = self._permission(endpoint.message), self._may_wait(endpoint.message)
                    yield Placed(endpoint, path, rule.endpoint, name, *said)

    def tags(self) -> dict[str, str]:
        """Name each blueprint, and give what the docstring of its module says; empty where there is none."""
        return {
            name: cleandoc(getattr(sys.modules.get(blueprint.import_name), "__doc__", None) or "")
            for name, blueprint in self._blueprints()
        }

    def _blueprints(self) -> Iterator[tuple[str, Entrypoints]]:
        for name, blueprint in self.app.blueprints.items():
            if isinstance(blueprint, Entrypoints):
                yield name, blueprint

    def _permission(self, message: type[Message]) -> str:
        if self.bus is None or not self.guard.knows_anyone:
            return PUBLIC
        return self.bus.flow.routes.requires.get(message, PUBLIC)

    def _may_wait(self, message: type[Message]) -> bool:
        if not issubclass(message, Event):
            return False
        return self.bus is None or bool(self.bus.flow.events[message].listeners)
