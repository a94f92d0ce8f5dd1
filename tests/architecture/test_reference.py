"""The reference pages say what the code says, and the code uses every diagnostic that it names."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from atomos.core.service import REGISTRY

from .reference import COMMAND, FOLDER, PAGES, PUBLIC

SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_up_to_date(page: str) -> None:
    path = FOLDER / page
    written = path.read_text("utf-8") if path.exists() else ""

    assert written == PAGES[page](), f"docs/reference/{page} is out of date; run `{COMMAND}`"


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_of_a_module_exist_and_are_sorted_as_ruff_sorts_them(module: str) -> None:
    names = import_module(module).__all__

    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in names if not hasattr(import_module(module), name)] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_class_and_function_says_what_it_is(module: str) -> None:
    public = {name: getattr(import_module(module), name) for name in import_module(module).__all__}
    documented = {
        name: each for name, each in public.items() if inspect.isroutine(each) or inspect.isclass(each)
    }

    assert [name for name, each in documented.items() if not (each.__doc__ or "").strip()] == []


def codes_in(path: Path) -> set[str]:
    return set(re.findall(r"\bATM\d{3}\b", path.read_text("utf-8")))


def test_every_diagnostic_is_used_and_every_used_one_exists() -> None:
    registry = SRC / "atomos/core/service/diagnostics.py"
    used = set().union(*(codes_in(path) for path in SRC.rglob("*.py") if path != registry))

    assert sorted(used - set(REGISTRY)) == [], "used, and not in the registry"
    assert sorted(set(REGISTRY) - used) == [], "in the registry, and not used"


def test_every_diagnostic_is_written_as_sentences_under_its_own_code() -> None:
    for code, entry in REGISTRY.items():
        assert code == entry.code
        assert not entry.title.endswith("."), code
        assert entry.cause.endswith("."), code
        assert entry.remedy.endswith("."), code
