"""Hypercorn, which uses wsproto, with an ASGI application; see :mod:`tests.interop.servers.paths`.

An ASGI application can neither send Pings nor receive Pongs. Instead, one of its sockets, ``ping``, pings regularly.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.interop.servers import paths
from tests.interop.servers.paths import ANSWERED, Closing, Endpoints, chosen, end_of_input, is_served, listening

PING_INTERVAL = 0.05  # seconds

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection:
    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self._receive = receive
        self._send = send
        self._closed: Closing | None = None

    async def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self._send({"type": "websocket.send", kind: message})

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def messages(self) -> AsyncIterator[str | bytes]:
        while (event := await self._receive())["type"] == "websocket.receive":
            text: str | None = event.get("text")
            yield event["bytes"] if text is None else text
        self._closed = event["code"], event.get("reason")

    async def ping(self) -> None:
        """Do nothing; the server pings."""

    def closed(self) -> Closing:
        assert self._closed is not None
        return self._closed


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
        return
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    if not is_served(scope["path"]):
        await send({"type": "websocket.close"})
        return
    headers = [(name.encode(), value.encode()) for name, value in ANSWERED]
    await send({"type": "websocket.accept", "subprotocol": chosen(scope["subprotocols"]), "headers": headers})
    await paths.serve(Connection(scope, receive, send))


def configured(plain: list[socket.socket], tls: list[socket.socket], certificate: str | None) -> Config:
    config = Config()
    config.loglevel = "WARNING"
    config.insecure_bind = [f"fd://{sock.detach()}" for sock in plain]
    config.bind = [f"fd://{sock.detach()}" for sock in tls]
    config.certfile = config.keyfile = certificate
    if certificate is None:  # then the sockets of bind are without TLS
        config.bind, config.insecure_bind = config.insecure_bind, []
        config.websocket_ping_interval = PING_INTERVAL
    return config


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Hypercorn (0.18) ends TLS after its Close without waiting for the client's (RFC 6455 §7.1.1), and does not catch
    # OpenSSL's error when that comes.
    if "APPLICATION_DATA_AFTER_CLOSE_NOTIFY" not in repr(context.get("exception")):
        loop.default_exception_handler(context)


async def main() -> None:
    asyncio.get_running_loop().set_exception_handler(complain)
    endpoints, pinging = Endpoints(), listening()
    endpoints.announce(ping=pinging)
    plain = [sock for name, sock in endpoints.sockets.items() if name != "wss"]
    configs = [
        configured(plain, [endpoints.sockets["wss"]], endpoints.certificate),
        configured([pinging], [], None),
    ]
    end = asyncio.Event()
    app: Any = application
    async with asyncio.TaskGroup() as tasks:
        for config in configs:
            tasks.create_task(serve(app, config, shutdown_trigger=end.wait))
        await end_of_input()
        end.set()


if __name__ == "__main__":
    asyncio.run(main())
