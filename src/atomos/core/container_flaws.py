"""Finds what is wrong with a container before anything is made; dependency-injector's own check misses it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, get_origin, get_type_hints

from dependency_injector import containers, errors, providers

from .container_offers import chosen_by, is_set, made_by, written_at
from .service.diagnostics import Finding
from .service.injection import fits, members, place_of, said

Provider = providers.Provider[Any]
Found = Iterator[tuple[str, str]]
"""Mistakes: a diagnostic's code, and what is wrong."""

_ABSTRACT = (providers.AbstractFactory, providers.AbstractSingleton, providers.AbstractCallable)


class _Place(NamedTuple):
    """A named provider's container, and the names of what it takes from others, by identity."""

    container: containers.Container
    taken: Mapping[int, tuple[str, str]]


def flaws(parts: Mapping[str, containers.Container]) -> list[Finding]:
    """Find every mistake of the containers, by the names that the root gives them.

    Arguments that do not fit, names that nobody offers, settings that nobody gives, singletons that are not
    thread-safe. Each is reported at the named provider that has it, or in whose arguments it is.
    """
    named = {id(each) for container in parts.values() for each in container.providers.values()}
    return list(dict.fromkeys(finding for each in parts.values() for finding in _flaws(each, named)))


def _flaws(container: containers.Container, named: set[int]) -> Iterator[Finding]:
    place = _Place(container, _taken(container))
    declared = written_at(container)
    for name, provider in container.providers.items():
        for each in _with_arguments(provider, named):
            for check in _CHECKS:
                for code, detail in check(each, place):
                    yield Finding(code, f"{declared}.{name}", detail)


def _taken(container: containers.Container) -> dict[int, tuple[str, str]]:
    return {
        id(needed): (source, name)
        for source, other in container.providers.items()
        if isinstance(other, providers.DependenciesContainer)
        for name, needed in other.providers.items()
    }


def _with_arguments(provider: Provider, named: set[int]) -> Iterator[Provider]:
    """Give a named provider, and the nameless ones that it is made of."""
    waiting, seen = [provider], set(named)
    while waiting:
        each = waiting.pop()
        yield each
        if each.overridden or isinstance(each, (providers.DependenciesContainer, providers.Container)):
            continue
        new = [other for other in each.related if id(other) not in seen]
        seen.update(map(id, new))
        waiting += new


def _thread_safety(provider: Provider, _: _Place) -> Found:
    if isinstance(provider, providers.Singleton) and not provider.overridden:
        yield "ATM018", f"is a {type(provider).__name__} of {_title(provider.provides)}"


def _needs(provider: Provider, place: _Place) -> Found:
    if provider.overridden:
        return
    if isinstance(provider, providers.DependenciesContainer):
        yield "ATM017", "needs a container, and is given none"
    if isinstance(provider, _ABSTRACT):
        yield "ATM017", f"needs a provider of {_title(provider.provides)}, and is given none"
    if isinstance(provider, providers.Dependency) and not provider.is_defined:
        source, name = place.taken.get(id(provider), ("", ""))
        if not source:
            yield "ATM017", f"needs a provider of {said(provider.instance_of)}, and is given none"
        elif (offered := place.container.providers[source]).overridden:
            yield "ATM017", _not_offered(source, name, offered)


def _not_offered(source: str, name: str, offered: Any) -> str:
    known = sorted(each for each, provider in offered.providers.items() if provider.is_defined)
    return f"takes {name} from {source}, which offers {_listed(name, known)}"


def _settings(provider: Provider, place: _Place) -> Found:
    if isinstance(provider, providers.Configuration) and not provider.get_strict():
        yield "ATM027", "is not strict: what is missing would be None; write Configuration(strict=True)"
    if isinstance(provider, providers.ConfigurationOption) and not is_set(provider):
        *section, key = map(str, provider.get_name_segments())
        given = _listed(key, _keys(place.container, section))
        yield "ATM027", f"needs {provider.get_name()}; {'.'.join(['config', *section])} has {given}"
    if isinstance(provider, providers.Selector) and chosen_by(provider) is None:
        selector: Any = provider.selector
        if not isinstance(selector, providers.ConfigurationOption) or is_set(selector):
            known = sorted(provider.providers)
            yield "ATM027", f"chooses {selector()!r} by {_name(selector)}; it knows {', '.join(known)}"


def _keys(container: containers.Container, section: list[str]) -> list[str]:
    try:
        values: Any = container.providers["config"]()
        for name in section:
            values = values[name]
        return sorted(values)
    except (errors.Error, KeyError, TypeError):
        return []


def _arguments(provider: Any, _: _Place) -> Found:
    if provider.overridden or isinstance(provider, _ABSTRACT) or not isinstance(provider, _MAKERS):
        return
    made: Any = provider.provides
    if lacks := getattr(made, "__abstractmethods__", ()):
        yield "ATM016", f"{_title(made)} is abstract: it lacks {', '.join(sorted(lacks))}"
        return
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):
        return
    try:
        bound = signature.bind(*provider.args, **provider.kwargs)
    except TypeError as error:
        yield "ATM016", f"{_title(made)}{signature}: {error}"
        return
    for name, value in bound.arguments.items():
        yield from _argument(made, name, value)


def _argument(made: Any, name: str, value: Any) -> Found:
    annotation = _hints(made).get(name, object)
    given = made_by(value) if isinstance(value, providers.Provider) and not _is_setting(value) else None
    if given in (None, object) or not _can_be_judged(annotation):
        return
    if not (fits(given, annotation) or (given is int and float in members(annotation))):
        yield "ATM016", f"{_title(made)} wants {name}: {said(annotation)}, and is given {said(given)}"


def _is_setting(provider: Provider) -> bool:
    # Settings were checked where they were read, and a whole number is a good float.
    return isinstance(provider, providers.ConfigurationOption)


def _can_be_judged(annotation: Any) -> bool:
    kinds = [get_origin(member) or member for member in members(annotation)]
    return all(isinstance(kind, type) and not getattr(kind, "_is_protocol", False) for kind in kinds)


def _hints(made: Any) -> dict[str, Any]:
    try:
        return get_type_hints(made.__init__ if isinstance(made, type) else made)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):
        return {}


def _listed(wanted: str, known: list[str]) -> str:
    near = get_close_matches(wanted, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{', '.join(known) or 'nothing'}{hint}"


def _name(selector: Any) -> str:
    return selector.get_name() if isinstance(selector, providers.ConfigurationOption) else repr(selector)


def _title(made: Any) -> str:
    return place_of(made) if inspect.isroutine(made) or isinstance(made, type) else repr(made)


_MAKERS = (providers.Factory, providers.BaseSingleton, providers.Callable, providers.Resource)
_CHECKS = (_thread_safety, _needs, _settings, _arguments)
