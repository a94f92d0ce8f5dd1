"""Bootstrap: from settings and a container to a bus, a WSGI application and a worker. It opens nothing by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cached_property
from typing import Any, cast

from dependency_injector import containers
from dependency_injector.errors import Error as InjectionError
from flask import Flask, Response

from atomos.core.adapters import CORE, History, exposition, logs, pending, upgrade
from atomos.core.adapters.clock import ProvidedClock
from atomos.core.adapters.health import LogHealth
from atomos.core.adapters.messaging.database import TOPICS
from atomos.core.api import asyncapi
from atomos.core.api.app import Installation, install
from atomos.core.api.emitting import permit_operators
from atomos.core.api.exposure import Exposure
from atomos.core.api.openapi import as_text
from atomos.core.api.proxies import BehindProxies
from atomos.core.api.security import API_KEY, Guard, token_of
from atomos.core.api.sharing import Sharing
from atomos.core.container import Context, flaws, offers_of
from atomos.core.service import (
    Finding,
    JoinedRoutes,
    MessageBus,
    Offers,
    Principal,
    Unavailable,
    WiringError,
    Worker,
)
from atomos.core.service.checks import check
from atomos.core.service.declaring import topology_of
from atomos.core.service.limits import Counts, Limit, Rate
from atomos.core.service.messaging import Topology
from atomos.core.service.threads import Chore
from atomos.finding import NoApplication, find_container
from atomos.production import refuse_unprotected
from atomos.project import project_of
from atomos.settings import Settings, load
from atomos.settings.broker import BrokerSettings
from atomos.settings.sections import SECTIONS

_RETENTION_SECONDS = 3.0

__all__ = ["Atomos", "NoApplication", "build", "find_container", "load_settings", "serve"]


class Atomos:
    """One application: its container, its bus, and what its processes do. Several may live in one process."""

    def __init__(self, container: type[containers.DeclarativeContainer], settings: Settings) -> None:
        """Wire the application and check it. Raises `WiringError` with every mistake; nothing is opened."""
        self.settings = settings
        self.contexts: tuple[Context, ...] = getattr(container, "contexts", ())
        _refuse_unnamed(container, self.contexts)
        self.container = _instance(container)
        self._project = project_of(container.__module__)
        self.container.config.from_dict(_config(settings))
        self._workers: list[Worker] = []
        parts = {name: getattr(self.container, name)() for name in ("core", *(c.name for c in self.contexts))}
        offers = {context.name: offers_of(parts[context.name]) for context in self.contexts}
        core = self.container.core
        if found := [*flaws(parts), *_mistakes(core.routes, offers), *self._mistaken_views()]:
            raise WiringError(found)
        self.bus = MessageBus(
            routes=core.routes(),
            offers=offers,
            log=core.message_log(),
            clock=ProvidedClock(core.clock),
            meter=core.meter(),
            schedules=core.schedules,
            form=core.wire_form(),
            sender=_sender(settings.broker),
        )

    @property
    def histories(self) -> tuple[History, ...]:
        """The migrations of the core and of every context."""
        return (CORE, TOPICS, *(context.history for context in self.contexts if context.history is not None))

    def init_app(self, app: Flask) -> Flask:
        """Add the application's entrypoints, documents and health to a Flask application."""
        self.refuse_unprotected(debug=app.debug)
        app.config["MAX_CONTENT_LENGTH"] = self.settings.http.max_body_bytes
        self._install(app)
        if proxies := self.settings.http.trusted_proxies:
            app.wsgi_app = BehindProxies(app.wsgi_app, proxies)  # type: ignore[method-assign]
        app.add_url_rule("/metrics", "atomos.metrics", self._metrics)
        app.extensions["atomos"] = self
        return app

    def document(self) -> str:
        """Write the OpenAPI document as it is served; nothing is opened."""
        return self._install(Flask("document")).document_text

    def topics_document(self, *, served: bool = False) -> str:
        """Write the AsyncAPI document; nothing is opened. One that is served does not say where the broker is."""
        core, broker = self.container.core, self.settings.broker
        url, place = None if served else broker.url, core.topic_places(host=not served)
        wire = asyncapi.Wire(url, broker.mode, place, core.wire_form().source)
        return as_text(asyncapi.document(self.bus.flow.routes, wire=wire, **self._title))

    def refuse_unprotected(self, *, debug: bool = False) -> None:
        """Raise `Unprotected` where a service in production would be open to everyone, with every reason."""
        endpoints = [each for context in self.contexts for b in context.blueprints for each in b.endpoints]
        refuse_unprotected(self.settings, self.bus.flow.routes.requires, endpoints, debug=debug)

    @cached_property
    def guard(self) -> Guard:
        """Who says who sent a request: API keys where there is a secret for them, tokens where there is an issuer.

        Raises `MissingExtra` where the libraries for tokens are not installed.
        """
        security, oidc, core = self.settings.security, self.settings.oidc, self.container.core
        keys = [core.authenticator()] if security.secret is not None else []
        tokens = [core.oidc()] if oidc.issuer is not None else []
        # Where credentials are needed, a document is for a place that has the secret, though it may be made elsewhere.
        schemes = {"key": API_KEY} if keys or (security.authentication and not tokens) else {}
        if oidc.issuer is not None:
            schemes = {**schemes, "token": token_of(oidc.issuer, discovers=oidc.jwks_url is None)}
        salt = (security.secret or "") if security.authentication else ""
        return Guard([*keys, *tokens], security.authentication, schemes, salt)

    def migrate(self) -> list[str]:
        """Bring the database to the version of this build; name what was applied. Safe when two begin at once."""
        return upgrade(self.container.core.database(), self.histories)

    def start(self) -> None:
        """Do what a serving process does after its fork: with the embedded default, migrate and deliver."""
        if self.settings.database.is_sqlite:
            self.migrate()
        if self.settings.embedded:
            self.worker().start()

    @property
    def uses_broker(self) -> bool:
        """Whether a table publishes to a topic or reads one."""
        routes = self.bus.flow.routes
        return bool(routes.topics() or routes.subscriptions())

    @property
    def topology(self) -> Topology:
        """What this application publishes to, and reads."""
        return topology_of(self.bus.flow.routes, self.settings.broker.service)

    def worker(self) -> Worker:
        """Make a worker; `close` stops it. Raises `MissingExtra` where the broker's library is not installed."""
        core = self.container.core
        worker = Worker(
            self.bus,
            core.deliveries(),
            core.wake(),
            core.worker_settings(),
            core.workers(),
            self._chores(),
            core.broker if self.uses_broker else None,
            core.reading(),
        )
        self._workers.append(worker)
        return worker

    def close(self) -> None:
        """Stop the workers and close every connection, each of them even if another fails."""
        with ExitStack() as closing:
            closing.callback(self.container.core.database().close)
            if self.uses_broker:
                closing.callback(self.container.core.broker().close)
            if "guard" in vars(self):
                for each in self.guard.authenticators:
                    closing.callback(each.close)
            closing.callback(self.container.core.wake().close)
            if self.settings.limits.storage is not None:
                closing.callback(self.container.core.counts().close)
            for worker in self._workers:
                closing.callback(worker.stop)
            self._workers.clear()

    def checks(self) -> Mapping[str, Callable[[], str | None]]:
        """Give the checks of readiness: each says what is wrong, or None."""
        return {"database": self._database_answers, "migrations": self._migrations_missing}

    def warnings(self) -> Mapping[str, Callable[[], str | None]]:
        """Give what people should see, and what takes no process out of service."""
        core = self.container.core
        health: LogHealth = core.health()
        return {
            "waiting": health.waiting,
            "worker": health.without_worker,
            "transaction": health.open_transaction,
            # What is to be published waits in the log: a broker that is away is no reason to refuse requests.
            **({"broker": self._broker_trouble} if self.uses_broker else {}),
            **({"identity": core.oidc().trouble} if self.settings.oidc.issuer is not None else {}),
            **({"limits": core.counts().trouble} if self.settings.limits.storage is not None else {}),
        }

    @property
    def _title(self) -> dict[str, str]:
        project = self._project
        return {"title": project.name, "version": project.version, "description": project.summary}

    def _install(self, app: Flask) -> Installation:
        return install(
            app,
            bus=self.bus,
            guard=self.guard,
            blueprints=[blueprint for context in self.contexts for blueprint in context.blueprints],
            checks=self.checks(),
            warnings=self.warnings(),
            **self._title,
            server=self.settings.http.public_url,
            page=self.settings.http.docs,
            exposure=self._exposure(),
            topics=self.topics_document(served=True) if self.uses_broker else None,
        )

    def _exposure(self) -> Exposure:
        http, limits, cors = self.settings.http, self.settings.limits, self.settings.cors
        counts = self.container.core.counts
        return Exposure(
            http.allowed_hosts,
            _limit("principal", "requests of this principal", limits.principal, counts),
            _limit("address", "requests from this address", limits.address, counts),
            Sharing(cors.origins, cors.max_age),
        )

    def _chores(self) -> list[Chore]:
        if not self.settings.delivery.retention:
            return []
        return [Chore("retention", _RETENTION_SECONDS, self.container.core.retention())]

    def _mistaken_views(self) -> list[Finding]:
        return [
            f for context in self.contexts for blueprint in context.blueprints for f in blueprint.findings()
        ]

    def _metrics(self) -> Response:
        permit_operators()
        text, content_type = exposition(self.container.core.metrics())
        return Response(text, content_type=content_type)

    def _database_answers(self) -> None:
        self.container.core.health().answers()

    def _broker_trouble(self) -> str | None:
        try:
            self.container.core.broker().check()
        except Unavailable as error:
            return str(error)
        return None

    def _migrations_missing(self) -> str | None:
        missing = pending(self.container.core.database(), self.histories)
        return f"the database lacks {', '.join(missing)}; run `atomos db upgrade`" if missing else None


