"""The report of the measurements: the environment, and a Markdown table for each flavour."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.contestants import COMPILED, PURE, builds
from benchmarks.goals import Outcome, outcome
from benchmarks.rounds import Result

__all__ = ["as_json", "described", "environment", "header", "row"]


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


def header(flavour: str, names: Sequence[str]) -> str:
    """Format the header of a flavour's table: a column for each contestant, the ratios and the goals."""
    columns = [flavour, *names, "ratio", "goal", "pure ratio", "pure goal"]
    return f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def row(result: Result, names: Sequence[str]) -> str:
    """Format a row of a flavour's table, with a dash for each contestant that did not take part."""
    times = [_time(result.seconds(name)) if name in result.contestants else "–" for name in names]
    best = _judged(outcome(result, builds()[0], goal_of=COMPILED))
    pure = _judged(outcome(result, PURE, goal_of=PURE))
    return f"| {' | '.join([result.cell.name, *times, *best, *pure])} |"


def as_json(result: Result) -> dict[str, Any]:
    """Return the figures of a row."""
    best = outcome(result, builds()[0], goal_of=COMPILED)
    pure = outcome(result, PURE, goal_of=PURE)
    return {
        "flavour": result.flavour,
        "cell": result.cell.name,
        "seconds": {name: result.seconds(name) for name in result.contestants},
        "outcome": best and best._asdict(),
        "pure": pure and pure._asdict(),
    }


def _judged(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return "–", "–"
    ratio = f"{outcome.ratio:.2f} × {outcome.reference}"
    return ratio, "–" if outcome.goal is None else f"≤ {outcome.goal:g} {'met' if outcome.is_met else 'missed'}"


def _time(seconds: float) -> str:
    micros = seconds * 1e6
    return f"{micros:.2f}" if micros < 10 else f"{micros:.1f}" if micros < 100 else f"{micros:.0f}"
