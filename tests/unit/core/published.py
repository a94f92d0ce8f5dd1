"""Published schemas, which `.ci/schemas` fetches."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

_FOLDER = Path(__file__).parents[3] / ".venv/schemas"


def validator_of(name: str) -> Any:
    """Give the validator of a published schema; without it the test is skipped, or has failed where it must run."""
    path = _FOLDER / f"{name}.json"
    if not path.exists():
        missing = f"there is no {name} schema; .ci/schemas fetches it"
        if os.environ.get("ATOMOS_TEST_SERVICES") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return Draft7Validator(json.loads(path.read_text("utf-8")))
