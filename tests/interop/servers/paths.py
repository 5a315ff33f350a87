"""The common parts of the servers of this folder: the sockets that they listen on, and their paths.

Each server is a program, ``python -m tests.interop.servers.NAME CERTIFICATE UNIX_PATH``, that listens for TCP and for
TLS on the loopback, and on a Unix socket. It prints its ports as one line of JSON, and exits at the end of standard
input. All servers have the same paths:

- ``/echo`` sends back each message;
- ``/headers`` sends the request's header fields as JSON;
- ``/ping`` pings; after the Pong, it sends back each message;
- ``/count`` sends ten texts, and closes with 1000;
- ``/close`` closes with 4001 and a reason;
- ``/closing/ID`` waits for the client's Close; ``/closed/ID`` sends the code and reason of that Close as JSON;
- anything else is refused.

Subprotocols are "chat" and "superchat"; each answer has the headers ``ANSWERED``. Nothing of polysocket is used here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

SUBPROTOCOLS = ["chat", "superchat"]
ANSWERED = [("X-Answered-By", "a server"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
CLOSE_CODE, CLOSE_REASON = 4001, "that is all, café"
COUNT = 10
TOO_LONG = 5  # seconds to wait for a Close

S = TypeVar("S", bound=str)

Closing = tuple[int, str | None]
closings: defaultdict[str, Future[Closing]] = defaultdict(Future)


class Endpoints:
    """The sockets that a server listens on."""

    def __init__(self) -> None:
        logging.basicConfig(level=logging.WARNING)  # any logged warning fails the tests
        self.certificate, unix_path = sys.argv[1:]
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate)
        self.sockets = {"ws": listening(), "wss": listening()}
        # A server may replace the sockets later.
        self._ports = {name: sock.getsockname()[1] for name, sock in self.sockets.items()}
        if hasattr(socket, "AF_UNIX"):
            self.sockets["unix"] = socket.socket(socket.AF_UNIX)
            self.sockets["unix"].bind(unix_path)
            self.sockets["unix"].listen()

    def context(self, name: str) -> ssl.SSLContext | None:
        """Return the TLS settings of the socket with this name."""
        return self.tls if name == "wss" else None

    def announce(self, **more: socket.socket) -> None:
        """Print the ports of the server."""
        print(json.dumps(self._ports | {name: sock.getsockname()[1] for name, sock in more.items()}), flush=True)


def listening() -> socket.socket:
    """Return a socket that listens on a free port of 127.0.0.1."""
    # asyncio sets TCP_NODELAY only if the protocol is named. Without it, TLS waits for delayed ACKs, 40 ms each.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def is_served(path: str) -> bool:
    """Return whether the path exists."""
    return path.split("/")[1] in ("echo", "headers", "ping", "count", "close", "closing", "closed")


def chosen(offered: Sequence[S]) -> S | None:
    """Return the first offered subprotocol that the server supports."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


class Connection(Protocol):
    """A connection to a client, the same for all asynchronous servers."""

    path: str
    headers: list[tuple[str, str]]

    @property
    def send(self) -> Callable[[str | bytes], Awaitable[object]]:
        """Send a message."""
        ...

    @property
    def close(self) -> Callable[[int, str], Awaitable[object]]:
        """Close with a code and a reason."""
        ...

    def messages(self) -> AsyncIterator[str | bytes]:
        """Yield the client's messages, up to its Close."""
        ...

    async def ping(self) -> None:
        """Ping and wait for the Pong."""
        ...

    def closed(self) -> Closing:
        """Wait for the client's Close; return its code and reason."""
        ...


async def serve(connection: Connection) -> None:
    """Serve one path."""
    match connection.path.split("/")[1:]:
        case ["echo"]:
            await echo(connection)
        case ["headers"]:
            await connection.send(json.dumps(connection.headers))
        case ["ping"]:
            await connection.ping()
            await echo(connection)
        case ["count"]:
            for number in range(COUNT):
                await connection.send(str(number))
            await connection.close(1000, "")
        case ["close"]:
            await connection.close(CLOSE_CODE, CLOSE_REASON)
        case ["closing", key]:
            async for _ in connection.messages():
                pass
            closings[key].set_result(connection.closed())
        case ["closed", key]:
            closing = await asyncio.wait_for(asyncio.wrap_future(closings[key]), TOO_LONG)
            await connection.send(json.dumps(closing))
        case _:
            raise AssertionError(f"{connection.path} should have been refused")


async def echo(connection: Connection) -> None:
    """Send back each message."""
    async for message in connection.messages():
        await connection.send(message)


async def end_of_input() -> None:
    """Wait until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    await ended.wait()
