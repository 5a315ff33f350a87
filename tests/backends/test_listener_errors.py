"""Listeners: an error in a call, or of the connection, goes to on_error, and none to nowhere."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from polysocket import (
    Buffer,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    InvalidHandler,
    Listener,
    MessageTooBig,
    ProtocolError,
    Side,
    Text,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import (
    ASYNC,
    ASYNCIO,
    THREADS,
    AsyncioFlavour,
    Flavour,
    TrioFlavour,
    a_backend,
    opened,
    seen,
)
from tests.backends.listening import AsyncRecorder, Recorder, with_plain_and_async_methods
from tests.backends.servers import Server

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_asyncio = pytest.mark.parametrize("flavour", ASYNCIO, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


def text(payload: str, *, final: bool = True) -> bytes:
    return wire.encode(wire.TEXT, payload, final=final)


def ended_by(peer: Peer) -> list[Wire]:
    """What the client sends up to its answer to the Close, behind which the server ends the connection."""
    frames = [peer.frame()]
    while frames[-1].opcode != wire.CLOSE:
        frames.append(peer.frame())
    peer.hang_up()
    return frames


FRAMES = {
    "on_text": text("a"),
    "on_binary": wire.encode(wire.BINARY, b"a"),
    "on_ping": wire.encode(wire.PING),
    "on_pong": wire.encode(wire.PONG),
}


def failing(listener: Recorder, name: str, error: Exception) -> None:
    """Have a method raise, in the way of the listener's others."""

    def fail(_: object) -> None:
        raise error

    async def fail_async(_: object) -> None:
        raise error

    setattr(listener, name, fail_async if isinstance(listener, AsyncRecorder) else fail)


@with_plain_and_async_methods
@pytest.mark.parametrize("name", FRAMES)
async def test_an_exception_in_a_call_goes_to_on_error_and_closes_with_1011(
    flavour: Flavour, recorder: type[Recorder], name: str, peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, name, error)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(FRAMES[name])
        assert (await flavour.call(peer.finish))[-1] == Wire(wire.CLOSE, b"\x03\xf3")
        assert [await listener.heard.get() for _ in range(2)] == ["open", error]
        assert (await listener.heard.get()).sent == Close(1011)


@with_plain_and_async_methods
async def test_an_exception_in_on_open_goes_to_on_error_and_closes_with_1011(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, "on_open", error)
    async with a_backend(flavour) as backend:
        finishing = flavour.spawn(flavour.call, peer.finish)
        ws = await opened(flavour, backend, peer.url, listener)
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x03\xf3")]
        assert not ws.is_open
        assert await listener.heard.get() is error
        assert (await listener.heard.get()).sent == Close(1011)


@with_plain_and_async_methods
async def test_an_exception_in_on_close_goes_to_on_error(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, "on_close", error)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(wire.close())
        peer.hang_up()
        assert [await listener.heard.get() for _ in range(2)] == ["open", error]


@with_plain_and_async_methods
async def test_an_exception_in_on_error_is_logged(
    flavour: Flavour, recorder: type[Recorder], peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    listener = recorder(flavour.inbox())
    failing(listener, "on_text", ZeroDivisionError("mine"))
    failing(listener, "on_error", RuntimeError("even worse"))
    with caplog.at_level(logging.ERROR, logger="polysocket"):
        async with a_backend(flavour) as backend:
            await opened(flavour, backend, peer.url, listener)
            peer.send(text("a"))
            assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
            assert await listener.heard.get() == "open"
            assert (await listener.heard.get()).sent == Close(1011)
    (record,) = caplog.records
    assert record.name == "polysocket"
    assert record.getMessage() == f"{recorder.__name__}.on_error failed"
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "RuntimeError('even worse')"


async def test_a_listener_that_has_failed_is_given_no_further_frame(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, "on_text", error)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.BINARY, b"c"))
        await flavour.call(peer.finish)
        heard = [await listener.heard.get()]
        while not isinstance(heard[-1], CloseInfo):
            heard.append(await listener.heard.get())
    assert heard[:-1] == ["open", error]


