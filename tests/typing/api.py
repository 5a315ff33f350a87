"""Right use of websockets, ``connect`` and backends in each flavour, for mypy and pyright to check; it never runs.

Both find no error in their strict modes, and each ``assert_type`` holds in both.
"""

from __future__ import annotations

import os
import pathlib
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar, assert_type

import polysocket.anyio
import polysocket.asyncio
import polysocket.blocking
import polysocket.threaded
import polysocket.trio
from polysocket import (
    Async,
    Asyncio,
    Backend,
    Backoff,
    Binary,
    Blocking,
    Buffer,
    Close,
    CloseCode,
    CloseInfo,
    DataFrame,
    Deflate,
    Frame,
    Gap,
    Headers,
    Listener,
    LoggingBackend,
    PipeHandler,
    Proxy,
    ProxySetting,
    Request,
    Response,
    Text,
    Threaded,
    TLSInfo,
    Trio,
    WebSocket,
    WebSocketHandler,
    WebSocketResponse,
    WebSocketURL,
    basic_request,
    from_message_pipe,
    from_text_pipe,
    is_final,
    polymorphic,
    system_proxy,
)
from polysocket.testing import BackendStub, RecordingBackend, WebSocketStub
from polysocket.websocket import ConnectCall

T_co = TypeVar("T_co", covariant=True)

# Every method, in each flavour


def in_the_blocking_flavour(ws: WebSocket[Blocking]) -> None:
    assert_type(ws.receive(), Frame | Close)
    assert_type(ws.receive_data_frame(), DataFrame)
    assert_type(ws.receive_text_frame(), Text)
    assert_type(ws.receive_binary_frame(), Binary)
    assert_type(ws.receive_text(), str)
    assert_type(ws.receive_binary(), bytes)
    assert_type(ws.receive_message(), str | bytes)
    assert_type(ws.receive_many(max=5, timeout=1), list[str | bytes])
    assert_type(ws.send_many(["a", b"b"], compress=False), None)
    assert_type(ws.receive_json(), Any)
    assert_type(ws.send_json({"a": 1}, compress=False), None)
    assert_type(ws.send_fragments(["a", "b"]), None)
    assert_type(ws.receive_fragments(timeout=1), Iterator[str | bytes])
    assert_type(ws.messages(timeout=1), Iterator[str | bytes])
    assert_type(ws.send(Text("a")), None)
    assert_type(ws.send_text("a"), None)
    assert_type(ws.send_binary(b"a"), None)
    assert_type(ws.ping(), float)
    assert_type(ws.pong(), None)
    assert_type(ws.close(), None)
    assert_type(ws.either_close(ws.receive_text), str | Close)
    assert_type(ws.either(ws.receive_text), str | Close | None)
    for message in ws:
        assert_type(message, str | bytes)
    assert_type(iter(ws), Iterator[str | bytes])
    with ws as same:
        assert_type(same, WebSocket[Blocking])


async def parts_of_text() -> AsyncIterator[str]:
    yield "a"


def in_the_threaded_flavour(ws: WebSocket[Threaded]) -> None:
    assert_type(ws.receive(), Future[Frame | Close])
    assert_type(ws.receive_data_frame(), Future[DataFrame])
    assert_type(ws.receive_text_frame(), Future[Text])
    assert_type(ws.receive_binary_frame(), Future[Binary])
    assert_type(ws.receive_text(), Future[str])
    assert_type(ws.receive_binary(), Future[bytes])
    assert_type(ws.receive_message(), Future[str | bytes])
    assert_type(ws.receive_many(), Future[list[str | bytes]])
    assert_type(ws.send_many(["a", "b"], timeout=1), Future[None])
    assert_type(ws.receive_json(), Future[Any])
    assert_type(ws.send_json({"a": 1}, compress=False), Future[None])
    assert_type(ws.send_fragments([b"a"]), Future[None])
    assert_type(ws.send(Text("a")), Future[None])
    assert_type(ws.send_text("a"), Future[None])
    assert_type(ws.send_binary(b"a"), Future[None])
    assert_type(ws.ping(), Future[float])
    assert_type(ws.pong(), Future[None])
    assert_type(ws.close(), Future[None])
    assert_type(ws.either_close(ws.receive_text), Future[str | Close])
    assert_type(ws.either(ws.receive_text), Future[str | Close | None])
    assert_type(ws.receive_text().result(), str)
    with ws as same:
        assert_type(same, WebSocket[Threaded])


