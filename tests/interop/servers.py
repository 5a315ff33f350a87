"""Servers that nobody here wrote: ``python servers.py NAME CERTIFICATE UNIX_PATH`` runs one of them in this process.

Each listens on loopback by TCP and by TLS, and on a Unix socket; its addresses are one line of JSON on standard output.
The end of standard input ends it. The same paths do the same everywhere:

- ``/echo`` sends back each message;
- ``/headers`` sends the request's header fields as JSON;
- ``/ping`` pings; once there was a Pong, it sends back one message;
- ``/count`` sends ten texts, and closes by 1000;
- ``/close`` closes by 4001 and a reason;
- ``/closing/ID`` waits for the client's Close, of which ``/closed/ID`` sends code and reason as JSON;
- anything else is refused.

Subprotocols are "chat" and "superchat"; each answer has the headers that ``ANSWERED`` names. Nothing of polysocket is
used here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

SUBPROTOCOLS = ["chat", "superchat"]
ANSWERED = [("X-Answered-By", "a server"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
CLOSE_CODE, CLOSE_REASON = 4001, "that is all, café"
COUNT = 10
MAX_SIZE = 2 * 1024 * 1024  # bytes; websockets (17.4) judges by it what it has not inflated
TOO_LONG = 5  # seconds until a Close must have been seen
PING_INTERVAL = 0.05  # seconds; of Hypercorn, whose applications can't ping

closings: defaultdict[str, Future[tuple[int, str | None]]] = defaultdict(Future)


def listening() -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is named: without, TLS waits for delayed ACKs, 40 ms each.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


class Endpoints:
    """The sockets that a server listens on."""

    def __init__(self, certificate: str, unix_path: str) -> None:
        self.certificate = certificate
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.sockets = {"ws": listening(), "wss": listening()}
        if hasattr(socket, "AF_UNIX"):
            self.sockets["unix"] = socket.socket(socket.AF_UNIX)
            self.sockets["unix"].bind(unix_path)
            self.sockets["unix"].listen()
        # now: a server may put others in their place
        self._ports = {name: sock.getsockname()[1] for name, sock in self.sockets.items() if name != "unix"}

    def context(self, name: str) -> ssl.SSLContext | None:
        return self.tls if name == "wss" else None

    def announce(self, **more: socket.socket) -> None:
        """Tell where the server is."""
        print(json.dumps(self._ports | {name: sock.getsockname()[1] for name, sock in more.items()}), flush=True)


class Peer(Protocol):
    """A connection, in the terms that all asynchronous servers share."""

    path: str
    headers: list[tuple[str, str]]

    def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages, up to its Close."""
        ...

    async def send(self, message: str | bytes) -> None: ...

    async def ping(self) -> None:
        """Ping and wait for the Pong."""
        ...

    async def close(self, code: int, reason: str) -> None: ...

    def closed(self) -> tuple[int, str | None]:
        """What the client's Close had."""
        ...


async def serve_peer(peer: Peer) -> None:
    """What the paths do."""
    match peer.path.split("/")[1:]:
        case ["echo"]:
            async for message in peer.messages():
                await peer.send(message)
        case ["headers"]:
            await peer.send(json.dumps(peer.headers))
        case ["ping"]:
            await peer.ping()
            async for message in peer.messages():
                await peer.send(message)
        case ["count"]:
            for number in range(COUNT):
                await peer.send(str(number))
            await peer.close(1000, "")
        case ["close"]:
            await peer.close(CLOSE_CODE, CLOSE_REASON)
        case ["closing", key]:
            async for _ in peer.messages():
                pass
            closings[key].set_result(peer.closed())
        case ["closed", key]:
            await peer.send(json.dumps(await asyncio.wait_for(asyncio.wrap_future(closings[key]), TOO_LONG)))
        case _:
            raise AssertionError(f"{peer.path} should have been refused")


def is_served(path: str) -> bool:
    return path.split("/")[1] in ("echo", "headers", "ping", "count", "close", "closing", "closed")


async def end_of_input() -> None:
    """Wait until standard input ends."""
    end = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def read() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(end.set_result, None)

    threading.Thread(target=read, daemon=True).start()
    await end


# websockets, threads


