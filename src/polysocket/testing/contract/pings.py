"""Pings and Pongs: the round-trip time, the automatic answers, and that neither blocks other callers."""

from __future__ import annotations

import time
from typing import Final

import pytest

from polysocket import (
    Async,
    Binary,
    ConnectionLost,
    Ping,
    Pong,
    ReceiveTimeout,
    SendTimeout,
    Text,
    WebSocket,
    WebSocketClosed,
)
from polysocket.testing import inside
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, Task, connected, promise
from polysocket.testing.contract.places import DEFLATE, Echo, Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire

own_socket: Final[pytest.MarkDecorator] = pytest.mark.parametrize("transport", ["tcp", "tls", "unix"], indirect=True)

MIB = 1024 * 1024
HELD_UP = 0.3  # seconds in which a peer reads nothing: more than any round trip on the loopback


def ping(payload: bytes) -> bytes:
    return wire.encode(wire.PING, payload)


def pong(payload: bytes) -> bytes:
    return wire.encode(wire.PONG, payload)


# Sent


@every_transport
@promise
async def test_ping_returns_the_seconds_of_the_round_trip(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        for payload in (None, b"", b"x" * 125):
            assert 0 < await ws.ping(payload, timeout=5) < 5


@promise
async def test_frames_that_come_before_the_pong_are_kept(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"mine")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"mine")
        peer.send(wire.text("a") + pong(b"other") + ping(b"yours") + wire.encode(wire.BINARY, b"b") + pong(b"mine"))
        await pinging.result()
        assert [await ws.receive() for _ in range(5)] == [
            Text("a"),
            Pong(b"other"),
            Ping(b"yours"),
            Binary(b"b"),
            Pong(b"mine"),
        ]
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"yours")


@tcp_and_tls
@pytest.mark.parametrize("first", ["ping", "receive"])
@promise
async def test_a_ping_and_a_receive_may_wait_at_the_same_time(flavour: Flavour, peer: Peer, first: str) -> None:
    async with connected(flavour, peer) as ws:
        for _ in range(5):
            if first == "ping":
                pinging = flavour.spawn(ws.ping, b"x")
                await pinging.waiting()
                receiving = flavour.spawn(ws.receive)
                await receiving.waiting()
            else:
                receiving = flavour.spawn(ws.receive)
                await receiving.waiting()
                pinging = flavour.spawn(ws.ping, b"x")
            assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
            peer.send(wire.text("a") + pong(b"x"))
            assert await receiving.result() == Text("a")
            assert await pinging.result() > 0
            assert await ws.receive() == Pong(b"x")


@pytest.mark.parametrize("first", ["ping", "receive"])
@promise
async def test_another_caller_reads_on_if_the_reader_is_cancelled(flavour: Flavour, peer: Peer, first: str) -> None:
    async def waiting_ping(ws: WebSocket[Async]) -> object:
        return await flavour.interrupt(lambda: ws.ping(b"never"))

    async def waiting_receive(ws: WebSocket[Async]) -> object:
        return await flavour.interrupt(ws.receive)

    async with connected(flavour, peer) as ws:
        if first == "ping":
            reading = flavour.spawn(waiting_ping, ws)
            going_on = flavour.spawn(ws.receive)
            assert await reading.result() is INTERRUPTED
            peer.send(wire.text("a"))
            assert await going_on.result() == Text("a")
        else:
            reading = flavour.spawn(waiting_receive, ws)
            pinging = flavour.spawn(ws.ping, b"x")
            assert await reading.result() is INTERRUPTED
            peer.send(pong(b"x"))
            assert await pinging.result() > 0


@promise
async def test_one_pong_answers_the_pings_before_it(flavour: Flavour, peer: Peer) -> None:
    """RFC 6455 §5.5.3: of several Pings, the peer may answer only the latest."""
    async with connected(flavour, peer) as ws:
        pings: list[Task[float]] = []
        for payload in (b"1", b"2", b"3"):
            pings.append(flavour.spawn(ws.ping, payload))
            assert await flavour.call(peer.frame) == Wire(wire.PING, payload)
        peer.send(pong(b"unasked") + pong(b"2"))
        for answered in pings[:2]:
            assert await answered.result() > 0
        peer.send(pong(b"3"))
        assert await pings[2].result() > 0


