"""Print the longest time for which other tasks had no turn while a peer floods: ``python -m benchmarks.fairness``.

The peer is a process of its own, which sends one kind of flood without a pause, or answers each opening handshake with
as much as a client reads. In the event loop of the websocket, a second task only asks for its next turn. A line has the
median, over several runs, of its longest wait in a run; the promise is 50 ms at the default limits (``--check`` exits
with 1 if it is not kept).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any

from benchmarks.flavours import is_importable
from benchmarks.wire import accept, deflated, frame
from polysocket import OpeningFailed

__all__ = [
    "FLOODS",
    "LOOPS",
    "OPENED",
    "OPENINGS",
    "PROMISE",
    "RECEIVED",
    "flooding",
    "longest_wait",
    "main",
    "options_of",
]

HOST = "127.0.0.1"
PROMISE = 0.05  # seconds
SECONDS = 0.5  # of one run
RUNS = 3
BATCH = 64 * 1024  # bytes that the peer sends at once

# What is done with the websockets.
RECEIVED, NOT_RECEIVED, OPENED = "received", "not received", "opened"

Connect = Callable[[], AbstractAsyncContextManager[Any]]
Start = Callable[[Any, Any], AbstractAsyncContextManager[None]]

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

# Kind: what is sent again and again instead of the server's 101.
OPENINGS: dict[str, bytes] = {
    "1xx answers": b"HTTP/1.1 103 \r\n\r\n",
    "header lines": b"HTTP/1.1 101 \r\n" + b"a:\r\n" * 16_000,
    "a rejection in tiny chunks": b"HTTP/1.1 400 \r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 11_000,
    "a rejection with trailers": b"HTTP/1.1 400 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a:\r\n" * 16_000,
}


def options_of(kind: str) -> dict[str, Any]:
    """Return the options of the websocket."""
    return FLOODS[kind][2] if kind in FLOODS else {}


def _serve(listener: socket.socket, kind: str) -> None:
    first, again = FLOODS[kind][:2] if kind in FLOODS else (b"", OPENINGS[kind])
    batch = again * max(1, BATCH // len(again))
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            connection.sendall(accept(head)[0] + first if kind in FLOODS else b"")
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


async def longest_wait(connect: Connect, turn: Callable[[], Awaitable[object]], start: Start, state: str) -> float:
    """Return the longest time between two turns of this task while websockets are flooded.

    ``start(program, argument)`` runs a program in another task until the end of its ``async with``.
    """
    longest = 0.0
    async with contextlib.AsyncExitStack() as stack:
        if state == OPENED:
            await _open(connect)  # The first opening imports much.
            await stack.enter_async_context(start(_open_again, connect))
        else:
            ws = await stack.enter_async_context(connect())
            if state == RECEIVED:
                await stack.enter_async_context(start(_receive, ws))
        last = begin = time.perf_counter()
        while last < begin + SECONDS:
            await turn()
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    return longest


async def _receive(ws: Any) -> None:
    while True:
        await ws.receive_message()


async def _open(connect: Connect) -> None:
    with contextlib.suppress(OpeningFailed):
        async with connect():
            pass


async def _open_again(connect: Connect) -> None:
    while True:
        await _open(connect)


@contextlib.asynccontextmanager
async def _task(program: Callable[[Any], Coroutine[Any, Any, None]], argument: Any) -> AsyncGenerator[None]:
    task = asyncio.create_task(program(argument))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _on_asyncio(url: str, options: dict[str, Any], state: str, new_loop: Any = None) -> float:
    from polysocket.asyncio import connect

    opened = functools.partial(connect, url, close_timeout=0.2, **options)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(longest_wait(opened, lambda: asyncio.sleep(0), _task, state))


def _on_uvloop(url: str, options: dict[str, Any], state: str) -> float:
    import uvloop

    return _on_asyncio(url, options, state, uvloop.new_event_loop)


def _on_trio(url: str, options: dict[str, Any], state: str) -> float:
    import trio

    from polysocket.trio import connect

    @contextlib.asynccontextmanager
    async def start(program: Callable[[Any], Awaitable[None]], argument: Any) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program, argument)
            yield
            nursery.cancel_scope.cancel()

    opened = functools.partial(connect, url, close_timeout=0.2, **options)
    return float(trio.run(longest_wait, opened, trio.lowlevel.checkpoint, start, state))


KINDS = [*FLOODS, *OPENINGS]
LOOPS = {"asyncio": _on_asyncio, "uvloop": _on_uvloop, "trio": _on_trio}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--flavour", action="append", choices=LOOPS, help="only this one (may be repeated)")
    parser.add_argument("--flood", action="append", choices=KINDS, help="only this one (may be repeated)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 if a median exceeds {PROMISE * 1000:.0f} ms")
    chosen = parser.parse_args()
    worst = 0.0
    for flavour, kind in itertools.product(chosen.flavour or LOOPS, chosen.flood or KINDS):
        if not is_importable(flavour):
            continue
        for state in (RECEIVED, NOT_RECEIVED) if kind in FLOODS else (OPENED,):
            waits: list[float] = []
            for _ in range(RUNS):
                with flooding(kind) as url:
                    waits.append(LOOPS[flavour](url, options_of(kind), state))
            median = statistics.median(waits)
            worst = max(worst, median)
            print(f"{flavour:8} {kind:28} {state:13} {median * 1000:7.1f} ms", flush=True)
    print(f"the longest: {worst * 1000:.1f} ms")
    return 1 if chosen.check and worst > PROMISE else 0


if __name__ == "__main__":
    sys.exit(main())
