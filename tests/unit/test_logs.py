"""Logs: one form for structlog and for the standard library, and nothing in them that should not be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from atomos.core.adapters.logs import FROM_LIBRARIES, QUIET, configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's: other tests find it as it was."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**config)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_of_json_has_its_action_its_ids_and_the_time_in_utc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("info", "json")
    structlog.get_logger("atomos.worker").info("delivery.dead", recipient="shop.greet", attempts=3)
    (line,) = logged(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "action": "delivery.dead",
        "attempts": 3,
        "level": "info",
        "logger": "atomos.worker",
        "recipient": "shop.greet",
    }


def test_what_libraries_log_is_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    logging.getLogger("carrier").warning("%s parcels are late", 3)
    (line,) = logged(capsys)
    assert (line["action"], line["message"]) == (FROM_LIBRARIES, "3 parcels are late")
    assert (line["logger"], line["level"]) == ("carrier", "warning")


def test_ids_that_were_bound_are_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    with structlog.contextvars.bound_contextvars(correlation="c-1"):
        structlog.get_logger().info("http.failed")
        logging.getLogger("carrier").warning("late")
    assert [line["correlation"] for line in logged(capsys)] == ["c-1", "c-1"]


@pytest.mark.parametrize(("level", "said"), [("debug", 3), ("info", 2), ("error", 0)])
def test_only_what_is_at_least_of_the_level_is_logged(
    level: str, said: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(level, "json")
    structlog.get_logger().debug("one.thing")
    structlog.get_logger().info("another.thing")
    logging.getLogger("carrier").warning("a third")
    assert len(logged(capsys)) == said


def test_libraries_that_say_too_much_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "json")
    for name in QUIET:
        logging.getLogger(name).info("I am here")
        logging.getLogger(name).warning("I am in trouble")
    assert [line["message"] for line in logged(capsys)] == ["I am in trouble"] * len(QUIET)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_logged_without_the_values_of_variables(
    form: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", form)
    password = "S3" + "CR3T"
    try:
        int(f"{len(password)} characters")
    except ValueError as error:
        structlog.get_logger().error("carrier.failed", exc_info=error)
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "6 characters" in said
    assert password not in said


def test_the_console_shows_the_action_first_and_sentences_of_libraries_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("info", "console")
    structlog.get_logger().info("delivery.dead", recipient="shop.greet")
    logging.getLogger("carrier").warning("3 parcels are late")
    first, second = capsys.readouterr().err.splitlines()
    assert "delivery.dead" in first
    assert first.endswith("recipient=shop.greet")
    assert "3 parcels are late" in second
    assert FROM_LIBRARIES not in second


def test_a_second_configuration_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "console")
    configure("info", "json")
    logging.getLogger("carrier").warning("once")
    assert [line["message"] for line in logged(capsys)] == ["once"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_can_write_a_second_line_into_the_log(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", form)
    forged = 'ana\n2026-01-31T12:30:00Z [info] key.created "}\r\n{"action": "key.created"}\x1b[2J'
    structlog.get_logger("atomos.security").warning("http.refused", principal=forged, status=401)
    [line] = capsys.readouterr().err.splitlines()
    assert "http.refused" in line
    assert "\x1b[2J" not in line
