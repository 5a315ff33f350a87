"""The goals: for each flavour and cell, the most of a reference's time that polysocket may take."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.cells import KIB, SMALL, Cell
from benchmarks.contestants import ON_ASYNCIO, PURE
from benchmarks.rounds import Result

__all__ = ["BEST", "Goal", "Outcome", "goal", "outcome"]

BEST = "the best"  # of the libraries that take part in the cell


class Goal(NamedTuple):
    """A ratio to a reference: the name of a contestant, or the best library. None is no goal."""

    ratio: float | None
    reference: str = BEST


class Outcome(NamedTuple):
    """The ratio that was measured, and the goal; the reference is a contestant."""

    ratio: float
    reference: str
    goal: float | None

    @property
    def is_met(self) -> bool:
        """Whether the goal is met, or there is none."""
        return self.goal is None or self.ratio <= self.goal


LARGE = {"asyncio": Goal(1.0), "blocking": Goal(0.9), "trio": Goal(0.8)}
TLS = dict.fromkeys(("asyncio", "blocking", "trio"), Goal(1.0))

# By cell, and by flavour. A cell for text has the goal of the one for binary.
COMPILED_GOALS = {
    "round-trip-128b": {"asyncio": Goal(1.2, "picows"), "blocking": Goal(0.95), "trio": Goal(0.6)},
    "round-trip-512b-deflated": {"asyncio": Goal(0.9), "blocking": Goal(0.9), "trio": Goal(0.6)},
    "round-trip-64kib": {"asyncio": Goal(1.0), "blocking": Goal(0.9), "trio": Goal(0.8)},
    "receive-128b": {"asyncio": Goal(1.0, "picows"), "blocking": Goal(0.1), "trio": Goal(0.6)},
    "receive-many-128b": {"asyncio": Goal(0.6, "picows"), "blocking": Goal(0.05), "trio": Goal(0.03)},
    "receive-1kib-deflated": {"asyncio": Goal(0.7, "aiohttp"), "blocking": Goal(0.25), "trio": Goal(0.6)},
    "receive-1kib-8-fragments": {"asyncio": Goal(0.7, "aiohttp"), "blocking": Goal(0.2), "trio": Goal(0.2)},
    "receive-64kib": LARGE,
    "receive-1mib": LARGE,
    "send-128b": {"asyncio": Goal(1.0, "picows"), "blocking": Goal(0.65), "trio": Goal(0.5)},
    "send-many-128b": {"asyncio": Goal(0.3, "picows"), "blocking": Goal(0.2), "trio": Goal(0.15)},
    "send-64kib": LARGE,
    "send-1mib": LARGE,
    "tls-round-trip-128b": TLS,
    "tls-round-trip-64kib": TLS,
    "open": dict.fromkeys(("asyncio", "blocking", "trio"), Goal(0.8, "websockets")),
}


def goal(flavour: str, cell: Cell, build: str) -> Goal:
    """Return the goal of a build of polysocket."""
    if build == PURE:
        if cell.work == "receive" and cell.size == SMALL:
            return Goal(0.35, "websockets")
        return Goal(None if cell.work == "send" and cell.size >= 64 * KIB else 1.0, "websockets")
    if flavour == "uvloop":
        return Goal(1.0, ON_ASYNCIO)
    return COMPILED_GOALS[cell.name.removesuffix("-text")][flavour]


def outcome(result: Result, build: str, *, goal_of: str) -> Outcome | None:
    """Judge a build by a build's goal; None if the reference is not installed."""
    ratio, reference = goal(result.flavour, result.cell, goal_of)
    contestant = result.best if reference == BEST else reference
    if contestant not in result.contestants:
        return None
    return Outcome(result.ratio(build, contestant), contestant, ratio)
