"""Time limits of sends: the network has taken the whole frame, or it goes on being sent, or nothing was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from polysocket import Async, Binary, Close, InvalidRequest, Ping, SendTimeout, Text, WebSocket, WebSocketClosed
from polysocket.testing import inside
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.sending import HUGE
from polysocket.testing.contract.wire import Wire

SHORT = 0.05  # seconds, for sends that can't succeed

Send = Callable[[WebSocket[Async], float | None], Awaitable[None]]

SENDS: dict[str, Send] = {
    "send_text": lambda ws, timeout: ws.send_text("a", timeout=timeout),
    "send_binary": lambda ws, timeout: ws.send_binary(b"a", timeout=timeout),
    "send": lambda ws, timeout: ws.send(Text("a"), timeout=timeout),
    "a fragment": lambda ws, timeout: ws.send(Text("a", final=False), timeout=timeout),
    "a Ping": lambda ws, timeout: ws.send(Ping(b"a"), timeout=timeout),
    "a Close": lambda ws, timeout: ws.send(Close(1000), timeout=timeout),
    "pong": lambda ws, timeout: ws.pong(b"a", timeout=timeout),
}

every_send: pytest.MarkDecorator = pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)


async def block(ws: WebSocket[Async]) -> None:
    """Fill the network, so that the next send has to wait; the slow peer has to read one huge frame."""
    with pytest.raises(SendTimeout) as caught:
        await ws.send_binary(bytes(HUGE), timeout=SHORT)
    assert caught.value.is_pending


@every_transport
@promise
async def test_a_frame_that_was_begun_in_time_is_sent_whole_before_any_other(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        with pytest.raises(SendTimeout, match=rf"whole frame within {SHORT} seconds: the rest is sent later") as caught:
            await ws.send_binary(bytes(HUGE), timeout=SHORT)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.is_pending
        assert caught.value.timeout == SHORT
        assert ws.is_open
        sending = flavour.spawn(ws.send_text, "later")
        assert await flavour.call(slow_peer.frames, 2) == [Wire(wire.BINARY, bytes(HUGE)), Wire(wire.TEXT, b"later")]
        await sending.result()


@tcp_and_tls
@every_send
@promise
async def test_a_frame_that_was_not_begun_in_time_is_not_sent(flavour: Flavour, slow_peer: Peer, send: Send) -> None:
    async with connected(flavour, slow_peer) as ws:
        await block(ws)
        for timeout in (SHORT, 0):
            with pytest.raises(SendTimeout, match="nothing of it was sent") as caught:
                await send(ws, timeout)
            assert not caught.value.is_pending
        assert ws.is_open
        sending = flavour.spawn(ws.send_text, "last")
        assert await flavour.call(slow_peer.frames, 2) == [Wire(wire.BINARY, bytes(HUGE)), Wire(wire.TEXT, b"last")]
        await sending.result()


@promise
async def test_a_fragment_that_was_begun_in_time_can_be_continued(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        with pytest.raises(SendTimeout) as caught:
            await ws.send(Binary(bytes(HUGE), final=False), timeout=SHORT)
        assert caught.value.is_pending
        reading = flavour.spawn(flavour.call, slow_peer.frames, 2)
        await ws.send(Binary(b"end"), is_continuation=True)
        assert await reading.result() == [
            Wire(wire.BINARY, bytes(HUGE), final=False),
            Wire(wire.CONTINUATION, b"end"),
        ]


@promise
async def test_waiting_for_the_end_of_another_callers_message_is_limited(flavour: Flavour, peer: Peer) -> None:
    async def send_other() -> None:
        for _ in range(3):
            with pytest.raises(SendTimeout, match="nothing of it was sent") as caught:
                await ws.send_text("other", timeout=SHORT)
            assert not caught.value.is_pending
        await ws.pong(b"passes", timeout=SHORT)

    async with connected(flavour, peer) as ws:
        await ws.send(Text("one, ", final=False))
        await flavour.spawn(send_other).result()
        assert inside(ws).waiting_senders == 0
        await ws.send(Text("two"), is_continuation=True)
        assert [frame.payload for frame in await flavour.call(peer.frames, 3)] == [b"one, ", b"passes", b"two"]


@every_transport
@promise
async def test_a_send_that_need_not_wait_is_done_in_no_time(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for number in range(100):
            await ws.send_text(str(number), timeout=0)
        frames = await flavour.call(peer.frames, 100)
        assert [frame.payload for frame in frames] == [str(number).encode() for number in range(100)]


@every_send
@pytest.mark.parametrize("timeout", [None, 5, 0.5])
@promise
async def test_a_send_in_time_is_sent_once(flavour: Flavour, peer: Peer, send: Send, timeout: float | None) -> None:
    async with connected(flavour, peer) as ws:
        await send(ws, timeout)
        assert (await flavour.call(peer.frame)).opcode != wire.CONTINUATION


@every_send
@promise
async def test_a_time_limit_that_is_not_a_number_is_refused_and_nothing_is_sent(
    flavour: Flavour, peer: Peer, send: Send
) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(InvalidRequest, match="timeout is a number of seconds"):
            await send(ws, "abc")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ws.send_text("first")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"first")


@tcp_and_tls
@pytest.mark.parametrize("end", ["this side", "the peer"])
@promise
async def test_a_limited_send_that_waits_raises_if_the_websocket_ends(
    flavour: Flavour, slow_peer: Peer, end: str
) -> None:
    async def send() -> None:
        with pytest.raises(WebSocketClosed):
            await ws.send_text("a", timeout=60)

    async with connected(flavour, slow_peer, close_timeout=0.1) as ws:
        await block(ws)
        sending = flavour.spawn(send)
        await sending.waiting()
        if end == "the peer":
            slow_peer.reset()
        else:
            await ws.close()
        await sending.result()


@tcp_and_tls
@promise
async def test_closing_is_bounded_after_a_send_has_timed_out(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer, close_timeout=0.1) as ws:
        await block(ws)
        await ws.close()
        assert not ws.is_open
        with pytest.raises(WebSocketClosed):
            await ws.send_text("a", timeout=60)
