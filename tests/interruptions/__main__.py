"""Interrupt conversations at each place where that can happen: ``python -m tests.interruptions --help``."""

from __future__ import annotations

import argparse
import gc
import importlib.util
import pathlib
import random
import sys
import tempfile
import time
from typing import Any

from tests.interruptions.cancelling import AsyncioMachine, UvloopMachine
from tests.interruptions.cases import MOST_FAILURES, Cases
from tests.interruptions.peer import running_peer
from tests.interruptions.planted import BUGS
from tests.interruptions.tracing import BlockingMachine, ThreadedMachine

MACHINES: dict[str, Any] = {each.name: each for each in (BlockingMachine, ThreadedMachine, AsyncioMachine)}
if importlib.util.find_spec("uvloop") is not None:
    MACHINES["uvloop"] = UvloopMachine
if importlib.util.find_spec("trio") is not None:
    from tests.interruptions.cancelling_trio import TrioMachine

    MACHINES["trio"] = TrioMachine


def main() -> int:
    """Run the machines; return 1 if a case has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.interruptions", description=__doc__)
    parser.add_argument("machines", nargs="*", default=list(MACHINES), help=f"some of {', '.join(MACHINES)}")
    parser.add_argument("--sample", type=int, metavar="N", help="N cases of each conversation, instead of all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the sample")
    parser.add_argument("--planted", metavar="BUG", help="plant a bug of planted.py, which must be found")
    parser.add_argument("--case", metavar="NAME", help="only this case, as a failure names it")
    arguments = parser.parse_args()
    machines = [arguments.case.split()[0]] if arguments.case else arguments.machines
    if arguments.planted:
        next(bug for bugs in BUGS.values() for bug in bugs if bug.__name__ == arguments.planted)()
    complaints: list[Any] = []
    sys.unraisablehook = complaints.append
    failures = 0
    began = time.monotonic()
    if arguments.sample is not None:
        print(f"--sample {arguments.sample} --seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder, running_peer(pathlib.Path(folder)) as peer:
        for machine in machines:
            cases = Cases(
                machine, arguments.sample, arguments.seed, arguments.case, 1 if arguments.planted else MOST_FAILURES
            )
            MACHINES[machine](peer).run(cases)
            failures += len(cases.failures)
            gc.collect()
    for each in complaints[:20]:
        print(f"an error that no caller got: {each.exc_value!r} {each.err_msg} in {each.object!r}")
    print(f"{failures} failures, {len(complaints)} other errors, {time.monotonic() - began:.0f} s")
    return 1 if failures or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
