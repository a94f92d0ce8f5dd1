"""Containers: what their providers make, and every mistake in them, found before anything is made."""

from __future__ import annotations

import inspect
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from dependency_injector import containers, providers

from atomos.bootstrap import Atomos, load_settings
from atomos.container import Application
from atomos.core.api import Entrypoints
from atomos.core.container import Context, CoreContainer, flaws, made_by, offers_of
from atomos.core.domain import Event
from atomos.core.service import Notifications, Routes, WiringError, join
from atomos.core.service.injection import Unread, fits
from atomos.testing import RecordedNotifications

if TYPE_CHECKING:
    from decimal import Decimal

HERE = f"{__name__.replace('.', '/')}.py"


class Mail(ABC):
    @abstractmethod
    def send(self) -> None: ...


class Smtp(Mail):
    def __init__(self, host: str = "", timeout: float = 1.0) -> None:
        self.host = host

    def send(self) -> None: ...

    @classmethod
    def local(cls) -> Self:
        return cls("localhost")


class Log(Mail):
    def send(self) -> None: ...


class Desk:
    def __init__(self, mail: Mail, name: str = "") -> None:
        self.mail = mail


def make_mail(host: str = "") -> Mail:
    return Smtp(host)


def make_silently(host=""):  # type: ignore[no-untyped-def]
    return Smtp(host)


def make_price() -> Decimal: ...


def opened() -> Iterator[Smtp]:
    yield Smtp()


class Core(containers.DeclarativeContainer):
    config = providers.Configuration(strict=True)
    mail = providers.Selector(
        config.mail.kind,
        smtp=providers.ThreadSafeSingleton(Smtp, host=config.mail.host),
        log=providers.ThreadSafeSingleton(Log),
    )
    clock = providers.Object(5)


class Shop(containers.DeclarativeContainer):
    config = providers.Configuration(strict=True)
    core = providers.DependenciesContainer()

    mail = core.mail
    desk = providers.Factory(Desk, mail=core.mail, name=config.name)
    made = providers.Factory(make_mail, host=config.name)
    called = providers.Callable(make_mail)
    local = providers.Factory(Smtp.local)
    resource = providers.Resource(opened)
    silent = providers.Callable(make_silently)
    unreadable = providers.Callable(make_price)
    value = providers.Object("text")
    setting = config.name
    number = config.name.as_int()
    everything = providers.List(core.mail, core.clock)
    names = providers.Dict(a=core.mail)
    delegate = providers.Factory(Desk, mail=core.mail).provider
    given = providers.Dependency(instance_of=Mail, default=providers.Factory(Log))


class Whole(containers.DeclarativeContainer):
    config = providers.Configuration(strict=True)
    core = providers.Container(Core, config=config)
    shop = providers.Container(Shop, config=config.shop, core=core)


CONFIG = {"mail": {"kind": "smtp", "host": "mail.example"}, "shop": {"name": "7"}}


@pytest.fixture
def root() -> Any:
    made: Any = Whole()
    made.config.from_dict(CONFIG)
    return made


@pytest.fixture
def shop(root: Any) -> Any:
    return root.shop()


# What providers make.


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("mail", Smtp),
        ("desk", Desk),
        ("made", Mail),
        ("called", Mail),
        ("local", Smtp),
        ("resource", Smtp),
        ("silent", None),
        ("unreadable", None),
        ("value", str),
        ("setting", str),
        ("number", int),
        ("everything", list),
        ("names", dict),
        ("delegate", None),
        ("given", Log),
    ],
)
def test_an_offer_says_what_its_provider_makes(shop: Any, name: str, made: type | None) -> None:
    assert offers_of(shop)[name].makes is made


def test_an_offer_makes_what_its_provider_makes(shop: Any) -> None:
    offers = offers_of(shop)

    assert isinstance(offers["mail"].make(), Smtp)
    assert offers["mail"].make() is offers["mail"].make()
    assert offers["desk"].make() is not offers["desk"].make()


def test_an_offer_is_named_after_the_declarative_class_and_the_provider(shop: Any) -> None:
    assert offers_of(shop)["desk"].where == "Shop.desk"


def test_a_container_without_a_root_is_named_too() -> None:
    assert offers_of(Core(config=CONFIG))["clock"].where == "Core.clock"


def test_containers_and_settings_are_not_offered(shop: Any) -> None:
    assert not {"core", "config"} & set(offers_of(shop))


def test_a_selector_makes_what_the_settings_choose(root: Any) -> None:
    root.config.from_dict({"mail": {"kind": "log"}})

    assert made_by(root.core().mail) is Log
    assert made_by(root.shop().mail) is Log


def test_an_override_in_the_core_is_seen_by_the_aliases_of_every_context(root: Any, shop: Any) -> None:
    class Fake(Log):
        pass

    fake = Fake()
    with root.core().mail.override(providers.Object(fake)):
        assert made_by(shop.mail) is Fake
        assert offers_of(shop)["mail"].makes is Fake
        assert offers_of(shop)["mail"].make() is fake

    assert made_by(shop.mail) is Smtp