def build(app: str | None = None, settings: Settings | None = None) -> Atomos:
    """Find the application's container, load its settings, and wire it.

    `app` is `package.module:Container`; None takes ATOMOS_APP, then [tool.atomos] app in pyproject.toml.
    """
    container = find_container(app)
    return Atomos(container, settings or load_settings(container))


def load_settings(
    container: type[containers.DeclarativeContainer] | None = None, profile: str | None = None
) -> Settings:
    """Load the settings of an application, with the sections of its contexts; None finds the application.

    `profile` takes the place of ATOMOS_PROFILE; None leaves it.
    """
    contexts: tuple[Context, ...] = getattr(container or find_container(), "contexts", ())
    sections = {each.name: each.settings for each in contexts if each.settings is not None}
    environment = {**os.environ, "ATOMOS_PROFILE": profile} if profile else None
    return load(contexts=sections, environment=environment)


def serve() -> Flask:
    """Make the WSGI application. Nothing is opened and no thread starts before `start`, which is after the fork."""
    atomos = build()
    logs.configure(atomos.settings.log.level, atomos.settings.log.format)
    app = Flask("atomos", static_folder=None)
    # A path has one way to write it; Flask would send who doubles a slash to wherever `Host` says.
    app.url_map.merge_slashes = False
    return atomos.init_app(app)


