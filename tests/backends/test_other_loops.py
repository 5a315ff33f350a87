"""A websocket or a backend in another event loop than its own: a clear error at once, and nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import socket
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import pytest

from polysocket import (
    Async,
    Backoff,
    Buffer,
    Close,
    CloseInfo,
    Listener,
    ObservedBackend,
    Ping,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    WrongEventLoop,
    basic_request,
)
from polysocket.asyncio import AsyncioBackend
from polysocket.asyncio import reconnect as asyncio_reconnect
from polysocket.multiplexing import Subscription
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.multiplexing import Client
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, ASYNCIO, FLAVOURS, AsyncioFlavour, Flavour
from tests.backends.peers import text
from tests.backends.recording import EndObserver

AT_ONCE = 2  # seconds: far less than a close timeout
PATIENCE = 10
SLOW = basic_request.timeouts(open=5, close=60)

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_asyncio = pytest.mark.parametrize("flavour", ASYNCIO, indirect=True)
handlers = pytest.mark.parametrize(
    "handler",
    [WebSocketHandler(), WebSocketHandler(Buffer.unbounded()), Listener()],
    ids=["none", "buffer", "listener"],
)


async def opened(backend: Any, url: str, handler: Any = None) -> Any:
    """Open a websocket in the current loop."""
    return (await backend.open_websocket(url, handler or WebSocketHandler())).result


@contextlib.contextmanager
def another_loop(
    flavour: Flavour, body: Callable[[Flavour, Callable[[], Any]], Coroutine[Any, Any, None]]
) -> Generator[None]:
    """Run a body in another loop, in a thread, which waits in the middle until the end of the block."""
    other = FLAVOURS[next(name for name, kind in FLAVOURS.items() if kind is type(flavour))]()
    has_begun, go_on = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    async def pause() -> None:
        has_begun.set()
        await other.call(go_on.wait, PATIENCE)

    def run() -> None:
        try:
            other.run(lambda: body(other, pause))
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            has_begun.set()

    thread = threading.Thread(target=run, name="another loop")
    thread.start()
    try:
        assert has_begun.wait(PATIENCE)
        yield
    finally:
        go_on.set()
        thread.join(PATIENCE)
    assert not errors, errors


@contextlib.contextmanager
def at_once() -> Generator[None]:
    """Check that the block takes no time to speak of."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < AT_ONCE


@contextlib.contextmanager
def ignored_loop_end() -> Generator[None]:
    """Ignore uvloop's warning of open sockets at the end of the loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed resource <TCPTransport", ResourceWarning)
        yield


def run_and_leave(flavour: Flavour, body: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run a body in a loop that then ends with all that the body has left open."""
    if isinstance(flavour, AsyncioFlavour):
        with ignored_loop_end(), asyncio.Runner(loop_factory=flavour._new_loop) as runner:
            runner.run(body())
    else:
        importlib.import_module("trio").run(body)


async def leave(ws: WebSocket[Async]) -> None:
    async with ws:
        pass


async def leave_after_an_error(ws: WebSocket[Async]) -> None:
    async with ws:
        raise KeyError


CALLS: dict[str, Callable[[WebSocket[Async]], Coroutine[Any, Any, Any]]] = {
    "receive": lambda ws: ws.receive(),
    "receive with a timeout": lambda ws: ws.receive(timeout=5),
    "receive_text": lambda ws: ws.receive_text(),
    "receive_binary": lambda ws: ws.receive_binary(timeout=5),
    "receive_message": lambda ws: ws.receive_message(),
    "receive_data_frame": lambda ws: ws.receive_data_frame(),
    "receive_text_frame": lambda ws: ws.receive_text_frame(),
    "receive_binary_frame": lambda ws: ws.receive_binary_frame(timeout=5),
    "send": lambda ws: ws.send(Ping(b"x")),
    "send a fragment": lambda ws: ws.send(Text("x", final=False)),
    "send a Close": lambda ws: ws.send(Close()),
    "send_text": lambda ws: ws.send_text("x"),
    "send_binary": lambda ws: ws.send_binary(bytes(6 * 1024 * 1024)),
    "ping": lambda ws: ws.ping(),
    "ping with a timeout": lambda ws: ws.ping(timeout=5),
    "pong": lambda ws: ws.pong(),
    "close": lambda ws: ws.close(),
    "send_many": lambda ws: ws.send_many(["x"]),
    "send_many with a timeout": lambda ws: ws.send_many(["x"], timeout=5),
    "receive_many": lambda ws: ws.receive_many(),
    "send_text with a timeout": lambda ws: ws.send_text("x", timeout=5),
    "send no fragments": lambda ws: ws.send_fragments([]),
    "either": lambda ws: ws.either(ws.receive_text),
    "either_close": lambda ws: ws.either_close(ws.receive),
    "iteration": lambda ws: anext(aiter(ws)),  # type: ignore[arg-type]
    "async with": leave,
    "async with, which raises": leave_after_an_error,
}


