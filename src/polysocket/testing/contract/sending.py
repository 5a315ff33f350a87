"""Sending: frames are whole despite cancellation and concurrent callers, and fragments stay together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from polysocket import Async, Binary, Close, InvalidFrame, Ping, Text, WebSocket, WebSocketClosed
from polysocket.testing import inside
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, Task, connected, promise
from polysocket.testing.contract.places import Echo, Peer
from polysocket.testing.contract.wire import Wire

HUGE = 6 * 1024 * 1024  # bytes: more than the system buffers on loopback, so that a send waits within its frame


# Cancelled


@every_transport
@pytest.mark.parametrize("turns", [0, 1, 2, 30])
@promise
async def test_a_cancelled_send_has_sent_the_whole_frame_or_nothing(
    flavour: Flavour, slow_peer: Peer, turns: int
) -> None:
    huge = Binary(bytes(range(256)) * (HUGE // 256))
    async with connected(flavour, slow_peer) as ws:
        assert await flavour.interrupt(lambda: ws.send(huge), turns) is INTERRUPTED
        sending = flavour.spawn(ws.send_text, "later")
        frames = [await flavour.call(slow_peer.frame)]
        if frames == [Wire(wire.BINARY, huge.payload)]:
            frames = [await flavour.call(slow_peer.frame)]
        assert frames == [Wire(wire.TEXT, b"later")]
        await sending.result()


@tcp_and_tls
@promise
async def test_the_frame_of_a_cancelled_send_is_sent_while_another_caller_receives(
    flavour: Flavour, slow_peer: Peer
) -> None:
    async with connected(flavour, slow_peer) as ws:
        assert await flavour.interrupt(lambda: ws.send_binary(bytes(HUGE)), 30) is INTERRUPTED
        receiving = flavour.spawn(ws.receive)
        assert await flavour.call(slow_peer.frame) == Wire(wire.BINARY, bytes(HUGE))
        slow_peer.send(wire.encode(wire.TEXT, "thanks"))
        assert await receiving.result() == Text("thanks")


@tcp_and_tls
@promise
async def test_the_frame_of_a_cancelled_send_is_sent_if_another_caller_receives_already(
    flavour: Flavour, slow_peer: Peer
) -> None:
    async with connected(flavour, slow_peer) as ws:
        receiving = flavour.spawn(ws.receive)
        await receiving.waiting()
        assert await flavour.interrupt(lambda: ws.send_binary(bytes(HUGE)), 30) is INTERRUPTED
        assert await flavour.call(slow_peer.frame) == Wire(wire.BINARY, bytes(HUGE))
        slow_peer.send(wire.encode(wire.TEXT, "thanks"))
        assert await receiving.result() == Text("thanks")


@tcp_and_tls
@promise
async def test_a_send_cancelled_before_its_turn_has_sent_nothing(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        first = flavour.spawn(ws.send_binary, bytes(HUGE))
        await first.waiting()
        for frame in (Text("never"), Binary(bytes(HUGE)), Ping(b"never")):
            assert await flavour.interrupt(lambda frame=frame: ws.send(frame)) is INTERRUPTED  # type: ignore[misc]
        last = flavour.spawn(ws.send_text, "last")
        assert await flavour.call(slow_peer.frames, 2) == [Wire(wire.BINARY, bytes(HUGE)), Wire(wire.TEXT, b"last")]
        await first.result()
        await last.result()


@promise
async def test_a_send_cancelled_again_and_again_leaves_whole_frames(flavour: Flavour, slow_peer: Peer) -> None:
    """Each frame that was begun arrives whole, once, and in order."""
    async with connected(flavour, slow_peer) as ws:
        reading = flavour.spawn(flavour.call, _frames_until_end, slow_peer)
        done: set[int] = set()
        for number in range(60):
            payload = number.to_bytes(2, "big") * 60_000
            if await flavour.interrupt(lambda payload=payload: ws.send_binary(payload), number % 4) is not INTERRUPTED:  # type: ignore[misc]
                done.add(number)
        await ws.send_text("end")
        numbers = [int.from_bytes(frame.payload[:2], "big") for frame in await reading.result()]
        assert numbers == sorted(set(numbers))
        assert done <= set(numbers)


def _frames_until_end(peer: Peer) -> list[Wire]:
    frames: list[Wire] = []
    while (frame := peer.frame()) != Wire(wire.TEXT, b"end"):
        assert frame.payload == frame.payload[:2] * 60_000
        frames.append(frame)
    return frames


# Concurrent


@every_transport
@promise
async def test_frames_of_32_senders_do_not_interleave(flavour: Flavour, slow_deflating_peer: Peer) -> None:
    sizes = [1, 100, 5_000, 130_000]

    async def send_all(ws: WebSocket[Async], sender: int) -> None:
        for size in sizes:
            await ws.send_binary(bytes([sender]) * size)

    async with connected(flavour, slow_deflating_peer) as ws:
        tasks = [flavour.spawn(send_all, ws, sender) for sender in range(32)]
        messages = await flavour.call(_messages, slow_deflating_peer, 32 * len(sizes))
        for task in tasks:
            await task.result()
    by_sender: dict[int, list[int]] = {}
    for message in messages:
        assert message == message[:1] * len(message)
        by_sender.setdefault(message[0], []).append(len(message))
    assert by_sender == dict.fromkeys(range(32), sizes)


def _messages(peer: Peer, count: int) -> list[bytes]:
    """Return the next whole messages from the client, inflated."""
    messages = wire.Messages()
    while len(messages.whole) < count:
        messages.take(peer.frame())
    return messages.whole


@tcp_and_tls
@promise
async def test_fragments_of_one_message_stay_together_and_pings_may_be_between_them(
    flavour: Flavour, slow_deflating_peer: Peer
) -> None:
    async def send_fragments(ws: WebSocket[Async], sender: int) -> None:
        letter = chr(ord("a") + sender)
        await ws.send(Text(letter, final=False))
        await ws.send(Text(letter * 100_000, final=False), is_continuation=True)
        await ws.send(Ping(letter.encode()))
        await ws.send(Text(letter), is_continuation=True)

    async def send_whole(ws: WebSocket[Async], sender: int) -> None:
        for _ in range(3):
            await ws.send_text("whole")

    async with connected(flavour, slow_deflating_peer) as ws:
        tasks = [flavour.spawn(send_fragments if sender % 2 else send_whole, ws, sender) for sender in range(8)]
        messages = await flavour.call(_messages, slow_deflating_peer, 4 + 12)
        for task in tasks:
            await task.result()
    assert sorted(messages) == sorted([b"whole"] * 12 + [bytes([ord("a") + n]) * 100_002 for n in (1, 3, 5, 7)])


@promise
async def test_other_senders_wait_for_the_end_of_a_message_and_control_frames_do_not(
    flavour: Flavour, peer: Peer
) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one, ", final=False))
        other = flavour.spawn(ws.send_text, "other")
        await other.waiting()
        await flavour.spawn(ws.pong, b"passes").result()
        with pytest.raises(InvalidFrame, match="not finished yet"):
            await ws.send_text("mine, but no continuation")
        await ws.send(Text("two"), is_continuation=True)
        await other.result()
        assert await flavour.call(peer.frames, 4) == [
            Wire(wire.TEXT, b"one, ", final=False),
            Wire(wire.PONG, b"passes"),
            Wire(wire.CONTINUATION, b"two"),
            Wire(wire.TEXT, b"other"),
        ]


@promise
async def test_a_sender_that_waits_for_its_turn_may_be_cancelled(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one, ", final=False))

        async def wait_for_turn() -> None:
            await ws.send_text("never")

        waiting = flavour.spawn(flavour.interrupt, wait_for_turn)
        assert await waiting.result() is INTERRUPTED
        await ws.send(Text("two"), is_continuation=True)
        await ws.send_text("three")
        assert [frame.payload for frame in await flavour.call(peer.frames, 3)] == [b"one, ", b"two", b"three"]


@tcp_and_tls
@promise
async def test_some_tasks_may_send_while_another_receives(flavour: Flavour, echo: Echo) -> None:
    """Many tasks send, and large messages go in both directions at the same time."""
    sizes = [1, 1_000, 70_000]

    async def send_all(ws: WebSocket[Async], sender: int) -> None:
        for number in range(12):
            await ws.send_binary(bytes([sender, number]) * sizes[number % len(sizes)])

    async with connected(flavour, echo) as ws:
        senders = [flavour.spawn(send_all, ws, sender) for sender in range(4)]
        last = dict.fromkeys(range(4), -1)
        for _ in range(4 * 12):
            message = await ws.receive_binary()
            sender, number = message[:2]
            assert message == bytes([sender, number]) * sizes[number % len(sizes)]
            assert last[sender] + 1 == number
            last[sender] = number
        for task in senders:
            await task.result()


# While the websocket ends


async def waiting_sends(flavour: Flavour, send: Callable[[], Coroutine[Any, Any, None]]) -> list[Task[None]]:
    """Start three concurrent sends, and wait until each of them waits."""
    sending = [flavour.spawn(send) for _ in range(3)]
    for task in sending:
        await task.waiting()
    return sending


async def check_closed(sending: list[Task[None]], ws: WebSocket[Async]) -> list[WebSocketClosed]:
    """Check that the sends raise, and that the websocket has ended; return the errors of the sends."""
    errors: list[WebSocketClosed] = []
    for task in sending:
        with pytest.raises(WebSocketClosed) as caught:
            await task.result()
        errors.append(caught.value)
    with pytest.raises(WebSocketClosed):
        await ws.receive_text()
    assert not ws.is_open
    return errors


@tcp_and_tls
@promise
async def test_a_send_that_waits_raises_if_the_connection_is_lost(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        sending = await waiting_sends(flavour, lambda: ws.send_binary(bytes(HUGE)))
        slow_peer.reset()
        await check_closed(sending, ws)


@tcp_and_tls
@promise
async def test_a_send_that_waits_raises_if_this_side_closes(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer, close_timeout=0.1) as ws:
        sending = await waiting_sends(flavour, lambda: ws.send_binary(bytes(HUGE)))
        await ws.close(1000, "enough")
        for error in await check_closed(sending, ws):
            assert error.close_info == ws.close_info


@promise
async def test_senders_that_wait_for_their_turn_raise_if_the_peer_closes(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one", final=False))
        sending = await waiting_sends(flavour, lambda: ws.send_text("other"))
        peer.send(wire.close(1001))
        assert await ws.receive() == Close(1001)
        await check_closed(sending, ws)


@promise
async def test_senders_that_wait_for_their_turn_raise_if_this_side_sends_a_close(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one", final=False))
        sending = await waiting_sends(flavour, lambda: ws.send_text("other"))
        await ws.send(Close(1000))
        for task in sending:
            with pytest.raises(WebSocketClosed):
                await task.result()


@promise
async def test_senders_that_wait_for_their_turn_raise_if_the_connection_is_lost(flavour: Flavour, peer: Peer) -> None:
    """No caller receives. The sender whose message is open notices the lost connection."""
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one", final=False))
        sending = await waiting_sends(flavour, lambda: ws.send_text("other"))
        peer.reset()

        async def go_on() -> None:
            for _ in range(1000):
                await ws.send(Text("more", final=False), is_continuation=True)

        with pytest.raises(WebSocketClosed):
            await go_on()
        await check_closed(sending, ws)


@promise
async def test_a_frame_that_may_not_be_sent_is_refused_and_changes_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for frame, why in (
            (Ping(bytes(126)), "at most 125 bytes"),
            (Text("\ud800"), "UTF-8"),
            (Text(b"bytes"), "is a str"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            (Binary("text"), "is bytes"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        ):
            with pytest.raises(InvalidFrame, match=why):
                await ws.send(frame)
        with pytest.raises(InvalidFrame, match="no message to continue"):
            await ws.send(Text("x"), is_continuation=True)
        await ws.send(Text("x", final=False))
        with pytest.raises(InvalidFrame, match="can't be continued"):
            await ws.send(Binary(b"x"), is_continuation=True)
        await ws.send(Text("y"), is_continuation=True)
        assert [frame.payload for frame in await flavour.call(peer.frames, 2)] == [b"x", b"y"]


@promise
async def test_senders_that_are_cancelled_leak_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one", final=False))

        async def wait_in_vain() -> None:
            for _ in range(3):
                assert await flavour.interrupt(lambda: ws.send_text("other")) is INTERRUPTED

        await flavour.spawn(wait_in_vain).result()
        assert inside(ws).waiting_senders == 0


def test_the_system_buffers_less_than_a_huge_frame() -> None:
    """Check the assumption of the tests of cancelled sends."""
    left, right = socket.socketpair()
    with left, right:
        assert left.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < HUGE
