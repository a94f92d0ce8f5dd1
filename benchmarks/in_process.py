"""What Atomos' bus costs in a process, beside the direct call and other ways to send a command.

`python benchmarks/in_process.py` prints the median microseconds of a call, and what each adds to the direct
call. Everything stores nothing, so that only the way from the message to its handler is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import cqrs
from commands import ORIGIN, Asked, Container, Do, atomos_bus, do
from measuring import Bar, facts, finish, in_turns, medians, microseconds, spread
from peers import (
    BusDo,
    CqrsDo,
    LatoDo,
    by_hand,
    with_cqrs,
    with_cqrs_and_di,
    with_lato,
    with_mediatr,
    with_messagebus,
)

CALLS, ROUNDS = 2_000, 60

DIRECT, ATOMOS, LATO = "direct call", "Atomos", "lato"
PROMISED, WHERE_LATO_TAKES = 5.0, 15.0
PACKAGES = ("dependency-injector", "lato", "python-cqrs", "messagebus", "mediatr")


def contestants() -> dict[str, Callable[[], float]]:
    """Give one run of each: from an event's field to the answer, `CALLS` times."""
    event = Asked(n=7)
    emit = atomos_bus().emit
    container = Container()
    make_uow, thing = container.uow, container.thing
    app, send, mediate, hand = with_lato(), with_messagebus(), with_mediatr(), by_hand()
    return {
        DIRECT: _run(lambda: do(Do(n=event.n), make_uow(), thing())),
        ATOMOS: _run(lambda: emit(event, ORIGIN)),
        "by hand, after the book": _run(lambda: hand(Do(n=event.n))),
        LATO: _run(lambda: app(LatoDo(n=event.n))),
        "mediatr": _run(lambda: mediate(Do(n=event.n))),
        "messagebus": _run(lambda: send(BusDo(n=event.n))),
        "python-cqrs, dependency-injector": _run_async(with_cqrs()),
        "python-cqrs, di": _run_async(with_cqrs_and_di()),
    }


def _run(call: Callable[[], object]) -> Callable[[], float]:
    if (answer := call()) != 7:
        raise AssertionError(f"answered {answer!r}")
    return lambda: microseconds(call, CALLS)


def _run_async(mediator: cqrs.RequestMediator) -> Callable[[], float]:
    async def run() -> float:
        if (answer := await mediator.send(CqrsDo(n=7))).n != 7:
            raise AssertionError(f"answered {answer!r}")
        started = time.thread_time_ns()
        for _ in range(CALLS):
            await mediator.send(CqrsDo(n=7))
        return (time.thread_time_ns() - started) / CALLS / 1000

    return lambda: asyncio.run(run())


def main() -> None:
    """Measure side by side, taking turns, and print medians."""
    taken = in_turns(ROUNDS, contestants())
    middle = medians(taken)
    over = {name: value - middle[DIRECT] for name, value in middle.items()}
    lines = [
        facts(*PACKAGES),
        f"median of {ROUNDS} runs of {CALLS} calls, in turns; microseconds of processor time a call",
        f"{'':34} {'a call':>7} {'(middle half)':>16} {'over direct':>12} {'of lato':>8}",
    ]
    for name, value in middle.items():
        half = f"({spread(taken[name])})"
        lines.append(f"{name:34} {value:7.2f} {half:>16} {over[name]:12.2f} {over[name] / over[LATO]:7.0%}")
    allowed = PROMISED * over[LATO] / WHERE_LATO_TAKES
    bar = Bar("what the bus adds to the direct call (5 where lato takes 15)", over[ATOMOS], allowed, "us")
    finish("A command with two collaborators, in a process", lines, [bar])


if __name__ == "__main__":
    main()
