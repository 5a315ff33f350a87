"""Cancellation, exits and unexpected errors: each ends the websocket at once, and none is swallowed."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import pytest

from polysocket import (
    Buffer,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    Listener,
    ObservedBackend,
    Response,
    Text,
    WebSocket,
    WebSocketHandler,
    basic_request,
)
from polysocket.blocking import BlockingBackend
from polysocket.effects import Blocking
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, ASYNCIO, AsyncioFlavour, Flavour, TrioFlavour, a_backend, opened, seen
from tests.backends.listening import Recorder, calls_to_the_end
from tests.backends.peers import text
from tests.backends.recording import EndObserver
from tests.builds import replaces_core

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_asyncio = pytest.mark.parametrize("flavour", ASYNCIO, indirect=True)


# A CancelledError of another task or future is an error, not a cancellation


@in_asyncio
@pytest.mark.parametrize("name", ["on_open", "on_text"])
async def test_a_method_that_awaits_a_cancelled_future_has_failed(flavour: Flavour, peer: Peer, name: str) -> None:
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    async def wait(_: object) -> None:
        await cancelled

    listener = Recorder(flavour.inbox())
    setattr(listener, name, wait)
    async with a_backend(flavour) as backend:
        finishing = flavour.spawn(flavour.call, peer.finish)
        ws = await opened(flavour, backend, peer.url, listener)
        if name == "on_text":
            peer.send(text("a"))
            assert await listener.calls.get() == "open"
        error = await listener.calls.get()
        assert isinstance(error, RuntimeError)
        assert str(error) == "Recorder.wait raised CancelledError(), although the listener was not cancelled"
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x03\xf3")]
        assert (await listener.calls.get()).sent == Close(1011)
        assert not ws.is_open


@in_asyncio
async def test_a_block_that_awaits_a_cancelled_future_closes_with_1011(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url)
        finishing = flavour.spawn(flavour.call, peer.finish)
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with ws:
                await cancelled
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x03\xf3")]


# A cancellation closes with 1001 and does not wait


async def by_a_time_limit(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await program()


async def by_wait_for(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(program(), 0.01)


async def by_a_task_group(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(program())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]


async def in_a_task_group(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await program()

    with pytest.raises(ExceptionGroup):
        await run()


async def by_an_anyio_scope(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    anyio = pytest.importorskip("anyio")
    with anyio.move_on_after(0.01) as scope:
        await program()
    assert scope.cancelled_caught


async def by_an_anyio_task_group(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    anyio = pytest.importorskip("anyio")
    async with anyio.create_task_group() as group:
        group.start_soon(program)
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()


@in_asyncio
@pytest.mark.parametrize(
    "cancelled",
    [by_a_time_limit, by_wait_for, by_a_task_group, in_a_task_group, by_an_anyio_scope, by_an_anyio_task_group],
)
async def test_a_cancelled_block_does_not_wait_for_the_peer(
    flavour: Flavour,
    peer: Peer,
    cancelled: Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]],
) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url)

        async def program() -> None:
            async with ws:
                await ws.receive()

        await cancelled(program)
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.CANCELLATION
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]


@in_async_flavours
async def test_a_listener_is_told_of_the_end_if_its_opening_is_cancelled(flavour: Flavour, peer: Peer) -> None:
    opening, never, go_on = flavour.inbox(), flavour.inbox(), flavour.inbox()

    class Waiting(Recorder):
        async def on_open(self, ws: WebSocket[Any]) -> None:
            opening.put(ws)
            await never.get()

        async def on_close(self, info: CloseInfo) -> None:
            await go_on.get()
            super().on_close(info)

    listener = Waiting(flavour.inbox())
    async with a_backend(flavour) as backend:
        task = flavour.spawn(backend.open_websocket, peer.url, listener)
        await opening.get()
        task.cancel()
        with pytest.raises(BaseException, match=r"(?i)cancel|^$"):  # the runtime's cancellation
            await task.result()  # It does not wait for on_close.
        go_on.put(None)
        (info,) = await calls_to_the_end(listener)
        assert info.cause is CloseCause.CANCELLATION
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]


def test_a_listener_is_told_of_the_end_if_a_signal_handler_interrupts_its_opening(peer: Peer) -> None:
    told: list[CloseInfo] = []

    class Interrupted(Listener[Blocking]):
        def on_open(self, _: WebSocket[Blocking]) -> None:
            raise KeyboardInterrupt

        def on_close(self, info: CloseInfo) -> None:
            told.append(info)

    with BlockingBackend() as backend, pytest.raises(KeyboardInterrupt):
        backend.open_websocket(peer.url, Interrupted())
    assert [info.cause for info in told] == [CloseCause.CANCELLATION]


def test_an_opening_that_a_signal_handler_interrupts_in_an_observer_leaves_no_websocket_open(peer: Peer) -> None:
    class Interrupted(EndObserver):
        def opened(self, _: Response) -> None:
            raise KeyboardInterrupt

    with BlockingBackend() as backend:
        observed = ObservedBackend(backend, Interrupted())
        with pytest.raises(KeyboardInterrupt):
            observed.open_websocket(peer.url, WebSocketHandler())
        assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


# Exits and bugs


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_method_that_exits_ends_its_websocket_first(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    # Then the runtime handles the exit: it ends asyncio.run or one thread, and trio logs it.
    ended: list[CloseInfo] = []

    class Exits(Recorder):
        def on_text(self, frame: Text) -> object:
            sys.exit(3)

        def on_close(self, info: CloseInfo) -> object:
            ended.append(info)
            return self.record(info)

    async def body() -> None:
        listener = Exits(flavour.inbox())
        async with a_backend(flavour) as backend:
            await opened(flavour, backend, peer.url, listener)
            peer.send(text("a"))
            await calls_to_the_end(listener)

    if isinstance(flavour, AsyncioFlavour):
        with pytest.raises(SystemExit):
            flavour.run(body)
    else:
        flavour.run(body)
    (info,) = ended
    assert info.cause is CloseCause.CANCELLATION
    assert "SystemExit(3)" in info.detail
    logged = [record.getMessage() for record in caplog.records if record.name == "polysocket"]
    assert len(logged) == isinstance(flavour, TrioFlavour)


quiet = basic_request.keepalive(interval=None)  # Only the program under test reads.


def break_connection(ws: Any, error: Exception) -> None:
    """Make reading raise an error, as a bug would."""

    def receive(*_: object) -> None:
        raise error

    ws._session._connection.receive = receive


def ignore_errors_of_tasks(flavour: Flavour) -> None:
    """Ignore that asyncio reports the error of a task; the report would fail the test."""
    if isinstance(flavour, AsyncioFlavour):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)


@replaces_core
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_unexpected_error_ends_a_websocket_that_reads_ahead(flavour: Flavour, peer: Peer) -> None:
    ignore_errors_of_tasks(flavour)
    ended = flavour.inbox()
    backend = ObservedBackend(flavour.backend(), EndObserver(ended.put))
    async with flavour.entered(backend):
        response = await seen(flavour, backend).open_websocket(
            quiet.get(peer.url), WebSocketHandler(Buffer.unbounded())
        )
        break_connection(response.result, ZeroDivisionError("a bug"))
        peer.send(text("a"))
        assert "ZeroDivisionError('a bug')" in str(await ended.get())
        with pytest.raises(ConnectionLost):
            await seen(flavour, response.result).receive()


@replaces_core
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_unexpected_error_ends_a_websocket_with_a_listener(flavour: Flavour, peer: Peer) -> None:
    ignore_errors_of_tasks(flavour)
    listener = Recorder(flavour.inbox())
    error = ZeroDivisionError("a bug")
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(quiet.get(peer.url), listener)
        break_connection(response.result, error)
        peer.send(text("a"))
        calls = await calls_to_the_end(listener)
    assert calls[:-1] == ["open", error]
    assert "ZeroDivisionError('a bug')" in str(calls[-1])


@in_asyncio
async def test_a_websocket_whose_reading_ahead_is_cancelled_before_it_starts_has_ended(
    flavour: Flavour, peer: Peer
) -> None:
    ended = flavour.inbox()
    backend = ObservedBackend(flavour.backend(), EndObserver(ended.put))
    async with flavour.entered(backend):
        ws = (await seen(flavour, backend).open_websocket(peer.url, WebSocketHandler(Buffer.unbounded()))).result
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        assert "could not start: CancelledError()" in str(await ended.get())
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]
        with pytest.raises(ConnectionLost):
            await ws.receive()


@in_async_flavours
@pytest.mark.parametrize("handler", [WebSocketHandler(Buffer.unbounded()), Listener()], ids=["read ahead", "listener"])
def test_a_websocket_ends_with_its_event_loop(flavour: Flavour, peer: Peer, handler: Any) -> None:
    websockets: list[Any] = []

    async def body() -> None:
        websockets.append((await flavour.backend().open_websocket(peer.url, handler)).result)

    if isinstance(flavour, AsyncioFlavour):
        with asyncio.Runner(loop_factory=flavour._new_loop) as runner:
            runner.run(body())
    else:
        trio = pytest.importorskip("trio")
        trio.run(body)
    (ws,) = websockets
    assert not ws.is_open
    assert ws.close_info.cause is CloseCause.CANCELLATION
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


# A signal handler that raises in the main task of asyncio


class Interrupt(BaseException):
    """Raised by a signal handler."""


def interrupting(line: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a tracing function that raises at this line, counted as they run, of the stream's methods that read."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_name not in ("read_view", "read_into"):
            return None
        left -= event == "line"
        if left < 0:
            sys.settrace(None)
            raise Interrupt
        return trace

    return trace


@in_asyncio
@pytest.mark.parametrize("size", [4, 100_000])
async def test_an_interrupted_read_loses_no_bytes_in_silence(
    flavour: Flavour, new_peer: Callable[..., Peer], size: int
) -> None:
    ends = set[CloseCause | None]()
    has_returned = False
    lines = itertools.count()
    async with a_backend(flavour) as backend:
        while not has_returned:
            peer = new_peer()
            ws = await opened(flavour, backend, peer.url)
            sending = flavour.spawn(flavour.call, peer.send, text("a" * size))
            before = sys.gettrace()
            sys.settrace(interrupting(next(lines)))
            try:
                await ws.receive_text()
                has_returned = True
            except Interrupt:
                pass
            finally:
                sys.settrace(before)
                await sending.result()
            if not has_returned:
                try:
                    assert await ws.receive_text(timeout=5) == "a" * size
                    ends.add(None)
                except ConnectionLost as error:
                    ends.add(error.close_info.cause)
            peer.hang_up()
            await ws.close()
    assert ends == {None, CloseCause.CANCELLATION}
