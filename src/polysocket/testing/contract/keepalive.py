"""Keepalive: what happens while no caller waits, and that a dead peer is noticed."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from polysocket import (
    Async,
    Binary,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    InvalidRequest,
    Listener,
    Ping,
    PipeHandler,
    Pong,
    ReceiveTimeout,
    Text,
    WebSocket,
    basic_request,
    from_text_pipe,
)
from polysocket.effects import Event
from polysocket.testing import inside
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.pings import own_socket, ping, pong
from polysocket.testing.contract.places import Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire

MIB: Final = 1024 * 1024
MASKED_PONG_SIZE: Final = 7  # bytes, with a payload of one byte
OFTEN: Final = 0.05  # seconds between two Pings of a test
IMPATIENT: Final = basic_request.keepalive(interval=OFTEN, timeout=0.2)


async def until(flavour: Flavour, condition: Callable[[], object]) -> None:
    """Wait for what the background does: no caller is told of it."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it has not happened within 5 seconds"
        await flavour.call(time.sleep, 0.01)


async def answer_pings(flavour: Flavour, peer: Peer, count: int) -> None:
    for _ in range(count):
        frame = await flavour.call(peer.frame)
        assert frame.opcode == wire.PING
        peer.send(pong(frame.payload))


# Answering


@every_transport
@promise
async def test_pings_are_answered_once_while_no_caller_waits(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for payload in (b"1", b"2"):
            peer.send(ping(payload))
            assert await flavour.call(peer.frame) == Wire(wire.PONG, payload)
        peer.send(wire.text("a"))
        assert [await ws.receive() for _ in range(3)] == [Ping(b"1"), Ping(b"2"), Text("a")]
        await ws.send_text("no Pong before this")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"no Pong before this")


@promise
async def test_a_ping_that_comes_with_the_opening_handshake_is_answered(flavour: Flavour, place: Place) -> None:
    with Peer(place, upgrading(trailing=ping(b"early"))) as peer:
        async with connected(flavour, peer) as ws:
            assert await flavour.call(peer.frame) == Wire(wire.PONG, b"early")
            assert await ws.receive() == Ping(b"early")


@every_transport
@promise
async def test_frames_that_were_read_while_no_caller_waited_are_received_in_order(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + ping(b"1") + wire.encode(wire.BINARY, b"b") + pong(b"2"))
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        peer.send(wire.text("c"))
        assert [await ws.receive() for _ in range(5)] == [Text("a"), Ping(b"1"), Binary(b"b"), Pong(b"2"), Text("c")]


@promise
async def test_only_the_latest_control_frames_wait_for_a_caller(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for batch in range(4):
            peer.send(b"".join(ping(f"{batch} {number}".encode()) for number in range(10)) + wire.text(str(batch)))
            last = Wire(wire.PONG, f"{batch} 9".encode())
            while await flavour.call(peer.frame) != last:
                pass
        await until(flavour, lambda: inside(ws).queued_frames <= 16 + 4)
        assert [await ws.receive_text() for _ in range(4)] == ["0", "1", "2", "3"]


@promise
async def test_pings_are_not_answered_by_themselves_without_auto_pong(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, auto_pong=False) as ws:
        peer.send(ping(b"1") + ping(b"2") + wire.text("a"))
        await until(flavour, lambda: inside(ws).queued_frames == 3)
        assert await ws.receive(pong_on_ping=False) == Ping(b"1")
        await ws.send_text("no Pong before this")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"no Pong before this")
        assert await ws.receive_text() == "a"
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"2")


@pytest.mark.parametrize(
    "way", ["receive", "receive_data_frame", "receive_text", "receive_binary", "receive_message", "receive_json"]
)
@promise
async def test_pong_on_ping_is_refused_if_pings_are_answered_by_themselves(
    flavour: Flavour, peer: Peer, way: str
) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(InvalidRequest, match="auto_pong=False"):
            await getattr(ws, way)(pong_on_ping=False)


# Noticing


@every_transport
@promise
async def test_the_peers_close_is_answered_while_no_caller_waits(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + wire.close(1001))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, (1001).to_bytes(2, "big"))
        assert not ws.is_open
        assert ws.close_info is not None
        assert ws.close_info.code == 1001
        assert await ws.receive_text() == "a"


@every_transport
@promise
async def test_a_closed_connection_ends_with_the_peer_if_no_caller_ends_it(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + wire.close(1001))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, (1001).to_bytes(2, "big"))
        peer.end_sending()
        assert await flavour.call(peer.rest) == []
        assert ws.close_info is not None
        assert ws.close_info.code == 1001
        assert await ws.receive_text() == "a"


@promise
async def test_a_closed_connection_that_neither_side_ends_is_dropped_after_the_close_timeout(
    flavour: Flavour, peer: Peer
) -> None:
    async with connected(flavour, peer, close_timeout=0.5):
        peer.send(wire.close(1001))
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, (1001).to_bytes(2, "big"))
        assert await flavour.call(peer.rest) == []