def _sender(broker: BrokerSettings) -> Principal:
    permissions = None if broker.permissions is None else frozenset(broker.permissions)
    return Principal(broker.principal, permissions)


def _limit(name: str, what: str, rate: str | None, counts: Callable[[], Counts]) -> Limit | None:
    return None if rate is None else Limit(name, what, Rate.of(rate), counts())


def _refuse_unnamed(container: type[containers.DeclarativeContainer], contexts: tuple[Context, ...]) -> None:
    needed = ("config", "core", *(context.name for context in contexts))
    if missing := [name for name in needed if name not in container.providers]:
        raise NoApplication(
            f"{container.__name__} has no {', '.join(missing)}; it needs a provider for each of {', '.join(needed)}, "
            "of just these names."
        )


def _mistakes(routes: Callable[[], JoinedRoutes], offers: Mapping[str, Offers]) -> list[Finding]:
    # Without routes the container is flawed, which is in the report already.
    with suppress(InjectionError):
        joined = routes()
        if strangers := sorted({row.context for row in joined.rows} - offers.keys()):
            raise NoApplication(
                f"Routes are joined under {', '.join(strangers)}, and the application's contexts are "
                f"{', '.join(offers) or 'none'}; `contexts = (CONTEXT,)` and `join(name=CONTEXT.routes)` have to agree."
            )
        return check(joined, offers)
    return []


def _instance(container: type[containers.DeclarativeContainer]) -> Any:
    return container()


def _config(settings: Settings) -> dict[str, Any]:
    own = {name: asdict(cast(Any, section)) for name, section in settings.contexts.items()}
    return {**{name: asdict(getattr(settings, name)) for name in SECTIONS}, **own}
