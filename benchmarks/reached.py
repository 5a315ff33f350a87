"""The ratios that polysocket has reached, in a checked-in file: ``--record`` writes it, ``--check`` reads it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Iterator

from benchmarks.contestants import COMPILED, PURE
from benchmarks.goals import outcome
from benchmarks.rounds import Result

__all__ = ["FILE", "TOLERANCE", "lost", "record"]

FILE = pathlib.Path(__file__).with_name("reached.json")
TOLERANCE = 1.25  # times the ratio that was reached: more than the noise of two runs on a busy machine


def _ratios(results: Iterable[Result]) -> Iterator[tuple[str, str, str, float]]:
    """Return flavours, builds, cells and ratios, of cells that have a goal."""
    for result in results:
        for build in (COMPILED, PURE):
            judged = outcome(result, build, goal_of=build) if build in result.contestants else None
            if judged is not None and judged.goal is not None:
                yield result.flavour, build, result.cell.name, judged.ratio


def record(results: Iterable[Result], file: pathlib.Path = FILE) -> None:
    """Write the ratios; those of cells that were not measured stay."""
    reached = json.loads(file.read_text()) if file.exists() else {}
    for flavour, build, cell, ratio in _ratios(results):
        reached.setdefault(flavour, {}).setdefault(build, {})[cell] = round(ratio, 3)
    file.write_text(json.dumps(reached, indent=2) + "\n")


def lost(results: Iterable[Result], file: pathlib.Path = FILE) -> list[str]:
    """Describe each ratio that is worse than the one that was reached."""
    reached = json.loads(file.read_text()) if file.exists() else {}
    found = []
    for flavour, build, cell, ratio in _ratios(results):
        before = reached.get(flavour, {}).get(build, {}).get(cell)
        if before is not None and ratio > before * TOLERANCE:
            found.append(f"{flavour}, {cell}, {build}: {ratio:.2f} of the reference, after {before:.2f}")
    return found