def test_an_override_of_one_contexts_alias_stays_there(root: Any, shop: Any) -> None:
    with shop.mail.override(providers.Object(Log())):
        assert made_by(shop.mail) is Log
        assert made_by(root.core().mail) is Smtp


def test_the_last_override_counts(shop: Any) -> None:
    with shop.made.override(providers.Object(Log())), shop.made.override(providers.Factory(Smtp)):
        assert made_by(shop.made) is Smtp


def test_an_offer_that_was_read_before_an_override_gives_what_overrides(root: Any, shop: Any) -> None:
    offer = offers_of(shop)["mail"]

    with root.core().mail.override(providers.Object(Log())):
        assert isinstance(offer.make(), Log)


# Mistakes.


def test_a_whole_container_has_no_flaw(root: Any) -> None:
    assert flaws({"core": root.core(), "shop": root.shop()}) == []


def test_the_reference_application_has_no_flaw(application: Any) -> None:
    container = application.container

    assert flaws({"core": container.core(), "allocation": container.allocation()}) == []


class Flaw(NamedTuple):
    """How a broken provider is made from core and settings, the code of its finding, and what that says."""

    make: Callable[[Any, Any], Any]
    code: str
    says: tuple[str, ...]


FLAWS = {
    "an argument that the class does not take": Flaw(
        lambda core, config: providers.Factory(Desk, mail=core.mail, size=3),
        "ATM016",
        (
            f"{HERE}:",
            " Desk(mail: ",
            "unexpected keyword argument 'size'",
            "Correct the provider's arguments.",
        ),
    ),
    "an argument that the class needs": Flaw(
        lambda core, config: providers.Factory(Desk, name="x"),
        "ATM016",
        ("missing a required argument: 'mail'",),
    ),
    "an argument too many for a function": Flaw(
        lambda core, config: providers.Callable(make_mail, "a", "b"),
        "ATM016",
        (" make_mail(host: ", "too many positional arguments"),
    ),
    "an argument of another class": Flaw(
        lambda core, config: providers.Factory(Desk, mail=providers.Factory(Desk, mail=core.mail)),
        "ATM016",
        ("wants mail: Mail, and is given Desk",),
    ),
    "a mistake in an argument's arguments": Flaw(
        lambda core, config: providers.Factory(Desk, mail=providers.Factory(Smtp, hots="x")),
        "ATM016",
        (" Smtp(host: ", "unexpected keyword argument 'hots'"),
    ),
    "a mistake in a choice": Flaw(
        lambda core, config: providers.Selector(
            config.name, **{"7": providers.Factory(Log), "8": providers.Factory(Smtp, hots="x")}
        ),
        "ATM016",
        ("unexpected keyword argument 'hots'",),
    ),
    "an abstract class": Flaw(
        lambda core, config: providers.Factory(Mail), "ATM016", (" Mail is abstract: it lacks send",)
    ),
    "a name that the core lacks": Flaw(
        lambda core, config: core.maill,
        "ATM017",
        ("takes maill from core, which offers clock, config, mail; did you mean mail?", "Correct the name"),
    ),
    "an argument that the core lacks": Flaw(
        lambda core, config: providers.Factory(Desk, mail=core.post),
        "ATM017",
        ("takes post from core, which offers clock, config, mail",),
    ),
    "something that nobody gives": Flaw(
        lambda core, config: providers.Dependency(instance_of=Mail),
        "ATM017",
        ("needs a provider of Mail, and is given none",),
    ),
    "an abstract provider": Flaw(
        lambda core, config: providers.AbstractFactory(Mail),
        "ATM017",
        (" Mail, and is given none",),
    ),
    "a singleton that is not thread-safe": Flaw(
        lambda core, config: providers.Singleton(Log),
        "ATM018",
        ("is a Singleton of ", " Log", "Use `ThreadSafeSingleton`"),
    ),
    "an argument that is not thread-safe": Flaw(
        lambda core, config: providers.Factory(Desk, mail=providers.Singleton(Log)),
        "ATM018",
        ("is a Singleton of ", " Log"),
    ),
    "a setting that is not there": Flaw(
        lambda core, config: providers.Factory(Smtp, host=config.nam),
        "ATM027",
        ("needs config.nam; config has name; did you mean name?", "the section's dataclass"),
    ),
    "a setting of a section that is not there": Flaw(
        lambda core, config: providers.Factory(Smtp, host=config.mail.host),
        "ATM027",
        ("needs config.mail.host; config.mail has nothing",),
    ),
    "a setting that is offered and not there": Flaw(
        lambda core, config: config.nam, "ATM027", ("needs config.nam; config has name",)
    ),
    "a setting that is made a number and not there": Flaw(
        lambda core, config: providers.Factory(Smtp, timeout=config.nam.as_float()),
        "ATM027",
        ("needs config.nam",),
    ),
    "a choice that no provider is for": Flaw(
        lambda core, config: providers.Selector(config.name, a=providers.Factory(Log)),
        "ATM027",
        ("chooses '7' by config.name; it knows a",),
    ),
    "a choice by a setting that is not there": Flaw(
        lambda core, config: providers.Selector(config.nam, a=providers.Factory(Log)),
        "ATM027",
        ("needs config.nam",),
    ),
    "settings that are not strict": Flaw(
        lambda core, config: providers.Configuration(), "ATM027", ("is not strict",)
    ),
}