def websockets_in_threads(endpoints: Endpoints) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response
    from websockets.sync.server import ServerConnection, serve
    from websockets.typing import Subprotocol

    def handle(ws: ServerConnection) -> None:
        assert ws.request is not None
        match ws.request.path.split("/")[1:]:
            case ["echo"]:
                for message in ws:
                    ws.send(message)
            case ["headers"]:
                ws.send(json.dumps(list(ws.request.headers.raw_items())))
            case ["ping"]:
                ws.ping().wait()
                for message in ws:
                    ws.send(message)
            case ["count"]:
                for number in range(COUNT):
                    ws.send(str(number))
            case ["close"]:
                ws.close(CLOSE_CODE, CLOSE_REASON)
            case ["closing", key]:
                try:
                    ws.recv()
                except ConnectionClosed as error:
                    assert error.rcvd is not None
                    closings[key].set_result((error.rcvd.code, error.rcvd.reason))
            case ["closed", key]:
                ws.send(json.dumps(closings[key].result(TOO_LONG)))

    def select(ws: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((each for each in offered if each in SUBPROTOCOLS), None)

    def refuse(ws: ServerConnection, request: Request) -> Response | None:
        return None if is_served(request.path) else ws.respond(404, "nothing here\n")

    def add_headers(ws: ServerConnection, request: Request, response: Response) -> None:
        for name, value in ANSWERED:
            response.headers[name] = value

    servers = [
        serve(
            handle,
            sock=sock,
            ssl=endpoints.context(name),
            select_subprotocol=select,
            process_request=refuse,
            process_response=add_headers,
            max_size=MAX_SIZE,
        )
        for name, sock in endpoints.sockets.items()
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    endpoints.announce()
    sys.stdin.read()
    for server in servers:
        server.shutdown()
    for thread in threads:
        thread.join()


# websockets, asyncio


async def websockets_in_asyncio(endpoints: Endpoints) -> None:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

    class Connection:
        def __init__(self, ws: ServerConnection) -> None:
            assert ws.request is not None
            self._ws = ws
            self.path = ws.request.path
            self.headers = list(ws.request.headers.raw_items())
            self.send = ws.send
            self.close = ws.close

        async def messages(self) -> AsyncIterator[str | bytes]:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    yield await self._ws.recv()

        async def ping(self) -> None:
            await (await self._ws.ping())

        def closed(self) -> tuple[int, str | None]:
            assert self._ws.close_code is not None
            return self._ws.close_code, self._ws.close_reason

    async def handle(ws: ServerConnection) -> None:
        await serve_peer(Connection(ws))

    def select(ws: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((each for each in offered if each in SUBPROTOCOLS), None)

    def refuse(ws: ServerConnection, request: Request) -> Response | None:
        return None if is_served(request.path) else ws.respond(404, "nothing here\n")

    def add_headers(ws: ServerConnection, request: Request, response: Response) -> None:
        for name, value in ANSWERED:
            response.headers[name] = value

    async with contextlib.AsyncExitStack() as stack:
        for name, sock in endpoints.sockets.items():
            await stack.enter_async_context(
                serve(
                    handle,
                    sock=sock,
                    ssl=endpoints.context(name),
                    select_subprotocol=select,
                    process_request=refuse,
                    process_response=add_headers,
                    max_size=MAX_SIZE,
                )
            )
        endpoints.announce()
        await end_of_input()


# aiohttp


async def aiohttp(endpoints: Endpoints) -> None:
    from aiohttp import WSCloseCode, WSMsgType, web

    class Connection:
        def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
            self._ws = ws
            self.path = request.path
            self.headers = list(request.headers.items())
            self._closed: tuple[int, str | None] | None = None

        async def messages(self) -> AsyncIterator[str | bytes]:
            while True:
                message = await self._ws.receive()
                match message.type:
                    case WSMsgType.TEXT | WSMsgType.BINARY:
                        yield message.data
                    case WSMsgType.CLOSE:
                        self._closed = message.data, message.extra
                        return
                    case WSMsgType.PING:
                        await self._ws.pong(message.data)
                    case _:
                        return

        async def send(self, message: str | bytes) -> None:
            if isinstance(message, str):
                await self._ws.send_str(message)
            else:
                await self._ws.send_bytes(message)

        async def ping(self) -> None:
            await self._ws.ping(b"are you there?")
            message = await self._ws.receive()
            assert (message.type, message.data) == (WSMsgType.PONG, b"are you there?")

        async def close(self, code: int, reason: str) -> None:
            await self._ws.close(code=code, message=reason.encode())

        def closed(self) -> tuple[int, str | None]:
            assert self._closed is not None
            return self._closed

    async def handle(request: web.Request) -> web.StreamResponse:
        if not is_served(request.path):
            raise web.HTTPNotFound(text="nothing here\n")
        # What its receive() would answer by itself, it would not tell of: Pongs.
        ws = web.WebSocketResponse(protocols=SUBPROTOCOLS, autoping=False, max_msg_size=0)
        for name, value in ANSWERED:
            ws.headers.add(name, value)
        await ws.prepare(request)
        await serve_peer(Connection(request, ws))
        await ws.close(code=WSCloseCode.OK)
        return ws

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    for name, sock in endpoints.sockets.items():
        await web.SockSite(runner, sock, ssl_context=endpoints.context(name)).start()
    endpoints.announce()
    await end_of_input()
    await runner.cleanup()


# Hypercorn, on wsproto


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ASGIConnection:
    """A connection as ASGI has it: no Pings, and of a Close no reason."""

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self._receive = receive
        self._send = send
        self._closed: int | None = None

    async def messages(self) -> AsyncIterator[str | bytes]:
        while (event := await self._receive())["type"] == "websocket.receive":
            text: str | None = event.get("text")
            yield event["bytes"] if text is None else text
        self._closed = event["code"]

    async def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self._send({"type": "websocket.send", kind: message})

    async def ping(self) -> None:
        """It does so itself, at its interval."""

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def closed(self) -> tuple[int, str | None]:
        assert self._closed is not None
        return self._closed, None


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """An ASGI application."""
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
    subprotocol = next((each for each in scope["subprotocols"] if each in SUBPROTOCOLS), None)
    headers = [(name.encode(), value.encode()) for name, value in ANSWERED]
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
    await serve_peer(ASGIConnection(scope, receive, send))


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Hypercorn (0.18) ends TLS behind its Close without waiting for the client's (RFC 6455 §7.1.1), and does not catch
    # OpenSSL's error when that comes.
    if "APPLICATION_DATA_AFTER_CLOSE_NOTIFY" not in repr(context.get("exception")):
        loop.default_exception_handler(context)


async def hypercorn(endpoints: Endpoints) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    asyncio.get_running_loop().set_exception_handler(complain)

    def config(insecure: list[socket.socket], secure: list[socket.socket], ping_interval: float | None) -> Config:
        config = Config()
        config.bind = [f"fd://{sock.detach()}" for sock in secure or insecure]
        config.insecure_bind = [f"fd://{sock.detach()}" for sock in insecure if secure]
        config.certfile = config.keyfile = endpoints.certificate if secure else None
        config.websocket_ping_interval = ping_interval
        config.loglevel = "WARNING"
        return config

    pinging = listening()
    endpoints.announce(ping=pinging)
    plain = [sock for name, sock in endpoints.sockets.items() if name != "wss"]
    configs = [config(plain, [endpoints.sockets["wss"]], None), config([pinging], [], PING_INTERVAL)]
    end = asyncio.Event()
    app: Any = application
    async with asyncio.TaskGroup() as tasks:
        for each in configs:
            tasks.create_task(serve(app, each, shutdown_trigger=end.wait))
        await end_of_input()
        end.set()


SERVERS: dict[str, Callable[[Endpoints], Any]] = {
    "websockets-threads": websockets_in_threads,
    "websockets-asyncio": websockets_in_asyncio,
    "aiohttp": aiohttp,
    "hypercorn": hypercorn,
}


def main() -> None:
    logging.basicConfig(level=logging.WARNING)  # what a server finds to complain about fails the tests
    name, certificate, unix_path = sys.argv[1:]
    endpoints = Endpoints(certificate, unix_path)
    running = SERVERS[name](endpoints)
    if running is not None:
        asyncio.run(running)


if __name__ == "__main__":
    main()
