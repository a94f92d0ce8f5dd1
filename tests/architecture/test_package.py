"""What is installed is what is in the repository."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_that_is_no_module_is_named_as_data_of_its_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    named = {
        found
        for package, patterns in declared.items()
        for pattern in patterns
        for found in (ROOT / "src" / package.replace(".", "/")).glob(pattern)
    }
    there = {path for path in (ROOT / "src/atomos").rglob("*") if path.is_file()}
    data = {path for path in there if path.suffix not in (".py", ".pyc")}
    assert data == named
