"""Rounds of short slices, so that noise affects all contestants alike.

All connections of one cell are open at the same time. In each round every contestant works for one slice, in an order
shuffled anew (with a fixed seed). Only slices of the same round are compared: a ratio is the median over the rounds,
which a slow machine or one interruption changes little. The number of messages in a slice adapts to each contestant.
The first rounds, which warm up, don't count.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.cells import Cell
from benchmarks.contestants import OWN, Worker
from benchmarks.worker import Order

__all__ = ["FULL", "QUICK", "Pace", "Result", "measure"]

WARM_UP = 4  # rounds, in which the number of messages in a slice grows
SEED = 6455


class Pace(NamedTuple):
    """The number of rounds that count, and the seconds of a slice; one message may take longer."""

    rounds: int
    slice: float


# A busy system interrupts long slices, and the start of a slice takes a part of a short one. On two cores with a load
# of 4, the ratios of four runs differed by a tenth with slices of 2 to 8 ms, but ratios were nearer to 1 with 1 ms.
FULL = Pace(81, 0.004)
QUICK = Pace(15, 0.002)


@dataclass(frozen=True, slots=True)
class Result:
    """The times of one cell in one flavour."""

    flavour: str
    cell: Cell
    rounds: list[dict[str, float]]  # in each round, by contestant: seconds per message

    @property
    def contestants(self) -> list[str]:
        """The names of those that took part."""
        return list(self.rounds[0])

    @property
    def best(self) -> str | None:
        """The fastest library beside polysocket."""
        others = [each for each in self.contestants if each not in OWN]
        return min(others, key=self.seconds) if others else None

    def seconds(self, contestant: str) -> float:
        """Return the median time of one message."""
        return statistics.median(this[contestant] for this in self.rounds)

    def ratio(self, ours: str, reference: str) -> float:
        """Return the median of a contestant's time divided by that of the reference in the same round."""
        return statistics.median(this[ours] / this[reference] for this in self.rounds)


def measure(workers: Mapping[str, Worker], flavour: str, order: Order, pace: Pace) -> Result:
    """Measure a cell."""
    for worker in workers.values():
        worker.begin(order)
    shuffle = random.Random(SEED)
    fastest = dict.fromkeys(workers, pace.slice)  # seconds a message; noise makes other times too long to size a slice
    rounds: list[dict[str, float]] = []
    for _ in range(WARM_UP + pace.rounds):
        this: dict[str, float] = {}
        for name in shuffle.sample(list(workers), len(workers)):
            count = max(1, round(pace.slice / fastest[name]))
            this[name] = workers[name].work(count) / count
            fastest[name] = min(this[name], fastest[name])
        rounds.append({name: this[name] for name in workers})
    for worker in workers.values():
        worker.end()
    return Result(flavour, order.cell, rounds[WARM_UP:])