@in_async_flavours
@pytest.mark.parametrize("has_buffer", [False, True], ids=["plain", "buffer"])
@pytest.mark.parametrize("is_waiting", [False, True], ids=["free", "waiting"])
def test_a_call_in_another_loop_raises_at_once_and_changes_nothing(
    flavour: Flavour, peer: Peer, has_buffer: bool, is_waiting: bool
) -> None:
    websockets: list[WebSocket[Async]] = []

    async def own(other: Flavour, pause: Callable[[], Any]) -> None:
        backend: Any = other.backend(request=SLOW)
        handler = WebSocketHandler(Buffer.unbounded() if has_buffer else None)
        ws = await opened(backend, peer.url, handler)
        websockets.append(ws)
        if has_buffer:  # A frame is already here.
            peer.send(text("first") + wire.encode(wire.PING, b"seen"))
            assert await other.call(peer.frame) == Wire(wire.PONG, b"seen")
        receiving = other.spawn(ws.receive_text) if is_waiting and not has_buffer else None
        await pause()
        peer.send(text("a"))
        if has_buffer:
            assert await ws.receive_text() == "first"
        assert await (receiving.result() if receiving else ws.receive_text()) == "a"
        await ws.send_text("b")
        assert await other.call(peer.frame) == Wire(wire.TEXT, b"b")
        closing = other.spawn(other.call, peer.finish)
        await backend.close()
        assert await closing.result() == [Wire(wire.CLOSE, b"\x03\xe8")]

    async def use() -> None:
        for call in CALLS.values():
            with pytest.raises(WrongEventLoop, match="opened in another event loop"), at_once():
                await call(websockets[0])
        assert websockets[0].is_open

    with another_loop(flavour, own):
        flavour.run(use)


@in_async_flavours
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_after_the_end_of_the_loop_raises_at_once(
    flavour: Flavour, peer: Peer, call: Callable[[WebSocket[Async]], Coroutine[Any, Any, Any]]
) -> None:
    websockets: list[WebSocket[Async]] = []

    async def open_one() -> None:
        websockets.append(await opened(flavour.backend(request=SLOW), peer.url, WebSocketHandler()))

    async def use() -> None:
        with pytest.raises(WrongEventLoop, match=r"event loop .* has ended"), at_once():
            await call(websockets[0])
        with contextlib.suppress(WrongEventLoop), at_once():
            await websockets[0].close()
        assert not websockets[0].is_open
        await websockets[0].close()

    run_and_leave(flavour, open_one)
    flavour.run(use)
    assert peer.rest() == []


@in_async_flavours
def test_a_multiplexer_in_another_loop_raises_at_once_and_changes_nothing(flavour: Flavour) -> None:
    clients: list[Client[Async]] = []
    subscriptions: list[Subscription[Async, Any]] = []

    async def own(other: Flavour, pause: Callable[[], Any]) -> None:
        backend: Any = other.backend(request=SLOW)
        clients.extend([Client(await opened(backend, server.url)) for _ in range(2)])
        subscriptions.append(clients[0].subscription(["first"]))
        assert await subscriptions[0].receive() == "first"
        await pause()
        for client in clients:
            assert await client.ask("after") == "after"
        await subscriptions[0].unsubscribe()
        await backend.close()

    async def use() -> None:
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            *(partial(client.ask, "text") for client in clients),
            clients[0].subscription(["second"]).receive,
            subscriptions[0].receive,
            partial(subscriptions[0].receive, timeout=5),
            subscriptions[0].unsubscribe,
        ]
        for call in calls:
            with pytest.raises(WrongEventLoop, match="opened in another event loop"), at_once():
                await call()

    with EchoServer() as server, another_loop(flavour, own):
        flavour.run(use)


