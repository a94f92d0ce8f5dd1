"""The executor: runs one handler for one message, with metrics, retries on conflict, and errors in our words."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter, sleep
from typing import Any, NoReturn

from ..domain.errors import DomainError, InvalidMessage
from ..domain.messages import Command, Message
from .concealing import concealing
from .delivery import Fence, MessageLog, Record
from .envelope import Envelope
from .errors import AnswerDiffers, Conflict, MadeInvalid, NotCommitted, Repeated
from .handling import Handling, Heard
from .plans import Flow, HandlerPlan
from .ports import Clock
from .retry import ConflictRetry, NotYet


class Executor:
    """Around every handling, in this order: metrics, the retry of a command that met a conflict, the handling."""

    def __init__(self, flow: Flow, log: MessageLog, retry: ConflictRetry, clock: Clock) -> None:
        self._flow = flow
        self._log = log
        self._retry = retry
        self._clock = clock

    def run(self, plan: HandlerPlan, envelope: Envelope, message: Message) -> Any:
        """Run a query, a trigger or a reaction; give what it returns."""
        started = perf_counter()
        try:
            with concealing(message), Handling(self._flow, plan, envelope, message, self._clock.now):
                answer = plan.call(message)
        except Exception as error:  # noqa: BLE001 - raised again, in our words
            explained = self._explained(error, plan)
            plan.meter.handled(outcome_of(explained), perf_counter() - started)
            raise explained from (error if explained is not error else error.__cause__)
        plan.meter.handled("ok", perf_counter() - started)
        return answer

    def obey(
        self,
        command: Command[Any],
        envelope: Envelope,
        heard: Heard | None = None,
        others: Sequence[Record] = (),
        completes: Fence | None = None,
        stored: bool = False,
    ) -> Any:
        """Run a command, which commits once; give its answer. Each try has a fresh unit of work, under the same id.

        For the other arguments see `Handling`. Raises `Repeated` when what was heard is a repeat, `Conflict` when
        others were always first, and what the handler raises; then nothing was stored.
        """
        plan = self._flow.handlers[type(command)]
        tries = 1
        first = started = perf_counter()
        while True:
            handling = Handling(
                self._flow, plan, envelope, command, self._clock.now, heard, others, completes, stored
            )
            try:
                with concealing(command), handling:
                    if heard is not None and heard.may_repeat:
                        self._look_up(handling, heard)
                    answer = plan.call(command)
                if answer is not handling.answer or not handling.committed:
                    _refuse(plan, handling, answer)
            except Exception as error:  # noqa: BLE001 - raised again, in our words
                explained = self._explained(error, plan)
                plan.meter.handled(outcome_of(explained), perf_counter() - started)
                is_late = isinstance(explained, Conflict) and not handling.committed
                if not is_late or self._retry.is_over(tries, perf_counter() - first):
                    raise explained from (error if explained is not error else error.__cause__)
            else:
                plan.meter.handled("ok", perf_counter() - started)
                return answer
            tries += 1
            sleep(self._retry.pause_before(tries))
            started = perf_counter()

    def _look_up(self, handling: Handling, heard: Heard) -> None:
        # Whoever is given more than a unit of work may take its time before it begins.
        if handling.plan.begins_at_once:
            handling.begun = self._log.begin_unless_repeat(heard.envelope.id)
            if handling.begun is not None:  # nobody has to take it
                handling.at_end(handling.begun.close)
        else:
            self._log.refuse_repeat(heard.envelope.id)

    def _explained(self, error: Exception, plan: HandlerPlan) -> Exception:
        if isinstance(error, InvalidMessage):
            # The sender's message was valid: what a handler makes of it is not the sender's mistake.
            return MadeInvalid(f"{plan.place}: {error}")
        return self._log.explain(error, plan.place) or error


def _refuse(plan: HandlerPlan, handling: Handling, answer: Any) -> NoReturn:
    if not handling.committed:
        raise NotCommitted(f"{plan.place} returned without a commit.")
    raise AnswerDiffers(f"{plan.place} committed {handling.answer!r} and returned {answer!r}.")


def outcome_of(error: Exception) -> str:
    """Say how a handling ended that raised this error, in one of `OUTCOMES`."""
    if isinstance(error, Conflict):
        return "conflict"
    if isinstance(error, Repeated):
        return "repeated"
    if isinstance(error, NotYet):
        return "not_yet"
    return "rejected" if isinstance(error, DomainError) else "failed"
