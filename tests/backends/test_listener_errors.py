"""Listeners: an error in a call, or of the connection, goes to on_error, and none to nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from polysocket import (
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    MessageTooBig,
    ProtocolError,
    Text,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, THREADS, Flavour, a_backend, opened
from tests.backends.listening import AsyncRecorder, Recorder, with_plain_and_async_methods

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


def text(payload: str, *, final: bool = True) -> bytes:
    return wire.encode(wire.TEXT, payload, final=final)


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


@pytest.mark.parametrize("flavour", [name for name in ASYNC if name != "trio"], indirect=True)
async def test_a_call_that_awaits_what_was_cancelled_does_not_leave_the_listener_deaf(
    flavour: Flavour, peer: Peer
) -> None:
    class Waiting(Recorder):
        async def on_text(self, frame: Text) -> None:
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

    listener = Waiting(flavour.inbox())
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.2)) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        peer.send(text("a"))
        finishing = flavour.spawn(flavour.call, peer.finish)
        assert await listener.heard.get() == "open"
        async with asyncio.timeout(2):
            heard = [await listener.heard.get()]
            while not isinstance(heard[-1], CloseInfo):
                heard.append(await listener.heard.get())
        await finishing.result()
        assert not ws.is_open


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