@pytest.mark.parametrize("flavour", ["threaded"], indirect=True)
async def test_a_future_that_a_call_gives_is_no_nowhere(flavour: Flavour, peer: Peer) -> None:
    failed: Future[None] = Future()
    failed.set_exception(ZeroDivisionError("mine"))

    class Handing(Recorder):
        def on_text(self, frame: Text) -> object:
            return failed

    listener = Handing(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a"))
        peer.send(wire.close())
        peer.hang_up()
        assert await listener.heard.get() == "open"
        assert isinstance(await listener.heard.get(), ZeroDivisionError)


# A method that sends behind a Close


class Answering(Recorder):
    """Answers each text, whether or not it still can."""

    def __init__(self, flavour: Flavour) -> None:
        super().__init__(flavour.inbox())
        self._flavour = flavour

    def on_text(self, frame: Text) -> object:
        self.hear(frame)
        return self._flavour.finished(self.ws.send_text("an answer"))


async def heard_by(listener: Recorder) -> list[object]:
    heard = [await listener.heard.get()]
    while not isinstance(heard[-1], CloseInfo):
        heard.append(await listener.heard.get())
    return heard


async def test_a_method_that_answers_hears_all_that_came_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    """A plain WebSocketClosed of its own websocket is told, and ends nothing: the Close has."""
    peer = new_peer(upgrading(behind=text("a") + text("b") + text("c") + wire.close()))
    listener = Answering(flavour)
    # As soon as on_open is over, frames are taken; the Close is read before, since it came in one piece.
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert [frame.opcode for frame in await flavour.call(ended_by, peer)] == [wire.CLOSE]
        heard = await heard_by(listener)
    assert [what for what in heard if not isinstance(what, WebSocketClosed)][:-1] == [
        "open",
        *(Text(payload) for payload in "abc"),
    ]
    assert [type(what) for what in heard if isinstance(what, Exception)] == [WebSocketClosed] * 3
    assert heard[-1] == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1000), Close(1000))


async def test_a_method_that_answers_hears_what_comes_while_the_program_closes(flavour: Flavour, peer: Peer) -> None:
    def answer_late() -> None:
        assert peer.frame() == Wire(wire.CLOSE, b"\x03\xe8")
        peer.send(text("a") + text("b") + wire.close())
        peer.hang_up()

    listener = Answering(flavour)
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        answering = flavour.spawn(flavour.call, answer_late)
        await ws.close()
        await answering.result()
        heard = await heard_by(listener)
    assert [what for what in heard if isinstance(what, Text)] == [Text("a"), Text("b")]
    assert [type(what) for what in heard if isinstance(what, Exception)] == [WebSocketClosed] * 2


async def test_the_end_of_another_websocket_is_an_error_like_any_other(
    flavour: Flavour, peer: Peer, server: Server
) -> None:
    async with a_backend(flavour) as backend:
        another = await opened(flavour, backend, server.url())
        await another.close()
        with pytest.raises(WebSocketClosed) as closed:
            await another.send_text("a")
        listener = Recorder(flavour.inbox())
        failing(listener, "on_text", closed.value)
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
        heard = await heard_by(listener)
    assert heard[:-1] == ["open", closed.value]


# What is no Exception


@in_asyncio
@pytest.mark.parametrize("name", ["on_open", "on_text"])
async def test_a_call_that_awaits_what_was_cancelled_has_failed(flavour: Flavour, peer: Peer, name: str) -> None:
    """Nobody has cancelled the listener itself."""
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
            assert await listener.heard.get() == "open"
        error = await listener.heard.get()
        assert isinstance(error, RuntimeError)
        assert str(error) == "Recorder.wait raised CancelledError(), although the listener was not cancelled"
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x03\xf3")]
        assert (await listener.heard.get()).sent == Close(1011)
        assert not ws.is_open