async def in_the_asyncio_flavour(ws: WebSocket[Asyncio]) -> None:
    await assert_type(ws.receive(), Coroutine[Any, Any, Frame | Close])
    await assert_type(ws.receive_data_frame(), Coroutine[Any, Any, DataFrame])
    await assert_type(ws.receive_text_frame(), Coroutine[Any, Any, Text])
    await assert_type(ws.receive_binary_frame(), Coroutine[Any, Any, Binary])
    await assert_type(ws.receive_text(), Coroutine[Any, Any, str])
    await assert_type(ws.receive_binary(), Coroutine[Any, Any, bytes])
    await assert_type(ws.receive_message(), Coroutine[Any, Any, str | bytes])
    await assert_type(ws.receive_many(max=5), Coroutine[Any, Any, list[str | bytes]])
    await assert_type(ws.send_many([b"a", b"b"]), Coroutine[Any, Any, None])
    await assert_type(ws.receive_json(), Coroutine[Any, Any, Any])
    await assert_type(ws.send_json({"a": 1}, compress=False), Coroutine[Any, Any, None])
    await assert_type(ws.send_fragments(["a", "b"]), Coroutine[Any, Any, None])
    await assert_type(ws.send_fragments(parts_of_text()), Coroutine[Any, Any, None])
    assert_type(ws.receive_fragments(timeout=1), AsyncIterator[str | bytes])
    assert_type(ws.messages(timeout=1), AsyncIterator[str | bytes])
    await assert_type(ws.send(Text("a")), Coroutine[Any, Any, None])
    await assert_type(ws.send_text("a"), Coroutine[Any, Any, None])
    await assert_type(ws.send_binary(b"a"), Coroutine[Any, Any, None])
    await assert_type(ws.ping(), Coroutine[Any, Any, float])
    await assert_type(ws.pong(), Coroutine[Any, Any, None])
    await assert_type(ws.close(), Coroutine[Any, Any, None])
    await assert_type(ws.either_close(ws.receive_text), Coroutine[Any, Any, str | Close])
    await assert_type(ws.either(ws.receive_text), Coroutine[Any, Any, str | Close | None])
    assert_type(await ws.receive(), Frame | Close)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.ping(), float)
    assert_type(await ws.either_close(ws.receive_binary), bytes | Close)
    async for message in ws:
        assert_type(message, str | bytes)
    assert_type(aiter(ws), AsyncIterator[str | bytes])
    async with ws as same:
        assert_type(same, WebSocket[Asyncio])


async def in_the_trio_flavour(ws: WebSocket[Trio]) -> None:
    await assert_type(ws.receive(), Coroutine[Any, Any, Frame | Close])
    await assert_type(ws.receive_data_frame(), Coroutine[Any, Any, DataFrame])
    await assert_type(ws.receive_text_frame(), Coroutine[Any, Any, Text])
    await assert_type(ws.receive_binary_frame(), Coroutine[Any, Any, Binary])
    await assert_type(ws.receive_text(), Coroutine[Any, Any, str])
    await assert_type(ws.receive_binary(), Coroutine[Any, Any, bytes])
    await assert_type(ws.receive_message(), Coroutine[Any, Any, str | bytes])
    await assert_type(ws.receive_many(max=5), Coroutine[Any, Any, list[str | bytes]])
    await assert_type(ws.send_many([b"a", b"b"]), Coroutine[Any, Any, None])
    await assert_type(ws.receive_json(), Coroutine[Any, Any, Any])
    await assert_type(ws.send_json({"a": 1}, compress=False), Coroutine[Any, Any, None])
    await assert_type(ws.send_fragments(["a", "b"]), Coroutine[Any, Any, None])
    await assert_type(ws.send_fragments(parts_of_text()), Coroutine[Any, Any, None])
    assert_type(ws.receive_fragments(timeout=1), AsyncIterator[str | bytes])
    assert_type(ws.messages(timeout=1), AsyncIterator[str | bytes])
    await assert_type(ws.send(Text("a")), Coroutine[Any, Any, None])
    await assert_type(ws.send_text("a"), Coroutine[Any, Any, None])
    await assert_type(ws.send_binary(b"a"), Coroutine[Any, Any, None])
    await assert_type(ws.ping(), Coroutine[Any, Any, float])
    await assert_type(ws.pong(), Coroutine[Any, Any, None])
    await assert_type(ws.close(), Coroutine[Any, Any, None])
    await assert_type(ws.either_close(ws.receive_text), Coroutine[Any, Any, str | Close])
    await assert_type(ws.either(ws.receive_text), Coroutine[Any, Any, str | Close | None])
    async for message in ws:
        assert_type(message, str | bytes)
    async with ws as same:
        assert_type(same, WebSocket[Trio])


