"""Import contracts: each is kept by the package, and each reports what it forbids."""

from __future__ import annotations

import configparser
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "setup.cfg"


Lint = Callable[[], tuple[set[str], str]]


class Forbidden(NamedTuple):
    """An import that must be reported: by which contracts, in which module, and the line that it gets."""

    contracts: str
    module: str
    line: str


FORBIDDEN = [
    Forbidden("processes", "atomos.cli", "import atomos.__main__"),
    Forbidden("processes", "atomos.bootstrap", "import atomos.cli"),
    Forbidden("processes", "atomos.container", "import atomos.bootstrap"),
    Forbidden("processes", "atomos.settings.loading", "import atomos.container"),
    Forbidden("processes", "atomos.allocation.container", "from atomos.container import Application"),
    Forbidden("processes", "atomos.allocation.api.commands", "import atomos.bootstrap"),
    Forbidden("processes", "atomos.core.service.bus", "from atomos.allocation import Allocated"),
    Forbidden("processes", "atomos.core.adapters.clock", "import atomos.allocation.adapters"),
    Forbidden("contexts", "atomos.shop.service", "from atomos.allocation.domain.events import Allocated"),
    Forbidden("contexts", "atomos.shop.service", "import atomos.allocation.service.handlers"),
    Forbidden("contexts", "atomos.shop.container", "from atomos.allocation.container import CONTEXT"),
    Forbidden("contexts", "atomos.allocation.service.handlers", "import atomos.shop.service"),
    Forbidden("inside", "atomos.core.adapters.clock", "from ..api import emit"),
    Forbidden("inside", "atomos.allocation.adapters.views", "from ..api.blueprint import blueprint"),
    Forbidden("inside", "atomos.allocation.adapters.views", "from .. import container"),
    Forbidden("inside service", "atomos.core.service.retry", "from ..adapters.clock import SystemClock"),
    Forbidden("inside service", "atomos.allocation.service.handlers", "from ..adapters import storage"),
    Forbidden("inside service", "atomos.core.service.bus", "from ..api.problems import problem"),
    Forbidden("inside domain", "atomos.core.domain.model", "from ..service.envelope import new_id"),
    Forbidden("inside domain", "atomos.allocation.domain.model", "from ..service.ports import Products"),
    Forbidden("inside domain", "atomos.core.domain.errors", "from ..adapters import clock"),
    Forbidden("inside api", "atomos.core.api.health", "from ..adapters.database import Database"),
    Forbidden("inside api", "atomos.allocation.api.blueprint", "from ..adapters.views import allocations_of"),
    Forbidden("inside api", "atomos.core.api.app", "from ..container import CoreContainer"),
    Forbidden("domain", "atomos.allocation.domain.model", "from atomos.core.service import UnitOfWork"),
    Forbidden("domain", "atomos.allocation.domain.errors", "import structlog"),
    Forbidden("domain", "atomos.core.domain.values", "import msgspec"),
    Forbidden("domain", "atomos.core.domain.model", "from typing_extensions import Self"),
    Forbidden("domain", "atomos.allocation.domain.model", "from sqlalchemy.orm import Mapped"),
    Forbidden("domain", "atomos.core.domain.errors", "from werkzeug.exceptions import NotFound"),
    Forbidden("service", "atomos.allocation.service.handlers", "from atomos.core.adapters import Database"),
    Forbidden("service", "atomos.allocation.service.handlers", "from atomos.core.api import emit"),
    Forbidden("service", "atomos.allocation.service.queries", "from sqlalchemy import select"),
    Forbidden("service", "atomos.core.service.unit_of_work", "import sqlalchemy.orm"),
    Forbidden("service", "atomos.core.service.bus", "import flask"),
    Forbidden("service", "atomos.core.service.bus", "if False:\n    from flask import g"),
    Forbidden("service injector", "atomos.core.service.checks", "from dependency_injector import providers"),
    Forbidden("api", "atomos.allocation.api.blueprint", "from atomos.core.adapters import ReadModel"),
    Forbidden("api", "atomos.allocation.api.commands", "from atomos.core.container import Context"),
    Forbidden("api", "atomos.core.api.health", "import sqlalchemy"),
    Forbidden("api injector", "atomos.core.api.emitting", "from dependency_injector.wiring import inject"),
    Forbidden("injector", "atomos.allocation.adapters.storage", "from dependency_injector import providers"),
    Forbidden("injector", "atomos.cli.wiring", "import dependency_injector.containers"),
    Forbidden("settings processes", "atomos.container", "from atomos.settings import Settings"),
    Forbidden("settings", "atomos.testing.plugin", "import atomos.settings.loading"),
    Forbidden("settings processes", "atomos.core.adapters.database", "from atomos.settings import Settings"),
    Forbidden("testing", "atomos.cli.wiring", "from atomos.testing import override"),
    Forbidden("testing", "atomos.core.adapters.storage", "import atomos.testing.fakes"),
]

