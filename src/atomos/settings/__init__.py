"""Typed settings in layers: code, `default.toml`, the profile's file, the environment, secrets from files."""

from .exposed import CorsSettings, LimitsSettings
from .loading import load
from .mistakes import Mistake, SettingsError
from .oidc import OidcSettings
from .sections import (
    DatabaseSettings,
    DeliverySettings,
    HealthSettings,
    HttpSettings,
    LogSettings,
    NotificationsSettings,
    SecuritySettings,
    Settings,
    StorageSettings,
    explain,
)
from .showing import Row

__all__ = [
    "CorsSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "HealthSettings",
    "HttpSettings",
    "LimitsSettings",
    "LogSettings",
    "Mistake",
    "NotificationsSettings",
    "OidcSettings",
    "Row",
    "SecuritySettings",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "explain",
    "load",
]