@in_asyncio
async def test_a_block_that_awaits_what_was_cancelled_has_failed(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url)
        finishing = flavour.spawn(flavour.call, peer.finish)
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with ws:
                await cancelled
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x03\xf3")]


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
async def test_a_block_that_is_cancelled_does_not_wait(
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_method_that_exits_ends_its_websocket_first(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it is the runtime's: asyncio ends by it, a thread ends alone, and in trio it is logged."""
    ended: list[CloseInfo] = []

    class Exits(Recorder):
        def on_text(self, frame: Text) -> object:
            sys.exit(3)

        def on_close(self, info: CloseInfo) -> object:
            ended.append(info)
            return self.hear(info)

    async def body() -> None:
        listener = Exits(flavour.inbox())
        async with a_backend(flavour) as backend:
            await opened(flavour, backend, peer.url, listener)
            peer.send(text("a"))
            await heard_by(listener)

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


def break_connection(ws: Any, error: Exception) -> None:
    """Let what reads in the background meet an error that it can't know."""

    def receive(_: bytes) -> None:
        raise error

    ws._programs._connection.receive = receive


def tell_nobody(flavour: Flavour) -> None:
    """It is told where nobody can hear it, by asyncio; else that would be an error of the test."""
    if isinstance(flavour, AsyncioFlavour):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_unexpected_error_ends_a_websocket_that_reads_ahead(flavour: Flavour, peer: Peer) -> None:
    tell_nobody(flavour)
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(peer.url, WebSocketHandler(Buffer.unbounded()))
        break_connection(response.result, ZeroDivisionError("a bug"))
        response.result._programs.when_ended((ended := flavour.inbox()).put)
        peer.send(text("a"))
        assert "ZeroDivisionError('a bug')" in str(await ended.get())
        with pytest.raises(ConnectionLost):
            await seen(flavour, response.result).receive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_unexpected_error_ends_a_websocket_that_is_listened_to(flavour: Flavour, peer: Peer) -> None:
    tell_nobody(flavour)
    listener = Recorder(flavour.inbox())
    error = ZeroDivisionError("a bug")
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(peer.url, listener)
        break_connection(response.result, error)
        peer.send(text("a"))
        heard = await heard_by(listener)
    assert heard[:-1] == ["open", error]
    assert "ZeroDivisionError('a bug')" in str(heard[-1])


@in_async_flavours
@pytest.mark.parametrize("handler", [WebSocketHandler(Buffer.unbounded()), Listener()], ids=["read ahead", "listener"])
def test_a_websocket_ends_with_its_loop(flavour: Flavour, peer: Peer, handler: Any) -> None:
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


def lose(peer: Peer) -> None:
    peer.send(text("a"))
    peer.hang_up()


ENDS: dict[str, tuple[Callable[[Peer], object], type[Exception], CloseCause]] = {
    "a broken frame": (
        lambda peer: peer.send(text("a") + b"\xf1\x00"),
        ProtocolError,
        CloseCause.PROTOCOL_ERROR,
    ),
    "a message too big": (
        lambda peer: peer.send(text("a") + wire.encode(wire.BINARY, bytes(1001))),
        MessageTooBig,
        CloseCause.LIMIT,
    ),
    "a lost connection": (
        lose,
        ConnectionLost,
        CloseCause.NETWORK,
    ),
}


@with_plain_and_async_methods
@pytest.mark.parametrize(("end", "kind", "cause"), ENDS.values(), ids=ENDS)
async def test_an_end_that_is_an_error_is_told_before_the_end(
    flavour: Flavour,
    recorder: type[Recorder],
    peer: Peer,
    end: Callable[[Peer], object],
    kind: type[Exception],
    cause: CloseCause,
) -> None:
    listener = recorder(flavour.inbox())
    async with a_backend(flavour, request=basic_request.limit_message_size(1000)) as backend:
        await opened(flavour, backend, peer.url, listener)
        end(peer)
        assert [await listener.heard.get() for _ in range(2)] == ["open", Text("a")]
        assert type(await listener.heard.get()) is kind
        peer.hang_up()
        assert (await listener.heard.get()).cause is cause


async def test_a_close_with_an_error_code_is_an_end_and_no_error(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(wire.close(1011, "mine"))
        peer.hang_up()
        assert await listener.heard.get() == "open"
        assert (await listener.heard.get()).received == Close(1011, "mine")


async def test_an_exception_is_logged_where_nobody_is_told_of_it(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(Listener[Any]):
        def on_text(self, frame: Text) -> None:
            raise ZeroDivisionError("on purpose")

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Careless())
        peer.send(text("a"))
        assert (await flavour.call(ended_by, peer))[-1].payload[:2] == (1011).to_bytes(2, "big")
    (record,) = caplog.records
    assert record.getMessage() == "a method of Careless failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


@in_threads
async def test_a_method_that_gives_a_coroutine_where_nothing_awaits_it_has_failed(flavour: Flavour, peer: Peer) -> None:
    async def answer() -> None:
        raise AssertionError("it does not run")

    class Misled(Listener[Any]):
        def on_text(self, frame: Text) -> Any:
            return answer()

        def on_error(self, error: Exception) -> None:
            errors.put(error)

    errors = flavour.inbox()
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Misled())
        peer.send(text("a"))
        assert (await flavour.call(ended_by, peer))[-1].payload[:2] == (1011).to_bytes(2, "big")
        error = await errors.get()
    assert isinstance(error, InvalidHandler)
    assert "answer is async, which this flavour can't await" in str(error)
