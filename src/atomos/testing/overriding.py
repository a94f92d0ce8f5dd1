"""Overrides of providers that check the fake, and leave nothing behind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dependency_injector import containers, providers

from atomos.core.container import made_by

F = TypeVar("F")


class UnfitFake(TypeError):
    """The fake is not what the provider's users expect."""


@contextmanager
def override(container: containers.Container, provider: providers.Provider[Any], fake: F) -> Iterator[F]:
    """Let a provider of a container give a fake, for the time of a `with` block.

    The fake must be an instance of the port that the provider's adapter implements, or of its class where it has no
    port. Singletons that are made of the provider are made anew, within the block and after it.
    """
    _check(provider, fake)
    singletons: list[Any] = list(container.traverse(types=[providers.BaseSingleton]))
    dependants = [singleton for singleton in singletons if _needs(singleton, provider)]
    with provider.override(providers.Object(fake)):
        _reset(dependants)
        try:
            yield fake
        finally:
            _reset(dependants)


def port_of(adapter: type) -> type:
    """Give the port that an adapter implements: its nearest abstract class, or itself where it has none."""
    return next((cls for cls in adapter.__mro__ if inspect.isabstract(cls)), adapter)


def _check(provider: providers.Provider[Any], fake: object) -> None:
    adapter = made_by(provider)
    if adapter is not None and not isinstance(fake, port_of(adapter)):
        raise UnfitFake(
            f"{type(fake).__name__} is no {port_of(adapter).__name__}, which the users of this provider expect; "
            f"let the fake subclass {port_of(adapter).__name__}."
        )


def _needs(singleton: providers.Provider[Any], provider: providers.Provider[Any]) -> bool:
    needed: list[Any] = list(singleton.traverse())
    return singleton is not provider and any(each is provider for each in needed)


def _reset(singletons: list[Any]) -> None:
    for singleton in singletons:
        singleton.reset()