@in_asyncio
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "waiting"])
def test_a_reconnect_is_not_closed_in_another_loop(flavour: Flavour, is_open: bool) -> None:
    connections: list[Any] = []

    async def own(_: Flavour, pause: Callable[[], Any]) -> None:
        url = server.url if is_open else f"ws://127.0.0.1:{unused.getsockname()[1]}"
        connections.append(asyncio_reconnect(url, policy=Backoff(initial=60, maximum=60)))
        opening = asyncio.ensure_future(anext(aiter(connections[0])))
        if is_open:
            await opening
        else:
            await asyncio.sleep(0.2)  # It waits for the next attempt.
        await pause()
        with at_once():
            if is_open:
                await connections[0].websocket.send_text("after")
                assert await anext(aiter(connections[0].messages())) == "after"
            await connections[0].close()
            if not is_open:
                with pytest.raises(StopAsyncIteration):
                    await opening

    async def use() -> None:
        with pytest.raises(WrongEventLoop), at_once():
            await connections[0].close()

    with socket.socket() as unused, EchoServer() as server:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        with another_loop(flavour, own):
            flavour.run(use)


# Backends


class Ended(Listener[Any]):
    """A listener that keeps how its websocket ended."""

    def __init__(self) -> None:
        self.ends: list[CloseInfo] = []

    def on_close(self, info: CloseInfo) -> None:
        self.ends.append(info)


@in_async_flavours
@handlers
@pytest.mark.parametrize("way", ["close", "async with", "async with, which raises", "cancellation"])
def test_closing_a_backend_drops_the_websockets_of_ended_loops_and_closes_the_others(
    flavour: Flavour, new_peer: Callable[..., Peer], handler: Any, way: str
) -> None:
    old, new = new_peer(), new_peer()
    ends: list[CloseInfo] = []
    backend: Any = ObservedBackend(flavour.backend(request=SLOW), EndObserver(ends.append))

    async def open_one() -> None:
        await backend.open_websocket(old.url, handler)

    async def close() -> None:
        if way == "close":
            await backend.close()
        elif way == "cancellation":
            with contextlib.suppress(GeneratorExit):
                async with backend:
                    raise GeneratorExit
        else:
            with contextlib.suppress(KeyError):
                async with backend:
                    if way == "async with, which raises":
                        raise KeyError

    async def open_another_and_close() -> None:
        ws = await opened(backend, new.url, WebSocketHandler())
        peers = flavour.spawn(flavour.call, new.rest if way == "cancellation" else new.finish)
        with at_once():
            await close()
        code = {"async with, which raises": 1011, "cancellation": 1001}.get(way, 1000)
        assert await peers.result() == [Wire(wire.CLOSE, code.to_bytes(2, "big"))]
        assert not ws.is_open

    run_and_leave(flavour, open_one)
    flavour.run(open_another_and_close)
    assert [frame.opcode for frame in old.rest()] in ([], [wire.CLOSE])
    assert len(ends) == 2


@in_asyncio
@handlers
def test_closing_a_backend_drops_what_an_abandoned_loop_was_waiting_for(
    flavour: AsyncioFlavour, peer: Peer, handler: Any
) -> None:
    """The loop was closed although tasks were waiting: they are never woken again."""
    backend: Any = flavour.backend(request=SLOW)
    loop = flavour._new_loop()
    tasks: list[asyncio.Task[Any]] = []

    async def open_one() -> None:
        ws = await opened(backend, peer.url, handler)
        if isinstance(handler, WebSocketHandler):
            tasks.append(asyncio.create_task(ws.receive()))
        tasks.extend([asyncio.create_task(ws.ping()), asyncio.create_task(ws.close())])
        for _ in range(8):
            await asyncio.sleep(0)

    async def close() -> None:
        with at_once():
            await backend.close()

    with ignored_loop_end():
        loop.run_until_complete(open_one())
        left = asyncio.all_tasks(loop)
        loop.close()
    flavour.run(close)
    assert peer.rest()[-1].opcode == wire.CLOSE
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()
    gc.collect()


