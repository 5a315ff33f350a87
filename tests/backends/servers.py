"""The server of sttp's tests, made with the ``websockets`` library, and a port that must stay unused."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Program = Callable[[ServerConnection], Awaitable[None]]

silent = logging.getLogger("tests.backends.servers")
silent.addHandler(logging.NullHandler())
silent.propagate = False  # The log of websockets is not under test.


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(f"echo: {message}" if isinstance(message, str) else message)


async def send_and_wait(connection: ServerConnection) -> None:
    await connection.send("test10")
    await connection.send("test20")
    await connection.wait_closed()


async def send_and_expect_echo(connection: ServerConnection) -> None:
    for number in range(1, 4):
        await connection.send(f"test{number}")
        answer = await connection.recv()
        if answer != f"test{number}-echo":
            await connection.close(1002, f"{answer!r} came")
            return


async def send_fragments(connection: ServerConnection) -> None:
    await connection.send(["a", "b", "c"])
    await connection.send([b"d", b"e"])
    await connection.wait_closed()


async def close_with_1012(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.close(1012, "restart")


PROGRAMS: dict[str, Program] = {
    "/ws/echo": echo,
    "/ws/send_and_wait": send_and_wait,
    "/ws/send_and_expect_echo": send_and_expect_echo,
    "/ws/send_fragments": send_fragments,
    "/ws/close_with_1012": close_with_1012,
}


def _choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name == "chat"), None)


class Server:
    """A server in a thread, for a ``with`` block. It runs the program of each path, and answers 404 to other paths."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.requests: list[Headers] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="a server")

    def url(self, path: str = "/ws/echo") -> str:
        scheme = "ws" if self._context is None else "wss"
        return f"{scheme}://localhost:{self._port.result()}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._port.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._handle,
            "127.0.0.1",
            0,
            ssl=self._context,
            process_request=self._judge,
            select_subprotocol=_choose,
            logger=silent,
        ) as server:
            self._port.set_result(next(iter(server.sockets)).getsockname()[1])
            await self._stop.wait()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request.headers)
        if request.path.partition("?")[0] not in PROGRAMS:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "there is nothing here\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        with contextlib.suppress(ConnectionClosed):
            await PROGRAMS[connection.request.path.partition("?")[0]](connection)
        await connection.close()
        self.closes.append((connection.close_code, connection.close_reason))


class Door:
    """A listening socket that never accepts, but knows whether a connection was made."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()

    def has_connection(self) -> bool:
        """Return whether a connection was made. The system completes connections before they are accepted."""
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True
