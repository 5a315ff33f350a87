"""Compare the client with other libraries and with a raw socket, and with the goals."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import chart, imports, page, reached, report
from benchmarks.cells import possible
from benchmarks.contestants import COMPILED, builds, contestants, working
from benchmarks.flavours import FLAVOURS, Flavour
from benchmarks.goals import outcome
from benchmarks.rounds import FULL, QUICK, Result, measure
from benchmarks.server import Server, running
from benchmarks.worker import Order

RETRIES = 3  # before --check says that a ratio is lost; noise seldom lasts
LEGEND = """\
A column has the median time of one message in µs; "limit" is a raw blocking socket that parses nothing. A ratio is
the median, over the rounds, of polysocket's time divided by that of the library that is named: below 1, polysocket is
faster. "ratio" and "goal" are those of the compiled build, "pure ratio" and "pure goal" those of pure Python. Client
and server of round trips and openings share one processor. An opening, which includes the closing, is CPU time."""
NOT_COMPILED = "polysocket is not compiled here, so pure Python is compared with the goals of the compiled build, too."


def arguments() -> argparse.Namespace:
    cells = {cell.name: cell for cell in possible()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--flavour", action="append", choices=FLAVOURS, help="only this one (may be repeated)")
    parser.add_argument("--cell", action="append", choices=cells, help="only this one (may be repeated)")
    parser.add_argument("--all", action="store_true", help="also measure picows.websockets and httpx-ws")
    parser.add_argument("--quick", action="store_true", help="measure for less than a minute, with more noise")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="compare the processor time of the client (with all its threads) instead of the elapsed time",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="also draw the ratios into this file")
    parser.add_argument(
        "--table", type=pathlib.Path, metavar="FILE", help="also write the ratios to this file, as reStructuredText"
    )
    parser.add_argument(
        "--check", action="store_true", help=f"exit with 1 if a ratio in {reached.FILE.name} was reached, and is lost"
    )
    parser.add_argument("--record", action="store_true", help=f"write the ratios to {reached.FILE.name}")
    chosen = parser.parse_args()
    chosen.flavours = [FLAVOURS[name] for name in chosen.flavour or FLAVOURS if FLAVOURS[name].is_installed]
    chosen.cells = [cells[name] for name in chosen.cell or cells]
    if not chosen.flavours:
        parser.error("the library of this flavour is not installed")
    return chosen


def run(chosen: argparse.Namespace, flavour: Flavour, servers: dict[bool, Server], cpu: int | None) -> Iterator[Result]:
    """Measure the cells of a flavour."""
    taking_part = contestants(flavour, extra=chosen.all)
    with ExitStack() as stack:
        workers = {each.name: stack.enter_context(working(each)) for each in taking_part}
        for cell in chosen.cells:
            server = servers[cell.is_pinned]
            clock = "process_time" if chosen.cpu else cell.clock
            order = Order(cell, server.url(cell), server.authority, clock, cpu if cell.is_pinned else None)
            able = {each.name: workers[each.name] for each in taking_part if each.can_do(cell)}
            pace = QUICK if chosen.quick else FULL
            result = measure(able, flavour.name, order, pace)
            for _ in range(RETRIES if chosen.check else 0):
                if not reached.lost([result]):
                    break
                result = measure(able, flavour.name, order, pace)
            yield result


def drawn(results: list[Result]) -> str:
    """Draw the ratios of the best build."""
    judged = [(result, outcome(result, builds()[0], goal_of=COMPILED)) for result in results]
    title = "polysocket's time divided by that of the reference (a dash is the goal)"
    return chart.dots(title, [chart.Dot(each.cell.name, each.flavour, it.ratio, it.goal) for each, it in judged if it])


def main() -> int:
    chosen = arguments()
    cpu = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    ratio = imports.compare(5 if chosen.quick else imports.PAIRS)
    distributions = [peer.distribution for each in chosen.flavours for peer in each.peers if peer.distribution]
    environment = report.environment(distributions, "a raw socket")
    print(report.described(environment), ratio, LEGEND, sep="\n\n")
    if COMPILED not in builds():
        print(NOT_COMPILED)
    results: list[Result] = []
    with running() as free, running(cpu) as pinned:
        for flavour in chosen.flavours:
            names = [each.name for each in contestants(flavour, extra=chosen.all)]
            print(report.header(flavour.name, names), flush=True)
            for result in run(chosen, flavour, {False: free, True: pinned}, cpu):
                print(report.row(result, names), flush=True)
                results.append(result)
    if chosen.json is not None:
        rows = [report.as_json(each) for each in results]
        figures = {"environment": environment, "imports": ratio._asdict(), "results": rows}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    if chosen.svg is not None:
        chosen.svg.write_text(drawn(results))
    if chosen.table is not None:
        command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
        chosen.table.write_text(page.tables(results, environment, command), encoding="utf-8")
    lost = reached.lost(results) if chosen.check else []
    for each in lost:
        print(f"\nlost: {each}", file=sys.stderr)
    if chosen.record:
        reached.record(results)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
