"""Show where the time of one cell goes, in one flavour: ``python -m benchmarks.profile CELL``."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

from benchmarks.cells import possible
from benchmarks.clients import Target
from benchmarks.flavours import FLAVOURS, Flavour
from benchmarks.peers import OURS, Peer
from benchmarks.server import running

__all__ = ["main", "profiled"]

FIRST = 4  # messages, or openings; the number is doubled until they take long enough to measure
WARM_UP = 0.1  # seconds
SECONDS = 1.0  # of the work that is profiled, as long as it takes without the profiler


def profiled(flavour: Flavour, peer: Peer, target: Target, seconds: float = SECONDS) -> tuple[cProfile.Profile, int]:
    """Return the profile of the cell's work, and the number of messages."""
    if flavour.run is None:
        return _work(peer, target, seconds)
    profile: tuple[cProfile.Profile, int] = flavour.run(lambda: _work_async(peer, target, seconds))
    return profile


def _work(peer: Peer, target: Target, seconds: float) -> tuple[cProfile.Profile, int]:
    def work(count: int) -> None:
        if target.cell.work == "open":
            for _ in range(count):
                with peer.open(target):
                    pass
        else:
            with peer.open(target) as client:
                client.work(target.cell, count)

    count, took = FIRST, 0.0
    while took < WARM_UP:
        count *= 2
        start = time.perf_counter()
        work(count)
        took = time.perf_counter() - start
    profile, count = cProfile.Profile(), int(count * seconds / took)
    with profile:
        work(count)
    return profile, count


async def _work_async(peer: Peer, target: Target, seconds: float) -> tuple[cProfile.Profile, int]:
    async def work(count: int) -> None:
        if target.cell.work == "open":
            for _ in range(count):
                async with peer.open(target):
                    pass
        else:
            async with peer.open(target) as client:
                await client.work(target.cell, count)

    count, took = FIRST, 0.0
    while took < WARM_UP:
        count *= 2
        start = time.perf_counter()
        await work(count)
        took = time.perf_counter() - start
    profile, count = cProfile.Profile(), int(count * seconds / took)
    with profile:  # of all that runs in this thread, the event loop included
        await work(count)
    return profile, count


def main() -> None:
    """Print the functions that took the most time by themselves."""
    cells = {cell.name: cell for cell in possible()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("cell", choices=cells, metavar="CELL", help=", ".join(cells))
    parser.add_argument("--flavour", choices=FLAVOURS, default="asyncio", help="(default: %(default)s)")
    parser.add_argument("--peer", default=OURS, help="the library (default: %(default)s)")
    parser.add_argument("--lines", type=int, default=25, help="the number of functions (default: %(default)s)")
    chosen = parser.parse_args()
    flavour, cell = FLAVOURS[chosen.flavour], cells[chosen.cell]
    if chosen.peer not in (names := [peer.name for peer in flavour.peers]):
        parser.error(f"--peer is one of {', '.join(names)}")
    with running() as server:
        target = Target(cell, server.url(cell), server.authority)
        profile, count = profiled(flavour, flavour.peer(chosen.peer), target)
    print(f"{cell.name}, {flavour.name}, {chosen.peer}: {count} messages, with the profiler")
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(chosen.lines)


if __name__ == "__main__":
    main()