@promise
async def test_ping_times_out_if_the_peer_is_silent_and_the_late_pong_is_a_frame(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(ReceiveTimeout, match=r"no Pong was received within 0\.01 seconds"):
            await ws.ping(b"x", timeout=0.01)
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        peer.send(pong(b"x") + wire.text("a"))
        assert [await ws.receive(), await ws.receive()] == [Pong(b"x"), Text("a")]


@promise
async def test_a_ping_is_not_answered_by_an_earlier_pong(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(pong(b"x"))
        pinging = flavour.spawn(ws.ping, b"y")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"y")
        peer.send(pong(b"y"))
        await pinging.result()
        with pytest.raises(ReceiveTimeout):
            await ws.ping(b"x", timeout=0.01)


@pytest.mark.parametrize("end", ["close", "loss"])
@promise
async def test_ping_raises_if_the_websocket_ends(flavour: Flavour, peer: Peer, end: str) -> None:
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"x")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        if end == "close":
            peer.send(wire.text("a") + wire.close(1001))
        else:
            peer.send(wire.text("a"))
            peer.hang_up()
        with pytest.raises(WebSocketClosed) as caught:
            await pinging.result()
        assert caught.value.close_info.code == (1001 if end == "close" else 1006)
        assert await ws.receive() == Text("a")


@promise
async def test_a_ping_waits_while_the_queue_is_full_and_does_not_block_the_receiver(
    flavour: Flavour, peer: Peer
) -> None:
    """More than the queue holds has arrived in one piece. The receiver takes it, and the ping does not."""
    big = wire.encode(wire.BINARY, bytes(MIB))
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"x")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        receiving = flavour.spawn(ws.receive)
        await receiving.waiting()
        sending = flavour.spawn(flavour.call, peer.send, big + ping(b"y") + wire.text("a") + big + pong(b"x"))
        assert await receiving.result() == Binary(bytes(MIB))
        assert [await ws.receive(), await ws.receive(), await ws.receive()] == [
            Ping(b"y"),
            Text("a"),
            Binary(bytes(MIB)),
        ]
        await sending.result()
        assert await pinging.result() > 0


@pytest.mark.parametrize("size", [MIB, 3 * MIB])
@promise
async def test_a_ping_goes_on_after_the_frames_of_a_full_queue_are_taken(
    flavour: Flavour, peer: Peer, size: int
) -> None:
    async with connected(flavour, peer, max_message_size=None) as ws:
        pinging = flavour.spawn(ws.ping, b"x")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        await flavour.call(peer.send, pong(b"x") + wire.encode(wire.BINARY, bytes(size)))
        await pinging.result()
        pinging = flavour.spawn(ws.ping, b"y")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"y")
        assert [await ws.receive(), await ws.receive()] == [Pong(b"x"), Binary(bytes(size))]
        peer.send(wire.text("a") + ping(b"") + pong(b"y"))
        assert await pinging.result() > 0
        assert [await ws.receive() for _ in range(3)] == [Text("a"), Ping(b""), Pong(b"y")]


@promise
async def test_a_ping_that_waits_keeps_few_inflated_bytes(flavour: Flavour, place: Place) -> None:
    """Few bytes inflate to many. The inflated size of frames that no caller takes is bounded, too."""
    with Peer(place, upgrading(DEFLATE)) as peer:
        async with connected(flavour, peer) as ws:
            [bomb] = wire.fragments(wire.BINARY, bytes(MIB), compressed=True)
            pinging = flavour.spawn(ws.ping, b"x")
            assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
            await flavour.call(peer.send, bomb * 40 + pong(b"x"))
            with pytest.raises(ReceiveTimeout):
                await ws.ping(b"y", timeout=0.1)
            assert inside(ws).queued_frames <= 2
            for _ in range(40):
                assert await ws.receive() == Binary(bytes(MIB))
            assert await ws.receive() == Pong(b"x")
            assert await pinging.result() > 0


@promise
async def test_a_ping_that_waits_keeps_few_empty_frames(flavour: Flavour, peer: Peer) -> None:
    """An empty frame has two bytes on the wire, but is an object in memory. The number of objects is bounded, too."""
    count = 60_000
    async with connected(flavour, peer) as ws:
        pinging = flavour.spawn(ws.ping, b"x")
        assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
        sending = flavour.spawn(flavour.call, peer.send, wire.text("") * count + pong(b"x"))
        await pinging.waiting()
        kept = -1
        while inside(ws).queued_frames > kept:
            kept = inside(ws).queued_frames
            with pytest.raises(ReceiveTimeout):
                await ws.ping(b"y", timeout=0.1)
        assert kept <= count // 2
        for _ in range(count):
            assert await ws.receive() == Text("")
        assert await ws.receive() == Pong(b"x")
        await sending.result()
        assert await pinging.result() > 0


