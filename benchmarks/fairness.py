"""Print the longest time for which other tasks had no turn while a peer floods: ``python -m benchmarks.fairness``.

The peer is a process of its own, which sends one kind of flood without a pause. In the event loop of the websocket, a
second task only asks for its next turn. A line has the median, over several runs, of its longest wait in a run; the
promise is 50 ms at the default limits (``--check`` exits with 1 if it is not kept).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

from benchmarks.flavours import is_importable
from benchmarks.wire import accept, deflated, frame

__all__ = ["FLOODS", "LOOPS", "PROMISE", "flooding", "longest_wait", "main"]

HOST = "127.0.0.1"
PROMISE = 0.05  # seconds
SECONDS = 0.5  # of one run
RUNS = 3
BATCH = 64 * 1024  # bytes that the peer sends at once


# Kind: what is sent first, what is sent again and again, and the options of the websocket.
FLOODS: dict[str, tuple[bytes, bytes, dict[str, Any]]] = {
    "Pings": (b"", frame(0x89, b"x"), {}),
    "Pongs": (b"", frame(0x8A, b"x"), {}),
    "empty messages": (b"", frame(0x82), {}),
    "tiny texts": (b"", frame(0x81, b"ab"), {}),
    "messages of 1,024 fragments": (b"", frame(0x01) + frame(0x00) * 1022 + frame(0x80), {}),
    "endless fragments": (frame(0x01, b"a"), frame(0x00, b"a"), {"max_message_size": None}),
    "tiny deflated messages": (b"", frame(0xC1, deflated(b"ab")), {}),
    "deflated MiBs": (b"", frame(0xC2, deflated(bytes(1024 * 1024))), {}),
    "deflated MiBs in fragments": (
        b"",
        b"".join(
            frame((0x42 if not index else 0x00) | (0x80 if index == 9 else 0), piece)
            for index, piece in enumerate(
                [deflated(bytes(1024 * 1024))[start : start + 120] for start in range(0, 1200, 120)]
            )
        ),
        {},
    ),
    "final blocks of deflate": (b"", frame(0xC2, b"\x03\x00" * 8000), {}),
}


def _serve(listener: socket.socket, kind: str) -> None:
    first, again, _ = FLOODS[kind]
    batch = again * max(1, BATCH // len(again))
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            connection.sendall(accept(head)[0] + first)
            connection.setblocking(False)
            unsent = memoryview(batch)
            while True:  # What the client sends is read, so that its Pongs never wait for room.
                with contextlib.suppress(BlockingIOError):
                    unsent = unsent[connection.send(unsent) :] or memoryview(batch)
                with contextlib.suppress(BlockingIOError):
                    if not connection.recv(65536):
                        break


@contextlib.contextmanager
def flooding(kind: str) -> Generator[str]:
    with socket.create_server((HOST, 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, kind), daemon=True)
        process.start()
        try:
            yield f"ws://{HOST}:{listener.getsockname()[1]}/"
        finally:
            process.kill()
            process.join()


async def longest_wait(
    opened: Callable[[], Any], turn: Callable[[], Awaitable[object]], start: Callable[[Any], Any], receives: bool
) -> float:
    """Return the longest time between two turns of this task while the websocket is flooded."""
    longest = 0.0
    async with opened() as ws, start(ws if receives else None):
        last = begin = time.perf_counter()
        while last < begin + SECONDS:
            await turn()
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    return longest


async def _receive(ws: Any) -> None:
    while True:
        await ws.receive_message()


def _by_asyncio(runner: Any, url: str, options: dict[str, Any], receives: bool) -> float:
    from polysocket.asyncio import connect

    @contextlib.asynccontextmanager
    async def start(ws: Any) -> AsyncGenerator[None]:
        task = None if ws is None else asyncio.create_task(_receive(ws))
        yield
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return float(
        runner(
            longest_wait(lambda: connect(url, close_timeout=0.2, **options), lambda: asyncio.sleep(0), start, receives)
        )
    )


def _on_asyncio(url: str, options: dict[str, Any], receives: bool) -> float:
    return _by_asyncio(asyncio.run, url, options, receives)


def _on_uvloop(url: str, options: dict[str, Any], receives: bool) -> float:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return _by_asyncio(runner.run, url, options, receives)


def _on_trio(url: str, options: dict[str, Any], receives: bool) -> float:
    import trio

    from polysocket.trio import connect

    @contextlib.asynccontextmanager
    async def start(ws: Any) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            if ws is not None:
                nursery.start_soon(_receive, ws)
            yield
            nursery.cancel_scope.cancel()

    def opened() -> Any:
        return connect(url, close_timeout=0.2, **options)

    return float(trio.run(longest_wait, opened, trio.lowlevel.checkpoint, start, receives))


LOOPS = {"asyncio": _on_asyncio, "uvloop": _on_uvloop, "trio": _on_trio}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--flavour", action="append", choices=LOOPS, help="only this one (may be repeated)")
    parser.add_argument("--flood", action="append", choices=FLOODS, help="only this one (may be repeated)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 if a median exceeds {PROMISE * 1000:.0f} ms")
    chosen = parser.parse_args()
    worst = 0.0
    for flavour, kind in itertools.product(chosen.flavour or LOOPS, chosen.flood or FLOODS):
        if not is_importable(flavour):
            continue
        for receives in (True, False):
            waits: list[float] = []
            for _ in range(RUNS):
                with flooding(kind) as url:
                    waits.append(LOOPS[flavour](url, FLOODS[kind][2], receives))
            median = statistics.median(waits)
            worst = max(worst, median)
            state = "received" if receives else "not received"
            print(f"{flavour:8} {kind:28} {state:13} {median * 1000:7.1f} ms", flush=True)
    print(f"the longest: {worst * 1000:.1f} ms")
    return 1 if chosen.check and worst > PROMISE else 0


if __name__ == "__main__":
    sys.exit(main())
