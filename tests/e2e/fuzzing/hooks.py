"""What is counted, what is checked besides, and which refusals no document can foretell.

schemathesis loads this module by its name (SCHEMATHESIS_HOOKS), in a process of its own.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from tests.integration.headers import UNSAID

from . import COUNTED, POWERLESS, TOKEN

OF_THE_STATE = {
    "outdated": "a well-formed If-Match, and another version is there",
    "precondition-failed": "the same, for a question",
    "reused": "a well-formed Idempotency-Key, and it was used for another request before",
    "rule-broken": "an order with a SKU twice: a rule of the domain, and JSON Schema has no word for it",
}
"""Problems that answer good data: what is there decides, or a rule that no schema can say."""

UNWRITTEN = ("If-Match", "If-None-Match")
"""Headers whose values need quotes: the phase `coverage` cannot write those, and puts wrong ones into all requests."""

REMEMBERED = ("Idempotency-Key",)
"""Headers that have to differ. The phase `coverage` sends one value with every body: only the first would be read."""

_counted = open(os.environ[COUNTED], "a", buffering=1)  # noqa: SIM115, PTH123 - as long as the process


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Leave out headers that keep `coverage` and chains from getting anywhere, where a request is not about them."""
    phase = _phase(case)
    if phase == "coverage" or (phase == "stateful" and case.meta.generation.mode.is_positive):
        for name in (*UNWRITTEN, *REMEMBERED):
            if name != case.meta.phase.data.parameter:
                case.headers.pop(name, None)


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Count."""
    _counted.write(f"{json.dumps([_phase(case), case.method, case.path, response.status_code])}\n")


@schemathesis.hook
def filter_failure(context: HookContext, failure: Any, case: Case, response: Response) -> bool:
    """Let good data be refused for the reasons in `OF_THE_STATE`, and for no other."""
    return type(failure).__name__ != "RejectedPositiveData" or _kind(response) not in OF_THE_STATE


@schemathesis.check
def only_documented_headers(ctx: CheckContext, response: Response, case: Case) -> None:
    """No answer has a header that its description does not name."""
    described = case.operation.responses.find_by_status_code(response.status_code)
    if described is None or _is_probe(case, response):
        return
    known = {name.lower() for name, _ in (described.headers or {}).items()}
    undocumented = sorted({name.lower() for name in response.headers} - known - UNSAID)
    assert not undocumented, f"{response.status_code} has headers that are not documented: {undocumented}"


@schemathesis.check
def each_problem_is_its_own(ctx: CheckContext, response: Response, case: Case) -> None:
    """A problem tells the status that it is sent with, and the id that the header tells."""
    if response.status_code < 400:
        return
    told = response.json()
    assert told["status"] == response.status_code, told
    assert [told["correlation_id"]] == response.headers["x-correlation-id"], told


@schemathesis.check
def nobody_gets_in(ctx: CheckContext, response: Response, case: Case) -> None:
    """Who has no credentials, or not the right ones, is told so before anything else is looked at."""
    if {} in case.operation.definition.raw["security"] or _is_probe(case, response):
        return
    is_known = response.request.headers.get("Authorization") == f"Bearer {os.environ.get(TOKEN)}"
    assert is_known or response.status_code == 401, f"without credentials: {response.status_code}"
    is_refused = response.status_code in (401, 403)
    assert is_refused or POWERLESS not in os.environ, f"without permission: {response.status_code}"


if TOKEN in os.environ:

    @schemathesis.auth()
    class Bearer:
        """The token, as credentials that checks may leave out."""

        def get(self, case: Case, context: Any) -> str:
            """Give the token."""
            return os.environ[TOKEN]

        def set(self, case: Case, data: str, context: Any) -> None:
            """Send it."""
            case.headers["Authorization"] = f"Bearer {data}"


def _is_probe(case: Case, response: Response) -> bool:
    # With a method that the path has not, or a path that is none, no operation is asked for.
    return response.request.method != case.operation.method.upper() or response.status_code == 404


def _phase(case: Case) -> str:
    return str(case.meta.phase.name.value) if case.meta else "none"


def _kind(response: Response) -> str:
    if response.headers.get("content-type") != ["application/problem+json"]:
        return ""
    return str(response.json()["type"]).removeprefix("urn:atomos:problem:")