@in_async_flavours
def test_a_backend_says_that_websockets_of_other_loops_are_open_and_closes_its_own(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    theirs, ours = new_peer(), new_peer()
    backend: Any = flavour.backend(request=SLOW)

    async def own(other: Flavour, pause: Callable[[], Any]) -> None:
        ws = await opened(backend, theirs.url, WebSocketHandler())
        await pause()
        assert ws.is_open
        closing = other.spawn(other.call, theirs.finish)
        await backend.close()
        await closing.result()

    async def close() -> None:
        ws = await opened(backend, ours.url, WebSocketHandler())
        closing = flavour.spawn(flavour.call, ours.finish)
        with pytest.raises(WrongEventLoop, match=r"^1 open websocket.*other event loops"), at_once():
            await backend.close()
        await closing.result()
        assert not ws.is_open
        for _ in range(2):
            with pytest.raises(WrongEventLoop), at_once():
                await backend.close()
        with pytest.raises(WrongEventLoop):
            async with backend:
                pass

    with another_loop(flavour, own):
        flavour.run(close)


@in_async_flavours
def test_a_backend_opens_in_each_loop_in_turn(flavour: Flavour) -> None:
    backend: Any = flavour.backend(request=SLOW)

    async def echo() -> None:
        ws = await opened(backend, server.url, WebSocketHandler())
        await ws.send_text("a")
        assert await ws.receive_text() == "a"
        await ws.close()

    with EchoServer() as server:
        for _ in range(2):
            flavour.run(echo)
        flavour.run(backend.close)


# No loop, and other libraries


@in_async_flavours
def test_a_closed_websocket_may_be_closed_again_in_another_loop(flavour: Flavour) -> None:
    websockets: list[WebSocket[Async]] = []

    async def open_and_close() -> None:
        ws = await opened(flavour.backend(request=SLOW), server.url, WebSocketHandler())
        await ws.close()
        websockets.append(ws)

    with EchoServer() as server:
        flavour.run(open_and_close)
        flavour.run(websockets[0].close)


@in_async_flavours
def test_a_call_without_a_loop_raises_at_once(flavour: Flavour) -> None:
    async def use() -> None:
        ws = await opened(flavour.backend(request=SLOW), server.url, WebSocketHandler())
        for name in ("receive_text", "ping", "close"):
            await flavour.call(drive, getattr(ws, name))
        await ws.close()

    def drive(call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        coroutine = call()
        with pytest.raises(WrongEventLoop):
            coroutine.send(None)

    with EchoServer() as server:
        flavour.run(use)


@pytest.mark.parametrize(("opened_in", "used_in"), [("asyncio", "trio"), ("trio", "asyncio")])
def test_a_websocket_and_a_backend_are_refused_in_another_library(peer: Peer, opened_in: str, used_in: str) -> None:
    pytest.importorskip("trio")
    backend: Any = FLAVOURS[opened_in]().backend(request=SLOW)
    websockets: list[WebSocket[Async]] = []

    async def own(other: Flavour, pause: Callable[[], Any]) -> None:
        websockets.append(await opened(backend, peer.url))
        await pause()
        assert websockets[0].is_open
        peer.hang_up()
        await backend.close()

    async def use() -> None:
        for call in CALLS.values():
            with pytest.raises(WrongEventLoop, match="opened in another event loop"), at_once():
                await call(websockets[0])
        with pytest.raises(WrongEventLoop, match=r"^1 open websocket.*other event loops"), at_once():
            await backend.close()

    with another_loop(FLAVOURS[opened_in](), own):
        FLAVOURS[used_in]().run(use)


@in_asyncio
def test_an_abandoned_block_of_an_ended_loop_is_left_quietly(flavour: AsyncioFlavour, peer: Peer) -> None:
    loop = flavour._new_loop()

    async def block() -> None:
        async with (await AsyncioBackend(request=SLOW).open_websocket(peer.url, WebSocketHandler())).result as ws:
            await ws.receive()

    async def begin() -> None:
        task = asyncio.create_task(block())
        await flavour.call(lambda: peer.stream)
        for _ in range(8):
            await asyncio.sleep(0)
        task._log_destroy_pending = False  # type: ignore[attr-defined]

    with ignored_loop_end():
        loop.run_until_complete(begin())
        loop.run_until_complete(asyncio.sleep(0.05))
        [task] = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    with contextlib.suppress(WebSocketClosed):
        task.get_coro().close()
    assert [frame.opcode for frame in peer.rest()] in ([], [wire.CLOSE])
