"""Compare how long two imports take: ``python -m benchmarks.imports``.

Each import has a process of its own. The two take turns, and only imports of the same pair are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

__all__ = ["OURS", "THEIRS", "Ratio", "compare"]

OURS = "polysocket.blocking"
THEIRS = "websockets.sync.client"
PAIRS = 20  # enough for the median to move by less than 0.03 from run to run
PROGRAM = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


class Ratio(NamedTuple):
    """Quartiles of the time of ours divided by that of theirs in the same pair, and the median times in seconds."""

    low: float
    median: float
    high: float
    ours: float
    theirs: float

    def __str__(self) -> str:
        return (
            f"import {OURS} takes {self.median:.2f} ({self.low:.2f}–{self.high:.2f}) times as long as import {THEIRS}: "
            f"{self.ours * 1e3:.0f} ms, not {self.theirs * 1e3:.0f} ms"
        )


def compare(pairs: int = PAIRS) -> Ratio:
    """Import both in turns and return the ratio. Neither is compiled: bytecode is kept from a first run."""
    with tempfile.TemporaryDirectory() as bytecode:
        for module in (OURS, THEIRS):
            seconds(module, bytecode)
        taken = [(seconds(OURS, bytecode), seconds(THEIRS, bytecode)) for _ in range(pairs)]
    ours, theirs = zip(*taken, strict=True)
    low, median, high = statistics.quantiles([mine / other for mine, other in taken], n=4)
    return Ratio(low, median, high, statistics.median(ours), statistics.median(theirs))


def seconds(module: str, bytecode: str) -> float:
    """Return the processor time that a new process takes to import a module, without the start of Python itself."""
    command = [sys.executable, "-c", PROGRAM.format(module)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of processes (%(default)s)")
    print(compare(parser.parse_args().pairs))


if __name__ == "__main__":
    main()
