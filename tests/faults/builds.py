"""Two builds of one small application, for real processes: the newer one has another version of its event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dependency_injector import containers, providers

from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Event
from atomos.core.service import Envelope, Routes, by, join, named
from atomos.testing.faults.ledger.deeds import Book
from atomos.testing.faults.ledger.messages import Numbered

OLD, NEW = "tests.faults.builds:OldApplication", "tests.faults.builds:NewApplication"


class OldMoved(Numbered, Event, name="builds.moved", version=1):
    """Something moved."""


class Moved(Numbered, Event, name="builds.moved", version=2):
    """Something moved, and the build knows where to."""

    to: str


def old_follow(event: OldMoved, book: Book, envelope: Envelope) -> None:
    """Write down who heard of it."""
    book.write("old", event, envelope.effect_id())


def follow(event: Moved, book: Book, envelope: Envelope) -> None:
    """Write down who heard of it."""
    book.write("new", event, envelope.effect_id())


def to_somewhere(stored: dict[str, Any]) -> dict[str, Any]:
    """Give an event of the old build what it did not have."""
    return {**stored, "to": "somewhere"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `[builds]`: the file of effects."""

    book: str


class BuildsContainer(containers.DeclarativeContainer):
    """Offers a book."""

    config = providers.Configuration(strict=True)
    core = providers.DependenciesContainer()

    envelope = core.envelope
    book = providers.Factory(Book, path=config.book)


OLD_CONTEXT = Context(
    "builds", (Routes(reactions={OldMoved: [by("account", named("follow", old_follow))]}),), settings=Settings
)
NEW_CONTEXT = Context(
    "builds",
    (
        Routes(
            reactions={Moved: [by("account", named("follow", follow))]},
            upcasts={("builds.moved", 1): to_somewhere},
        ),
    ),
    settings=Settings,
)


class OldApplication(containers.DeclarativeContainer):
    """The old build."""

    contexts = (OLD_CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(builds=OLD_CONTEXT.routes))
    builds = providers.Container(BuildsContainer, config=config.builds, core=core)


class NewApplication(containers.DeclarativeContainer):
    """The new build."""

    contexts = (NEW_CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(builds=NEW_CONTEXT.routes))
    builds = providers.Container(BuildsContainer, config=config.builds, core=core)
