"""Every setting of Atomos: its section, its type, its limits and its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.domain import Sensitive
from .broker import BrokerSettings
from .exposed import CorsSettings, Hosts, LimitsSettings, Proxies
from .kinds import (
    Address,
    Count,
    DatabaseUrl,
    Days,
    Patience,
    Port,
    PublicUrl,
    Seconds,
    StorageUrl,
    Text,
    Tries,
)
from .oidc import OidcSettings
from .showing import Row, rows, without_secrets

MOST_GUESSABLE = 32
"""A secret with fewer characters is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Section `[database]`: where everything is stored."""

    url: DatabaseUrl = "sqlite:///var/atomos.db"
    """Where writers connect; a password in it is never shown. Default: SQLite, below the current folder."""

    reader_url: DatabaseUrl | None = None
    """Where readers connect: a replica, or a role that may only read. None, the default: where writers do."""

    pool_size: Count = 5
    """Connections that each process keeps open for writers, and as many for readers."""

    pool_timeout: Seconds = 5.0
    """Seconds that a thread waits for a free connection before it gives up."""

    statement_timeout: Seconds = 30.0
    """Seconds after which the database ends a statement."""

    lock_timeout: Seconds = 5.0
    """Seconds that a statement waits for a lock; past it the handling conflicts, and may be retried."""

    echo: bool = False
    """Whether every statement is logged. Default: false."""

    def __post_init__(self) -> None:
        """Refuse a reader that is another kind of database; raises ValueError."""
        if self.reader_url is not None and self.is_sqlite != self.reader_url.startswith("sqlite:"):
            raise ValueError("url and reader_url must be the same kind of database")

    def __repr__(self) -> str:
        return without_secrets(self)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite, embedded in the process."""
        return self.url.startswith("sqlite:")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Section `[delivery]`: how recorded events reach those who must hear of them."""

    embedded: bool | None = None
    """Whether serving processes deliver too. None, the default: on for SQLite, off otherwise."""

    threads: Count = 4
    """Deliveries at once in one worker."""

    lease: Seconds = 12.0
    """Seconds that a claimed batch belongs to a worker; it is renewed every third of that time. What a killed worker
    had in hand waits for so long."""

    poll: Seconds = 0.2
    """Seconds between two looks at the log when nothing wakes the worker."""

    listen: bool = True
    """Whether a commit wakes the workers of other processes at once. Default: true; behind a pooler that gives
    each transaction another connection, false: then they look every `poll` seconds."""

    attempts: Count = 10
    """How often a delivery is tried before it is dead; 1 means no retry."""

    backoff: Seconds = 1.0
    """Seconds before the second attempt; each further pause is longer."""

    backoff_cap: Seconds = 300.0
    """The longest pause between two attempts, in seconds."""

    quickly: Tries = 3
    """How often a conflict, or something unavailable, is tried again in place before it counts; zero: never."""

    limit: Patience = 300.0
    """Seconds that a handler may take before its delivery has failed; zero: any time. A route may say another."""

    retention: Days = 30.0
    """Days that a conversation is kept after its last message, once all of it is done or discarded; 0: for ever.

    A repeat of a message that was removed is a new message.
    """

    def __post_init__(self) -> None:
        """Refuse a first pause that is longer than the longest; raises ValueError."""
        if self.backoff > self.backoff_cap:
            raise ValueError("backoff must not be longer than backoff_cap")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsSettings:
    """Section `[notifications]`: how people are told."""

    kind: Literal["log", "smtp"] = "log"
    """`log`, the default, only writes a log line; `smtp` sends e-mail and needs `sender` and `host`."""

    sender: Address | None = None
    """Whom e-mail is from. None: nobody, which only `log` accepts."""

    host: Text | None = None
    """The mail server's name or address. None: none, which only `log` accepts."""

    port: Port = 587
    """The mail server's port: 587 for `starttls`, usually 465 for `tls` and 25 for `none`."""

    user: Text | None = None
    """Who signs in at the mail server. None: nobody does, and there must be no password."""

    password: Sensitive[str] | None = None
    """The user's password, never shown. None: nobody signs in."""

    tls: Literal["none", "starttls", "tls"] = "starttls"
    """`starttls` (the default) encrypts after greeting, `tls` from the start, `none` never."""

    timeout: Seconds = 10.0
    """Seconds that the mail server may take for each step."""

    def __post_init__(self) -> None:
        """Refuse `smtp` without host or sender, and half a sign-in; raises ValueError."""
        if self.kind == "smtp" and (self.host is None or self.sender is None):
            raise ValueError("kind 'smtp' needs both host and sender")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password need each other")
        if self.password is not None and self.tls == "none":
            raise ValueError(
                "a password needs tls 'starttls' or 'tls': it would cross the network in the clear"
            )

    def __repr__(self) -> str:
        return without_secrets(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Section `[storage]`: where files are kept."""

    url: StorageUrl = "file://var/files"
    """`file://FOLDER`, below the current folder unless it begins with a slash; or `memory://`, for tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """Section `[health]`: from when on `/health/ready` warns of something; it stays ready."""

    waiting: Seconds = 60.0
    """Seconds that a delivery may wait while nobody works on it."""

    transaction: Seconds = 60.0
    """Seconds that a transaction in the database may be open, whoever opened it (PostgreSQL)."""

    alive: Seconds = 30.0
    """Seconds after which a worker that was not seen counts as gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Section `[http]`: how the service is served."""

    host: Text = "127.0.0.1"
    """The address to listen on. Default: only this machine; `0.0.0.0` listens to all."""

    port: Port = 8000
    """The port to listen on."""

    processes: Count = 1
    """Serving processes."""

    threads: Count = 4
    """Requests at once in one process."""

    max_body_bytes: Count = 1_048_576
    """The largest request body, in bytes; a larger one is answered with 413. Default: 1 MiB."""

    public_url: PublicUrl = "/"
    """Where callers reach the service, for its OpenAPI document. Default: `/`, where the document came from."""

    docs: bool = True
    """Whether there is a page to read the document and to try it, `/docs`. Default: true; in production: false."""

    head_timeout: Seconds = 10.0
    """Seconds that a client may take to send the first line and the header fields; past it: 408."""

    body_timeout: Seconds = 30.0
    """Seconds that a client may take to send the body after that; past it: 408."""

    answer_timeout: Seconds = 30.0
    """Seconds that a client may take to receive its answer; past it the connection is closed."""

    allowed_hosts: Hosts = ()
    """The names in `Host` that are answered, `.example.org` with all below it; others are 400. Default: any."""

    trusted_proxies: Proxies = ()
    """The proxies, by address or network, whose `X-Forwarded-For` and `-Proto` count. Default: nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Section `[security]`: who may do what over the network."""

    authentication: bool = False
    """Whether requests need credentials; without them only what is public is done. Default: false."""

    secret: Sensitive[str] | None = None
    """What API keys are hashed with, at least 32 characters by chance; another one makes all keys useless.
    None, the default: there are no API keys."""

    def __post_init__(self) -> None:
        """Refuse a secret that is too short to be one; raises ValueError."""
        if self.secret is not None and len(self.secret) < MOST_GUESSABLE:
            raise ValueError(f"secret must have at least {MOST_GUESSABLE} characters")

    def __repr__(self) -> str:
        return without_secrets(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Section `[log]`: what is logged, and how."""

    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """The least level that is logged."""

    format: Literal["console", "json"] = "console"
    """`console`, the default, for people; `json`, one object a line, for machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, as `load` checked them; tests may make their own."""

    profile: str = "development"
    """Which file was read after `default.toml`."""

    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    """Where everything is stored."""

    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    """How recorded events reach those who must hear of them."""

    broker: BrokerSettings = field(default_factory=BrokerSettings)
    """Where topics are published to and read from."""

    notifications: NotificationsSettings = field(default_factory=NotificationsSettings)
    """How people are told."""

    storage: StorageSettings = field(default_factory=StorageSettings)
    """Where files are kept."""

    health: HealthSettings = field(default_factory=HealthSettings)
    """From when on `/health/ready` warns of something."""

    http: HttpSettings = field(default_factory=HttpSettings)
    """How the service is served."""

    security: SecuritySettings = field(default_factory=SecuritySettings)
    """Who may do what over the network."""

    oidc: OidcSettings = field(default_factory=OidcSettings)
    """Whose bearer tokens are accepted."""

    limits: LimitsSettings = field(default_factory=LimitsSettings)
    """How often anyone may ask."""

    cors: CorsSettings = field(default_factory=CorsSettings)
    """Which web pages of other origins may read answers."""

    log: LogSettings = field(default_factory=LogSettings)
    """What is logged, and how."""

    contexts: Mapping[str, object] = field(default_factory=dict)
    """Each context's own settings, by the context's name: an instance of the dataclass that it declared.

    `explain` hides what is marked `Sensitive` in them; a dataclass's own `repr` shows it unless the field
    says `repr=False`.
    """

    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Which file or variable gave each value, by key; keys that are not here have the value from code."""

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{row.key}={row.shown}' for row in explain(self))})"

    @property
    def embedded(self) -> bool:
        """Whether serving processes deliver too, `delivery.embedded` having been decided."""
        return self.database.is_sqlite if self.delivery.embedded is None else self.delivery.embedded


SECTIONS: Mapping[str, type[Any]] = {
    "database": DatabaseSettings,
    "delivery": DeliverySettings,
    "broker": BrokerSettings,
    "notifications": NotificationsSettings,
    "storage": StorageSettings,
    "health": HealthSettings,
    "http": HttpSettings,
    "security": SecuritySettings,
    "oidc": OidcSettings,
    "limits": LimitsSettings,
    "cors": CorsSettings,
    "log": LogSettings,
}
"""The sections that every service has, in the order in which they are shown."""


def explain(settings: Settings) -> list[Row]:
    """List every setting with its value and where it came from, section by section; secrets are hidden."""
    profile = Row(key="profile", shown=settings.profile, source=settings.sources.get("profile", "code"))
    own = [(name, getattr(settings, name)) for name in SECTIONS]
    parts = [*own, *settings.contexts.items()]
    return [profile, *(row for name, part in parts for row in rows(part, (name,), settings.sources))]
