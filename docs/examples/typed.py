from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, assert_type

from polysocket import Async, Asyncio, Blocking, Close, Frame, Threaded, Trio, WebSocket, polymorphic


@polymorphic
async def ask(ws: WebSocket[Async], question: str) -> str:
    await ws.send_text(question)
    return await ws.receive_text()


def blocking_flavour(ws: WebSocket[Blocking]) -> None:
    assert_type(ws.receive_text(), str)
    assert_type(ws.receive(), Frame | Close)
    assert_type(ws.either_close(ws.receive_text), str | Close)
    assert_type(ask(ws, "Name?"), str)
    for message in ws:
        assert_type(message, str | bytes)


def threaded_flavour(ws: WebSocket[Threaded]) -> None:
    assert_type(ws.receive_text(), Future[str])
    assert_type(ws.receive_text().result(), str)
    assert_type(ws.either_close(ws.receive_text), Future[str | Close])
    assert_type(ask(ws, "Name?"), Future[str])


async def asyncio_flavour(ws: WebSocket[Asyncio]) -> None:
    receiving: Coroutine[Any, Any, str] = ws.receive_text()
    assert_type(await receiving, str)
    assert_type(await ws.either_close(ws.receive_text), str | Close)
    assert_type(await ask(ws, "Name?"), str)
    async for message in ws:
        assert_type(message, str | bytes)


async def trio_flavour(ws: WebSocket[Trio]) -> None:
    assert_type(await ws.receive_binary(), bytes)


async def any_async_flavour(ws: WebSocket[Async]) -> None:
    assert_type(await ws.ping(), float)
