"""The server of aiohttp; see :mod:`tests.interop.servers.paths`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import WSCloseCode, WSMsgType, web

from tests.interop.servers import paths
from tests.interop.servers.paths import ANSWERED, SUBPROTOCOLS, Closing, Endpoints, end_of_input, is_served


class Connection:
    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.path = request.path
        self.headers = list(request.headers.items())
        self._ws = ws
        self._closed: Closing | None = None

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._ws.send_str(message)
        else:
            await self._ws.send_bytes(message)

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code=code, message=reason.encode())

    async def messages(self) -> AsyncIterator[str | bytes]:
        while True:
            message = await self._ws.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    yield message.data
                case WSMsgType.PING:
                    await self._ws.pong(message.data)
                case WSMsgType.CLOSE:
                    self._closed = message.data, message.extra
                    return
                case _:
                    return

    async def ping(self) -> None:
        await self._ws.ping(b"are you there?")
        message = await self._ws.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"are you there?")

    def closed(self) -> Closing:
        assert self._closed is not None
        return self._closed


async def handle(request: web.Request) -> web.StreamResponse:
    if not is_served(request.path):
        raise web.HTTPNotFound(text="nothing here\n")
    # With autoping, receive() would not return Pongs.
    ws = web.WebSocketResponse(protocols=SUBPROTOCOLS, autoping=False)
    for name, value in ANSWERED:
        ws.headers.add(name, value)
    await ws.prepare(request)
    await paths.serve(Connection(request, ws))
    await ws.close(code=WSCloseCode.OK)
    return ws


async def main() -> None:
    endpoints = Endpoints()
    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    for name, sock in endpoints.sockets.items():
        await web.SockSite(runner, sock, ssl_context=endpoints.context(name)).start()
    endpoints.announce()
    await end_of_input()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