# The flavours' own classes, and methods called via a class


def a_class_of_the_blocking_flavour(ws: polysocket.blocking.WebSocket) -> WebSocket[Blocking]:
    assert_type(ws.receive(), Frame | Close)
    assert_type(ws.receive_text(timeout=1), str)
    assert_type(ws.send_text("a"), None)
    assert_type(ws.ping(), float)
    assert_type(ws.either(ws.receive_text), str | Close | None)
    assert_type(WebSocket.receive_text(ws, timeout=1), str)
    assert_type(polysocket.blocking.WebSocket.send(ws, Text("a")), None)
    with ws as same:
        assert_type(same, polysocket.blocking.WebSocket)
    for message in ws:
        assert_type(message, str | bytes)
    return ws


def a_class_of_the_threaded_flavour(ws: polysocket.threaded.WebSocket) -> WebSocket[Threaded]:
    assert_type(ws.receive(), Future[Frame | Close])
    assert_type(ws.receive_text(timeout=1), Future[str])
    assert_type(ws.either_close(ws.receive_text), Future[str | Close])
    assert_type(WebSocket.receive_text(ws, timeout=1), Future[str])
    assert_type(polysocket.threaded.WebSocket.ping(ws), Future[float])
    with ws as same:
        assert_type(same, polysocket.threaded.WebSocket)
    return ws


async def a_class_of_the_asyncio_flavour(ws: polysocket.asyncio.WebSocket) -> WebSocket[Asyncio]:
    await assert_type(ws.receive(), Coroutine[Any, Any, Frame | Close])
    assert_type(await ws.receive_text(timeout=1), str)
    assert_type(await ws.either(ws.receive_text), str | Close | None)
    assert_type(await WebSocket.receive_text(ws, timeout=1), str)
    assert_type(await polysocket.asyncio.WebSocket.send_text(ws, "a"), None)
    async with ws as same:
        assert_type(same, polysocket.asyncio.WebSocket)
    async for message in ws:
        assert_type(message, str | bytes)
    return ws


async def a_class_of_the_trio_flavour(ws: polysocket.trio.WebSocket) -> WebSocket[Trio]:
    assert_type(await ws.receive_text(timeout=1), str)
    assert_type(await WebSocket.ping(ws), float)
    async with ws as same:
        assert_type(same, polysocket.trio.WebSocket)
    return ws


async def a_class_of_the_anyio_flavour(ws: polysocket.anyio.WebSocket) -> WebSocket[Async]:
    assert_type(await ws.receive_text(timeout=1), str)
    assert_type(await WebSocket.ping(ws), float)
    async with ws as same:
        assert_type(same, polysocket.anyio.WebSocket)
    return ws


def a_call_of_connect_is_one_for_the_common_class(url: str) -> ConnectCall[WebSocket[Asyncio]]:
    return polysocket.asyncio.connect(url)


def attributes_that_need_no_waiting(ws: WebSocket[Blocking] | WebSocket[Asyncio]) -> None:
    assert_type(ws.is_open, bool)
    assert_type(ws.subprotocol, str | None)
    assert_type(ws.close_info, CloseInfo | None)
    assert_type(ws.url, str)
    assert_type(ws.request, Request)
    assert_type(ws.extensions, tuple[str, ...])
    assert_type(ws.remote_address, Any)
    assert_type(ws.local_address, Any)
    assert_type(ws.tls, TLSInfo | None)
    assert_type(ws.response, Response)
    assert_type(ws.response.status, int)
    assert_type(ws.response.reason, str)
    assert_type(ws.response.body, bytes)
    assert_type(ws.response.extensions, tuple[str, ...])
    assert_type(ws.response.headers, Headers)
    assert_type(ws.response.headers["Set-Cookie"], str)
    assert_type(ws.response.headers.get("Set-Cookie"), str | None)
    assert_type(ws.response.headers.get_all("Set-Cookie"), list[str])


