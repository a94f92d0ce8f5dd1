"""The executor: runs one handler for one message, with metrics, retries on conflict, and errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..domain.errors import DomainError
from ..domain.messages import Command, Message
from .delivery import Fence, MessageLog, Record
from .envelope import Envelope
from .errors import AnswerDiffers, Conflict, NotCommitted
from .handling import Handling
from .plans import Flow, HandlerPlan
from .retry import ConflictRetry


class Executor:
    """Around every handling, in this order: metrics, the retry of a command that met a conflict, the handling."""

    def __init__(self, flow: Flow, log: MessageLog, retry: ConflictRetry) -> None:
        self._flow = flow
        self._log = log
        self._retry = retry

    def run(self, plan: HandlerPlan, envelope: Envelope, message: Message) -> Any:
        """Run a query or a reaction; give what it returns."""
        return self._metered(plan, lambda: self._handled(plan, Handling(self._flow, plan, envelope, message)))

    def obey(
        self,
        command: Command[Any],
        envelope: Envelope,
        *,
        prior: Sequence[Record] = (),
        completes: Fence | None = None,
        stored: bool = False,
    ) -> Any:
        """Run a command, which commits once; give its answer. Each try has a fresh unit of work, under the same id.

        Raises `Conflict` when others were always first, and what the handler raises; then nothing was stored.
        """
        plan = self._flow.handler(type(command))

        def attempt() -> Any:
            handling = Handling(
                self._flow, plan, envelope, command, prior=prior, completes=completes, stored=stored
            )
            answer = self._handled(plan, handling)
            if not handling.committed:
                raise NotCommitted(f"{plan.place} returned without a commit.")
            if answer is not handling.answer:
                raise AnswerDiffers(f"{plan.place} committed {handling.answer!r} and returned {answer!r}.")
            return answer

        return self._metered(plan, lambda: self._persistently(plan, attempt))

    def _handled(self, plan: HandlerPlan, handling: Handling) -> Any:
        try:
            with handling:
                return plan.call(handling.message)
        except Exception as error:
            explained = self._log.explain(error, plan.place)
            if explained is None or explained is error:
                raise
            raise explained from error

    def _persistently(self, plan: HandlerPlan, attempt: Callable[[], Any]) -> Any:
        given_up = time.monotonic() + self._retry.patience
        number = 1
        while True:
            started = time.perf_counter()
            try:
                return attempt()
            except Conflict:
                if number >= self._retry.attempts or time.monotonic() >= given_up:
                    raise
                plan.meter.handled("conflict", time.perf_counter() - started)
            number += 1
            time.sleep(self._retry.pause_before(number))

    def _metered(self, plan: HandlerPlan, handle: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            answer = handle()
        except DomainError:
            plan.meter.handled("rejected", time.perf_counter() - started)
            raise
        except Exception:
            plan.meter.handled("failed", time.perf_counter() - started)
            raise
        plan.meter.handled("ok", time.perf_counter() - started)
        return answer
