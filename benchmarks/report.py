"""What is told of the measurements: ratios, as a table and as JSON; and the one judgement, ``--check``."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.measurements import Measurement
from benchmarks.rounds import Rounds

__all__ = ["Result", "broken_promises", "described", "environment", "header", "row"]

OURS = "polysocket"
PROMISED_PEER = "websockets"
PROMISED_RATIO = 1 / 1.5  # at most 1.5 times the time of websockets


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement in one flavour."""

    flavour: str
    measurement: Measurement
    rounds: Rounds

    @property
    def peers(self) -> list[str]:
        """The other libraries that were measured."""
        return [peer for peer in self.rounds[0] if peer != OURS]

    def seconds(self, peer: str = OURS) -> float:
        """Return the median time of one message."""
        return statistics.median(this[peer] for this in self.rounds)

    def ratio(self, peer: str) -> tuple[float, float, float]:
        """Return the quartiles (the second is the median) of its time divided by polysocket's in the same round."""
        low, median, high = statistics.quantiles([this[peer] / this[OURS] for this in self.rounds], n=4)
        return low, median, high

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "flavour": self.flavour,
            "measurement": self.measurement.label,
            "rounds": len(self.rounds),
            "seconds": {peer: self.seconds(peer) for peer in (OURS, *self.peers)},
            "ratios": {
                peer: dict(zip(("low", "median", "high"), self.ratio(peer), strict=True)) for peer in self.peers
            },
        }


def broken_promises(results: Iterable[Result]) -> list[str]:
    """Describe each small round trip that took over 1.5 times that of websockets, or was not compared with it."""
    broken = []
    for result in results:
        if result.measurement.is_promised:
            place = f"{result.flavour}, {result.measurement.label}"
            if PROMISED_PEER not in result.peers:
                broken.append(f"{place}: {PROMISED_PEER} is not installed, so nothing was compared")
            elif (ratio := result.ratio(PROMISED_PEER)[1]) < PROMISED_RATIO:
                broken.append(f"{place}: {1 / ratio:.2f} times the time of {PROMISED_PEER}, over 1.5")
    return broken


def environment(distributions: Iterable[str], server: str) -> dict[str, Any]:
    """Return the software and hardware of the measurement."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "server": server,
        "versions": {name: _version(name) for name in dict.fromkeys(distributions)},
    }


def described(environment: dict[str, Any]) -> str:
    """Format the environment."""
    versions: dict[str, str] = environment["versions"]
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    load = "" if environment["load"] is None else f", load {environment['load']:.1f}"
    return (
        f"{environment['python']}, {environment['system']}, {environment['cores']} cores{load}; "
        f"server: {environment['server']}\n{listed}"
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(from the tree)"


WIDTH = 20  # of a peer's column


def header(flavour: str, peers: Sequence[str]) -> str:
    """Format the header of a flavour's table."""
    return f"\n{flavour:<26}{OURS:>12}  " + "".join(f"{peer:>{WIDTH}}" for peer in peers if peer != OURS)


def row(result: Result, peers: Sequence[str]) -> str:
    """Format a row of a flavour's table, with a dash for each library that was not measured."""
    cells = [_cell(result, peer) if peer in result.peers else "–" for peer in peers if peer != OURS]
    return f"{result.measurement.label:<26}{_time(result.seconds()):>12}  " + "".join(
        f"{cell:>{WIDTH}}" for cell in cells
    )


def _cell(result: Result, peer: str) -> str:
    low, median, high = result.ratio(peer)
    return f"{_figure(median)} ({_figure(low)}–{_figure(high)})"


def _figure(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"
