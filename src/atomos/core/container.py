"""The core container: what every context may take, and what a context brings to the application."""

from __future__ import annotations

from dataclasses import dataclass

from click import Command
from dependency_injector import containers, providers
from prometheus_client import CollectorRegistry

from .adapters.clock import DatabaseClock
from .adapters.codec import Codec
from .adapters.database import Database, Sessions
from .adapters.deliveries import SqlDeliveries
from .adapters.health import HealthLimits, LogHealth
from .adapters.keys import SqlKeys
from .adapters.limits import counts_at
from .adapters.message_log import SqlMessageLog
from .adapters.messaging.choosing import broker_at
from .adapters.messaging.cloud_events import CloudEvents, Mode
from .adapters.messaging.describing import places_at
from .adapters.migrations import History
from .adapters.notifications import EmailNotifications, LogNotifications
from .adapters.oidc import oidc_authenticator
from .adapters.oidc.rules import KeyTimes, TokenRules
from .adapters.operations import SqlControl, SqlInspection, SqlRetention
from .adapters.schedules import SqlSchedules
from .adapters.storage import FileStorage
from .adapters.telemetry import PrometheusMeter
from .adapters.waking import wake_of
from .adapters.workers import SqlWorkers
from .api.entrypoints import Entrypoints
from .container_flaws import flaws
from .container_offers import made_by, offers_of
from .service.authentication import KeyAuthenticator
from .service.envelope import Envelope
from .service.errors import NoHandling
from .service.handling import current_handling
from .service.reading import ReadingSettings
from .service.retry import Backoff
from .service.routes import JoinedRoutes, Routes
from .service.worker_settings import WorkerSettings

__all__ = ["Context", "CoreContainer", "current_envelope", "flaws", "made_by", "offers_of"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a bounded context brings to the application, beside its container of the same name.

    `settings` is the dataclass of its section, `commands` its group of the command line; None where it has
    none. Raises `TypeError` where `routes` or `blueprints` is no tuple.
    """

    name: str
    routes: tuple[Routes, ...]
    blueprints: tuple[Entrypoints, ...] = ()
    history: History | None = None
    settings: type | None = None
    commands: Command | None = None

    def __post_init__(self) -> None:
        """Refuse what lacks the comma that makes one thing a tuple."""
        for name, kind in (("routes", Routes), ("blueprints", Entrypoints)):
            given = getattr(self, name)
            if not (isinstance(given, tuple) and all(isinstance(each, kind) for each in given)):
                raise TypeError(
                    f"The context {self.name}: {name} is {given!r:.60}; it has to be a tuple of {kind.__name__}, "
                    "which one alone is with a comma behind it: (one,)."
                )


def current_envelope() -> Envelope:
    """Give the envelope of the message in hand. Raises `NoHandling`."""
    handling = current_handling()
    if handling is None:
        raise NoHandling
    return handling.envelope


def _codec(routes: JoinedRoutes) -> Codec:
    return Codec(routes.messages(), routes.upcasts, routes.declarations())


def _form(
    codec: Codec, routes: JoinedRoutes, service: str, source: str | None, mode: Mode, url: str | None
) -> CloudEvents:
    is_nats = url is not None and url.startswith(("nats:", "tls:"))
    return CloudEvents(codec, routes.subscriptions(), source or f"/{service}", mode, quoted=is_nats)


class CoreContainer(containers.DeclarativeContainer):
    """Engines, the message log, clock, notifications, storage, and the session of the handling in progress.

    It is given validated settings as `config`, and the joined `routes`.
    """

    config = providers.Configuration(strict=True)
    routes = providers.Dependency(instance_of=JoinedRoutes)

    metrics = providers.ThreadSafeSingleton(CollectorRegistry)
    meter = providers.ThreadSafeSingleton(PrometheusMeter, registry=metrics)
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
    clock = providers.ThreadSafeSingleton(DatabaseClock, database=database)
    sessions = providers.ThreadSafeSingleton(Sessions, database=database)
    session = providers.Callable(Sessions.current, sessions)
    envelope = providers.Callable(current_envelope)

    wake = providers.ThreadSafeSingleton(wake_of, database=database, listen=config.delivery.listen)
    message_log = providers.ThreadSafeSingleton(SqlMessageLog, database=database, codec=codec, wake=wake)
    deliveries = providers.ThreadSafeSingleton(
        SqlDeliveries, database=database, codec=codec, lease=config.delivery.lease
    )
    schedules = providers.ThreadSafeSingleton(SqlSchedules, database=database, log=message_log, codec=codec)
    inspection = providers.ThreadSafeSingleton(SqlInspection, database=database, lease=config.delivery.lease)
    control = providers.ThreadSafeSingleton(
        SqlControl, database=database, codec=codec, lease=config.delivery.lease
    )
    retention = providers.ThreadSafeSingleton(SqlRetention, database=database, days=config.delivery.retention)
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
        quickly=config.delivery.quickly,
        limit=config.delivery.limit,
    )
    keys = providers.ThreadSafeSingleton(SqlKeys, database=database)
    authenticator = providers.ThreadSafeSingleton(
        KeyAuthenticator, keys=keys, secret=config.security.secret, now=clock.provided.now
    )
    oidc = providers.ThreadSafeSingleton(
        oidc_authenticator,
        rules=providers.Factory(
            TokenRules,
            issuer=config.oidc.issuer,
            audience=config.oidc.audience,
            algorithms=config.oidc.algorithms,
            types=config.oidc.types,
            principal_claim=config.oidc.principal_claim,
            scopes_claim=config.oidc.scopes_claim,
            leeway=config.oidc.leeway,
        ),
        times=providers.Factory(
            KeyTimes,
            refresh=config.oidc.refresh,
            pause=config.oidc.pause,
            unknown=config.oidc.unknown,
            outage=config.oidc.outage,
            timeout=config.oidc.timeout,
        ),
        jwks_url=config.oidc.jwks_url,
    )
    counts = providers.ThreadSafeSingleton(counts_at, config.limits.storage)
    workers = providers.ThreadSafeSingleton(SqlWorkers, database=database, codec=codec)

    health = providers.ThreadSafeSingleton(
        LogHealth,
        database=database,
        limits=providers.Factory(
            HealthLimits,
            waiting=config.health.waiting,
            transaction=config.health.transaction,
            alive=config.health.alive,
        ),
    )

    broker = providers.ThreadSafeSingleton(
        broker_at,
        url=config.broker.url,
        database=database,
        prefix=config.broker.prefix,
        declare=config.broker.declare,
        batch=config.broker.batch,
        timeout=config.broker.timeout,
        heartbeat=config.broker.heartbeat,
        keep=config.broker.keep,
    )
    topic_places = providers.Factory(
        places_at,
        config.broker.url,
        service=config.broker.service,
        prefix=config.broker.prefix,
        mode=config.broker.mode,
        declare=config.broker.declare,
    )
    wire_form = providers.ThreadSafeSingleton(
        _form,
        codec=codec,
        routes=routes,
        service=config.broker.service,
        source=config.broker.source,
        mode=config.broker.mode,
        url=config.broker.url,
    )
    reading = providers.Factory(
        ReadingSettings,
        service=config.broker.service,
        batch=config.broker.batch,
        waiting=config.broker.waiting,
        lease=config.delivery.lease,
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
