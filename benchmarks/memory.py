"""Print the memory that a connection takes, idle and after one message each way: ``python -m benchmarks.memory``.

Each connection has agreed on compression. Each library runs in a process of its own, with its default settings; the
echo server, in another one, does not count. The figure is the growth of the resident memory for each connection.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
from contextlib import AsyncExitStack

from benchmarks.cells import KIB, payload
from benchmarks.soak import echo
from benchmarks.soak.libraries import LIBRARIES, Library, installed
from benchmarks.soak.usage import memory, raise_descriptor_limit

__all__ = ["main", "measured"]

FLAVOURS = ["asyncio", "trio", "blocking"]
COUNT = 300  # connections; memory is taken in pages and arenas, which count for little among as many
WARMING_UP = 3  # connections, which import and fill caches
MESSAGE = payload(KIB).decode()


async def _converse(library: Library, ws: object) -> None:
    await library.send(ws, MESSAGE)
    if await library.receive(ws) != MESSAGE:
        raise RuntimeError(f"{library.name} received another message than was sent")


async def _grow(library: Library, url: str, count: int) -> tuple[float, float]:
    for _ in range(WARMING_UP):
        async with library.connect(url, True) as ws:
            await _converse(library, ws)
    async with AsyncExitStack() as stack:
        base = _memory()
        websockets = [await stack.enter_async_context(library.connect(url, True)) for _ in range(count)]
        idle = _memory()
        for ws in websockets:
            await _converse(library, ws)
        return (idle - base) / count, (_memory() - base) / count


def _memory() -> int:
    gc.collect()
    taken = memory()
    if taken is None:
        raise SystemExit("the memory of a process is known only on systems with /proc")
    return taken


def measured(flavour: str, name: str, url: str, count: int) -> tuple[float, float]:
    """Return the bytes of a connection in this process: idle, and after one message each way."""
    raise_descriptor_limit()
    (library,) = installed(flavour, [name])
    program = _grow(library, url, count)
    if flavour == "trio":
        import trio

        return trio.run(lambda: program)
    if flavour == "asyncio":
        return asyncio.run(program)
    try:
        program.send(None)  # It never suspends.
    except StopIteration as end:
        figures: tuple[float, float] = end.value
        return figures
    raise RuntimeError("a blocking library has suspended")


def main() -> None:
    """Print a row for each flavour and library."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="connections (default: %(default)s)")
    chosen = parser.parse_args()
    print("| KiB for each connection | idle | after one message each way |\n| --- | --- | --- |")
    names = list(dict.fromkeys(library.name for library in LIBRARIES))
    for flavour in FLAVOURS:
        for library in installed(flavour, names):
            with echo.running() as (url, _), multiprocessing.get_context("spawn").Pool(1) as pool:
                figures = pool.apply(measured, (flavour, library.name, url, chosen.count))
            idle, after = (f"{each / KIB:.1f}" for each in figures)
            print(f"| {flavour}, {library.name} | {idle} | {after} |", flush=True)


if __name__ == "__main__":
    main()
