"""Turns a container's providers into plain offers: names, what they make, and where; nothing is made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self, get_args, get_origin, get_type_hints

from dependency_injector import containers, errors, providers

from .service.injection import Offer, Offers, Unread, place_of

_NO_OFFERS = (providers.Container, providers.DependenciesContainer, providers.Configuration)
_MAKERS = (providers.Factory, providers.BaseSingleton, providers.Callable, providers.Resource)
_YIELDING = (Iterator, Iterable, Generator)


def offers_of(container: containers.Container) -> Offers:
    """Turn a context's providers into plain offers, so that the service layer knows no injector.

    What a broken provider would make counts as fitting everywhere: `flaws` reports it, once.
    """
    declared = declaration_of(container)
    return {
        name: Offer(name, provider, made_by(provider) if gives(provider) else Unread, f"{declared}.{name}")
        for name, provider in container.providers.items()
        if not isinstance(provider, _NO_OFFERS)
    }


def declaration_of(container: containers.Container) -> str:
    """Name the declarative class of a container, whose instances are all of one class."""
    declared = getattr(container, "declarative_parent", None)
    return declared.__name__ if declared else type(container).__name__


def written_at(container: containers.Container) -> str:
    """Say where the declarative class of a container is: `path:line name`."""
    declared = getattr(container, "declarative_parent", None)
    return place_of(declared) if declared else type(container).__name__


def made_by(provider: providers.Provider[Any]) -> type | None:
    """Say which class a provider makes; None where it does not say.

    Follows overrides, aliases, selectors and the return annotations of functions.
    """
    if provider.overridden:
        return made_by(provider.overridden[-1])
    return next((made(provider) for kinds, made in _MADE if isinstance(provider, kinds)), None)


def gives(provider: providers.Provider[Any]) -> bool:
    """Whether a provider that stands for another, or for a setting, is given what it stands for."""
    if provider.overridden:
        return gives(provider.overridden[-1])
    if isinstance(provider, providers.Dependency):
        return bool(provider.is_defined)
    if isinstance(provider, providers.Selector):
        chosen = chosen_by(provider)
        return chosen is not None and gives(chosen)
    return not isinstance(provider, providers.ConfigurationOption) or is_set(provider)


def is_set(option: providers.ConfigurationOption) -> bool:
    """Whether a strict configuration has this key."""
    try:
        option()
    except errors.Error:
        return False
    return True


def chosen_by(selector: providers.Selector) -> providers.Provider[Any] | None:
    """Give the provider that a selector's setting chooses; None where there is no such."""
    try:
        return selector.providers.get(selector.selector())  # type: ignore[misc]
    except errors.Error:
        return None


def _of_dependency(provider: Any) -> type | None:
    if provider.default is not None:
        return made_by(provider.default)
    return provider.instance_of if isinstance(provider.instance_of, type) else None


def _of_selector(provider: Any) -> type | None:
    chosen = chosen_by(provider)
    return made_by(chosen) if chosen is not None else None


def _of_value(provider: Any) -> type | None:
    return type(provider()) if gives(provider) else None


def _of_maker(provider: Any) -> type | None:
    made = provider.provides
    if isinstance(made, type):
        return made
    return _returned(made, is_resource=isinstance(provider, providers.Resource)) if callable(made) else None


def _returned(function: Callable[..., Any], *, is_resource: bool) -> type | None:
    try:
        returns = get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):
        return None
    if is_resource and get_origin(returns) in _YIELDING:
        returns = get_args(returns)[0]
    if returns is Self:
        returns = getattr(function, "__self__", None)
    returns = get_origin(returns) or returns
    return returns if isinstance(returns, type) else None


_MADE: tuple[tuple[Any, Callable[[Any], type | None]], ...] = (
    (providers.Dependency, _of_dependency),
    (providers.Selector, _of_selector),
    ((providers.Object, providers.ConfigurationOption), _of_value),
    (providers.List, lambda _: list),
    (providers.Dict, lambda _: dict),
    (_MAKERS, _of_maker),
)
