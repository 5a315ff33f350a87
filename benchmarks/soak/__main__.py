"""Hold many connections with traffic, in each flavour, and print what was lost and what is left after closing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys

from benchmarks import report
from benchmarks.server import ROOT
from benchmarks.soak import echo
from benchmarks.soak.libraries import FLAVOURS, LIBRARIES, OURS, installed
from benchmarks.soak.result import Plan, Result
from benchmarks.soak.usage import raise_descriptor_limit

CONNECTIONS = 1000
# Opening connections one after the other, and the threads that some libraries start for each, take long beyond this.
CONNECTIONS_IN_THREADS = 200
SECONDS = 60.0
RATE = 1000  # messages per second; both processes keep up on one slow core each
OTHER_DESCRIPTORS = 200  # in each process: of Python and its event loop, and of connections that are being replaced
OVERTIME = 300.0  # seconds for a run to open and close, beside its traffic, before it counts as hanging

LEGEND = """\
"Idle" and "after" are the growth of the client's resident memory divided by the number of connections, before the first
message and after the traffic; only many connections give a true figure. Every fourth connection compresses. "Lost" are
messages without a right echo, damaged ones included. The last four columns are what is left after all connections are
closed: descriptors, tasks, threads, and connection objects that the garbage collector could not free. The exit status
is 1 if polysocket has lost or left anything."""
COLUMNS = (
    ("flavour", 9), ("library", 11), ("held", 6), ("opened", 7), ("sent", 8), ("received", 9), ("lost", 5),
    ("pings", 6), ("errors", 7), ("idle KiB", 9), ("after KiB", 10), ("descriptors", 12), ("tasks", 6), ("threads", 8),
    ("objects", 8),
)  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--flavour", action="append", choices=FLAVOURS, help="only this one (may be repeated)")
    names = list(dict.fromkeys(library.name for library in LIBRARIES))
    parser.add_argument("--library", action="append", choices=names, help="only this one (may be repeated)")
    parser.add_argument(
        "-n",
        "--connections",
        type=_positive,
        metavar="N",
        help=f"the number to hold (default: {CONNECTIONS}; {CONNECTIONS_IN_THREADS} in blocking and threaded)",
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the time of the traffic (default: %(default)s)")
    parser.add_argument(
        "--rate",
        type=_positive,
        default=RATE,
        help="messages per second on all connections together, at most (default: %(default)s)",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the figures to this file")
    chosen = parser.parse_args()
    chosen.runs = [
        (flavour, library.name)
        for flavour in chosen.flavour or FLAVOURS
        for library in installed(flavour, chosen.library or names)
    ]
    if not chosen.runs:
        parser.error("the library of this flavour is not installed")
    most = max(connections(chosen, flavour) for flavour, _ in chosen.runs)
    limit = raise_descriptor_limit()
    if limit is not None and most + OTHER_DESCRIPTORS > limit:
        parser.error(
            f"{most} connections need {most + OTHER_DESCRIPTORS} descriptors in each process, but the system's hard "
            f"limit is {limit}: hold at most {max(0, limit - OTHER_DESCRIPTORS)}, or raise the limit (ulimit -Hn)"
        )
    return chosen


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def connections(chosen: argparse.Namespace, flavour: str) -> int:
    """Return how many connections to hold in the flavour."""
    number: int | None = chosen.connections
    if number is not None:
        return number
    return CONNECTIONS_IN_THREADS if flavour in ("blocking", "threaded") else CONNECTIONS


def soak(plan: Plan) -> Result | str:
    """Run the plan in a process of its own; return its result, or why there is no result."""
    command = [sys.executable, "-m", "benchmarks.soak.holding", json.dumps(dataclasses.asdict(plan))]
    place = f"{plan.flavour}, {plan.library}"
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True, timeout=plan.seconds + OVERTIME
        )
    except subprocess.TimeoutExpired as error:
        return f"{place}: hangs; stopped after {error.timeout:.0f} s"
    if done.returncode:
        return f"{place}: ended with status {done.returncode}"
    return Result(**json.loads(done.stdout))


def header() -> str:
    return "".join(f"{name:>{width}}" for name, width in COLUMNS)


def row(result: Result) -> str:
    memory = ["–" if each is None else f"{each / 1024:.1f}" for each in (result.idle, result.after)]
    tasks = "–" if result.flavour in ("blocking", "threaded") else result.tasks
    cells = [
        result.flavour, result.library, result.connections, result.opened, result.sent, result.received, result.lost,
        result.pings, len(result.failures), *memory, result.descriptors, tasks, result.threads, result.objects,
    ]  # fmt: skip
    return "".join(f"{cell!s:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True))


def main() -> int:
    chosen = arguments()
    results: list[Result] = []
    status, is_first = 0, True
    for flavour, library in chosen.runs:
        with echo.running() as (url, description):
            if is_first:
                is_first = False
                names = (name for _, name in chosen.runs)
                environment = report.described(report.environment(names, description))
                print(environment, LEGEND, header(), sep="\n\n", flush=True)
            plan = Plan(flavour, library, url, connections(chosen, flavour), chosen.seconds, chosen.rate)
            result = soak(plan)
        if isinstance(result, Result):
            print(row(result), flush=True)
            results.append(result)
            faults = result.faults()
        else:
            faults = [result]
        for fault in faults:
            print(fault, file=sys.stderr)
        if faults and library == OURS:
            status = 1
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([dataclasses.asdict(each) for each in results], indent=2) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
