"""The measured libraries: each is a context manager that connects and yields a way to send and a way to receive.

Each library is used as its users would: with the call for text or for binary if there are two, and its default buffers
and limits. Only what would add noise or other work is switched off: compression (unless it is measured), keepalive
Pings, proxies. A library is imported when it is used, since it may not be installed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from polysocket import Async, Deflate, WebSocket

__all__ = [
    "ASYNCIO_PEERS",
    "BLOCKING_PEERS",
    "TRIO_PEERS",
    "AsyncClient",
    "BlockingClient",
    "OpenAsync",
    "OpenBlocking",
    "Peer",
    "Target",
]

Message: TypeAlias = Any  # str for text, bytes for binary, as the target says
Open = TypeVar("Open")


@dataclass(frozen=True, slots=True)
class Target:
    """The server's URL, the type of the messages, and whether to agree on compression."""

    url: str
    text: bool
    compression: bool


class BlockingClient(NamedTuple):
    """A connection."""

    send: Callable[[Message], object]
    receive: Callable[[], Message]


class AsyncClient(NamedTuple):
    """A connection."""

    send: Callable[[Message], Awaitable[object]]
    receive: Callable[[], Awaitable[Message]]


OpenBlocking: TypeAlias = Callable[[Target], AbstractContextManager[BlockingClient]]
OpenAsync: TypeAlias = Callable[[Target], AbstractAsyncContextManager[AsyncClient]]


# Blocking


@contextmanager
def polysocket_blocking(target: Target) -> Iterator[BlockingClient]:
    from polysocket import blocking

    with blocking.connect(target.url, compression=Deflate() if target.compression else None) as ws:
        if target.text:
            yield BlockingClient(ws.send_text, ws.receive_text)
        else:
            yield BlockingClient(ws.send_binary, ws.receive_binary)


@contextmanager
def websockets_sync(target: Target) -> Iterator[BlockingClient]:
    from websockets.sync.client import connect

    compression = "deflate" if target.compression else None
    with connect(target.url, compression=compression, ping_interval=None, proxy=None) as ws:
        yield BlockingClient(ws.send, ws.recv)


@contextmanager
def websocket_client(target: Target) -> Iterator[BlockingClient]:
    import websocket

    ws = websocket.create_connection(target.url, http_no_proxy=["*"])
    try:
        yield BlockingClient(ws.send_text if target.text else ws.send_binary, ws.recv)
    finally:
        ws.close()


# asyncio and uvloop


@asynccontextmanager
async def polysocket_asyncio(target: Target) -> AsyncIterator[AsyncClient]:
    from polysocket.asyncio import connect

    async with connect(target.url, compression=Deflate() if target.compression else None) as ws:
        yield _polysocket(ws, target)


@asynccontextmanager
async def websockets_asyncio(target: Target) -> AsyncIterator[AsyncClient]:
    from websockets.asyncio.client import connect

    compression = "deflate" if target.compression else None
    async with connect(target.url, compression=compression, ping_interval=None, proxy=None) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def aiohttp_client(target: Target) -> AsyncIterator[AsyncClient]:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(target.url, compress=15 if target.compression else 0) as ws,
    ):
        if target.text:
            yield AsyncClient(ws.send_str, ws.receive_str)
        else:
            yield AsyncClient(ws.send_bytes, ws.receive_bytes)


@asynccontextmanager
async def picows_callbacks(target: Target) -> AsyncIterator[AsyncClient]:
    """Connect with the native interface of callbacks, and a ``receive`` that does as little as possible."""
    from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    kind = WSMsgType.TEXT if target.text else WSMsgType.BINARY
    messages: deque[Message] = deque()
    news = asyncio.Event()

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is kind:
                messages.append(frame.get_payload_as_utf8_text() if target.text else frame.get_payload_as_bytes())
                news.set()

    async def send(message: Message) -> None:
        transport.send(kind, message)

    async def receive() -> Message:
        while not messages:
            news.clear()
            await news.wait()
        return messages.popleft()

    transport, _ = await ws_connect(Listener, target.url)
    try:
        yield AsyncClient(send, receive)
    finally:
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        await transport.wait_disconnected()


@asynccontextmanager
async def picows_websockets(target: Target) -> AsyncIterator[AsyncClient]:
    from picows.websockets import connect

    compression = "deflate" if target.compression else None
    async with connect(target.url, compression=compression, ping_interval=None, proxy=None) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def httpx_ws_client(target: Target) -> AsyncIterator[AsyncClient]:
    import httpx
    from httpx_ws import AsyncWebSocketSession, aconnect_ws

    async with (
        httpx.AsyncClient(trust_env=False) as client,
        aconnect_ws(
            target.url, client, keepalive_ping_interval_seconds=None, session_class=AsyncWebSocketSession
        ) as ws,
    ):
        if target.text:
            yield AsyncClient(ws.send_text, ws.receive_text)
        else:
            yield AsyncClient(ws.send_bytes, ws.receive_bytes)


# trio


@asynccontextmanager
async def polysocket_trio(target: Target) -> AsyncIterator[AsyncClient]:
    from polysocket.trio import connect

    async with connect(target.url, compression=Deflate() if target.compression else None) as ws:
        yield _polysocket(ws, target)


@asynccontextmanager
async def websockets_trio(target: Target) -> AsyncIterator[AsyncClient]:
    from websockets.trio.client import connect

    compression = "deflate" if target.compression else None
    async with connect(target.url, compression=compression, ping_interval=None, proxy=None) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def trio_websocket(target: Target) -> AsyncIterator[AsyncClient]:
    from trio_websocket import open_websocket_url

    async with open_websocket_url(target.url) as ws:
        yield AsyncClient(ws.send_message, ws.get_message)


# All flavours


def _polysocket(ws: WebSocket[Async], target: Target) -> AsyncClient:
    if target.text:
        return AsyncClient(ws.send_text, ws.receive_text)
    return AsyncClient(ws.send_binary, ws.receive_binary)


@dataclass(frozen=True, slots=True)
class Peer(Generic[Open]):
    """A library in one flavour."""

    name: str
    open: Open
    module: str  # must be importable
    distribution: str
    compresses: bool = False


BLOCKING_PEERS: list[Peer[OpenBlocking]] = [
    Peer("polysocket", polysocket_blocking, "polysocket.blocking", "polysocket", compresses=True),
    Peer("websockets", websockets_sync, "websockets.sync.client", "websockets", compresses=True),
    Peer("websocket-client", websocket_client, "websocket", "websocket-client"),
]
ASYNCIO_PEERS: list[Peer[OpenAsync]] = [
    Peer("polysocket", polysocket_asyncio, "polysocket.asyncio", "polysocket", compresses=True),
    Peer("websockets", websockets_asyncio, "websockets.asyncio.client", "websockets", compresses=True),
    Peer("aiohttp", aiohttp_client, "aiohttp", "aiohttp", compresses=True),
    Peer("picows", picows_callbacks, "picows", "picows"),
    Peer("picows.websockets", picows_websockets, "picows.websockets", "picows", compresses=True),
    Peer("httpx-ws", httpx_ws_client, "httpx_ws", "httpx-ws"),
]
TRIO_PEERS: list[Peer[OpenAsync]] = [
    Peer("polysocket", polysocket_trio, "polysocket.trio", "polysocket", compresses=True),
    Peer("websockets", websockets_trio, "websockets.trio.client", "websockets", compresses=True),
    Peer("trio-websocket", trio_websocket, "trio_websocket", "trio-websocket"),
]
