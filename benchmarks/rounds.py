"""How it is measured: rounds of short slices, so that noise hits all peers alike.

All peers' connections of one measurement are open at the same time. In each round every peer works for one slice, as
short as can be, in an order that is shuffled anew (by a fixed seed). A slice is compared with polysocket's slice of the
same round only, and of these ratios the median and the quartiles are reported: a machine that is slow for a while, or
a peer that was interrupted once, moves them little. How often a batch is repeated to fill a slice is found for each
peer on the way; the first rounds, which warm up, do not count.

:func:`rounds` decides what is run next and never waits; the two drivers, blocking and asynchronous, only run it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.measurements import Measurement
from benchmarks.peers import AsyncClient, BlockingClient, OpenAsync, OpenBlocking, Target

__all__ = ["Clock", "Rounds", "Slice", "measure_async", "measure_blocking", "rounds"]

# Seconds; a batch that takes longer is a slice of its own. It is far shorter than what a busy system gives to a process
# at a time: with twelve processes on two cores, the medians of five runs lay within 0.03, and with 8 ms within 0.3.
SLICE = 0.0005
WARM_UP = 3  # rounds
FEWEST_ROUNDS = 5
SEED = 6455

Clock: TypeAlias = Callable[[], float]
Rounds: TypeAlias = list[dict[str, float]]  # in each round, by peer: seconds per message


@dataclass(frozen=True, slots=True)
class Slice:
    """What is to be run next."""

    peer: str
    repeats: int


def rounds(peers: Sequence[str], messages: int, seconds: float) -> Generator[Slice, float, Rounds]:
    """Give slices, take the seconds that each took; return all that was measured, once the time is up."""
    shuffle = random.Random(SEED)
    deadline = time.monotonic() + seconds
    fastest = dict.fromkeys(peers, SLICE)  # seconds for a batch; only by the fastest can a slice be sized amid noise
    done: Rounds = []
    while len(done) < WARM_UP + FEWEST_ROUNDS or time.monotonic() < deadline:
        this: dict[str, float] = {}
        for peer in shuffle.sample(peers, len(peers)):
            repeats = max(1, round(SLICE / fastest[peer]))
            took = (yield Slice(peer, repeats)) / repeats
            fastest[peer] = min(took, fastest[peer])
            this[peer] = took / messages
        done.append(this)
    return done[WARM_UP:]


def measure_blocking(
    peers: Mapping[str, OpenBlocking], target: Target, measurement: Measurement, seconds: float, clock: Clock
) -> Rounds:
    """Run the rounds with blocking clients."""
    plan = rounds(list(peers), measurement.messages, seconds)
    with ExitStack() as stack:
        clients = {name: stack.enter_context(connect(target)) for name, connect in peers.items()}
        try:
            step = next(plan)
            while True:
                step = plan.send(_work(clients[step.peer], measurement, step, clock))
        except StopIteration as stop:
            return _returned(stop)


def _work(client: BlockingClient, measurement: Measurement, step: Slice, clock: Clock) -> float:
    send, receive = client
    request, sends, receives = measurement.request, range(measurement.sends), range(measurement.receives)
    answer: object = None
    start = clock()
    for _ in range(step.repeats):
        for _ in sends:
            send(request)
        for _ in receives:
            answer = receive()
    took = clock() - start
    _check(answer, measurement, step)
    return took


async def measure_async(
    peers: Mapping[str, OpenAsync], target: Target, measurement: Measurement, seconds: float, clock: Clock
) -> Rounds:
    """Run the rounds with asynchronous clients, on whatever runs this coroutine."""
    plan = rounds(list(peers), measurement.messages, seconds)
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(connect(target)) for name, connect in peers.items()}
        try:
            step = next(plan)
            while True:
                step = plan.send(await _work_async(clients[step.peer], measurement, step, clock))
        except StopIteration as stop:
            return _returned(stop)


async def _work_async(client: AsyncClient, measurement: Measurement, step: Slice, clock: Clock) -> float:
    send, receive = client
    request, sends, receives = measurement.request, range(measurement.sends), range(measurement.receives)
    answer: object = None
    start = clock()
    for _ in range(step.repeats):
        for _ in sends:
            await send(request)
        for _ in receives:
            answer = await receive()
    took = clock() - start
    _check(answer, measurement, step)
    return took


def _check(answer: object, measurement: Measurement, step: Slice) -> None:
    if answer != measurement.answer:
        raise RuntimeError(f"{step.peer} received something else than was sent to it in {measurement.label}")


def _returned(stop: StopIteration) -> Rounds:
    value: Rounds = stop.value
    return value