# Arguments, with their names and defaults


class Receives(Protocol[T_co]):
    def __call__(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> T_co: ...


class Sends(Protocol[T_co]):
    def __call__(
        self,
        frame: Frame | Close,
        is_continuation: bool = False,
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> T_co: ...


class SendsText(Protocol[T_co]):
    def __call__(self, text: str, *, compress: bool = True, timeout: float | None = None) -> T_co: ...


class SendsBinary(Protocol[T_co]):
    def __call__(self, data: bytes, *, compress: bool = True, timeout: float | None = None) -> T_co: ...


class Pings(Protocol[T_co]):
    def __call__(self, payload: bytes | None = None, *, timeout: float | None = None) -> T_co: ...


class Pongs(Protocol[T_co]):
    def __call__(self, payload: bytes = b"", *, timeout: float | None = None) -> T_co: ...


class Closes(Protocol[T_co]):
    def __call__(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> T_co: ...


def arguments_of_the_blocking_flavour(ws: WebSocket[Blocking]) -> list[object]:
    receive: Receives[Frame | Close] = ws.receive
    receive_data_frame: Receives[DataFrame] = ws.receive_data_frame
    receive_text_frame: Receives[Text] = ws.receive_text_frame
    receive_binary_frame: Receives[Binary] = ws.receive_binary_frame
    receive_text: Receives[str] = ws.receive_text
    receive_binary: Receives[bytes] = ws.receive_binary
    receive_message: Receives[str | bytes] = ws.receive_message
    send: Sends[None] = ws.send
    send_text: SendsText[None] = ws.send_text
    send_binary: SendsBinary[None] = ws.send_binary
    ping: Pings[float] = ws.ping
    pong: Pongs[None] = ws.pong
    close: Closes[None] = ws.close
    receiving = [receive, receive_data_frame, receive_text_frame, receive_binary_frame, receive_text, receive_binary]
    return [*receiving, receive_message, send, send_text, send_binary, ping, pong, close]


def arguments_of_the_trio_flavour(ws: WebSocket[Trio]) -> list[object]:
    receive: Receives[Coroutine[Any, Any, Frame | Close]] = ws.receive
    receive_text: Receives[Coroutine[Any, Any, str]] = ws.receive_text
    send: Sends[Coroutine[Any, Any, None]] = ws.send
    ping: Pings[Coroutine[Any, Any, float]] = ws.ping
    close: Closes[Coroutine[Any, Any, None]] = ws.close
    return [receive, receive_text, send, ping, close]


async def arguments_by_name(blocking: WebSocket[Blocking], asyncio: WebSocket[Asyncio]) -> None:
    assert_type(blocking.receive_text(pong_on_ping=False, timeout=0.5), str)
    assert_type(await asyncio.receive_text(pong_on_ping=False, timeout=None), str)
    blocking.send(frame=Binary(b"a", final=False), is_continuation=True)
    await asyncio.send(frame=Close(CloseCode.GOING_AWAY, "bye"))
    assert_type(blocking.send_text("a", timeout=1), None)
    assert_type(await asyncio.send_binary(b"a", timeout=0.5), None)
    assert_type(blocking.send(Text("a"), timeout=None), None)
    assert_type(await asyncio.pong(b"a", timeout=1), None)
    assert_type(blocking.ping(payload=b"a", timeout=1), float)
    blocking.close(code=4000, reason="bye")
    await asyncio.close(1000, "bye")


# connect


def connect_in_the_blocking_flavour() -> str:
    assert_type(polysocket.blocking.connect("ws://localhost"), polysocket.blocking.WebSocket)
    with polysocket.blocking.connect(basic_request.get("ws://localhost")) as ws:
        assert_type(ws, polysocket.blocking.WebSocket)
        return ws.receive_text()


async def connect_in_the_asyncio_flavour() -> str:
    await assert_type(polysocket.asyncio.connect("ws://localhost"), ConnectCall[polysocket.asyncio.WebSocket])
    assert_type(await polysocket.asyncio.connect("ws://localhost"), polysocket.asyncio.WebSocket)
    async with polysocket.asyncio.connect(basic_request.get("ws://localhost")) as ws:
        assert_type(ws, polysocket.asyncio.WebSocket)
        return await ws.receive_text()


async def connect_in_the_trio_flavour() -> str:
    await assert_type(polysocket.trio.connect("ws://localhost"), ConnectCall[polysocket.trio.WebSocket])
    assert_type(await polysocket.trio.connect("ws://localhost"), polysocket.trio.WebSocket)
    async with polysocket.trio.connect(basic_request.get("ws://localhost")) as ws:
        assert_type(ws, polysocket.trio.WebSocket)
        return await ws.receive_text()


def connect_in_the_threaded_flavour() -> Future[str]:
    assert_type(polysocket.threaded.connect("ws://localhost"), Future[WebSocket[Threaded]])
    ws = polysocket.threaded.connect(basic_request.get("ws://localhost")).result()
    assert_type(ws, WebSocket[Threaded])
    return ws.receive_text()


async def options_of_connect(context: ssl.SSLContext, sock: socket.socket, path: os.PathLike[str]) -> None:
    polysocket.blocking.connect(
        "wss://localhost",
        compression=Deflate(level=9),
        max_message_size=1000,
        open_timeout=1,
        close_timeout=0.5,
        ping_interval=20,
        ping_timeout=None,
        auto_pong=False,
        buffer=Buffer.bounded(100),
        ssl=context,
        sock=sock,
        unix_path=path,
    )
    await polysocket.asyncio.connect(
        "ws://localhost",
        compression=None,
        max_message_size=None,
        open_timeout=None,
        close_timeout=None,
        ssl=None,
        sock=None,
        unix_path=None,
    )
    await polysocket.trio.connect("ws://localhost", unix_path="/run/server")
    polysocket.threaded.connect("ws://localhost", unix_path=pathlib.Path("/run/server"))


# reconnect


@polymorphic
async def subscribe(ws: WebSocket[Async]) -> str:
    await ws.send_text("subscribe")
    return await ws.receive_text()


def reconnect_in_the_blocking_flavour(url: str) -> None:
    def prepare(ws: WebSocket[Blocking]) -> None:
        ws.send_text("subscribe")

    assert_type(polysocket.blocking.reconnect(url, on_open=subscribe), polysocket.blocking.Connections)
    with polysocket.blocking.reconnect(url, on_open=prepare, policy=Backoff(initial=1, attempts=5)) as connections:
        assert_type(connections, polysocket.blocking.Connections)
        for ws in connections:
            assert_type(ws, polysocket.blocking.WebSocket)
        assert_type(connections.messages(), Iterator[str | bytes | Gap])
        assert_type(connections.websocket, polysocket.blocking.WebSocket | None)
        assert_type(connections.close(), None)
    for message in polysocket.blocking.reconnect(basic_request.get(url), is_final=is_final).messages():
        match message:
            case Gap(close_info=info, attempts=attempts, seconds=seconds):
                assert_type(info, CloseInfo)
                assert_type(attempts, int)
                assert_type(seconds, float)
            case _:
                assert_type(message, str | bytes)


async def reconnect_in_the_asyncio_flavour(url: str) -> None:
    async def prepare(ws: polysocket.asyncio.WebSocket) -> None:
        await ws.send_text("subscribe")

    assert_type(polysocket.asyncio.reconnect(url, on_open=subscribe), polysocket.asyncio.Connections)
    async with polysocket.asyncio.reconnect(url, on_open=prepare, close_timeout=1) as connections:
        assert_type(connections, polysocket.asyncio.Connections)
        async for ws in connections:
            assert_type(ws, polysocket.asyncio.WebSocket)
        assert_type(connections.messages(), AsyncIterator[str | bytes | Gap])
        assert_type(connections.websocket, polysocket.asyncio.WebSocket | None)
        await assert_type(connections.close(), Coroutine[Any, Any, None])
    async for message in polysocket.asyncio.reconnect(url, is_final=lambda error: False).messages():
        assert_type(message, str | bytes | Gap)


async def reconnect_in_the_trio_and_the_anyio_flavour(url: str) -> None:
    async for trio_ws in polysocket.trio.reconnect(url, on_open=subscribe):
        assert_type(trio_ws, polysocket.trio.WebSocket)
    async for ws in polysocket.anyio.reconnect(url, on_open=lambda ws: ws.send_text("subscribe")):
        assert_type(ws, polysocket.anyio.WebSocket)


# Backends


def backends_with(blocking: Backend[Blocking], threaded: Backend[Threaded]) -> None:
    with blocking as same:
        assert_type(same, Backend[Blocking])
    with threaded as same_threaded:
        assert_type(same_threaded, Backend[Threaded])
    with polysocket.blocking.BlockingBackend() as own:
        assert_type(own, polysocket.blocking.BlockingBackend)
    with RecordingBackend(blocking) as recording:
        assert_type(recording, RecordingBackend[Blocking])
    with LoggingBackend(threaded) as logging:
        assert_type(logging, LoggingBackend[Threaded])
    with BackendStub.blocking() as stub:
        assert_type(stub, BackendStub[Blocking])


async def backends_async_with(asyncio: Backend[Asyncio], either: Backend[Async]) -> None:
    async with asyncio as same:
        assert_type(same, Backend[Asyncio])
    async with either as same_either:
        assert_type(same_either, Backend[Async])
    async with polysocket.trio.TrioBackend() as own:
        assert_type(own, polysocket.trio.TrioBackend)
    async with RecordingBackend(asyncio) as recording:
        assert_type(recording, RecordingBackend[Asyncio])
    async with LoggingBackend(either) as logging:
        assert_type(logging, LoggingBackend[Async])
    async with BackendStub.trio() as stub:
        assert_type(stub, BackendStub[Trio])


def a_blocking_backend_opens(backend: Backend[Blocking], listener: Listener[Blocking], pipe: PipeHandler) -> None:
    assert_type(backend.connect("ws://localhost", open_timeout=5), WebSocket[Blocking])
    assert_type(backend.open_websocket("ws://localhost", WebSocketHandler()), WebSocketResponse[WebSocket[Blocking]])
    assert_type(backend.open_websocket(basic_request, listener), WebSocketResponse[WebSocket[Blocking]])
    assert_type(backend.open_websocket(basic_request, pipe), WebSocketResponse[CloseInfo])
    assert_type(backend.open_websocket_f(basic_request, lambda: listener), WebSocketResponse[WebSocket[Blocking]])
    assert_type(backend.open_websocket_f(basic_request, lambda: pipe), WebSocketResponse[CloseInfo])
    own = polysocket.blocking.BlockingBackend()
    assert_type(own.connect("ws://localhost"), WebSocket[Blocking])
    assert_type(own.open_websocket(basic_request, listener), WebSocketResponse[WebSocket[Blocking]])
    assert_type(own.open_websocket(basic_request, pipe), WebSocketResponse[CloseInfo])


def a_threaded_backend_opens(backend: Backend[Threaded], listener: Listener[Threaded], pipe: PipeHandler) -> None:
    def make_listener() -> Future[Listener[Threaded]]:
        raise NotImplementedError

    def make_pipe() -> Future[PipeHandler]:
        raise NotImplementedError

    assert_type(backend.connect("ws://localhost", open_timeout=5), Future[WebSocket[Threaded]])
    opened = backend.open_websocket("ws://localhost", WebSocketHandler())
    assert_type(opened, Future[WebSocketResponse[WebSocket[Threaded]]])
    assert_type(backend.open_websocket(basic_request, listener), Future[WebSocketResponse[WebSocket[Threaded]]])
    assert_type(backend.open_websocket(basic_request, pipe), Future[WebSocketResponse[CloseInfo]])
    made = backend.open_websocket_f(basic_request, make_listener)
    assert_type(made, Future[WebSocketResponse[WebSocket[Threaded]]])
    assert_type(backend.open_websocket_f(basic_request, make_pipe), Future[WebSocketResponse[CloseInfo]])
    own = polysocket.threaded.ThreadedBackend()
    assert_type(own.connect("ws://localhost"), Future[WebSocket[Threaded]])
    assert_type(own.open_websocket(basic_request, listener), Future[WebSocketResponse[WebSocket[Threaded]]])
    assert_type(own.open_websocket(basic_request, pipe), Future[WebSocketResponse[CloseInfo]])
    made = own.open_websocket_f(basic_request, make_listener)
    assert_type(made, Future[WebSocketResponse[WebSocket[Threaded]]])


async def an_async_backend_opens(backend: Backend[Asyncio], listener: Listener[Asyncio], pipe: PipeHandler) -> None:
    async def make_listener() -> Listener[Asyncio]:
        return listener

    async def make_pipe() -> PipeHandler:
        return pipe

    await assert_type(backend.connect("ws://localhost", open_timeout=5), ConnectCall[WebSocket[Asyncio]])
    opened = await backend.open_websocket("ws://localhost", WebSocketHandler())
    assert_type(opened, WebSocketResponse[WebSocket[Asyncio]])
    assert_type(await backend.open_websocket(basic_request, listener), WebSocketResponse[WebSocket[Asyncio]])
    assert_type(await backend.open_websocket(basic_request, pipe), WebSocketResponse[CloseInfo])
    made = await backend.open_websocket_f(basic_request, make_listener)
    assert_type(made, WebSocketResponse[WebSocket[Asyncio]])
    assert_type(await backend.open_websocket_f(basic_request, make_pipe), WebSocketResponse[CloseInfo])
    own = polysocket.asyncio.AsyncioBackend()
    assert_type(await own.connect("ws://localhost"), WebSocket[Asyncio])
    assert_type(await own.open_websocket(basic_request, listener), WebSocketResponse[WebSocket[Asyncio]])
    assert_type(await own.open_websocket(basic_request, pipe), WebSocketResponse[CloseInfo])
    assert_type(await polysocket.trio.TrioBackend().connect("ws://localhost"), WebSocket[Trio])
    assert_type(await polysocket.anyio.AnyioBackend().connect("ws://localhost"), WebSocket[Async])


def stubs() -> None:
    stub = WebSocketStub.with_initial_incoming(["a", b"b", Text("c"), Close(), KeyError("d")])
    answering = stub.then_respond(lambda frame: [frame.payload, frame])
    assert_type(answering.build(Blocking), WebSocket[Blocking])
    assert_type(answering.build(Async), WebSocket[Async])
    assert_type(BackendStub.anyio(), BackendStub[Async])


def stages_may_close() -> list[PipeHandler]:
    def stage(incoming: Iterator[DataFrame]) -> Generator[Frame | Close, None, None]:
        yield from incoming
        yield Close(4000, "enough")

    async def async_stage(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame | Close, None]:
        async for frame in incoming:
            yield frame
        yield Close(4000, "enough")

    def iterator(incoming: Iterator[DataFrame]) -> Iterator[Frame | Close]:
        yield from incoming

    async def async_iterator(incoming: AsyncIterator[DataFrame]) -> AsyncIterator[Frame]:
        async for frame in incoming:
            yield frame

    def frames_only(incoming: Iterator[DataFrame]) -> Generator[DataFrame, None, None]:
        yield from incoming

    def answer(message: str) -> str | Close:
        return message or Close()

    async def async_answer(message: str | bytes) -> Close | None:
        return None if message else Close()

    stages = [PipeHandler(stage), PipeHandler(async_stage), PipeHandler(frames_only)]
    stages += [PipeHandler(iterator), PipeHandler(async_iterator)]
    return [*stages, PipeHandler(from_text_pipe(answer)), PipeHandler(from_message_pipe(async_answer))]


def choose_text(url: WebSocketURL) -> str:
    return f"http://{url.host}:3128"


def choose_value(url: WebSocketURL) -> Proxy | None:
    return Proxy("http://localhost:3128") if url.secure else None


async def proxies(context: ssl.SSLContext) -> None:
    proxy = Proxy("https://localhost", headers={"User-Agent": "tests"}, ssl=context)
    assert_type(Proxy("http://localhost", headers=[("A", "b"), ("A", "c")]).headers, Headers)
    assert_type(proxy.credentials, tuple[str, str] | None)
    assert_type(system_proxy(WebSocketURL.parse("ws://localhost")), Proxy | None)
    setting: ProxySetting = choose_value
    polysocket.blocking.connect("ws://localhost", proxy=setting)
    polysocket.threaded.connect("ws://localhost", proxy="socks5://localhost")
    await polysocket.asyncio.connect("ws://localhost", proxy=system_proxy)
    await polysocket.trio.connect("ws://localhost", proxy=lambda url: None if url.secure else proxy)
    polysocket.blocking.BlockingBackend(proxy=proxy)
    polysocket.threaded.ThreadedBackend(proxy=choose_text)
    polysocket.asyncio.AsyncioBackend(proxy=system_proxy)
    polysocket.trio.TrioBackend(proxy=None)
