"""Two small applications, for real processes: one publishes numbers to topics, the other enters each of them once."""

from __future__ import annotations

from dependency_injector import containers, providers

from atomos.core.container import Context, CoreContainer
from atomos.core.domain import Command, Event
from atomos.core.service import Routes, by, in_step, join
from atomos.testing.faults.ledger import storage
from atomos.testing.faults.ledger.messages import Numbered
from atomos.testing.faults.ledger.storage import LedgerUnitOfWork

SENDER, RECEIVER = "tests.faults.post:SenderApplication", "tests.faults.post:ReceiverApplication"

SENT, STEPPED = "post.sent", "post.stepped"
"""The topics."""


class Sent(Numbered, Event, name="post.sent"):
    """A number was sent, to an account."""


class Stepped(Numbered, Event, name="post.stepped"):
    """A number was sent, and those of an account are published one at a time."""


class Enter(Numbered, Command, name="post.enter"):
    """Enter a number."""


def enter(command: Enter, uow: LedgerUnitOfWork) -> None:
    """Enter a number: nothing keeps it from being entered twice."""
    with uow:
        uow.enter(uow.account(command.account).enter("sent", command.number))
        return uow.commit()


class ReceiverContainer(containers.DeclarativeContainer):
    """Offers a unit of work."""

    core = providers.DependenciesContainer()

    uow = providers.Factory(storage.LedgerUnitOfWork, database=core.database, log=core.message_log)


SENDER_CONTEXT = Context(
    "sender", (Routes(publishes={Sent: by("account", SENT), Stepped: in_step(by("account", STEPPED))}),)
)
RECEIVER_CONTEXT = Context(
    "receiver",
    (
        Routes(
            subscribes={SENT: Sent, STEPPED: Stepped},
            triggers={each: [by("account", Enter)] for each in (Sent, Stepped)},
            commands={Enter: enter},
        ),
    ),
    history=storage.HISTORY,
)


class SenderApplication(containers.DeclarativeContainer):
    """Who publishes."""

    contexts = (SENDER_CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(sender=SENDER_CONTEXT.routes))
    sender = providers.Container(containers.DeclarativeContainer)


class ReceiverApplication(containers.DeclarativeContainer):
    """Who reads."""

    contexts = (RECEIVER_CONTEXT,)
    config = providers.Configuration(strict=True)
    core = providers.Container(CoreContainer, config=config, routes=join(receiver=RECEIVER_CONTEXT.routes))
    receiver = providers.Container(ReceiverContainer, core=core)