@every_transport
@promise
async def test_the_end_of_the_connection_is_noticed_while_no_caller_waits(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.hang_up()
        await until(flavour, lambda: not ws.is_open)
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.NETWORK
        with pytest.raises(ConnectionLost):
            await ws.send_text("a")


# Pings of keepalive


@every_transport
@promise
async def test_a_ping_is_sent_at_each_interval_and_its_pong_is_received_by_no_caller(
    flavour: Flavour, peer: Peer
) -> None:
    async with connected(flavour, peer, ping_interval=OFTEN) as ws:
        assert ws.latency is None
        await answer_pings(flavour, peer, 3)
        await until(flavour, lambda: ws.latency is not None)
        assert ws.latency is not None
        assert 0 < ws.latency < 5
        peer.send(wire.text("a"))
        assert await ws.receive() == Text("a")
        receiving = flavour.spawn(ws.receive)
        await answer_pings(flavour, peer, 3)
        peer.send(wire.text("b"))
        assert await receiving.result() == Text("b")


@promise
async def test_pings_of_the_user_have_their_pongs_received(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"mine")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"mine")
        peer.send(pong(b"mine"))
        assert await pinging.result() == ws.latency
        assert await ws.receive() == Pong(b"mine")


@promise
async def test_nothing_is_sent_or_answered_by_itself_if_keepalive_is_off(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, ping_interval=None) as ws:
        peer.send(ping(b"1") + wire.text("a"))
        await ws.send_text("no Pong before this")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"no Pong before this")
        assert await ws.receive_text() == "a"
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")


# A dead peer


async def iterate(ws: WebSocket[Async]) -> object:
    return [message async for message in ws]


async def send_much(ws: WebSocket[Async]) -> object:
    while True:
        await ws.send_binary(bytes(MIB))


async def send_little(ws: WebSocket[Async]) -> None:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        await ws.send_text("a")
        await ws.effect.sleep(0.002)


async def receive_in_short_waits(ws: WebSocket[Async]) -> object:
    while True:
        with contextlib.suppress(ReceiveTimeout):
            return await ws.receive(timeout=0.01)


WAYS: Final[dict[str, Callable[[WebSocket[Async]], Awaitable[object]]]] = {
    "receive": lambda ws: ws.receive(),
    "receive in short waits": receive_in_short_waits,
    "iterate": iterate,
    "ping": lambda ws: ws.ping(),
    "send": send_much,
}


@own_socket
@pytest.mark.parametrize("way", WAYS)
@promise
async def test_a_dead_peer_ends_what_waits_for_it(flavour: Flavour, place: Place, way: str) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        sock = peer.client_socket(4096)
        async with connected(
            flavour, peer, sock=sock, unix_path=None, ping_interval=OFTEN, ping_timeout=0.2, compression=None
        ) as ws:
            with pytest.raises(ConnectionLost) as caught:
                await WAYS[way](ws)
            assert caught.value.close_info.cause is CloseCause.KEEPALIVE
            assert ws.close_info == caught.value.close_info
            assert not ws.is_open
            assert "0.2 seconds" in str(caught.value)


@promise
async def test_a_dead_peer_is_noticed_while_no_caller_waits(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=0.2) as ws:
        peer.send(wire.text("a"))
        await until(flavour, lambda: not ws.is_open)
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.KEEPALIVE
        assert await ws.receive_text() == "a"
        for use in (ws.receive_text, lambda: ws.send_text("b"), ws.ping):
            with pytest.raises(ConnectionLost, match="keepalive"):
                await use()


class Ending(Listener[Any]):
    """A listener that keeps how its websocket ended."""

    def __init__(self, has_ended: Event) -> None:
        self.info: CloseInfo | None = None
        self._has_ended = has_ended

    def on_close(self, info: CloseInfo) -> None:
        self.info = info
        self._has_ended.set()


@promise
async def test_a_dead_peer_ends_a_listener(flavour: Flavour, peer: Peer) -> None:
    backend, has_ended = flavour.backend(request=IMPATIENT), flavour.event()
    listener = Ending(has_ended)
    await flavour.effect().unlift(backend.open_websocket(peer.url, listener))
    await has_ended.wait()
    assert listener.info is not None
    assert listener.info.cause is CloseCause.KEEPALIVE
    await flavour.effect().unlift(backend.close())


@promise
async def test_a_dead_peer_ends_a_pipe(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=IMPATIENT)
    with pytest.raises(ConnectionLost) as caught:
        await flavour.effect().unlift(backend.open_websocket(peer.url, PipeHandler(from_text_pipe(lambda text: text))))
    assert caught.value.close_info.cause is CloseCause.KEEPALIVE
    await flavour.effect().unlift(backend.close())


@promise
async def test_a_peer_is_not_judged_without_a_ping_timeout(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=None) as ws:
        pings = await flavour.call(peer.frames, 8)
        assert {frame.opcode for frame in pings} == {wire.PING}
        assert ws.is_open


@every_transport
@promise
async def test_any_byte_is_a_sign_of_life(flavour: Flavour, peer: Peer) -> None:
    """The peer answers no Ping, and sends a large message slowly: parts of a frame count."""
    async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=0.3) as ws:
        receiving = flavour.spawn(ws.receive_binary)
        message = wire.encode(wire.BINARY, bytes(50))
        for part in range(0, len(message), 4):
            await flavour.call(peer.frame)
            peer.send(message[part : part + 4])
        assert await receiving.result() == bytes(50)


