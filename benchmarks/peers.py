"""The measured libraries: each is a context manager that connects and yields a client.

Each library is used as its users would: with the call for text or for binary if there are two, and its default buffers
and limits. Only what would add noise or other work is switched off: compression (unless it is measured, with the
library's own settings), keepalive Pings, proxies. A library is imported when it is used, since it may not be installed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.clients import AsyncClient, BlockingClient, Target
from benchmarks.limit import raw_socket

__all__ = ["ASYNCIO", "BLOCKING", "LIMIT", "OURS", "TRIO", "Peer"]

LIMIT, OURS = "limit", "polysocket"

# Blocking


@contextmanager
def polysocket_blocking(target: Target) -> Iterator[BlockingClient]:
    from polysocket import blocking

    with blocking.connect(target.url, **_polysocket_options(target)) as ws:
        yield BlockingClient(*_polysocket_calls(ws, target))


@contextmanager
def websockets_sync(target: Target) -> Iterator[BlockingClient]:
    from websockets.sync.client import connect

    with connect(target.url, **_websockets_options(target)) as ws:
        yield BlockingClient(ws.send, ws.recv)


@contextmanager
def websocket_client(target: Target) -> Iterator[BlockingClient]:
    import websocket

    ws = websocket.create_connection(target.url, http_no_proxy=["*"], sslopt={"context": target.ssl})
    try:
        yield BlockingClient(ws.send_text if target.cell.text else ws.send_binary, ws.recv)
    finally:
        ws.close()


# asyncio and uvloop


@asynccontextmanager
async def polysocket_asyncio(target: Target) -> AsyncIterator[AsyncClient]:
    from polysocket.asyncio import connect

    async with connect(target.url, **_polysocket_options(target)) as ws:
        yield AsyncClient(*_polysocket_calls(ws, target))


@asynccontextmanager
async def websockets_asyncio(target: Target) -> AsyncIterator[AsyncClient]:
    from websockets.asyncio.client import connect

    async with connect(target.url, **_websockets_options(target)) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def aiohttp_client(target: Target) -> AsyncIterator[AsyncClient]:
    import aiohttp

    compress = 15 if target.cell.deflated else 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(target.url, compress=compress, ssl=target.ssl or True) as ws,
    ):
        connection = ws._response.connection
        has_closed = None if connection is None or connection.protocol is None else connection.protocol.closed
        if target.cell.text:
            yield AsyncClient(ws.send_str, ws.receive_str)
        else:
            yield AsyncClient(ws.send_bytes, ws.receive_bytes)
    if has_closed is not None:
        await has_closed  # uvloop complains about a TLS transport that is still closing when its loop ends.


@asynccontextmanager
async def picows_callbacks(target: Target) -> AsyncIterator[AsyncClient]:
    from benchmarks.picows_callbacks import connect

    async with connect(target) as client:
        yield client


@asynccontextmanager
async def picows_websockets(target: Target) -> AsyncIterator[AsyncClient]:
    from picows.websockets import connect

    async with connect(target.url, **_websockets_options(target)) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def httpx_ws_client(target: Target) -> AsyncIterator[AsyncClient]:
    import httpx
    from httpx_ws import AsyncWebSocketSession, aconnect_ws

    async with (
        httpx.AsyncClient(trust_env=False, verify=target.ssl or False) as client,
        aconnect_ws(
            target.url, client, keepalive_ping_interval_seconds=None, session_class=AsyncWebSocketSession
        ) as ws,
    ):
        if target.cell.text:
            yield AsyncClient(ws.send_text, ws.receive_text)
        else:
            yield AsyncClient(ws.send_bytes, ws.receive_bytes)


# trio


@asynccontextmanager
async def polysocket_trio(target: Target) -> AsyncIterator[AsyncClient]:
    from polysocket.trio import connect

    async with connect(target.url, **_polysocket_options(target)) as ws:
        yield AsyncClient(*_polysocket_calls(ws, target))


@asynccontextmanager
async def websockets_trio(target: Target) -> AsyncIterator[AsyncClient]:
    from websockets.trio.client import connect

    async with connect(target.url, **_websockets_options(target)) as ws:
        yield AsyncClient(ws.send, ws.recv)


@asynccontextmanager
async def trio_websocket(target: Target) -> AsyncIterator[AsyncClient]:
    from trio_websocket import open_websocket_url

    async with open_websocket_url(target.url, ssl_context=target.ssl) as ws:
        yield AsyncClient(ws.send_message, ws.get_message)


# All flavours


def _polysocket_options(target: Target) -> dict[str, Any]:
    from polysocket import Deflate

    compression = Deflate() if target.cell.deflated else None
    return {"compression": compression, "ping_interval": None, "proxy": None, "ssl": target.ssl}


def _polysocket_calls(ws: Any, target: Target) -> tuple[Any, ...]:
    """Return the calls of a client; those for many messages are used only in cells that need them."""
    calls = (ws.send_text, ws.receive_text) if target.cell.text else (ws.send_binary, ws.receive_binary)
    return *calls, getattr(ws, "send_many", None), getattr(ws, "receive_many", None)


def _websockets_options(target: Target) -> dict[str, Any]:
    compression = "deflate" if target.cell.deflated else None
    return {"compression": compression, "ping_interval": None, "proxy": None, "ssl": target.ssl}


@dataclass(frozen=True, slots=True)
class Peer:
    """A library in one flavour."""

    name: str
    open: Callable[[Target], Any]
    module: str  # must be importable
    distribution: str
    compresses: bool = False
    is_extra: bool = False  # is measured only with --all


BLOCKING = [
    Peer(LIMIT, raw_socket, "socket", "", compresses=True),
    Peer(OURS, polysocket_blocking, "polysocket.blocking", OURS, compresses=True),
    Peer("websockets", websockets_sync, "websockets.sync.client", "websockets", compresses=True),
    Peer("websocket-client", websocket_client, "websocket", "websocket-client"),
]
ASYNCIO = [
    Peer(OURS, polysocket_asyncio, "polysocket.asyncio", OURS, compresses=True),
    Peer("websockets", websockets_asyncio, "websockets.asyncio.client", "websockets", compresses=True),
    Peer("aiohttp", aiohttp_client, "aiohttp", "aiohttp", compresses=True),
    Peer("picows", picows_callbacks, "picows", "picows"),
    Peer("picows.websockets", picows_websockets, "picows.websockets", "picows", compresses=True, is_extra=True),
    Peer("httpx-ws", httpx_ws_client, "httpx_ws", "httpx-ws", is_extra=True),
]
TRIO = [
    Peer(OURS, polysocket_trio, "polysocket.trio", OURS, compresses=True),
    Peer("websockets", websockets_trio, "websockets.trio.client", "websockets", compresses=True),
    Peer("trio-websocket", trio_websocket, "trio_websocket", "trio-websocket"),
]
