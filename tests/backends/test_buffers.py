"""Buffers: a websocket reads ahead up to a bound; at the bound it fails, or puts backpressure on the peer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Buffer,
    BufferFull,
    Close,
    CloseCause,
    ConcurrentReceive,
    ConnectionLost,
    ProtocolError,
    ReceiveTimeout,
    Side,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, Flavour, a_backend, opened
from tests.backends.peers import text

KIB = 1024
MIB = 1024 * KIB

FAIL = Buffer.bounded(3)
WAIT = Buffer.bounded(5, overflow="wait")
every_buffer = pytest.mark.parametrize("buffer", [Buffer.unbounded(), FAIL, WAIT], ids=["unbounded", "fail", "wait"])
in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)


async def all_is_read(flavour: Flavour, ws: WebSocket[Async], peer: Peer) -> None:
    """Wait until the websocket has read all that the peer sent before, by a Ping whose Pong comes last."""
    pinging = flavour.spawn(ws.ping, b"all")
    assert await flavour.call(peer.frame) == Wire(wire.PING, b"all")
    await flavour.call(peer.send, wire.encode(wire.PONG, b"all"))
    await pinging.result()


async def finished(flavour: Flavour, ws: WebSocket[Async], peer: Peer) -> None:
    """Close, and let the peer answer."""
    finishing = flavour.spawn(flavour.call, peer.finish)
    await ws.close()
    await finishing.result()


# Reading ahead


@every_buffer
async def test_frames_are_received_in_order(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(text("a") + wire.encode(wire.BINARY, b"b", final=False) + wire.encode(wire.CONTINUATION, b"c"))
        await all_is_read(flavour, ws, peer)
        frames = [await ws.receive() for _ in range(3)]
        assert frames == [Text("a"), Binary(b"b", final=False), Binary(b"c")]
        receiving = flavour.spawn(ws.receive_text)
        peer.send(text("d"))
        assert await receiving.result() == "d"
        await finished(flavour, ws, peer)


async def test_an_unbounded_buffer_takes_all_frames_while_no_caller_receives(flavour: Flavour, peer: Peer) -> None:
    frames = [wire.encode(wire.BINARY, bytes([number]) * 64 * KIB) for number in range(250)]
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(Buffer.unbounded()))
        await flavour.call(peer.send, b"".join(frames))
        await all_is_read(flavour, ws, peer)
        for number in range(250):
            assert (await ws.receive_binary())[-1] == number
        await finished(flavour, ws, peer)


@every_buffer
async def test_pings_are_answered_while_no_caller_receives(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        for payload in (b"1", b"2"):
            peer.send(text("a") + wire.encode(wire.PING, payload))
            assert await flavour.call(peer.frame) == Wire(wire.PONG, payload)
        assert [await ws.receive(), await ws.receive()] == [Text("a"), Text("a")]
        await finished(flavour, ws, peer)


@every_buffer
async def test_pings_that_arrive_with_the_servers_answer_are_answered(
    flavour: Flavour, new_peer: Callable[..., Peer], buffer: Buffer
) -> None:
    peer = new_peer(upgrading(trailing=text("a") + wire.encode(wire.PING, b"1")))
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=0.2)) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(wire.encode(wire.PING, b"2"))
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"2")
        assert await ws.receive() == Text("a")
        await finished(flavour, ws, peer)


@every_buffer
async def test_control_frames_take_no_room_in_the_buffer(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    controls = wire.encode(wire.PING, b"1") + wire.encode(wire.PONG, b"2")
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(controls * 3 + text("a") + controls * 3 + text("b"))
        for _ in range(6):
            assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        assert [await ws.receive(), await ws.receive()] == [Text("a"), Text("b")]
        await finished(flavour, ws, peer)


@every_buffer
async def test_one_caller_at_a_time_may_receive(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    results = flavour.inbox()

    async def receive() -> None:
        try:
            results.put(await ws.receive())
        except ConcurrentReceive as error:
            results.put(error)

    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        tasks = [flavour.spawn(receive), flavour.spawn(receive)]
        assert isinstance(await results.get(), ConcurrentReceive)
        peer.send(text("a"))
        assert await results.get() == Text("a")
        for task in tasks:
            await task.result()
        await finished(flavour, ws, peer)


@every_buffer
async def test_a_receive_that_times_out_loses_no_frame(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(wire.encode(wire.TEXT, "a", final=False))
        with pytest.raises(ReceiveTimeout):
            await ws.receive_text(timeout=0.02)
        peer.send(wire.encode(wire.CONTINUATION, "b"))
        assert await ws.receive_text() == "ab"
        await finished(flavour, ws, peer)


# The bound


async def test_a_buffer_may_be_full_again_and_again(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(FAIL))
        for _ in range(3):
            peer.send(text("a") * 3)
            await all_is_read(flavour, ws, peer)
            assert [await ws.receive_text() for _ in range(3)] == ["a"] * 3
        await finished(flavour, ws, peer)


async def has_overflowed(ws: WebSocket[Async], *frames: Text | Binary) -> None:
    """Check that the buffered frames are received first, then BufferFull again and again."""
    assert [await ws.receive() for _ in frames] == list(frames)
    with pytest.raises(BufferFull):
        await ws.receive()
    with pytest.raises(BufferFull) as caught:
        await ws.receive()
    info = caught.value.close_info
    assert (info.initiator, info.cause) == (Side.LOCAL, CloseCause.BUFFER_FULL)
    assert info.sent is not None
    assert info.sent.code == 1008
    with pytest.raises(BufferFull):
        await ws.send_text("a")


async def test_too_many_frames_fail_the_websocket_after_the_buffered_frames(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(FAIL))
        peer.send(text("a") + text("b") + text("c") + text("d") + text("e"))
        closing = await flavour.call(peer.frame)
        assert closing.opcode == wire.CLOSE
        assert closing.payload[:2] == b"\x03\xf0"
        peer.send(wire.close(1008))
        peer.hang_up()
        await has_overflowed(ws, Text("a"), Text("b"), Text("c"))


async def test_too_many_frames_may_arrive_with_the_servers_answer(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    peer = new_peer(upgrading(trailing=text("a") * 5))
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(FAIL))
        peer.hang_up()
        await has_overflowed(ws, *[Text("a")] * 3)


async def test_a_close_after_a_full_buffer_is_not_an_overflow(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(FAIL))
        peer.send(text("a") * 3 + wire.close(1001, "bye"))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
        peer.hang_up()
        assert [await ws.receive() for _ in range(4)] == [Text("a")] * 3 + [Close(1001, "bye")]


@pytest.mark.parametrize("count", [1, 4])
async def test_exactly_max_bytes_are_not_an_overflow(flavour: Flavour, peer: Peer, count: int) -> None:
    buffer = Buffer.bounded(10, max_bytes=400)
    frame = wire.encode(wire.BINARY, bytes(400 // count))
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(frame * count)
        await all_is_read(flavour, ws, peer)
        assert [await ws.receive() for _ in range(count)] == [Binary(bytes(400 // count))] * count
        await finished(flavour, ws, peer)


async def test_too_many_bytes_fail_the_websocket_after_the_buffered_frames(flavour: Flavour, peer: Peer) -> None:
    buffer = Buffer.bounded(10, max_bytes=400)
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(wire.encode(wire.BINARY, bytes(200)) * 2 + text("a"))
        closing = await flavour.call(peer.frame)
        assert closing.opcode == wire.CLOSE
        assert closing.payload[:2] == b"\x03\xf0"
        peer.send(wire.close(1008))
        peer.hang_up()
        await has_overflowed(ws, Binary(bytes(200)), Binary(bytes(200)))


def send_until_it_stalls(peer: Peer, frame: bytes) -> bytes:
    """Send the frame repeatedly until the socket buffers are full; return the unsent rest of the last one."""
    sock = peer.stream.socket
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
    sock.settimeout(0.2)
    try:
        for _ in range(64 * MIB // len(frame)):
            rest = frame
            while rest:
                try:
                    rest = rest[sock.send(rest) :]
                except TimeoutError:
                    return rest
    finally:
        sock.settimeout(10)
    raise AssertionError("64 MiB were sent without backpressure")


@pytest.mark.parametrize(
    "buffer",
    [WAIT, Buffer.bounded(1000, overflow="wait", max_bytes=200 * KIB)],
    ids=["by frames", "by bytes"],
)
async def test_wait_puts_backpressure_on_the_peer(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    payload = bytes(64 * KIB)
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        rest = await flavour.call(send_until_it_stalls, peer, wire.encode(wire.BINARY, payload))
        held = ws._session._connection.queue
        assert 3 < held.count < 10  # A bound in bytes is checked after each read, which may hold several frames.
        sending = flavour.spawn(flavour.call, peer.send, rest + wire.close())
        count = 0
        while isinstance(frame := await ws.receive(), Binary):
            assert frame.payload == payload
            count += 1
        assert count > 3
        assert frame == Close()
        await sending.result()
        peer.hang_up()


async def test_a_websocket_with_a_full_buffer_can_send_and_close(flavour: Flavour, peer: Peer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(WAIT))
        peer.send(text("a") * 10)
        await ws.send_text("b")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"b")
        await finished(flavour, ws, peer)
        assert ws.close_info is not None
        assert ws.close_info.is_normal


# The end


@every_buffer
async def test_frames_buffered_before_close_can_still_be_received(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(text("a") + text("b"))
        await all_is_read(flavour, ws, peer)
        await finished(flavour, ws, peer)
        assert [await ws.receive_text() for _ in range(2)] == ["a", "b"]
        assert await ws.receive() == Close(1000)
        with pytest.raises(WebSocketClosed):
            await ws.receive()


ENDS: dict[str, tuple[Callable[[Peer], object], Any]] = {
    "close": (lambda peer: peer.send(wire.close(4000)), WebSocketClosed),
    "broken frame": (lambda peer: peer.send(b"\xf1\x00"), ProtocolError),
    "loss": (lambda peer: peer.hang_up(), ConnectionLost),
}


@every_buffer
@pytest.mark.parametrize(("end", "kind"), ENDS.values(), ids=ENDS)
async def test_frames_buffered_before_the_end_are_received_first(
    flavour: Flavour, peer: Peer, buffer: Buffer, end: Callable[[Peer], object], kind: type[WebSocketClosed]
) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, peer.url, WebSocketHandler(buffer))
        peer.send(text("a") + text("b"))
        await all_is_read(flavour, ws, peer)
        end(peer)
        with pytest.raises(WebSocketClosed):
            await ws.ping()  # it ends with the websocket
        peer.hang_up()
        assert [await ws.receive_text() for _ in range(2)] == ["a", "b"]
        with pytest.raises(WebSocketClosed) as caught:
            await ws.receive_text()
        assert type(caught.value) is kind


@in_async_flavours
@every_buffer
async def test_reading_ahead_ends_if_the_owner_is_cancelled(flavour: Flavour, peer: Peer, buffer: Buffer) -> None:
    ready = flavour.inbox()

    async def own() -> None:
        async with a_backend(flavour) as backend:
            ready.put(await opened(flavour, backend, peer.url, WebSocketHandler(buffer)))
            await flavour.inbox().get()

    task = flavour.spawn(own)
    ws = await ready.get()
    finishing = flavour.spawn(flavour.call, peer.finish)
    task.cancel()
    await finishing.result()
    await flavour.nothing_left_to_do()
    assert not ws.is_open
