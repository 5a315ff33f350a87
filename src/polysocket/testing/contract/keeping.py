"""Nothing that has arrived is lost: frames before the peer's Close can be received after a close, or a failed send."""

from __future__ import annotations

import select
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest

from polysocket import (
    Async,
    Binary,
    Buffer,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    Listener,
    Ping,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
)
from polysocket.effects import Effect, Event
from polysocket.testing.contract import wire
from polysocket.testing.contract.closing import check_ended
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connect, connected, promise
from polysocket.testing.contract.handlers import LIMITS, close, opened
from polysocket.testing.contract.places import PATIENCE, Peer


async def frames_to_close(ws: WebSocket[Async]) -> list[object]:
    """Receive frames, up to the Close."""
    received: list[object] = []
    while not (received and isinstance(received[-1], Close)):
        received.append(await ws.receive())
    return received


async def iterated(ws: WebSocket[Async]) -> list[object]:
    """Iterate to the end."""
    return [message async for message in ws]


async def either(ws: WebSocket[Async]) -> list[object]:
    """Receive text messages, up to the Close, which is returned instead of the last."""
    received: list[object] = []
    while not (received and isinstance(received[-1], Close)):
        received.append(await ws.either_close(ws.receive_text))
    return received


async def call_close(ws: WebSocket[Async]) -> None:
    """Close by the method."""
    await ws.close()


async def block(ws: WebSocket[Async]) -> None:
    """Close at the end of a block."""
    async with ws:
        pass


MESSAGES: Final = wire.text("one") + wire.encode(wire.PING, b"p") + b"".join(wire.fragments(wire.TEXT, b"t", b"wo"))
RECEIVED: Final[dict[str, tuple[Callable[[WebSocket[Async]], Coroutine[Any, Any, list[object]]], list[object]]]] = {
    "receive": (
        frames_to_close,
        [Text("one"), Ping(b"p"), Text("t", final=False), Text("wo"), Text("three"), Close(1000)],
    ),
    "iteration": (iterated, ["one", "two", "three"]),
    "receive_text": (either, ["one", "two", "three", Close(1000)]),
}


@every_transport
@pytest.mark.parametrize("closer", [call_close, block], ids=["close", "block"])
@pytest.mark.parametrize(("receive", "received"), RECEIVED.values(), ids=RECEIVED)
@promise
async def test_frames_before_the_peers_close_can_be_received_after_close(
    flavour: Flavour,
    peer: Peer,
    closer: Callable[[WebSocket[Async]], Coroutine[Any, Any, None]],
    receive: Callable[[WebSocket[Async]], Coroutine[Any, Any, list[object]]],
    received: list[object],
) -> None:
    ws = await connect(flavour, peer, ping_interval=None)
    peer.send(MESSAGES)
    closing = flavour.spawn(closer, ws)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(wire.text("three") + wire.close())
    peer.hang_up()
    await closing.result()
    assert await receive(ws) == received
    assert ws.close_info is not None
    assert (ws.close_info.cause, ws.close_info.received) == (CloseCause.CLOSE, Close(1000))


