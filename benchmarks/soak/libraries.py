"""The libraries of the soak in each flavour: how to open a connection, to send, to receive and to ping.

Each library has its default settings, but for compression (for some connections only) and proxies (for none). The
``async def`` functions of the flavours of threads never suspend. A library is imported when it is used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["FLAVOURS", "LIBRARIES", "OURS", "PATIENCE", "Library", "installed"]

OURS = "polysocket"
FLAVOURS = ["asyncio", "uvloop", "trio", "blocking", "threaded"]
PATIENCE = 60.0  # seconds to wait for an echo or a Pong on a busy machine, before it counts as lost

Message: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class Library:
    """A library in some flavours."""

    name: str
    flavours: tuple[str, ...]
    needs: tuple[str, ...]  # modules that must be installed, the flavour's own beside
    connect: Callable[[str, bool], AbstractAsyncContextManager[Any]]  # the URL, and whether to offer compression
    send: Callable[[Any, Message], Awaitable[object]]
    receive: Callable[[Any], Awaitable[Message]]
    ping: Callable[[Any], Awaitable[object]]


def installed(flavour: str, names: list[str]) -> list[Library]:
    """Return the libraries of these names that can be used in the flavour."""
    own = [flavour] if flavour in ("uvloop", "trio") else []
    return [
        each
        for each in LIBRARIES
        if flavour in each.flavours and each.name in names and all(map(_is_installed, [*own, *each.needs]))
    ]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package
        return False


# polysocket


def polysocket_asyncio(url: str, compress: bool) -> AbstractAsyncContextManager[Any]:
    from polysocket import Deflate
    from polysocket.asyncio import connect

    return connect(url, compression=Deflate() if compress else None)


def polysocket_trio(url: str, compress: bool) -> AbstractAsyncContextManager[Any]:
    from polysocket import Deflate
    from polysocket.trio import connect

    return connect(url, compression=Deflate() if compress else None)


async def polysocket_send(ws: Any, message: Message) -> None:
    await (ws.send_text(message) if isinstance(message, str) else ws.send_binary(message))


async def polysocket_receive(ws: Any) -> Message:
    received: Message = await ws.receive_message()
    return received


async def polysocket_ping(ws: Any) -> None:
    await ws.ping()


@asynccontextmanager
async def polysocket_blocking(url: str, compress: bool) -> AsyncIterator[Any]:
    from polysocket import Deflate
    from polysocket.blocking import connect

    with connect(url, compression=Deflate() if compress else None) as ws:
        yield ws


async def polysocket_blocking_send(ws: Any, message: Message) -> None:
    if isinstance(message, str):
        ws.send_text(message)
    else:
        ws.send_binary(message)


async def polysocket_blocking_receive(ws: Any) -> Message:
    received: Message = ws.receive_message(timeout=PATIENCE)
    return received


async def polysocket_blocking_ping(ws: Any) -> None:
    ws.ping(timeout=PATIENCE)


@asynccontextmanager
async def polysocket_threaded(url: str, compress: bool) -> AsyncIterator[Any]:
    from polysocket import Deflate
    from polysocket.threaded import connect

    with connect(url, compression=Deflate() if compress else None).result() as ws:
        yield ws


async def polysocket_threaded_send(ws: Any, message: Message) -> None:
    (ws.send_text(message) if isinstance(message, str) else ws.send_binary(message)).result(PATIENCE)


async def polysocket_threaded_receive(ws: Any) -> Message:
    received: Message = ws.receive_message(timeout=PATIENCE).result()
    return received


async def polysocket_threaded_ping(ws: Any) -> None:
    ws.ping(timeout=PATIENCE).result()


# websockets


def websockets_asyncio(url: str, compress: bool) -> AbstractAsyncContextManager[Any]:
    from websockets.asyncio.client import connect

    return connect(url, compression="deflate" if compress else None, proxy=None)


def websockets_trio(url: str, compress: bool) -> AbstractAsyncContextManager[Any]:
    from websockets.trio.client import connect

    return connect(url, compression="deflate" if compress else None, proxy=None)


async def websockets_send(ws: Any, message: Message) -> None:
    await ws.send(message)


async def websockets_receive(ws: Any) -> Message:
    received: Message = await ws.recv()
    return received


async def websockets_asyncio_ping(ws: Any) -> None:
    await (await ws.ping())


async def websockets_trio_ping(ws: Any) -> None:
    await (await ws.ping()).wait()


@asynccontextmanager
async def websockets_sync(url: str, compress: bool) -> AsyncIterator[Any]:
    from websockets.sync.client import connect

    with connect(url, compression="deflate" if compress else None, proxy=None) as ws:
        yield ws


async def websockets_sync_send(ws: Any, message: Message) -> None:
    ws.send(message)


async def websockets_sync_receive(ws: Any) -> Message:
    received: Message = ws.recv(timeout=PATIENCE)
    return received


async def websockets_sync_ping(ws: Any) -> None:
    if not ws.ping().wait(PATIENCE):
        raise TimeoutError("no Pong")


LIBRARIES = [
    Library(OURS, ("asyncio", "uvloop"), (), polysocket_asyncio, polysocket_send, polysocket_receive, polysocket_ping),
    Library(
        "websockets",
        ("asyncio", "uvloop"),
        ("websockets.asyncio.client",),
        websockets_asyncio,
        websockets_send,
        websockets_receive,
        websockets_asyncio_ping,
    ),
    Library(OURS, ("trio",), (), polysocket_trio, polysocket_send, polysocket_receive, polysocket_ping),
    Library(
        "websockets",
        ("trio",),
        ("websockets.trio.client",),
        websockets_trio,
        websockets_send,
        websockets_receive,
        websockets_trio_ping,
    ),
    Library(
        OURS,
        ("blocking",),
        (),
        polysocket_blocking,
        polysocket_blocking_send,
        polysocket_blocking_receive,
        polysocket_blocking_ping,
    ),
    Library(
        "websockets",
        ("blocking",),
        ("websockets.sync.client",),
        websockets_sync,
        websockets_sync_send,
        websockets_sync_receive,
        websockets_sync_ping,
    ),
    Library(
        OURS,
        ("threaded",),
        (),
        polysocket_threaded,
        polysocket_threaded_send,
        polysocket_threaded_receive,
        polysocket_threaded_ping,
    ),
]