@promise
async def test_pings_that_time_out_leak_nothing(flavour: Flavour, peer: Peer) -> None:
    """One caller pings repeatedly while another receives from a silent peer."""
    async with connected(flavour, peer) as ws:
        receiving = flavour.spawn(ws.receive)
        await receiving.waiting()
        for _ in range(50):
            with pytest.raises(ReceiveTimeout):
                await ws.ping(timeout=0.0001)
        assert inside(ws).waiting_readers < 10
        peer.send(wire.text("a"))
        assert await receiving.result() == Text("a")


async def _fill(ws: WebSocket[Async], size: int) -> None:
    """Send messages until the network takes no more."""

    async def send_all() -> None:
        while True:
            await ws.send_binary(bytes(size), timeout=0.1)

    with pytest.raises(SendTimeout):
        await send_all()


@pytest.mark.parametrize("size", [50_000, 8 * MIB])
@promise
async def test_the_round_trip_of_a_ping_begins_when_it_is_sent(flavour: Flavour, slow_peer: Peer, size: int) -> None:
    """The network takes nothing more until the peer reads, so the Ping has to wait that long."""

    def read_until_ping() -> None:
        while slow_peer.frame() != Wire(wire.PING, b"x"):
            pass

    async with connected(flavour, slow_peer) as ws:
        await _fill(ws, size)
        began = time.monotonic()
        pinging = flavour.spawn(ws.ping, b"x")
        await pinging.waiting()
        await flavour.call(time.sleep, HELD_UP)
        await flavour.call(read_until_ping)
        slow_peer.send(pong(b"x"))
        assert 0 < await pinging.result() <= time.monotonic() - began - HELD_UP


@promise
async def test_a_pong_does_not_answer_a_ping_that_was_not_sent_yet(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        with pytest.raises(SendTimeout):
            await ws.send_binary(bytes(8 * MIB), timeout=0.1)
        pinging = flavour.spawn(ws.ping, b"x")
        await pinging.waiting()
        slow_peer.send(pong(b"x"))
        assert await ws.receive() == Pong(b"x")
        assert (await flavour.call(slow_peer.frame)).opcode == wire.BINARY
        assert await flavour.call(slow_peer.frame) == Wire(wire.PING, b"x")
        await flavour.call(time.sleep, HELD_UP)
        slow_peer.send(pong(b"x"))
        assert await pinging.result() >= HELD_UP


@tcp_and_tls
@promise
async def test_a_ping_that_could_not_be_sent_in_time_says_so(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        with pytest.raises(SendTimeout):
            await ws.send_binary(bytes(8 * MIB), timeout=0.1)
        with pytest.raises(
            ReceiveTimeout, match=r"no Pong was received within 0\.1 seconds: the Ping could not be sent"
        ):
            await ws.ping(b"x", timeout=0.1)
        sending = flavour.spawn(ws.send_text, "last")
        frames = await flavour.call(slow_peer.frames, 2)
        assert frames[1] == Wire(wire.TEXT, b"last")
        await sending.result()


# Received


@pytest.mark.parametrize(
    "way", ["receive", "receive_data_frame", "receive_text_frame", "receive_text", "receive_message", "iteration"]
)
@promise
async def test_pings_are_answered_while_receiving(flavour: Flavour, peer: Peer, way: str) -> None:
    async with connected(flavour, peer) as ws:
        messages = aiter(ws)

        async def receive() -> object:
            return await (anext(messages) if way == "iteration" else getattr(ws, way)())

        receiving = flavour.spawn(receive)
        peer.send(ping(b"1"))
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        if way == "receive":
            assert await receiving.result() == Ping(b"1")
            receiving = flavour.spawn(receive)
        one, two = wire.fragments(wire.TEXT, b"one", b"two")
        peer.send(one + ping(b"2"))
        if way not in ("receive_message", "receive_text", "iteration"):
            assert await receiving.result() == Text("one", final=False)
            receiving = flavour.spawn(receive)
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"2")
        peer.send(two)
        assert await receiving.result() is not None


@pytest.mark.parametrize("way", ["receive", "receive_data_frame", "receive_text", "receive_message"])
@promise
async def test_pings_are_not_answered_if_pong_on_ping_is_false(flavour: Flavour, peer: Peer, way: str) -> None:
    async with connected(flavour, peer, auto_pong=False) as ws:
        peer.send(ping(b"1") * 3 + wire.text("a"))
        for _ in range(4 if way == "receive" else 1):
            assert await getattr(ws, way)(pong_on_ping=False) is not None
        await ws.send_text("no Pong before this")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"no Pong before this")
        peer.send(ping(b"2") + wire.text("a"))
        assert await ws.receive_text() == "a"
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"2")


