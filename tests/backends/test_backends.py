"""Backends share settings among their websockets, close all that they have opened, and return results in ``F``."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from unittest import mock

import pytest

from polysocket import (
    Async,
    Backend,
    BackendClosed,
    Buffer,
    Close,
    CloseCause,
    CloseCode,
    CloseInfo,
    InvalidHandler,
    Listener,
    LoggingBackend,
    ObservedBackend,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    WebSocketResponse,
    basic_request,
)
from polysocket.backend import _OpenSessions
from polysocket.effects import NoMutex
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, client_context, server_context, upgrading
from tests.backends.flavours import (
    ASYNC,
    FLAVOURS,
    THREADS,
    Flavour,
    a_backend,
    has_trio,
    opened,
    seen,
)
from tests.backends.recording import EndObserver, WatchedSet
from tests.backends.servers import Door, Server

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)

SOON = basic_request.timeouts(open=2, close=0.05)


# Shared settings


async def test_a_url_is_opened_with_the_backends_request(flavour: Flavour, server: Server) -> None:
    base = basic_request.bearer_auth("token").subprotocol("chat").header("X-From", "backend")
    async with a_backend(flavour, request=base) as backend:
        assert backend.request == base
        for _ in range(2):
            response = await backend.open_websocket(server.url(), WebSocketHandler())
            assert response.subprotocol == "chat"
        await backend.open_websocket_f(server.url(), lambda: flavour.lifted(WebSocketHandler()))
    assert [request["X-From"] for request in server.requests] == ["backend"] * 3
    assert [request["Authorization"] for request in server.requests] == ["Bearer token"] * 3


async def test_a_request_is_used_as_it_is_and_may_extend_the_backends_request(flavour: Flavour, server: Server) -> None:
    async with a_backend(flavour, request=basic_request.header("X-From", "backend")) as backend:
        await backend.open_websocket(basic_request.get(server.url()), WebSocketHandler())
        request = backend.request.get(server.url()).header("X-More", "request")
        await backend.open_websocket(request, WebSocketHandler())
    assert "X-From" not in server.requests[0]
    assert (server.requests[1]["X-From"], server.requests[1]["X-More"]) == ("backend", "request")


async def test_the_tls_context_is_used_for_every_wss_url(flavour: Flavour, leave_nothing: None) -> None:
    with Server(server_context()) as server:
        async with a_backend(flavour, ssl=client_context()) as backend:
            for _ in range(2):
                ws = await opened(flavour, backend, server.url())
                await ws.send_text("a")
                assert await ws.receive_text() == "echo: a"


async def test_the_response_has_what_the_server_answered(flavour: Flavour, server: Server) -> None:
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url(), WebSocketHandler())
        assert (response.status, response.reason) == (101, "Switching Protocols")
        assert response.headers["Upgrade"].lower() == "websocket"
        assert response.subprotocol is None
        assert len(response.extensions) == 1
        assert response.extensions[0].startswith("permessage-deflate")


@in_threads
async def test_many_threads_may_open_at_the_same_time(flavour: Flavour, server: Server) -> None:
    async def open_and_ask(number: int) -> str:
        ws = await opened(flavour, backend, server.url())
        await ws.send_text(str(number))
        return await ws.receive_text()

    async with a_backend(flavour) as backend:
        tasks = [flavour.spawn(open_and_ask, number) for number in range(8)]
        assert [await task.result() for task in tasks] == [f"echo: {number}" for number in range(8)]


# Results in F


async def test_results_are_in_f(flavour: Flavour, server: Server) -> None:
    kind = next(name for name, made in FLAVOURS.items() if made is type(flavour))
    backend = flavour.backend()

    def make_handler() -> Any:
        return flavour.lifted(WebSocketHandler())

    async with flavour.entered(backend):
        for given in (
            backend.open_websocket(server.url(), WebSocketHandler()),
            backend.open_websocket_f(server.url(), make_handler),
        ):
            assert isinstance(given, Future) is (kind == "threaded")
            assert inspect.iscoroutine(given) is flavour.is_async
            response = await flavour.value(given)
            assert isinstance(response, WebSocketResponse)
            assert isinstance(response.result, WebSocket)
            sending = response.result.send_text("a")
            assert isinstance(sending, Future) is (kind == "threaded")
            assert inspect.iscoroutine(sending) is flavour.is_async
            await flavour.value(sending)
        closing = backend.close()
        assert isinstance(closing, Future) is (kind == "threaded")
        assert inspect.iscoroutine(closing) is flavour.is_async
        await flavour.value(closing)


# Closing


async def test_leaving_the_with_block_closes_every_websocket(
    flavour: Flavour, server: Server, new_peer: Callable[..., Peer]
) -> None:
    silent = new_peer()
    async with a_backend(flavour) as backend:
        websockets = [await opened(flavour, backend, server.url()) for _ in range(5)]
        await websockets[0].close()
        unanswered = await opened(flavour, backend, SOON.get(silent.url))
    assert not any(ws.is_open for ws in [*websockets, unanswered])
    assert [ws.close_info.cause for ws in websockets if ws.close_info] == [CloseCause.CLOSE] * 5
    assert unanswered.close_info is not None
    assert unanswered.close_info.cause is CloseCause.TIMEOUT
    assert [frame.opcode for frame in await flavour.call(silent.rest)] == [wire.CLOSE]


async def test_closing_reads_every_answer_even_if_other_peers_are_silent(
    flavour: Flavour, server: Server, new_peer: Callable[..., Peer]
) -> None:
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.2)) as backend:
        silent = [await opened(flavour, backend, new_peer().url) for _ in range(3)]
        answered = [await opened(flavour, backend, server.url()) for _ in range(3)]
    assert [ws.close_info.cause for ws in answered if ws.close_info] == [CloseCause.CLOSE] * 3
    assert [ws.close_info.cause for ws in silent if ws.close_info] == [CloseCause.TIMEOUT] * 3


async def test_an_exception_in_the_with_block_closes_with_1011_and_is_raised(flavour: Flavour, server: Server) -> None:
    websockets: list[WebSocket[Async]] = []

    async def fail() -> None:
        async with a_backend(flavour) as backend:
            websockets.append(await opened(flavour, backend, server.url()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    (ws,) = websockets
    assert ws.close_info is not None
    assert ws.close_info.sent == Close(CloseCode.INTERNAL_ERROR)
    assert ws.close_info.cause is CloseCause.CLOSE


@in_threads
async def test_a_keyboard_interrupt_in_the_with_block_does_not_wait_for_the_peer(flavour: Flavour, peer: Peer) -> None:
    websockets: list[WebSocket[Async]] = []

    backend = flavour.backend(request=basic_request.timeouts(open=5, close=None))

    async def interrupt() -> None:
        async with flavour.entered(backend):
            websockets.append(await opened(flavour, seen(flavour, backend), peer.url))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await interrupt()
    (ws,) = websockets
    assert ws.close_info is not None
    assert ws.close_info.sent == Close(CloseCode.GOING_AWAY)
    with pytest.raises(BackendClosed):
        await seen(flavour, backend).open_websocket(peer.url, WebSocketHandler())


async def test_closing_is_idempotent_and_leaves_the_websockets_of_other_backends_open(
    flavour: Flavour, server: Server
) -> None:
    async with a_backend(flavour) as backend, a_backend(flavour) as another:
        mine = await opened(flavour, backend, server.url())
        theirs = await opened(flavour, another, server.url())
        for _ in range(2):
            await backend.close()
        assert not mine.is_open
        assert theirs.is_open


async def test_a_closed_backend_opens_nothing(flavour: Flavour, door: Door) -> None:
    async with a_backend(flavour) as backend:
        pass
    with pytest.raises(BackendClosed, match="the backend was closed, and opens nothing more"):
        await backend.open_websocket(SOON.get(door.url), WebSocketHandler())
    made: list[None] = []
    with pytest.raises(BackendClosed):
        await backend.open_websocket_f(door.url, lambda: made.append(None))
    assert not made
    assert not door.has_connection()


def logged(backend: Backend[Any]) -> Backend[Any]:
    return LoggingBackend(backend)


def observed(backend: Backend[Any]) -> Backend[Any]:
    return ObservedBackend(backend, EndObserver())


wrappings = pytest.mark.parametrize("wrapped", [logged, observed])


@wrappings
async def test_closing_the_wrapping_backend_closes_the_wrapped_one(
    flavour: Flavour, server: Server, door: Door, wrapped: Callable[[Backend[Any]], Backend[Any]]
) -> None:
    inner = flavour.backend()
    outer = wrapped(inner)
    async with flavour.entered(outer):
        websockets = [await opened(flavour, seen(flavour, backend), server.url()) for backend in (inner, outer)]
    assert not any(ws.is_open for ws in websockets)
    for backend in (inner, outer):
        with pytest.raises(BackendClosed):
            await seen(flavour, backend).open_websocket(SOON.get(door.url), WebSocketHandler())
    assert not door.has_connection()


@wrappings
async def test_closing_the_wrapped_backend_closes_the_wrapping_one(
    flavour: Flavour, server: Server, door: Door, wrapped: Callable[[Backend[Any]], Backend[Any]]
) -> None:
    inner = flavour.backend()
    outer = wrapped(inner)
    async with flavour.entered(inner):
        ws = await opened(flavour, seen(flavour, outer), server.url())
    assert not ws.is_open
    with pytest.raises(BackendClosed):
        await seen(flavour, outer).open_websocket(SOON.get(door.url), WebSocketHandler())
    assert not door.has_connection()


async def test_a_websocket_that_opens_while_the_backend_is_closed_is_aborted(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer_late(request: bytes) -> bytes:
        asked.set()
        may_answer.wait(5)
        return upgrading()(request)

    peer = new_peer(answer_late)
    async with a_backend(flavour) as backend:
        opening = flavour.spawn(backend.open_websocket, SOON.get(peer.url), WebSocketHandler())
        assert await flavour.call(asked.wait, 5)
        await backend.close()
        may_answer.set()
        with pytest.raises(BackendClosed):
            await opening.result()


@in_async_flavours
@pytest.mark.parametrize(("cancelled", "code"), [("the block", 1001), ("the leaving", 1000)])
async def test_a_cancellation_ends_every_connection_at_once(
    flavour: Flavour, new_peer: Callable[..., Peer], cancelled: str, code: int
) -> None:
    ended: list[CloseInfo] = []
    websockets: list[WebSocket[Async]] = []
    ready = flavour.inbox()

    async def use_backend() -> None:
        backend = ObservedBackend(flavour.backend(), EndObserver(ended.append))
        async with flavour.entered(backend):
            websockets.extend([await opened(flavour, backend, new_peer().url) for _ in range(3)])
            ready.put(None)
            if cancelled == "the block":
                await flavour.inbox().get()

    task = flavour.spawn(use_backend)
    await ready.get()
    await flavour.nothing_left_to_do()
    task.cancel()
    await flavour.nothing_left_to_do()
    count = len(ended)
    codes = [info.sent.code for info in ended if info.sent]
    for ws in websockets:
        ws._session.abort()
    await flavour.nothing_left_to_do()
    assert count == 3
    assert codes == [code] * 3


@pytest.mark.skipif(not has_trio, reason="trio's clock is used")
def test_websockets_are_closed_at_the_same_time(new_peer: Callable[..., Peer]) -> None:
    import trio
    import trio.testing

    from polysocket.trio import TrioBackend

    clock = trio.testing.MockClock()

    async def main() -> None:
        async with TrioBackend(request=basic_request.timeouts(open=5, close=60)) as backend:
            for _ in range(3):
                await backend.open_websocket(new_peer().url, WebSocketHandler())
            began = trio.current_time()
            clock.autojump_threshold = 0.01
        assert trio.current_time() - began == pytest.approx(60)

    trio.run(main, clock=clock)


# The handler made by an effect


async def test_the_handler_is_made_before_connecting(flavour: Flavour, new_peer: Callable[..., Peer]) -> None:
    steps: list[str] = []

    def answer(request: bytes) -> bytes:
        steps.append("asked")
        return upgrading()(request)

    def make_handler() -> Any:
        steps.append("made")
        return flavour.lifted(WebSocketHandler())

    peer = new_peer(answer)
    async with a_backend(flavour, request=SOON) as backend:
        await backend.open_websocket_f(peer.url, make_handler)
        assert steps == ["made", "asked"]


async def test_no_connection_is_made_if_make_handler_raises(flavour: Flavour, door: Door) -> None:
    def make_handler() -> Any:
        raise ZeroDivisionError("no handler")

    async with a_backend(flavour) as backend:
        with pytest.raises(ZeroDivisionError, match="no handler"):
            await backend.open_websocket_f(door.url, make_handler)
    assert not door.has_connection()


@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "blocking"], indirect=True)
async def test_no_connection_is_made_if_the_effect_of_make_handler_fails(flavour: Flavour, door: Door) -> None:
    async def fail() -> WebSocketHandler:
        raise ZeroDivisionError("no handler")

    def make_handler() -> Any:
        if flavour.is_async:
            return fail()
        future: Future[WebSocketHandler] = Future()
        future.set_exception(ZeroDivisionError("no handler"))
        return future

    async with a_backend(flavour) as backend:
        with pytest.raises(ZeroDivisionError, match="no handler"):
            await backend.open_websocket_f(door.url, make_handler)
    assert not door.has_connection()


@pytest.mark.parametrize("flavour", ["threaded"], indirect=True)
async def test_make_handler_may_return_a_pending_future(flavour: Flavour, server: Server) -> None:
    future: Future[WebSocketHandler] = Future()
    async with a_backend(flavour) as backend:
        opening = flavour.spawn(backend.open_websocket_f, server.url(), lambda: future)
        future.set_result(WebSocketHandler())
        response = await opening.result()
        assert response.result.is_open


async def test_an_effect_whose_result_is_not_a_handler_is_refused(flavour: Flavour, door: Door) -> None:
    async with a_backend(flavour) as backend:
        with pytest.raises(InvalidHandler, match="a handler is a WebSocketHandler, Listener or PipeHandler, not 5"):
            await backend.open_websocket_f(door.url, lambda: flavour.lifted(5))
    assert not door.has_connection()


# Websockets that have ended


@pytest.mark.parametrize("end", ["close", "loss"])
async def test_a_backend_forgets_a_websocket_that_the_peer_has_ended(flavour: Flavour, peer: Peer, end: str) -> None:
    # The program reads to the end, but doesn't close.
    async with a_backend(flavour) as backend:
        forgotten = flavour.inbox()
        backend._connector._open_sessions.sessions = WatchedSet(forgotten.put)
        ws = await opened(flavour, backend, peer.url)
        peer.send(wire.encode(wire.TEXT, "a") + wire.close(1000) * (end == "close"))
        assert await ws.receive() == Text("a")
        peer.hang_up()
        with pytest.raises(WebSocketClosed):
            await ws.receive_text()
        await forgotten.get()
        assert not backend._connector._open_sessions.sessions


async def test_a_backend_forgets_a_websocket_whose_close_arrived_with_the_answer(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    # The Close arrives in one piece with the 101, and the program never receives.
    peer = new_peer(upgrading(trailing=wire.close(1000)))
    async with a_backend(flavour) as backend:
        forgotten = flavour.inbox()
        backend._connector._open_sessions.sessions = WatchedSet(forgotten.put)
        await opened(flavour, backend, peer.url)
        assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
        peer.hang_up()
        await forgotten.get()


@pytest.mark.parametrize(
    ("handler", "programs"),
    [(WebSocketHandler(), 0), (WebSocketHandler(Buffer.unbounded()), 1), (Listener[Any](), 1)],
    ids=["on demand", "read ahead", "listener"],
)
async def test_one_program_at_most_ends_a_websocket_in_the_background(
    flavour: Flavour, peer: Peer, handler: WebSocketHandler | Listener[Any], programs: int
) -> None:
    backend = flavour.backend()
    effect = type(backend._connector.effect)
    with mock.patch.object(effect, "spawn", autospec=True, side_effect=effect.spawn) as spawn:
        async with flavour.entered(backend):
            ws = await opened(flavour, seen(flavour, backend), peer.url, handler)
            peer.send(wire.close(1000))
            if programs:
                assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
            peer.hang_up()
            await ws.close()
    assert spawn.call_count == programs


async def test_a_backend_forgets_a_websocket_once(flavour: Flavour, peer: Peer) -> None:
    forgotten: list[object] = []
    async with a_backend(flavour) as backend:
        backend._connector._open_sessions.sessions = WatchedSet(forgotten.append)
        ws = await opened(flavour, backend, peer.url)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await ws.close()
        await ws.close()
        await finishing.result()
    assert len(forgotten) == 1


def test_a_closed_backend_registers_no_websocket() -> None:
    session: Any = object()
    opened = _OpenSessions(NoMutex())
    assert opened.add(session)
    assert opened.close() == [session]
    late: Any = object()
    assert not opened.add(late)
    assert opened.close() == [session]
