"""Handlers via a backend: reading ahead, listening, piping; and closing the backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from polysocket import (
    Async,
    Backend,
    Binary,
    Buffer,
    BufferFull,
    Close,
    CloseInfo,
    DataFrame,
    Frame,
    Listener,
    PipeHandler,
    Pong,
    Text,
    WebSocket,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.effects import Event
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, Task, promise
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

LIMITS = basic_request.timeouts(open=5, close=5)


async def opened(
    flavour: Flavour, backend: Backend[Any], peer: Peer, handler: WebSocketHandler | Listener[Any]
) -> WebSocket[Async]:
    """Open a websocket via the backend, and return it with methods that a program can await."""
    response = await flavour.effect().unlift(backend.open_websocket(peer.url, handler))
    return await flavour.seen(response.result)


def piping(flavour: Flavour, backend: Backend[Any], peer: Peer, handler: PipeHandler) -> Task[CloseInfo]:
    """Run a pipe beside the body."""

    async def pipe() -> CloseInfo:
        response = await flavour.effect().unlift(backend.open_websocket(peer.url, handler))
        result: CloseInfo = response.result
        return result

    return flavour.spawn(pipe)


async def close(flavour: Flavour, backend: Backend[Any]) -> None:
    """Close the backend."""
    await flavour.effect().unlift(backend.close())


async def closed(flavour: Flavour, backend: Backend[Any], peer: Peer) -> list[Wire]:
    """Close the backend; return the frames that the peer receives."""
    closing = flavour.spawn(close, flavour, backend)
    frames = await flavour.call(peer.finish)
    await closing.result()
    return frames


# Reading ahead


@promise
async def test_reading_ahead_answers_pings_while_no_caller_receives(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=LIMITS)
    ws = await opened(flavour, backend, peer, WebSocketHandler(Buffer.unbounded()))
    peer.send(wire.encode(wire.PING, b"1") + wire.encode(wire.TEXT, "a") + wire.encode(wire.PING, b"2"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.PONG, b"2")]
    assert await ws.receive() == Text("a")
    assert await closed(flavour, backend, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert not ws.is_open


@promise
async def test_reading_ahead_ends_with_the_websocket(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=LIMITS)
    ws = await opened(flavour, backend, peer, WebSocketHandler(Buffer.bounded(4)))
    peer.send(wire.encode(wire.BINARY, b"a") + wire.close(1001))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
    peer.hang_up()
    assert [await ws.receive() for _ in range(2)] == [Binary(b"a"), Close(1001)]
    await close(flavour, backend)


@promise
async def test_a_full_buffer_ends_the_websocket_after_the_buffered_frames(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=LIMITS)
    ws = await opened(flavour, backend, peer, WebSocketHandler(Buffer.bounded(2)))
    peer.send(wire.encode(wire.TEXT, "a") * 3)
    assert (await flavour.call(peer.frame)).payload[:2] == (1008).to_bytes(2, "big")
    assert [await ws.receive_text() for _ in range(2)] == ["a", "a"]
    with pytest.raises(BufferFull):
        await ws.receive_text()
    peer.hang_up()
    await close(flavour, backend)


# Listening


class RecordingListener(Listener[Any]):
    """A listener that records its calls, and fails if it receives the text ``"fail"``."""

    def __init__(self, has_ended: Event) -> None:
        self.calls: list[object] = []
        self._has_ended = has_ended

    def on_text(self, frame: Text) -> None:
        self.calls.append(frame)
        if frame.payload == "fail":
            raise ZeroDivisionError("on purpose")

    def on_binary(self, frame: Binary) -> None:
        self.calls.append(frame)

    def on_pong(self, frame: Pong) -> None:
        self.calls.append(frame)

    def on_close(self, info: CloseInfo) -> None:
        self.calls.append("the end")
        self._has_ended.set()

    def on_error(self, error: Exception) -> None:
        self.calls.append(type(error))


@promise
async def test_a_listener_is_called_for_each_frame_in_order_and_last_for_the_end(flavour: Flavour, peer: Peer) -> None:
    backend, has_ended = flavour.backend(request=LIMITS), flavour.event()
    listener = RecordingListener(has_ended)
    ws = await opened(flavour, backend, peer, listener)
    frames = [
        wire.encode(wire.TEXT, "a", final=False),
        wire.encode(wire.PONG, b"p"),
        wire.encode(wire.CONTINUATION, "b"),
    ]
    peer.send(b"".join(frames) + wire.encode(wire.BINARY, b"c") + wire.encode(wire.PING, b"asked"))
    assert await flavour.call(peer.frame) == Wire(wire.PONG, b"asked")
    await ws.send_text("mine")
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"mine")
    peer.send(wire.close())
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.hang_up()
    await has_ended.wait()
    assert listener.calls == [Text("a", final=False), Pong(b"p"), Text("b"), Binary(b"c"), "the end"]
    await close(flavour, backend)


@promise
async def test_an_error_of_a_listener_goes_to_on_error_and_closes(flavour: Flavour, peer: Peer) -> None:
    backend, has_ended = flavour.backend(request=LIMITS), flavour.event()
    listener = RecordingListener(has_ended)
    await opened(flavour, backend, peer, listener)
    peer.send(wire.encode(wire.TEXT, "fail") + wire.encode(wire.TEXT, "dropped"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    await has_ended.wait()
    assert listener.calls == [Text("fail"), ZeroDivisionError, "the end"]
    await close(flavour, backend)


@promise
async def test_closing_the_backend_waits_for_its_listeners(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=LIMITS)
    listener = RecordingListener(flavour.event())
    await opened(flavour, backend, peer, listener)
    assert await closed(flavour, backend, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert listener.calls == ["the end"]


# Pipes


@promise
async def test_a_pipe_answers_messages_until_the_peer_closes(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=LIMITS)
    pipe = piping(flavour, backend, peer, PipeHandler(from_text_pipe(str.upper)))
    await flavour.call(lambda: peer.stream)
    peer.send(wire.encode(wire.TEXT, "a", final=False) + wire.encode(wire.CONTINUATION, "b"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"AB")
    peer.send(wire.close())
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.hang_up()
    assert (await pipe.result()).is_normal
    await close(flavour, backend)


@promise
async def test_a_stage_that_takes_nothing_ends_with_the_websocket(flavour: Flavour, peer: Peer) -> None:
    """A stage that waits for something else is interrupted. A blocking one ends when it yields its next frame."""
    never = flavour.event()

    async def waiting(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame, None]:
        yield Text("started")
        await never.wait()

    def yielding(incoming: Iterator[DataFrame]) -> Generator[Frame, None, None]:
        yield Text("started")
        while True:
            yield Pong(b"")

    backend = flavour.backend(request=LIMITS)
    handler = PipeHandler(waiting if flavour.effect().is_async else yielding)
    pipe = piping(flavour, backend, peer, handler)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"started")
    peer.send(wire.close())
    frame = await flavour.call(peer.frame)
    while frame.opcode == wire.PONG:
        frame = await flavour.call(peer.frame)
    assert frame.opcode == wire.CLOSE
    peer.hang_up()
    assert (await pipe.result()).is_normal
    await close(flavour, backend)
