"""Print what idle websockets cost: ``python -m benchmarks.idle``.

The peer is a process of its own, which answers Pings. A line has the CPU time of this side while nothing is sent or
received, in percent of one core: between the Pings of keepalive, and with them at the default interval.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import math
import multiprocessing
import socket
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from benchmarks.flavours import is_importable
from benchmarks.soak.usage import raise_descriptor_limit
from benchmarks.wire import accept
from polysocket import basic_request

__all__ = ["Peer", "main", "peer", "percent"]

HOST = "127.0.0.1"
COUNT = 10_000  # websockets
SECONDS = 40.0  # two intervals of keepalive
NEVER = 1e6  # seconds
PONG_BIT = 0x03  # the difference between the first bytes of a Ping and a Pong


class Peer(asyncio.Protocol):
    """A server that accepts any upgrade and answers Pings; each arrives whole."""

    def __init__(self) -> None:
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self.answer(data) if self._is_open else accept(data)[0])
        self._is_open = True

    def answer(self, data: bytes) -> bytes:
        """Return the Pong to a Ping."""
        payload = bytes(byte ^ data[2 + index % 4] for index, byte in enumerate(data[6:]))
        return bytes([data[0] ^ PONG_BIT, len(payload)]) + payload


def _serve(listener: socket.socket, protocol: type[Peer]) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=1024)
        await server.serve_forever()

    raise_descriptor_limit()
    asyncio.run(serve())


@contextlib.contextmanager
def peer(protocol: type[Peer] = Peer) -> Generator[str]:
    """Run the peer; yield its URL."""
    with socket.create_server((HOST, 0)) as listener:
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listener, protocol), daemon=True)
        process.start()
        try:
            yield f"ws://{HOST}:{listener.getsockname()[1]}/"
        finally:
            process.kill()
            process.join()


def percent(flavour: str, url: str, count: int, seconds: float, interval: float) -> float:
    """Open websockets in a flavour; return the CPU time in percent of one core while they are idle."""
    request = basic_request.compress(None).keepalive(interval=interval).timeouts(open=None).get(url)
    if flavour == "blocking":
        from polysocket import blocking

        websockets = [blocking.connect(request) for _ in range(count)]
        gc.collect()  # what opening has left
        used = _used(lambda: time.sleep(seconds))
        for each in websockets:
            each._session.abort()
        return 100 * used / seconds

    async def opened(module: Any, sleep: Callable[[float], Coroutine[Any, Any, None]]) -> float:
        websockets = [await module.connect(request) for _ in range(count)]
        gc.collect()
        before = time.process_time()
        await sleep(seconds)
        used = time.process_time() - before
        for each in websockets:
            each._session.abort()
        return 100 * used / seconds

    if flavour == "trio":
        import trio

        return trio.run(opened, importlib.import_module("polysocket.trio"), trio.sleep)
    factory = importlib.import_module("uvloop").new_event_loop if flavour == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(opened(importlib.import_module("polysocket.asyncio"), asyncio.sleep))


def _used(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def main(arguments: list[str] | None = None) -> None:
    """Measure each flavour whose library is installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="websockets (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds to measure (default: %(default)s)")
    options = parser.parse_args(arguments)
    raise_descriptor_limit()
    interval = basic_request.ping_interval or math.inf
    print(f"{options.count} idle websockets, in % of a core | between Pings | with a Ping every {interval} s")
    with peer() as url:
        for flavour in ("blocking", "asyncio", "uvloop", "trio"):
            if flavour in ("asyncio", "blocking") or is_importable(flavour):
                figures = (percent(flavour, url, options.count, options.seconds, each) for each in (NEVER, interval))
                print(flavour, *(f"{figure:.1f}" for figure in figures), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
