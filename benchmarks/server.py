"""The server of all measurements, in a process of its own: ``python -m benchmarks.server``.

The URL says what the server does: ``/echo`` sends each message back; ``/stream?n=…&size=…`` answers each message with n
messages of that size; ``/sink?n=…`` answers every n-th message with the number n. Answers have the type of the received
message. The server must not be the bottleneck, so it uses the fastest library that is installed (picows, else
websockets, on uvloop if possible), and prepares a stream as one buffer. It prints its port and its description, and
ends at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

from benchmarks.measurements import payload

__all__ = ["ROOT", "running"]

ROOT = pathlib.Path(__file__).parent.parent  # from which "python -m benchmarks…" works
HOST = "127.0.0.1"
TEXT, BINARY = 0x1, 0x2  # opcodes, RFC 6455 §5.2


@contextlib.contextmanager
def running(*, compression: bool = False) -> Iterator[tuple[str, str]]:
    """Run a server; yield its URL without a path, and its description."""
    command = [sys.executable, "-m", "benchmarks.server", *["--compression"] * compression]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, _, description = process.stdout.readline().strip().partition(" ")
        if not port:
            raise RuntimeError("the server did not start")
        yield f"ws://{HOST}:{port}", description


class Job:
    """The work of one connection."""

    def __init__(self, path: str) -> None:
        parts = urlsplit(path)
        numbers = {name: int(values[-1]) for name, values in parse_qs(parts.query).items()}
        self.name = parts.path.removeprefix("/")
        self.n = numbers.get("n", 1)
        self.size = numbers.get("size", 0)
        self._counted = 0

    def count(self) -> bool:
        """Count a message, and return whether it was the n-th."""
        self._counted = (self._counted + 1) % self.n
        return not self._counted

    def stream(self, opcode: int) -> bytes:
        """Return the frames of a whole stream."""
        return _frames(opcode, self.n, self.size)


@cache
def _frames(opcode: int, n: int, size: int) -> bytes:
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    return (bytes([0x80 | opcode]) + length + payload(size)) * n


async def serve_by_picows() -> int:
    """Serve without compression, which picows does not implement."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

    class Listener(WSListener):
        def __init__(self, job: Job) -> None:
            self._job = job

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            kind = frame.msg_type
            if kind is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            elif self._job.name == "echo":
                transport.send(kind, frame.get_payload_as_memoryview())
            elif self._job.name == "stream":
                transport.underlying_transport.write(self._job.stream(kind.value))
            elif self._job.count():
                transport.send(kind, str(self._job.n).encode())

    def accept(request: WSUpgradeRequest) -> WSListener:
        return Listener(Job(request.path.decode()))

    server = await ws_create_server(accept, HOST, 0)
    return int(server.sockets[0].getsockname()[1])


async def serve_by_websockets(compression: str | None) -> int:
    """Serve with or without compression."""
    from websockets.asyncio.server import ServerConnection, serve

    async def answer(ws: ServerConnection) -> None:
        assert ws.request is not None
        job = Job(ws.request.path)
        async for message in ws:
            if job.name == "echo":
                await ws.send(message)
            elif job.name == "stream":
                ws.transport.write(job.stream(TEXT if isinstance(message, str) else BINARY))
            elif job.count():
                await ws.send(str(job.n) if isinstance(message, str) else str(job.n).encode())

    # The client reports a connection that fails; the server's tracebacks would bury the report.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    server = await serve(answer, HOST, 0, compression=compression, ping_interval=None)
    return int(next(iter(server.sockets)).getsockname()[1])


async def main(*, compression: bool, loop: str) -> None:
    if importlib.util.find_spec("picows") and not compression:
        name, port = "picows", await serve_by_picows()
    else:
        name, port = "websockets", await serve_by_websockets("deflate" if compression else None)
    print(port, name, version(name), "on", loop, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    loop, loop_factory = "asyncio", asyncio.new_event_loop
    if importlib.util.find_spec("uvloop"):
        import uvloop

        loop, loop_factory = f"uvloop {version('uvloop')}", uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main(compression="--compression" in sys.argv, loop=loop))
