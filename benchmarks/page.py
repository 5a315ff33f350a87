"""The tables of ratios on the page about performance, as reStructuredText."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import report
from benchmarks.contestants import COMPILED, builds
from benchmarks.goals import outcome
from benchmarks.rounds import Result

__all__ = ["tables"]

WEBSOCKETS = "websockets"


def tables(results: Sequence[Result], environment: dict[str, Any], command: str) -> str:
    """Format a table for each build, with a row for each cell and a column for each flavour, and their origin.

    Both builds are compared with the same libraries: the one of the goal, and websockets, which many programs use.
    """
    origin = ", ".join(report.described(environment).splitlines())
    parts = [f'.. Written by "{command}": change nothing here.\n']
    parts += [_table(build, results) for build in builds()]
    parts.append(f"Measured with ``{command}``: {origin}.\n")
    return "\n".join(parts)


def _table(build: str, results: Sequence[Result]) -> str:
    flavours = list(dict.fromkeys(each.flavour for each in results))
    cells = list(dict.fromkeys(each.cell.name for each in results))
    found = {(each.cell.name, each.flavour): _ratio(each, build) for each in results}
    rows = [["Cell", *flavours]]
    rows += [[f"``{cell}``", *(found.get((cell, flavour), "–") for flavour in flavours)] for cell in cells]
    lines = [f".. list-table:: {build}: its time, as a multiple of the time of the library that is named"]
    lines += ["   :header-rows: 1", "   :class: ratios", ""]
    for first, *others in rows:
        lines += [f"   * - {first}", *(f"     - {each}" for each in others)]
    return "\n".join([*lines, ""])


def _ratio(result: Result, build: str) -> str:
    """Return the ratio to the reference of the goal, and the one to websockets below it."""
    judged = outcome(result, build, goal_of=COMPILED)
    references = [] if judged is None else [judged.reference]
    if WEBSOCKETS in result.contestants and WEBSOCKETS not in references:
        references.append(WEBSOCKETS)
    lines = [f"| {result.ratio(build, reference):.2f} × {reference}" for reference in references]
    return "\n       ".join(lines) or "–"
