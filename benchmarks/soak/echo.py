"""The echo server of the soak, in a process of its own: ``python -m benchmarks.soak.echo``.

It is websockets, on uvloop if possible, and accepts compression. It prints its port and its description, and ends at
the end of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

from benchmarks.server import HOST, ROOT

__all__ = ["running"]


@contextlib.contextmanager
def running() -> Iterator[tuple[str, str]]:
    """Run a server; yield its URL and its description."""
    command = [sys.executable, "-m", "benchmarks.soak.echo"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, _, description = process.stdout.readline().strip().partition(" ")
        if not port:
            raise RuntimeError("the server did not start")
        yield f"ws://{HOST}:{port}/", description


async def main(loop: str) -> None:
    """Serve until the standard input ends."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    # The client reports a connection that fails; the server's tracebacks would bury the report.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    server = await serve(echo, HOST, 0, ping_interval=None)
    port = next(iter(server.sockets)).getsockname()[1]
    print(port, "websockets", version("websockets"), "on", loop, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    loop, loop_factory = "asyncio", asyncio.new_event_loop
    if importlib.util.find_spec("uvloop"):
        import uvloop

        loop, loop_factory = f"uvloop {version('uvloop')}", uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main(loop))