@own_socket
@promise
async def test_a_flood_of_pings_neither_blocks_receive_nor_fills_the_memory(flavour: Flavour, place: Place) -> None:
    """The peer reads nothing, then everything: the latest Ping is answered, and only whole Pongs were sent."""
    count = 6_000
    with Peer(place, receive_buffer=4096) as peer:
        async with connected(flavour, peer, sock=peer.client_socket(4096), unix_path=None) as ws:
            for flood in range(2):
                payloads = [f"{flood} {number}".encode().rjust(125) for number in range(count)]
                sending = flavour.spawn(flavour.call, peer.send, b"".join(map(ping, payloads)) + wire.text("done"))
                pings = [await ws.receive() for _ in range(count)]
                assert pings == [Ping(payload) for payload in payloads]
                assert await ws.receive() == Text("done")
                assert inside(ws).pending_bytes < 256 * 1024
                await sending.result()
                receiving = flavour.spawn(ws.receive)
                await receiving.waiting()
                pongs = [await flavour.call(peer.frame)]
                while pongs[-1] != Wire(wire.PONG, payloads[-1]):
                    pongs.append(await flavour.call(peer.frame))
                assert [frame.payload for frame in pongs] == sorted(frame.payload for frame in pongs)
                peer.send(wire.text("end"))
                assert await receiving.result() == Text("end")


@own_socket
@promise
async def test_a_pong_that_waits_for_room_is_sent_after_its_receive_has_timed_out(
    flavour: Flavour, place: Place
) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        async with connected(flavour, peer, compression=None, sock=peer.client_socket(4096), unix_path=None) as ws:
            assert await flavour.interrupt(lambda: ws.send_binary(bytes(8 * MIB))) is INTERRUPTED
            peer.send(ping(b"x"))
            with pytest.raises(ReceiveTimeout):
                await ws.receive_text(timeout=0.1)
            assert (await flavour.call(peer.frame)).opcode == wire.BINARY
            assert await flavour.call(peer.frame) == Wire(wire.PONG, b"x")


@own_socket
@promise
async def test_a_pong_that_waits_for_room_is_dropped_if_the_connection_is_lost(flavour: Flavour, place: Place) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        async with connected(flavour, peer, compression=None, sock=peer.client_socket(4096), unix_path=None) as ws:
            assert await flavour.interrupt(lambda: ws.send_binary(bytes(8 * MIB))) is INTERRUPTED
            peer.send(ping(b"x") + wire.text("a"))
            assert await ws.receive_text() == "a"
            peer.reset()
            with pytest.raises(ConnectionLost):
                await ws.receive_text()


@own_socket
@promise
async def test_two_sides_that_send_much_and_ping_do_not_wait_for_each_other(flavour: Flavour, place: Place) -> None:
    message = bytes(20_000)
    count = 150

    def send_all(peer: Peer) -> None:
        for number in range(count):
            peer.send(ping(str(number).encode()) + wire.encode(wire.BINARY, message))

    async def send(ws: WebSocket[Async]) -> None:
        for _ in range(count):
            await ws.send_binary(message)

    async def ping_often(ws: WebSocket[Async]) -> None:
        for number in range(20):
            await ws.send(Ping(str(number).encode()))

    def read_all(peer: Peer) -> dict[int, int]:
        seen: dict[int, int] = dict.fromkeys((wire.BINARY, wire.PING, wire.PONG), 0)
        last = b""
        while seen[wire.BINARY] < count or seen[wire.PING] < 20 or last != str(count - 1).encode():
            frame = peer.frame()
            seen[frame.opcode] += 1
            if frame.opcode == wire.PONG:
                last = frame.payload
        return seen

    with Peer(place, receive_buffer=4096) as peer:
        async with connected(flavour, peer, sock=peer.client_socket(4096), unix_path=None) as ws:
            tasks = [
                flavour.spawn(flavour.call, send_all, peer),
                flavour.spawn(send, ws),
                flavour.spawn(ping_often, ws),
            ]
            reading = flavour.spawn(flavour.call, read_all, peer)
            for _ in range(count):
                assert await ws.receive_binary() == message
            receiving = flavour.spawn(ws.receive)
            for task in tasks:
                await task.result()
            seen = await reading.result()
            assert seen[wire.BINARY] == count
            assert seen[wire.PONG] <= count
            peer.send(wire.text("end"))
            assert await receiving.result() == Text("end")