def flawed(make: Callable[[Any, Any], Any]) -> dict[str, Any]:
    class Flawed(containers.DeclarativeContainer):
        config = providers.Configuration(strict=True)
        core = providers.DependenciesContainer()
        wrong = make(core, config)

    class Root(containers.DeclarativeContainer):
        config = providers.Configuration(strict=True)
        core = providers.Container(Core, config=config)
        flawed = providers.Container(Flawed, config=config.shop, core=core)

    root: Any = Root()
    root.config.from_dict(CONFIG)
    return {"core": root.core(), "flawed": root.flawed()}


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_a_flaw_is_reported_once_by_its_code_at_its_place(flaw: Flaw) -> None:
    (finding,) = flaws(flawed(flaw.make))

    line = next(
        number
        for number, text in enumerate(inspect.getsource(sys.modules[__name__]).splitlines(), 1)
        if text.strip().startswith("class Flawed(")
    )
    assert (finding.code, finding.place) == (flaw.code, f"{HERE}:{line} flawed.<locals>.Flawed.wrong")
    assert [words for words in flaw.says if words not in str(finding)] == []


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_a_flawed_provider_is_offered_and_makes_nothing_by_being_looked_at(flaw: Flaw) -> None:
    offer = offers_of(flawed(flaw.make)["flawed"])

    assert set(offer) <= {"wrong"}  # and no error


def test_what_a_broken_provider_makes_fits_everywhere_so_that_the_mistake_is_reported_once() -> None:
    offer = offers_of(flawed(lambda core, config: core.maill)["flawed"])["wrong"]

    assert offer.makes is Unread
    assert fits(offer.makes, Notifications)


def test_a_container_without_its_core_is_one_flaw() -> None:
    (finding,) = flaws({"shop": Shop(config=CONFIG["shop"])})

    assert finding.code == "ATM017"
    assert re.fullmatch(rf"{HERE}:\d+ Shop.core", finding.place)
    assert finding.detail == "needs a container, and is given none"


def test_a_whole_number_is_a_good_float() -> None:
    class Five(containers.DeclarativeContainer):
        five = providers.Object(5)
        mail = providers.Factory(Smtp, timeout=five)

    assert flaws({"five": Five()}) == []


# An application.


@pytest.fixture
def application() -> Iterator[Atomos]:
    made = Atomos(Application, load_settings(Application, profile="test"))
    yield made
    made.close()


def test_a_missing_setting_stops_the_start_with_a_report() -> None:
    settings = load_settings(Application, profile="test")
    broken = replace(settings, notifications=replace(settings.notifications, kind="pigeon"))

    with pytest.raises(WiringError, match="chooses 'pigeon'") as raised:
        Atomos(Application, broken)

    assert [each.code for each in raised.value.findings] == ["ATM027"]


class Rung(Event, name="bell.rung"):
    pass


def ring(event: Rung, bel: Log) -> None: ...


def test_mistakes_of_containers_routes_and_views_are_in_one_report() -> None:
    entrypoints = Entrypoints("bell", __name__)
    entrypoints.get("/bell")(lambda: None)
    context = Context("bell", (Routes(reactions={Rung: [ring]}),), (entrypoints,))

    class Bell(containers.DeclarativeContainer):
        core = providers.DependenciesContainer()
        bell = providers.Factory(Log)
        mail = core.maill
        desk = providers.Singleton(Desk)

    class Tower(containers.DeclarativeContainer):
        contexts = (context,)
        config = providers.Configuration(strict=True)
        core = providers.Container(CoreContainer, config=config, routes=join(bell=context.routes))
        bell = providers.Container(Bell, core=core)

    with pytest.raises(WiringError) as raised:
        Atomos(Tower, load_settings(Application, profile="test"))

    codes = [each.code for each in raised.value.findings]
    assert codes == ["ATM008", "ATM016", "ATM017", "ATM018", "ATM023"]


def test_a_fake_in_the_applications_core_is_what_a_context_offers(application: Any) -> None:
    container = application.container
    fake = RecordedNotifications()

    with container.core.notifications.override(providers.Object(fake)):
        offer = offers_of(container.allocation())["notifications"]
        assert (offer.makes, offer.make()) == (RecordedNotifications, fake)
    assert offers_of(container.allocation())["uow"].where == "AllocationContainer.uow"