SECTIONS = configparser.ConfigParser()
SECTIONS.read(SETUP)

CONTRACTS = {
    section.rpartition(":")[2]: SECTIONS[section]["name"]
    for section in SECTIONS.sections()
    if section.startswith("importlinter:contract:")
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, with one more context."""
    for path in (ROOT / "src/atomos").rglob("*.py"):
        copied = tmp_path / path.relative_to(ROOT / "src")
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    shop = tmp_path / "atomos/shop"
    for name in ("__init__", "container", "domain/__init__", "service/__init__"):
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / f"{name}.py").touch()
    (shop / "service/__init__.py").write_text("from atomos.allocation import Allocated\n")
    contracts, layer = re.subn(
        r"(?m)^    atomos\.allocation.*(?=\n    atomos\.core$)", r"\g<0> : atomos.shop", SETUP.read_text()
    )
    contracts, modules = re.subn(r"(?m)^modules =$", r"\g<0>\n    atomos.shop", contracts)
    assert (layer, modules) == (1, 1)
    (tmp_path / "setup.cfg").write_text(contracts)
    return tmp_path


@pytest.fixture
def lint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: Path) -> Lint:
    """What checks the contracts of the copy: it gives the broken ones, and the report."""
    # The one that is imported would be found first, wherever the path leads.
    monkeypatch.delitem(sys.modules, "atomos")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("COLUMNS", "200")

    def lint() -> tuple[set[str], str]:
        lint_imports(config_filename=str(package / "setup.cfg"), no_cache=True)
        report = capsys.readouterr().out
        verdicts = dict(re.findall(r"^(.+?) +(KEPT|BROKEN)\b", report, re.MULTILINE))
        assert set(verdicts) == set(CONTRACTS.values()), report
        return {id_ for id_, name in CONTRACTS.items() if verdicts[name] == "BROKEN"}, report

    return lint


def test_the_package_keeps_every_contract_and_so_does_a_context_that_hears_anothers_events(
    lint: Lint,
) -> None:
    broken, report = lint()

    assert broken == set(), report


@pytest.mark.parametrize(
    "forbidden", FORBIDDEN, ids=lambda each: f"{each.module}: {each.line.split(chr(10))[-1]}"
)
def test_a_forbidden_import_is_reported(lint: Lint, package: Path, forbidden: Forbidden) -> None:
    path = package / forbidden.module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with path.open("a") as file:
        file.write(f"\n{forbidden.line}\n")

    broken, report = lint()

    assert broken == set(forbidden.contracts.split())
    assert forbidden.module in report


def test_every_contract_has_a_forbidden_import() -> None:
    assert {id_ for each in FORBIDDEN for id_ in each.contracts.split()} == set(CONTRACTS)


def test_every_library_that_the_package_imports_is_forbidden_to_domains() -> None:
    named = set(SECTIONS["importlinter:contract:domain"]["forbidden_modules"].split())
    modules = grimp.build_graph("atomos", include_external_packages=True, cache_dir=None).modules

    libraries = {name for name in modules if name.partition(".")[0] != "atomos"} - sys.stdlib_module_names
    assert libraries - named == set()


def test_the_first_line_says_that_the_file_holds_the_architecture_and_nothing_else() -> None:
    text = SETUP.read_text()

    assert text.startswith("# The architecture: who may import whom, and nothing else.")
    assert all(line.startswith("[importlinter") for line in text.splitlines() if line.startswith("["))
