"""Listeners: errors are reported to on_error, or logged; none is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from polysocket import (
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
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import THREADS, Flavour, a_backend, opened
from tests.backends.listening import Recorder, calls_to_the_end, failing, with_plain_and_async_methods
from tests.backends.peers import read_to_close, text
from tests.backends.servers import Server

in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)

FRAMES = {
    "on_text": text("a"),
    "on_binary": wire.encode(wire.BINARY, b"a"),
    "on_ping": wire.encode(wire.PING),
    "on_pong": wire.encode(wire.PONG),
}


@with_plain_and_async_methods
@pytest.mark.parametrize("name", FRAMES)
async def test_an_exception_in_a_method_goes_to_on_error_and_closes_with_1011(
    flavour: Flavour, recorder: type[Recorder], name: str, peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, name, error)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(FRAMES[name])
        assert (await flavour.call(peer.finish))[-1] == Wire(wire.CLOSE, b"\x03\xf3")
        assert [await listener.calls.get() for _ in range(2)] == ["open", error]
        assert (await listener.calls.get()).sent == Close(1011)


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
        assert await listener.calls.get() is error
        assert (await listener.calls.get()).sent == Close(1011)


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
        assert [await listener.calls.get() for _ in range(2)] == ["open", error]


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
            assert await listener.calls.get() == "open"
            assert (await listener.calls.get()).sent == Close(1011)
    (record,) = caplog.records
    assert record.name == "polysocket"
    assert record.getMessage() == f"{recorder.__name__}.on_error failed"
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "RuntimeError('even worse')"


async def test_an_exception_is_logged_unless_on_error_is_overridden(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(Listener[Any]):
        def on_text(self, frame: Text) -> None:
            raise ZeroDivisionError("on purpose")

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Careless())
        peer.send(text("a"))
        assert (await flavour.call(read_to_close, peer))[-1].payload[:2] == (1011).to_bytes(2, "big")
    (record,) = caplog.records
    assert record.getMessage() == "a method of Careless failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_frames_after_an_exception_are_dropped(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    error = ZeroDivisionError("mine")
    failing(listener, "on_text", error)
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.BINARY, b"c"))
        await flavour.call(peer.finish)
        calls = await calls_to_the_end(listener)
    assert calls[:-1] == ["open", error]


@pytest.mark.parametrize("flavour", ["threaded"], indirect=True)
async def test_the_error_of_a_future_that_a_method_returns_goes_to_on_error(flavour: Flavour, peer: Peer) -> None:
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
        assert await listener.calls.get() == "open"
        assert isinstance(await listener.calls.get(), ZeroDivisionError)


@in_threads
async def test_a_coroutine_that_a_method_returns_is_an_error_in_a_blocking_flavour(
    flavour: Flavour, peer: Peer
) -> None:
    async def answer() -> None:
        raise AssertionError("must not run")

    class Misled(Listener[Any]):
        def on_text(self, frame: Text) -> Any:
            return answer()

        def on_error(self, error: Exception) -> None:
            errors.put(error)

    errors = flavour.inbox()
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Misled())
        peer.send(text("a"))
        assert (await flavour.call(read_to_close, peer))[-1].payload[:2] == (1011).to_bytes(2, "big")
        error = await errors.get()
    assert isinstance(error, InvalidHandler)
    assert "answer is async, which this flavour can't await" in str(error)


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
        calls = await calls_to_the_end(listener)
    assert calls[:-1] == ["open", closed.value]


# A method that sends after the Close


class Answering(Recorder):
    """A Recorder that answers each text, even after the Close."""

    def __init__(self, flavour: Flavour) -> None:
        super().__init__(flavour.inbox())
        self._flavour = flavour

    def on_text(self, frame: Text) -> object:
        self.record(frame)
        return self._flavour.finished(self.ws.send_text("an answer"))


async def test_a_method_that_answers_receives_all_frames_sent_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    # The WebSocketClosed of its own websocket is reported, but the remaining frames are delivered.
    peer = new_peer(upgrading(trailing=text("a") + text("b") + text("c") + wire.close()))
    listener = Answering(flavour)
    # The Close arrives in one piece with the server's answer, so it is read before the first method is called.
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert [frame.opcode for frame in await flavour.call(read_to_close, peer)] == [wire.CLOSE]
        calls = await calls_to_the_end(listener)
    assert [what for what in calls if not isinstance(what, WebSocketClosed)][:-1] == [
        "open",
        *(Text(payload) for payload in "abc"),
    ]
    assert [type(what) for what in calls if isinstance(what, Exception)] == [WebSocketClosed] * 3
    assert calls[-1] == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1000), Close(1000))


async def test_a_method_that_answers_receives_frames_while_the_program_closes(flavour: Flavour, peer: Peer) -> None:
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
        calls = await calls_to_the_end(listener)
    assert [what for what in calls if isinstance(what, Text)] == [Text("a"), Text("b")]
    assert [type(what) for what in calls if isinstance(what, Exception)] == [WebSocketClosed] * 2


# The end of the websocket


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
async def test_an_error_that_ends_the_websocket_goes_to_on_error_before_on_close(
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
        assert [await listener.calls.get() for _ in range(2)] == ["open", Text("a")]
        assert type(await listener.calls.get()) is kind
        peer.hang_up()
        assert (await listener.calls.get()).cause is cause


async def test_a_close_with_an_error_code_is_not_reported_as_an_error(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(wire.close(1011, "mine"))
        peer.hang_up()
        assert await listener.calls.get() == "open"
        assert (await listener.calls.get()).received == Close(1011, "mine")