@every_transport
@promise
async def test_close_keeps_what_fits_into_the_queue_and_finds_the_peers_close(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    size, count = 100_000, 100
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    messages = b"".join(wire.encode(wire.BINARY, bytes([number]) * size) for number in range(count))
    await flavour.call(peer.send, messages + wire.close(4003))
    peer.hang_up()
    await closing.result()
    *frames, end = await frames_to_close(ws)
    assert frames == [Binary(bytes([number]) * size) for number in range(len(frames))]
    assert 1024 * 1024 - size < len(frames) * size < 1024 * 1024 + 2 * size, "the queue holds about 1 MiB"
    assert end == Close(4003)


@every_transport
@promise
async def test_frames_that_came_before_a_close_timed_out_can_be_received(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=0.2)
    await flavour.call(peer.send, wire.text("one") + wire.text("two"))
    await ws.close()
    assert [await ws.receive_text(), await ws.receive_text()] == ["one", "two"]
    with pytest.raises(ConnectionLost) as caught:
        await ws.receive_text()
    assert caught.value.close_info.cause is CloseCause.TIMEOUT


@every_transport
@pytest.mark.parametrize("torn", [b"", wire.text("torn")[:3]], ids=["between frames", "in a frame"])
@promise
async def test_frames_before_a_connection_is_lost_can_be_received_after_close(
    flavour: Flavour, peer: Peer, torn: bytes
) -> None:
    ws = await connect(flavour, peer)
    await flavour.call(peer.send, wire.text("one") + wire.text("two") + torn)
    peer.hang_up()
    await ws.close()
    assert [await ws.receive_text(), await ws.receive_text()] == ["one", "two"]
    with pytest.raises(ConnectionLost):
        await ws.receive_text()


@pytest.mark.parametrize(
    ("buffer", "kept"),
    [(Buffer.unbounded(), 5), (Buffer.bounded(2), 2), (Buffer.bounded(2, overflow="wait"), 2)],
    ids=["unbounded", "fail", "wait"],
)
@promise
async def test_a_buffer_keeps_what_it_has_room_for_while_closing(
    flavour: Flavour, peer: Peer, buffer: Buffer, kept: int
) -> None:
    """A full buffer doesn't fail a websocket that is closing."""
    backend = flavour.backend(request=LIMITS)
    ws = await opened(flavour, backend, peer, WebSocketHandler(buffer))
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(b"".join(wire.text(str(number)) for number in range(5)) + wire.encode(wire.PING, b"p"))
    peer.send(wire.close())
    peer.hang_up()
    await closing.result()
    assert ws.close_info is not None
    assert ws.close_info.is_normal
    assert await iterated(ws) == [str(number) for number in range(kept)]
    await close(flavour, backend)


class SlowListener(Listener[Any]):
    """A listener that records what it is told, and doesn't return from its first method until it is told to go on."""

    def __init__(self, effect: Effect) -> None:
        self.calls: list[object] = []
        self.begun: Event = effect.event()
        self.go_on: Event = effect.event()
        self.has_ended: Event = effect.event()
        self._handle = effect.lift(self._handle_first)

    def on_text(self, frame: Text) -> object:
        self.calls.append(frame)
        return self._handle() if len(self.calls) == 1 else None

    def on_binary(self, frame: Binary) -> None:
        self.calls.append(len(frame.payload))

    def on_close(self, info: CloseInfo) -> None:
        self.calls.append(info.code)
        self.has_ended.set()

    async def _handle_first(self) -> None:
        self.begun.set()
        await self.go_on.wait()


@pytest.mark.parametrize("flood", [False, True], ids=["little", "more than the queue holds"])
@promise
async def test_a_listener_gets_the_frames_that_come_while_its_websocket_is_closed(
    flavour: Flavour, peer: Peer, flood: bool
) -> None:
    """The websocket is closed while a method runs, which takes longer than the closing."""
    listener = SlowListener(flavour.effect())
    backend = flavour.backend(request=LIMITS)
    ws = await opened(flavour, backend, peer, listener)
    peer.send(wire.text("first"))
    await listener.begun.wait()
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    more = wire.encode(wire.BINARY, bytes(100_000)) * (100 if flood else 1)
    await flavour.call(peer.send, wire.text("second") + more + wire.close(4003))
    peer.hang_up()
    await closing.result()
    listener.go_on.set()
    await listener.has_ended.wait()
    first, second, *rest, code = listener.calls
    assert (first, second, code) == (Text("first"), Text("second"), 4003)
    assert rest == [100_000] * len(rest)
    assert 9 < len(rest) < 13 if flood else len(rest) == 1
    await close(flavour, backend)


# After a failed send

MANY: Final = [f"{number}".ljust(1000) for number in range(100)]
"""Messages that fit into what systems receive for a program that does not read; a transport reads but a part ahead."""


class Stop(BaseException):
    """An error that is not an ``Exception``, as KeyboardInterrupt and SystemExit."""


async def repeat(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Call again and again, until the call raises."""
    while True:
        await call()


async def lose(flavour: Flavour, peer: Peer, ws: WebSocket[Async], ending: bytes, is_reset: bool = False) -> None:
    """Have the peer send ``MANY`` messages and an ending, and hang up; then send until the websocket is lost."""
    for messages, end in (
        (MANY[:70], b""),
        (MANY[70:], ending),
    ):  # At the second piece transports have stopped reading.
        await flavour.call(peer.send, b"".join(map(wire.text, messages)) + end)
    await flavour.call(peer.wait_until_acknowledged)
    if is_reset:  # The system sends a reset if something is unread.
        await ws.send_text("unread")
        await flavour.call(select.select, [peer.stream.socket], [], [], PATIENCE)
    peer.hang_up()
    with pytest.raises(WebSocketClosed):
        await repeat(lambda: ws.send_text("unread"))


@tcp_and_tls
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("ending", [wire.close(4003), b"", wire.text("torn")[:3]], ids=["Close", "no Close", "torn"])
@promise
async def test_what_arrived_before_a_failed_send_can_be_received(
    flavour: Flavour, peer: Peer, ending: bytes, is_reset: bool
) -> None:
    async with connected(flavour, peer, ping_interval=None) as ws:  # It reads nothing before.
        await lose(flavour, peer, ws, ending, is_reset)
        assert [await ws.receive_text() for _ in MANY] == MANY
        if ending == wire.close(4003):
            assert await ws.receive() == Close(4003)
        error = await check_ended(ws)
        assert isinstance(error, ConnectionLost) == (ending != wire.close(4003))


@tcp_and_tls
@promise
async def test_what_arrived_before_a_failed_send_can_be_received_after_close(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await lose(flavour, peer, ws, wire.close(4003))
        assert await ws.receive_text() == MANY[0]
        await ws.close()
        assert [await ws.receive_text() for _ in MANY[1:]] == MANY[1:]
        assert await ws.receive() == Close(4003)


@tcp_and_tls
@promise
async def test_a_websocket_with_a_failed_send_may_be_dropped(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    await lose(flavour, peer, ws, wire.close(4003))
    assert await ws.receive_text() == MANY[0]
    with pytest.raises(Stop):
        async with ws:
            raise Stop
    assert not ws.is_open
    with pytest.raises(WebSocketClosed):
        await repeat(ws.receive_text)
