"""Listeners: each frame is delivered once and in order, one call at a time, and the end last."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from polysocket import (
    Binary,
    Close,
    CloseCause,
    CloseInfo,
    ConcurrentReceive,
    ObservedBackend,
    Ping,
    Pong,
    Side,
    Text,
    WebSocket,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, THREADS, Flavour, a_backend, opened, seen
from tests.backends.listening import Recorder, calls_to_the_end, with_plain_and_async_methods
from tests.backends.peers import text
from tests.backends.recording import EndObserver

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)

CONVERSATION = (
    text("a", final=False)
    + wire.encode(wire.PING, b"1")
    + wire.encode(wire.CONTINUATION, "b")
    + wire.encode(wire.BINARY, b"c")
    + wire.encode(wire.PONG, b"2")
)
CALLS = ["open", Text("a", final=False), Ping(b"1"), Text("b"), Binary(b"c"), Pong(b"2")]


@with_plain_and_async_methods
async def test_a_listener_receives_each_frame_in_order_and_the_end_last(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        peer.send(CONVERSATION)
        assert [await listener.calls.get() for _ in range(6)] == CALLS
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        peer.send(wire.close(1001, "bye"))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
        peer.hang_up()
        info = await listener.calls.get()
        assert info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1001, "bye"), Close(1001))
        assert ws.close_info == info
    listener.calls.put("nothing more")
    assert await listener.calls.get() == "nothing more"


async def test_frames_that_arrive_with_the_servers_answer_are_delivered(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    peer = new_peer(upgrading(trailing=CONVERSATION))
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert [await listener.calls.get() for _ in range(6)] == CALLS
        peer.send(wire.close(1001, "bye"))
        peer.hang_up()
        assert (await listener.calls.get()).received == Close(1001, "bye")


@with_plain_and_async_methods
async def test_on_open_has_returned_before_open_websocket_returns(
    flavour: Flavour, recorder: type[Recorder], peer: Peer
) -> None:
    listener = recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(peer.url, listener)
        assert response.result is listener.ws
        assert await listener.calls.get() == "open"
        peer.hang_up()


async def test_opening_does_not_wait_for_the_first_frame_to_be_handled(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    # The frame arrives in one piece with the server's answer.
    peer = new_peer(upgrading(trailing=text("a")))
    go_on = flavour.inbox()
    is_open = threading.Event()

    class Slow(Recorder):
        def on_text(self, frame: Text) -> object:
            if flavour.is_async:
                return go_on.get()
            return self.record(is_open.wait(1))

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        is_open.set()
        go_on.put(None)
        assert await listener.calls.get() == "open"
        if not flavour.is_async:
            assert await listener.calls.get() is True
        peer.hang_up()


@in_threads
async def test_all_methods_but_on_open_are_called_in_one_thread(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        assert await listener.calls.get() == "open"
        listener.threads.clear()
        peer.send(CONVERSATION)
        peer.send(wire.close())
        peer.hang_up()
        await calls_to_the_end(listener)
    assert len(listener.threads) == 1


@in_threads
async def test_a_call_waits_for_the_call_before_in_threads(flavour: Flavour, peer: Peer) -> None:
    go_on = threading.Event()

    class Slow(Recorder):
        def on_text(self, frame: Text) -> object:
            self.record(f"{frame.payload} begins")
            go_on.wait(5)
            return self.record(f"{frame.payload} ends")

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.PING))
        assert [await listener.calls.get() for _ in range(2)] == ["open", "a begins"]
        go_on.set()
        assert [await listener.calls.get() for _ in range(4)] == ["a ends", "b begins", "b ends", Ping()]
        peer.hang_up()


@in_async_flavours
async def test_a_call_waits_for_the_call_before_in_tasks(flavour: Flavour, peer: Peer) -> None:
    go_on = flavour.inbox()

    class Slow(Recorder):
        async def on_text(self, frame: Text) -> None:
            self.record(f"{frame.payload} begins")
            await go_on.get()
            self.record(f"{frame.payload} ends")

    listener = Slow(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a") + text("b") + wire.encode(wire.PING))
        assert [await listener.calls.get() for _ in range(2)] == ["open", "a begins"]
        await flavour.nothing_left_to_do()
        for _ in range(2):
            go_on.put(None)
        assert [await listener.calls.get() for _ in range(4)] == ["a ends", "b begins", "b ends", Ping()]
        peer.hang_up()


@in_async_flavours
async def test_an_awaitable_that_a_plain_method_returns_is_awaited(flavour: Flavour, peer: Peer) -> None:
    async def later(listener: Recorder, frame: Text) -> None:
        listener.record(frame.payload)

    class Handing(Recorder):
        def on_text(self, frame: Text) -> Awaitable[None]:
            return later(self, frame)

    listener = Handing(flavour.inbox())
    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, listener)
        peer.send(text("a"))
        assert [await listener.calls.get() for _ in range(2)] == ["open", "a"]
        peer.hang_up()


async def test_only_the_listener_may_receive(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        with pytest.raises(ConcurrentReceive):
            await ws.receive(timeout=1)
        assert await listener.calls.get() == "open"
        peer.send(text("a"))
        assert await listener.calls.get() == Text("a")
        peer.hang_up()


async def test_a_ping_is_answered_before_on_ping(flavour: Flavour, peer: Peer) -> None:
    class Telling(Recorder):
        def on_ping(self, frame: Ping) -> object:
            return flavour.finished(self.ws.send_text("a Ping came"))

    async with a_backend(flavour) as backend:
        await opened(flavour, backend, peer.url, Telling(flavour.inbox()))
        peer.send(wire.encode(wire.PING, b"1"))
        assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.TEXT, b"a Ping came")]
        peer.hang_up()


# Sending and closing


async def test_methods_and_the_caller_may_send_and_close(flavour: Flavour, peer: Peer) -> None:
    class Answering(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            super().on_open(ws)
            return flavour.finished(ws.send_text("from on_open"))

        def on_text(self, frame: Text) -> object:
            return flavour.finished(self.ws.send_text(f"{frame.payload} from on_text"))

        def on_binary(self, frame: Binary) -> object:
            return flavour.finished(self.ws.close(4000, "from on_binary"))

    listener = Answering(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"from on_open")
        await ws.send_text("from outside")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"from outside")
        peer.send(text("a"))
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"a from on_text")
        peer.send(wire.encode(wire.BINARY, b"b"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x0f\xa0from on_binary")]
        assert await listener.calls.get() == "open"
        assert (await listener.calls.get()).sent == Close(4000, "from on_binary")


async def test_on_open_may_close(flavour: Flavour, peer: Peer) -> None:
    class Closing(Recorder):
        def on_open(self, ws: WebSocket[Any]) -> object:
            return flavour.finished(ws.close(4000, "no more"))

    listener = Closing(flavour.inbox())
    async with a_backend(flavour) as backend:
        finishing = flavour.spawn(flavour.call, peer.finish)
        ws = await opened(flavour, backend, peer.url, listener)
        assert not ws.is_open
        assert await finishing.result() == [Wire(wire.CLOSE, b"\x0f\xa0no more")]
        assert (await listener.calls.get()).sent == Close(4000, "no more")


async def test_a_listener_is_told_that_the_caller_has_closed(flavour: Flavour, peer: Peer) -> None:
    listener = Recorder(flavour.inbox())
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, listener)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await ws.close(4000, "enough")
        await finishing.result()
        assert await listener.calls.get() == "open"
        assert await listener.calls.get() == ws.close_info
        assert ws.close_info is not None
        assert ws.close_info.received == Close(4000, "enough")


async def test_a_method_that_closes_does_not_wait_for_frames_that_only_it_could_take(
    flavour: Flavour, peer: Peer
) -> None:
    # The peer may have sent more than fits in the queue before it reads the Close.
    class Closing(Recorder):
        def on_text(self, frame: Text) -> object:
            return flavour.finished(self.ws.close())

    def answer_late() -> None:
        assert peer.frame() == Wire(wire.CLOSE, b"\x03\xe8")
        peer.send(wire.encode(wire.BINARY, bytes(64 * 1024)) * 50 + wire.close())
        peer.hang_up()

    listener = Closing(flavour.inbox())
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=2)) as backend:
        await opened(flavour, backend, peer.url, listener)
        answering = flavour.spawn(flavour.call, answer_late)
        await flavour.call(peer.send, text("a"))
        info = (await calls_to_the_end(listener))[-1]
        await answering.result()
    assert info.cause is CloseCause.CLOSE
    assert info.received == Close(1000)


async def test_on_close_is_called_when_the_connection_has_ended(flavour: Flavour, peer: Peer) -> None:
    # The peer ends the connection after it has read the answer to its Close. An observer is told first.
    listener = Recorder(flavour.inbox())
    backend = ObservedBackend(flavour.backend(), EndObserver(lambda _: listener.calls.put("ended")))
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, listener)
        peer.send(wire.close())
        assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
        await flavour.nothing_left_to_do()
        peer.hang_up()
        assert [await listener.calls.get() for _ in range(2)] == ["open", "ended"]
        assert isinstance(await listener.calls.get(), CloseInfo)