@own_socket
@promise
async def test_progress_of_a_send_is_a_sign_of_life(flavour: Flavour, place: Place) -> None:
    """The peer sends nothing, and reads a large message slowly."""
    with Peer(place, receive_buffer=4096) as peer:
        sock = peer.client_socket(4096)
        async with connected(
            flavour, peer, sock=sock, unix_path=None, ping_interval=OFTEN, ping_timeout=0.5, compression=None
        ) as ws:
            sending = flavour.spawn(ws.send_binary, bytes(MIB))
            began, received = time.monotonic(), 0
            while received < MIB:
                received += len(await flavour.call(peer.stream.receive))
                if time.monotonic() < began + 2:
                    await flavour.call(time.sleep, 0.05)  # The peer is slow.
            await sending.result()
            assert ws.is_open


@tcp_and_tls
@promise
async def test_reading_what_the_system_has_taken_is_a_sign_of_life(flavour: Flavour, place: Place) -> None:
    """The system takes a message at once. The peer sends nothing, and reads slowly but steadily."""
    seconds = 1.2
    with Peer(place, receive_buffer=32 * 1024) as peer:
        async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=0.4, compression=None) as ws:
            sending = flavour.spawn(ws.send_binary, bytes(MIB))
            began, received = time.monotonic(), 0
            while received < MIB:
                received += len(await flavour.call(peer.stream.receive))
                due = began + seconds * received / MIB
                await flavour.call(time.sleep, max(due - time.monotonic(), 0))
            assert ws.is_open
            await sending.result()


@own_socket
@promise
async def test_a_dead_peer_is_noticed_although_its_system_takes_what_is_sent(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=0.3) as ws:
        with pytest.raises(ConnectionLost) as caught:
            await send_little(ws)
        assert caught.value.close_info.cause is CloseCause.KEEPALIVE


@own_socket
@promise
async def test_a_peer_that_takes_no_ping_is_said_to_take_nothing(flavour: Flavour, place: Place) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        sock = peer.client_socket(4096)
        async with connected(
            flavour, peer, sock=sock, unix_path=None, ping_interval=1, ping_timeout=0.2, compression=None
        ) as ws:
            with pytest.raises(ConnectionLost, match=r"took nothing for 0\.2 seconds, not even a Ping"):
                await send_much(ws)


@promise
async def test_nothing_is_read_and_no_peer_judged_while_the_queue_is_full(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, ping_interval=OFTEN, ping_timeout=0.1, compression=None) as ws:
        sending = flavour.spawn(flavour.call, peer.send, wire.encode(wire.BINARY, bytes(MIB // 2)) * 20)
        await until(flavour, lambda: inside(ws).queued_frames >= 2)
        frames = await flavour.call(peer.frames, 8)
        assert {frame.opcode for frame in frames} == {wire.PING}
        assert ws.is_open
        assert inside(ws).queued_frames <= 3
        for _ in range(20):
            assert len(await ws.receive_binary()) == MIB // 2
        await sending.result()
        assert ws.is_open


@every_transport
@promise
async def test_reading_goes_on_once_the_queue_has_room(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, compression=None) as ws:
        large = wire.encode(wire.BINARY, bytes(MIB // 2))
        sending = flavour.spawn(flavour.call, peer.send, large * 3 + ping(b"1"))
        await until(flavour, lambda: inside(ws).queued_frames >= 2)
        for _ in range(2):
            assert len(await ws.receive_binary()) == MIB // 2
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        await sending.result()


def fill(sock: socket.socket) -> int:
    """Send until the system takes nothing more; return the number of bytes."""
    sent = 0
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += sock.send(bytes(1024))
        time.sleep(0.01)  # seconds, for the peer's system
    return sent


@pytest.mark.parametrize("transport", ["tcp", "unix"], indirect=True)
@promise
async def test_a_pong_that_waits_for_room_is_sent_while_no_caller_waits(flavour: Flavour, place: Place) -> None:
    """The system has no room, and no caller of the websocket has filled it, who would wait for room."""
    with Peer(place, receive_buffer=4096) as peer:
        sock = peer.client_socket(4096)
        with sock.dup() as copy:
            async with connected(flavour, peer, sock=sock, unix_path=None, close_timeout=0.1) as ws:
                due = await flavour.call(fill, copy) + MASKED_PONG_SIZE
                peer.send(ping(b"1"))
                await until(flavour, lambda: inside(ws).queued_frames == 1)
                while due > 0:
                    due -= len(await flavour.call(peer.stream.receive))


@every_transport
@promise
async def test_what_a_caller_has_left_behind_is_decoded(flavour: Flavour, peer: Peer) -> None:
    """Of many frames that arrive at once, a caller decodes only a part."""
    async with connected(flavour, peer) as ws:
        receiving = flavour.spawn(ws.receive_text)
        await receiving.waiting()
        peer.send(wire.text("a") * 700 + ping(b"1"))
        assert await receiving.result() == "a"
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
