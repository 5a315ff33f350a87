"""What a backend does over the effect: reading ahead, listening, piping; and that it ends what it has opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from polysocket import (
    Async,
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
from polysocket._opening.transport import Transport
from polysocket.backend import SocketConnector
from polysocket.effects import Event
from polysocket.handlers.handler import Handler
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

LIMITS = basic_request.timeouts(open=5, close=5)


def new_opener(flavour: Flavour) -> SocketConnector:
    """What a backend is made of."""
    return SocketConnector(flavour.effect(), Transport(), LIMITS)


async def opened(opener: SocketConnector, peer: Peer, handler: Handler) -> WebSocket[Async]:
    response = await opener.open_websocket(peer.url, handler)
    ws: WebSocket[Any] = response.result
    return ws._for_programs()


async def close(flavour: Flavour, opener: SocketConnector, peer: Peer) -> list[Wire]:
    """Close the backend, as the peer sees it."""
    closing = flavour.spawn(opener.close)
    frames = await flavour.call(peer.finish)
    await closing.result()
    return frames


# Reading ahead


@promise
async def test_who_reads_ahead_answers_pings_while_nobody_receives(flavour: Flavour, peer: Peer) -> None:
    opener = new_opener(flavour)
    ws = await opened(opener, peer, WebSocketHandler(Buffer.unbounded()))
    peer.send(wire.encode(wire.PING, b"1") + wire.encode(wire.TEXT, "a") + wire.encode(wire.PING, b"2"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.PONG, b"2")]
    assert await ws.receive() == Text("a")
    assert await close(flavour, opener, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert not ws.is_open


@promise
async def test_who_reads_ahead_ends_with_the_websocket(flavour: Flavour, peer: Peer) -> None:
    opener = new_opener(flavour)
    ws = await opened(opener, peer, WebSocketHandler(Buffer.bounded(4)))
    peer.send(wire.encode(wire.BINARY, b"a") + wire.close(1001))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
    peer.hang_up()
    assert [await ws.receive() for _ in range(2)] == [Binary(b"a"), Close(1001)]
    await opener.close()


@promise
async def test_more_than_is_to_be_buffered_ends_the_websocket_behind_what_is(flavour: Flavour, peer: Peer) -> None:
    opener = new_opener(flavour)
    ws = await opened(opener, peer, WebSocketHandler(Buffer.bounded(2)))
    peer.send(wire.encode(wire.TEXT, "a") * 3)
    assert (await flavour.call(peer.frame)).payload[:2] == (1008).to_bytes(2, "big")
    assert [await ws.receive_text() for _ in range(2)] == ["a", "a"]
    with pytest.raises(BufferFull):
        await ws.receive_text()
    peer.hang_up()
    await opener.close()


# Listening


class Hears(Listener[Any]):
    """Keeps what it is told, and fails where it hears ``"fail"``."""

    def __init__(self, has_ended: Event) -> None:
        self.heard: list[object] = []
        self._has_ended = has_ended

    def on_text(self, frame: Text) -> None:
        self.heard.append(frame)
        if frame.payload == "fail":
            raise ZeroDivisionError("on purpose")

    def on_binary(self, frame: Binary) -> None:
        self.heard.append(frame)

    def on_pong(self, frame: Pong) -> None:
        self.heard.append(frame)

    def on_close(self, info: CloseInfo) -> None:
        self.heard.append("the end")
        self._has_ended.set()

    def on_error(self, error: Exception) -> None:
        self.heard.append(type(error))


@promise
async def test_a_listener_hears_each_frame_in_order_and_the_end_last(flavour: Flavour, peer: Peer) -> None:
    opener, has_ended = new_opener(flavour), flavour.event()
    listener = Hears(has_ended)
    ws = await opened(opener, peer, listener)
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
    assert listener.heard == [Text("a", final=False), Pong(b"p"), Text("b"), Binary(b"c"), "the end"]
    await opener.close()


@promise
async def test_a_listener_s_error_is_told_and_closes(flavour: Flavour, peer: Peer) -> None:
    opener, has_ended = new_opener(flavour), flavour.event()
    listener = Hears(has_ended)
    await opened(opener, peer, listener)
    peer.send(wire.encode(wire.TEXT, "fail") + wire.encode(wire.TEXT, "dropped"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    await has_ended.wait()
    assert listener.heard == [Text("fail"), ZeroDivisionError, "the end"]
    await opener.close()


@promise
async def test_closing_the_backend_waits_for_its_listeners(flavour: Flavour, peer: Peer) -> None:
    opener = new_opener(flavour)
    listener = Hears(flavour.event())
    await opened(opener, peer, listener)
    assert await close(flavour, opener, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert listener.heard == ["the end"]


# Pipes


@promise
async def test_a_pipe_answers_messages_until_the_other_side_closes(flavour: Flavour, peer: Peer) -> None:
    opener = new_opener(flavour)
    piping = flavour.spawn(opener.open_websocket, peer.url, PipeHandler(from_text_pipe(str.upper)))
    await flavour.call(lambda: peer.stream)
    peer.send(wire.encode(wire.TEXT, "a", final=False) + wire.encode(wire.CONTINUATION, "b"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"AB")
    peer.send(wire.close())
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.hang_up()
    assert (await piping.result()).result.is_normal
    await opener.close()


@promise
async def test_a_stage_that_ignores_the_end_is_ended_after_the_close_timeout(flavour: Flavour, peer: Peer) -> None:
    """An async stage is interrupted. A blocking stage, which can't be interrupted, is ended when it yields."""
    never = flavour.event()

    async def waits(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame, None]:
        yield Text("begun")
        await never.wait()

    def gives(incoming: Iterator[DataFrame]) -> Generator[Frame, None, None]:
        yield Text("begun")
        while True:
            yield Pong(b"")

    opener = SocketOpener(flavour.effect(), Transport(), basic_request.timeouts(open=5, close=0.2))
    handler = PipeHandler(waits if flavour.effect().is_async else gives)
    piping = flavour.spawn(opener.open_websocket, peer.url, handler)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    peer.send(wire.close())
    frame = await flavour.call(peer.frame)
    while frame.opcode == wire.PONG:
        frame = await flavour.call(peer.frame)
    assert frame.opcode == wire.CLOSE
    peer.hang_up()
    assert (await piping.result()).result.is_normal
    await opener.close()
