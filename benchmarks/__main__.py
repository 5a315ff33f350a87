"""Compare the client with other libraries, and print how much faster or slower each one is."""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import imports, report, server
from benchmarks.flavours import FLAVOURS, Flavour
from benchmarks.measurements import KINDS, MEASUREMENTS, Measurement
from benchmarks.peers import Target
from benchmarks.rounds import Clock

QUICK = 36.0  # seconds for all
SECONDS = 6.0  # for one measurement, unless --quick is given
LEGEND = """\
A ratio is a library's time divided by polysocket's in the same round: above 1, polysocket is faster. Each cell has the
median ratio, with the quartiles in parentheses. The first column is polysocket's median time for one message, which
depends on the machine. Receiving and sending are measured on streams. A round trip is one message and its echo."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [flavour.name for flavour in FLAVOURS]
    parser.add_argument("--flavour", action="append", choices=names, help="only this one (may be repeated)")
    parser.add_argument(
        "--kind",
        action="append",
        choices=KINDS,
        help="only this kind (may be repeated); compression "
        "(round trips of 4 KiB with each library's own settings) is measured only on request",
    )
    parser.add_argument("--quick", action="store_true", help="measure for less than a minute, instead of five")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="compare the processor time of this process (the client with all its threads) instead of the elapsed time",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 if the small round trip takes more than 1.5 times that of websockets in the same flavour",
    )
    chosen = parser.parse_args()
    chosen.flavour = [each for each in FLAVOURS if each.is_installed and each.name in (chosen.flavour or names)]
    chosen.kind = chosen.kind or [kind for kind in KINDS if kind != "compression"]
    chosen.measurements = [each for each in MEASUREMENTS if each.kind in chosen.kind]
    if not chosen.flavour:
        parser.error("the library of this flavour is not installed")
    if chosen.check and not any(each.is_promised for each in chosen.measurements):
        parser.error("--check needs the kind roundtrip")
    return chosen


def measure(
    flavour: Flavour, measurements: list[Measurement], urls: dict[bool, str], seconds: float, clock: Clock
) -> Iterator[report.Result]:
    for measurement in measurements:
        peers = {peer.name: peer.open for peer in flavour.installed() if peer.compresses or not measurement.compression}
        target = Target(urls[measurement.compression] + measurement.path, measurement.text, measurement.compression)
        # Objects made before now must not slow down the garbage collections of the measured libraries.
        gc.collect()
        gc.freeze()
        yield report.Result(flavour.name, measurement, flavour.measure(peers, target, measurement, seconds, clock))


def main() -> int:
    chosen = arguments()
    clock = time.process_time if chosen.cpu else time.perf_counter
    seconds = QUICK / (len(chosen.flavour) * len(chosen.measurements)) if chosen.quick else SECONDS
    results: list[report.Result] = []
    ratio = imports.compare()
    with ExitStack() as stack:
        servers = {
            compression: stack.enter_context(server.running(compression=compression))
            for compression in {each.compression for each in chosen.measurements}
        }
        urls = {compression: url for compression, (url, _) in servers.items()}
        environment = report.environment(
            (peer.distribution for flavour in chosen.flavour for peer in flavour.installed()),
            ", ".join(description for _, description in servers.values()),
        )
        print(report.described(environment), ratio, LEGEND, sep="\n\n")
        for flavour in chosen.flavour:
            peers = [peer.name for peer in flavour.installed()]
            print(report.header(flavour.name, peers))
            for result in measure(flavour, chosen.measurements, urls, seconds, clock):
                print(report.row(result, peers), flush=True)
                results.append(result)
    if chosen.json is not None:
        figures = {
            "environment": environment,
            "clock": clock.__name__,
            "imports": ratio._asdict(),
            "results": [each.as_json() for each in results],
        }
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    broken = report.broken_promises(results) if chosen.check else []
    for promise in broken:
        print(f"\nnot kept: {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
