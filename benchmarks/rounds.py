"""Rounds of short slices, so that noise affects all measured libraries alike.

All connections of one measurement are open at the same time. In each round every library works for one slice, which is
as short as possible, in an order shuffled anew (with a fixed seed). A slice is compared with polysocket's slice of the
same round only. The report has the median and the quartiles of these ratios, which a slow machine or one interruption
changes little. The number of batches in a slice adapts to each library. The first rounds, which warm up, don't count.

:func:`rounds` decides what runs next and never waits. The two drivers, blocking and asynchronous, run it.
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

# Seconds; a batch that takes longer is a slice of its own. A slice is far shorter than a busy system's time slice for a
# process: with twelve processes on two cores, the medians of five runs differed by 0.03, but by 0.3 with 8 ms.
SLICE = 0.0005
WARM_UP = 3  # rounds
FEWEST_ROUNDS = 5
SEED = 6455

Clock: TypeAlias = Callable[[], float]
Rounds: TypeAlias = list[dict[str, float]]  # in each round, by peer: seconds per message


@dataclass(frozen=True, slots=True)
class Slice:
    """The next work of one library."""

    peer: str
    repeats: int


def rounds(peers: Sequence[str], messages: int, seconds: float) -> Generator[Slice, float, Rounds]:
    """Yield slices, receive the seconds that each took, and return all figures when the time is over."""
    shuffle = random.Random(SEED)
    deadline = time.monotonic() + seconds
    fastest = dict.fromkeys(peers, SLICE)  # seconds for a batch; noise makes all other times too long to size a slice
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
    """Run the rounds with asynchronous clients in the running event loop."""
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
        raise RuntimeError(f"{step.peer} received another message than was sent to it in {measurement.label}")


def _returned(stop: StopIteration) -> Rounds:
    value: Rounds = stop.value
    return value
