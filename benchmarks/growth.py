"""Show how the cost of a message grows with connections, sizes and buffered frames: ``python -m benchmarks.growth``.

The costs are the CPU time of the client, in asyncio. A library scales if a cost stays the same from one end to the
other; larger messages cost less for each byte.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import pathlib
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from benchmarks import chart
from benchmarks.cells import KIB, MIB, SMALL, Cell
from benchmarks.idle import Peer, peer
from benchmarks.server import Server, running
from benchmarks.soak.usage import raise_descriptor_limit
from benchmarks.wire import CLOSE, FIN, frame, server_frames

__all__ = ["main"]

CONNECTIONS = [1, 10, 100, 1000, 10_000]
SIZES = [KIB, 8 * KIB, 64 * KIB, 512 * KIB, 4 * MIB, 64 * MIB]
FRAMES = [1, 10, 100, 1000, 10_000, 100_000]
ROUND_TRIPS = 10_000  # on all connections together
BYTES = 16 * MIB  # of each size, but at least three messages
RUNS = 3  # of each figure
MESSAGES = 500  # through the buffer, at least
BUFFERING = 20e-6  # seconds until a frame is buffered, at most
CELL = Cell("round_trip")

Point: TypeAlias = tuple[float, float]


class Echo(Peer):
    """A server that answers each message of 128 B, which arrives whole."""

    echo = server_frames(CELL, CELL.message)

    def answer(self, data: bytes) -> bytes:
        """Return the echo; close after a Close."""
        if data[0] != FIN | CLOSE:
            return self.echo
        self._transport.write(frame(FIN | CLOSE))
        self._transport.close()
        return b""


def open_polysocket(url: str, *, is_buffered: bool = False) -> Any:
    """Connect without limits."""
    from polysocket import Buffer
    from polysocket.asyncio import connect

    buffer = Buffer.unbounded() if is_buffered else None
    return connect(url, compression=None, ping_interval=None, max_message_size=None, open_timeout=None, buffer=buffer)


def open_websockets(url: str, *, is_buffered: bool = False) -> Any:
    """Connect without limits."""
    from websockets.asyncio.client import connect

    queue: dict[str, Any] = {"max_queue": None} if is_buffered else {}
    return connect(url, compression=None, ping_interval=None, max_size=None, open_timeout=None, proxy=None, **queue)


LIBRARIES: dict[str, Callable[..., Any]] = {"polysocket": open_polysocket, "websockets": open_websockets}


def _calls(ws: Any) -> tuple[Callable[[bytes], Awaitable[object]], Callable[[], Awaitable[object]]]:
    return (ws.send, ws.recv) if hasattr(ws, "recv") else (ws.send_binary, ws.receive_binary)


async def _least(work: Callable[[], Awaitable[None]]) -> float:
    """Return the CPU time of the fastest of some runs, since noise only adds."""
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        await work()
        taken.append(time.process_time() - start)
    return min(taken)


async def over_connections(connect: Callable[..., Any], count: int, url: str) -> float:
    """Return the seconds of a round trip: a message on each connection, then the answer on each."""
    async with AsyncExitStack() as stack:
        calls = [_calls(await stack.enter_async_context(connect(url))) for _ in range(count)]
        repeats = -(-ROUND_TRIPS // count)
        gc.collect()

        async def work() -> None:
            for _ in range(repeats):
                for send, _ in calls:
                    await send(CELL.message)
                for _, receive in calls:
                    await receive()

        return await _least(work) / (repeats * count)


async def over_sizes(connect: Callable[..., Any], size: int, server: Server) -> float:
    """Return the seconds for a byte of received messages."""
    cell, count = Cell("receive", size), max(3, BYTES // size)
    async with connect(server.url(cell)) as ws:
        send, receive = _calls(ws)

        async def work() -> None:
            await send(cell.request(count))
            for _ in range(count):
                await receive()

        return await _least(work) / (count * size)


async def over_frames(connect: Callable[..., Any], count: int, server: Server) -> float:
    """Return the seconds to receive a message, after all were buffered."""
    cell = Cell("receive", SMALL)
    taken: list[float] = []
    async with connect(server.url(cell), is_buffered=True) as ws:
        send, receive = _calls(ws)
        for _ in range(max(RUNS, MESSAGES // count)):
            await send(cell.request(count))
            await asyncio.sleep(0.002 + count * BUFFERING)
            start = time.process_time()
            for _ in range(count):
                await receive()
            taken.append(time.process_time() - start)
    return statistics.median(taken) / count


def measured(program: Callable[..., Any], values: list[int], server: object, unit: float) -> dict[str, list[Point]]:
    """Run a program for each library and value; return the points of the chart."""
    series: dict[str, list[Point]] = {name: [] for name in LIBRARIES}
    for value in values:
        for name, connect in LIBRARIES.items():
            series[name].append((value, asyncio.run(program(connect, value, server)) / unit))
        row = " | ".join(f"{points[-1][1]:.3g}" for points in series.values())
        print(f"| {value:,} | {row} |", flush=True)
    return series


def main() -> None:
    """Measure, print the tables, and draw the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="also draw the costs into this file")
    chosen = parser.parse_args()
    raise_descriptor_limit()
    panels: list[chart.Panel] = []

    def measure(title: str, x: str, y: str, unit: float, program: Any, values: list[int], server: object) -> None:
        print(f"\n{title}\n\n| {x} | {' | '.join(f'{name}, {y}' for name in LIBRARIES)} |\n| --- {'| --- ' * 2}|")
        panels.append(chart.Panel(title, x, y, measured(program, values, server, unit)))

    with peer(Echo) as url:
        measure("Round trips of 128 B", "connections", "µs a message", 1e-6, over_connections, CONNECTIONS, url)
    with running() as server:
        measure("Receiving of large messages", "bytes a message", "ns a byte", 1e-9, over_sizes, SIZES, server)
        measure("Receiving of 128 B", "buffered frames", "µs a message", 1e-6, over_frames, FRAMES, server)
    if chosen.svg is not None:
        chosen.svg.write_text(chart.lines(panels))


if __name__ == "__main__":
    main()
