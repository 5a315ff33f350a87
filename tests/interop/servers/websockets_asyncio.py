"""The asyncio server of websockets; see :mod:`tests.interop.servers.paths`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.interop.servers import paths
from tests.interop.servers.paths import ANSWERED, Closing, Endpoints, chosen, end_of_input, is_served

MAX_SIZE = 2 * 1024 * 1024  # bytes; websockets (17.4) applies it to compressed data


class Connection:
    def __init__(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        self.path = ws.request.path
        self.headers = list(ws.request.headers.raw_items())
        self._ws = ws

    async def send(self, message: str | bytes) -> None:
        await self._ws.send(message)

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code, reason)

    async def messages(self) -> AsyncIterator[str | bytes]:
        with contextlib.suppress(ConnectionClosed):
            while True:
                yield await self._ws.recv()

    async def ping(self) -> None:
        await (await self._ws.ping())

    def closed(self) -> Closing:
        assert self._ws.close_code is not None
        return self._ws.close_code, self._ws.close_reason


async def handle(ws: ServerConnection) -> None:
    await paths.serve(Connection(ws))


def refuse(ws: ServerConnection, request: Request) -> Response | None:
    return None if is_served(request.path) else ws.respond(404, "nothing here\n")


def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return chosen(offered)


def add_headers(_: ServerConnection, __: Request, response: Response) -> None:
    for name, value in ANSWERED:
        response.headers[name] = value


async def main() -> None:
    endpoints = Endpoints()
    async with contextlib.AsyncExitStack() as stack:
        for name, sock in endpoints.sockets.items():
            server = serve(
                handle,
                sock=sock,
                ssl=endpoints.context(name),
                select_subprotocol=choose,
                process_request=refuse,
                process_response=add_headers,
                max_size=MAX_SIZE,
            )
            _ = await stack.enter_async_context(server)
        endpoints.announce()
        await end_of_input()


if __name__ == "__main__":
    asyncio.run(main())
