"""The core container: what every context may take, and how providers become plain offers for the bus."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, get_origin, get_type_hints

from click import Command
from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from .adapters.clock import SystemClock
from .adapters.codec import Codec
from .adapters.database import Database, Sessions
from .adapters.deliveries import SqlDeliveries
from .adapters.message_log import SqlMessageLog
from .adapters.migrations import History
from .adapters.notifications import EmailNotifications, LogNotifications
from .adapters.storage import FileStorage
from .adapters.telemetry import PrometheusMeter
from .api.entrypoints import Entrypoints
from .service.diagnostics import Finding
from .service.envelope import Envelope
from .service.errors import NoHandling
from .service.handling import current_handling
from .service.injection import Offer, Offers, place_of
from .service.retry import Backoff
from .service.routes import JoinedRoutes, Routes
from .service.worker import WorkerSettings


class Context(NamedTuple):
    """What a bounded context brings to the application, beside its container of the same name.

    `settings` is the dataclass of its section, `commands` its group of the command line; None where it has none.
    """

    name: str
    routes: tuple[Routes, ...]
    blueprints: tuple[Entrypoints, ...] = ()
    history: History | None = None
    settings: type | None = None
    commands: Command | None = None


def current_envelope() -> Envelope:
    """Give the envelope of the message in hand. Raises `NoHandling`."""
    handling = current_handling()
    if handling is None:
        raise NoHandling
    return handling.envelope


def _codec(routes: JoinedRoutes) -> Codec:
    return Codec(routes.messages())


class CoreContainer(containers.DeclarativeContainer):
    """Engines, the message log, clock, notifications, storage, and the session of the handling in progress.

    It is given validated settings as `config`, and the joined `routes`.
    """

    config = providers.Configuration(strict=True)
    routes = providers.Dependency(instance_of=JoinedRoutes)

    clock = providers.ThreadSafeSingleton(SystemClock)
    metrics = providers.ThreadSafeSingleton(CollectorRegistry)
    meter = providers.ThreadSafeSingleton(PrometheusMeter, registry=metrics)
    wake = providers.ThreadSafeSingleton(threading.Event)
    codec = providers.ThreadSafeSingleton(_codec, routes=routes)

    database = providers.ThreadSafeSingleton(
        Database,
        url=config.database.url,
        reader_url=config.database.reader_url,
        pool_size=config.database.pool_size,
        pool_timeout=config.database.pool_timeout,
        statement_timeout=config.database.statement_timeout,
        lock_timeout=config.database.lock_timeout,
        echo=config.database.echo,
    )
    sessions = providers.ThreadSafeSingleton(Sessions, database=database)
    session = providers.Callable(Sessions.current, sessions)
    envelope = providers.Callable(current_envelope)

    message_log = providers.ThreadSafeSingleton(SqlMessageLog, database=database, codec=codec, wake=wake)
    deliveries = providers.ThreadSafeSingleton(
        SqlDeliveries, database=database, codec=codec, lease=config.delivery.lease
    )
    worker_settings = providers.Factory(
        WorkerSettings,
        threads=config.delivery.threads,
        lease=config.delivery.lease,
        poll=config.delivery.poll,
        backoff=providers.Factory(
            Backoff,
            attempts=config.delivery.attempts,
            first=config.delivery.backoff,
            cap=config.delivery.backoff_cap,
        ),
    )

    notifications = providers.Selector(
        config.notifications.kind,
        log=providers.ThreadSafeSingleton(LogNotifications),
        smtp=providers.ThreadSafeSingleton(
            EmailNotifications,
            host=config.notifications.host,
            port=config.notifications.port,
            sender=config.notifications.sender,
            user=config.notifications.user,
            password=config.notifications.password,
            encryption=config.notifications.tls,
            timeout=config.notifications.timeout,
        ),
    )
    storage = providers.ThreadSafeSingleton(FileStorage, config.storage.url)


def offers_of(container: containers.Container) -> Offers:
    """Turn a context's providers into plain offers, so that the service layer knows no injector."""
    where = type(container).__name__ if type(container) is not containers.DynamicContainer else "container"
    place = getattr(container, "parent_name", None) or where
    return {
        name: Offer(name, provider, made_by(provider), f"{place}.{name}")
        for name, provider in container.providers.items()
        if not isinstance(provider, (providers.Container, providers.DependenciesContainer, providers.Configuration))
    }


def made_by(provider: providers.Provider[Any]) -> type | None:
    """Say which class a provider makes, following overrides, aliases, selectors and return annotations."""
    if provider.overridden:
        return made_by(provider.overridden[-1])
    if isinstance(provider, providers.Selector):
        return made_by(provider.providers[provider.selector()])
    if isinstance(provider, providers.Dependency):
        return provider.instance_of if isinstance(provider.instance_of, type) else None
    if isinstance(provider, providers.Object):
        return type(provider())
    made = getattr(provider, "cls", None) or getattr(provider, "provides", None)
    if isinstance(made, type):
        return made
    return _returned(made) if callable(made) else None


def flaws(containers_: Mapping[str, containers.Container]) -> list[Finding]:
    """Find what dependency-injector's own check misses: arguments that do not fit, names that nobody offers,
    and singletons that are not thread-safe."""
    return [
        finding
        for place, container in containers_.items()
        for name, provider in container.providers.items()
        for finding in _flaws(f"{place}.{name}", provider)
    ]


def _flaws(place: str, provider: providers.Provider[Any]) -> Iterator[Finding]:
    if provider.overridden:
        return
    if isinstance(provider, providers.Singleton) and not _is_thread_safe(provider):
        yield Finding("ATM018", place, f"is a {type(provider).__name__}")
    if isinstance(provider, providers.Dependency) and not provider.is_defined:
        yield Finding("ATM017", place, "needs a provider of that name, and is given none")
    if isinstance(provider, providers.DependenciesContainer):
        for name, needed in provider.providers.items():
            if not needed.overridden:
                yield Finding("ATM017", f"{place}.{name}", "is taken, and not offered there")
    if (problem := _misfit(provider)) is not None:
        yield Finding("ATM016", place, problem)


def _is_thread_safe(provider: providers.Singleton[Any]) -> bool:
    return isinstance(provider, (providers.ThreadSafeSingleton, providers.ThreadLocalSingleton))


def _misfit(provider: providers.Provider[Any]) -> str | None:
    made = getattr(provider, "provides", None)
    arguments: Any = getattr(provider, "args", None)
    if not callable(made) or arguments is None:
        return None
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*arguments, **provider.kwargs)  # type: ignore[attr-defined]
    except TypeError as error:
        return f"{place_of(made)}{signature}: {error}"
    return None


def _returned(function: Callable[..., Any]) -> type | None:
    try:
        returns = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return None
    returns = get_origin(returns) or returns
    return returns if isinstance(returns, type) else None
