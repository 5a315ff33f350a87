"""Many messages in one call: those that are here are received together, and a batch is sent with one write."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from polysocket import (
    Async,
    Close,
    ConcurrentReceive,
    ConnectionLost,
    InvalidFrame,
    InvalidRequest,
    ProtocolError,
    ReceiveTimeout,
    SendTimeout,
    Text,
    WebSocket,
    WebSocketClosed,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connected, promise
from polysocket.testing.contract.places import DEFLATE, Echo, Peer, Place, upgrading
from polysocket.testing.contract.receiving import pieces, script
from polysocket.testing.contract.send_timeouts import SHORT, block
from polysocket.testing.contract.sending import HUGE
from polysocket.testing.contract.wire import Wire

LARGE = [bytes([number]) * 100_000 for number in range(100)]  # together more than the system buffers on loopback


async def batches(ws: WebSocket[Async], count: int, most: int | None = None) -> list[list[str | bytes]]:
    """Receive batches until there are ``count`` messages."""
    received: list[list[str | bytes]] = []
    while sum(map(len, received)) < count:
        received.append(await ws.receive_many(max=most))
    return received


def texts(*payloads: str) -> bytes:
    """Return a text message for each payload."""
    return b"".join(map(wire.text, payloads))


# Receiving


@every_transport
@promise
async def test_messages_are_received_together_in_their_order(
    flavour: Flavour, deflating_peer: Peer, compressed: bool
) -> None:
    whole = script(compressed=compressed)
    async with connected(flavour, deflating_peer) as ws:
        deflating_peer.send(b"".join(whole.sent))
        received = await batches(ws, len(whole.messages))
        assert all(received)
        assert list(itertools.chain(*received)) == whole.messages
        assert await flavour.call(deflating_peer.frames, len(whole.pongs)) == whole.pongs


@promise
async def test_all_messages_that_are_here_are_in_one_batch(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(texts(*"abcde"))
        assert await ws.receive_message() == "a"
        assert await ws.receive_many() == ["b", "c", "d", "e"]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@promise
async def test_a_batch_has_at_most_max_messages(flavour: Flavour, peer: Peer, most: int) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(texts(*"abcdefgh"))
        assert await ws.receive_message() == "a"
        received = await batches(ws, 7, most)
        assert "".join(map(str, itertools.chain(*received))) == "bcdefgh"
        assert [len(batch) for batch in received[:-1]] == [most] * (len(received) - 1)
        assert 1 <= len(received[-1]) <= most


@promise
async def test_receive_many_waits_for_the_first_message(flavour: Flavour, peer: Peer) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    async with connected(flavour, peer) as ws:
        for timeout in (None, 60):
            receiving = flavour.spawn(functools.partial(ws.receive_many, timeout=timeout))
            await receiving.waiting()
            with pytest.raises(ConcurrentReceive):
                await ws.receive_many(max=1)
            peer.send(wire.encode(wire.PING, b"x") + one)
            assert await flavour.call(peer.frame) == Wire(wire.PONG, b"x")
            peer.send(two)
            assert await receiving.result() == ["one two"]


@tcp_and_tls
@pytest.mark.parametrize("end", ["close", "failure", "loss"])
@promise
async def test_the_end_is_raised_after_the_messages_before_it(flavour: Flavour, peer: Peer, end: str) -> None:
    last = {"close": wire.close(1001), "failure": wire.encode(0x3), "loss": b""}[end]
    expected = {"close": WebSocketClosed, "failure": ProtocolError, "loss": ConnectionLost}[end]
    async with connected(flavour, peer) as ws:
        peer.send(texts("a", "b") + wire.encode(wire.PONG) + last)
        if end == "loss":
            peer.hang_up()
        assert list(itertools.chain(*await batches(ws, 2))) == ["a", "b"]
        for _ in range(2):
            with pytest.raises(expected):
                await ws.receive_many()


@promise
async def test_the_close_after_a_batch_can_be_received(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(texts("a", "b") + wire.close(1000, "x"))
        assert list(itertools.chain(*await batches(ws, 2))) == ["a", "b"]
        assert await ws.receive() == Close(1000, "x")
        with pytest.raises(WebSocketClosed):
            await ws.receive_many()


@tcp_and_tls
@pytest.mark.parametrize("size", [1, 5, 61])
@promise
async def test_receive_many_may_be_cancelled_without_losing_a_message(
    flavour: Flavour, deflating_peer: Peer, compressed: bool, size: int
) -> None:
    whole = script(compressed=compressed)
    received: list[str | bytes] = []
    async with connected(flavour, deflating_peer) as ws:
        turns = itertools.cycle(range(7))
        for piece in pieces(deflating_peer, whole.sent, size):
            deflating_peer.send_raw(piece)
            batch = await flavour.interrupt(ws.receive_many, next(turns))
            received += [] if batch is INTERRUPTED else batch
        while len(received) < len(whole.messages):
            received += await ws.receive_many()
        assert received == whole.messages


@promise
async def test_receive_many_may_time_out_without_losing_a_message(flavour: Flavour, peer: Peer) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    async with connected(flavour, peer) as ws:
        peer.send(one)
        for timeout in (SHORT, 0):
            with pytest.raises(ReceiveTimeout, match="no message was received within"):
                await ws.receive_many(timeout=timeout)
        peer.send(two + texts("three"))
        received = await ws.receive_many(timeout=5)
        while len(received) < 2:
            received += await ws.receive_many(timeout=5)
        assert received == ["one two", "three"]


@promise
async def test_a_batch_a_message_and_iteration_take_turns(flavour: Flavour, peer: Peer) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    async with connected(flavour, peer) as ws:
        peer.send(texts(*"abcdefgh") + one)
        assert await ws.receive_message() == "a"
        assert await ws.receive_many(max=2) == ["b", "c"]
        async for message in ws:
            assert message == "d"
            break
        assert await ws.receive() == Text("e")
        assert await anext(aiter(ws)) == "f"
        assert await ws.receive_many() == ["g", "h"]
        assert await flavour.interrupt(ws.receive_many) is INTERRUPTED
        assert await ws.receive_data_frame() == Text("one ", final=False)
        peer.send(two + texts("i"))
        assert "".join(map(str, itertools.chain(*await batches(ws, 2)))) == "twoi"


@promise
async def test_a_batch_makes_room_for_more(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        sending = flavour.spawn(flavour.call, peer.send, wire.encode(wire.BINARY, bytes(1000)) * 5000)
        received = await batches(ws, 5000, 300)
        await sending.result()
        assert set(itertools.chain(*received)) == {bytes(1000)}
        assert sum(map(len, received)) == 5000


@pytest.mark.parametrize("most", [0, -1, 1.0, "1", True])
@promise
async def test_max_is_a_whole_number_of_at_least_1(flavour: Flavour, peer: Peer, most: Any) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(InvalidRequest, match="max is a whole number of messages, at least 1"):
            await ws.receive_many(max=most)


# Sending


@every_transport
@promise
async def test_messages_are_sent_together_in_their_order(flavour: Flavour, deflating_peer: Peer) -> None:
    messages: list[Any] = ["a", b"b", "", "ü" * 100, bytearray(b"c"), memoryview(b"d")]
    expected = [b"a", b"b", b"", "ü".encode() * 100, b"c", b"d"]
    received = wire.Messages()
    async with connected(flavour, deflating_peer) as ws:
        for timeout in (None, 5):
            await ws.send_many(messages, timeout=timeout)
            frames = await flavour.call(deflating_peer.frames, len(messages))
            assert [frame.opcode for frame in frames] == [wire.TEXT, wire.BINARY, *[wire.TEXT] * 2, *[wire.BINARY] * 2]
            for frame in frames:
                received.take(frame)
        await ws.send_many(number for number in ["e", "f"])
        for frame in await flavour.call(deflating_peer.frames, 2):
            received.take(frame)
    assert received.whole == [*expected, *expected, b"e", b"f"]


@promise
async def test_a_batch_may_be_left_uncompressed(flavour: Flavour, place: Place) -> None:
    with Peer(place, upgrading(DEFLATE)) as peer:
        async with connected(flavour, peer) as ws:
            await ws.send_many(["a", b"b"], compress=False)
            assert await flavour.call(peer.frames, 2) == [Wire(wire.TEXT, b"a"), Wire(wire.BINARY, b"b")]
            await ws.send_many(["a", "b"])
            assert all(frame.compressed for frame in await flavour.call(peer.frames, 2))


@every_transport
@promise
async def test_batches_of_any_size_are_echoed(flavour: Flavour, echo: Echo) -> None:
    messages = [str(number) for number in range(3000)]
    large = [bytes([number]) * 70_000 for number in range(20)]
    async with connected(flavour, echo) as ws:
        for sent in (messages, large):
            sending = flavour.spawn(ws.send_many, sent)
            received = await batches(ws, len(sent))
            await sending.result()
            assert list(itertools.chain(*received)) == sent


@pytest.mark.parametrize("wrong", [5, None, "\ud800", Text("a")], ids=["int", "none", "surrogate", "frame"])
@promise
async def test_if_one_message_may_not_be_sent_none_is(flavour: Flavour, deflating_peer: Peer, wrong: Any) -> None:
    async with connected(flavour, deflating_peer) as ws:
        with pytest.raises(InvalidFrame, match=r"^messages\[2\] can't be sent: "):
            await ws.send_many(["a", b"b", wrong, "c"])
        await ws.send_text("next", compress=False)
        assert await flavour.call(deflating_peer.frame) == Wire(wire.TEXT, b"next")


@promise
async def test_what_is_not_an_iterable_of_messages_is_refused(flavour: Flavour, peer: Peer) -> None:
    def failing() -> Iterator[str]:
        yield "a"
        raise LookupError("on purpose")

    wrongs: list[Any] = ["text", b"bytes", 5, None]
    async with connected(flavour, peer) as ws:
        for wrong in wrongs:
            with pytest.raises(TypeError, match="the messages are an iterable of str or bytes, not "):
                await ws.send_many(wrong)
        with pytest.raises(LookupError):
            await ws.send_many(failing())
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")


@promise
async def test_an_empty_batch_sends_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for timeout in (None, 5):
            await ws.send_many([], timeout=timeout)
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")
        peer.send(wire.close())
        with pytest.raises(WebSocketClosed):
            await ws.receive_many()
        for messages in ([], ["a"]):
            with pytest.raises(WebSocketClosed) as caught:
                await ws.send_many(messages)
            assert caught.value.messages_sent == 0


@tcp_and_tls
@promise
async def test_batches_of_concurrent_senders_do_not_interleave(flavour: Flavour, slow_deflating_peer: Peer) -> None:
    received = wire.Messages()

    def read_all() -> list[bytes]:
        while len(received.whole) < 8 * 10 * 20:
            received.take(slow_deflating_peer.frame())
        return received.whole

    async def send_all(ws: WebSocket[Async], sender: int) -> None:
        for _ in range(10):
            await ws.send_many([bytes([sender, number]) * 500 for number in range(20)])

    async with connected(flavour, slow_deflating_peer) as ws:
        tasks = [flavour.spawn(send_all, ws, sender) for sender in range(8)]
        whole = await flavour.call(read_all)
        for task in tasks:
            await task.result()
    for start in range(0, len(whole), 20):
        sender = whole[start][0]
        assert whole[start : start + 20] == [bytes([sender, number]) * 500 for number in range(20)]


@promise
async def test_a_batch_waits_for_the_end_of_another_callers_message(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Text("one, ", final=False))
        with pytest.raises(InvalidFrame, match="not finished yet"):
            await ws.send_many(["mine, but no continuation"])
        other = flavour.spawn(ws.send_many, ["a", "b"])
        await other.waiting()
        await ws.send(Text("two"), is_continuation=True)
        await other.result()
        assert [frame.payload for frame in await flavour.call(peer.frames, 4)] == [b"one, ", b"two", b"a", b"b"]


@tcp_and_tls
@pytest.mark.parametrize("turns", [0, 1, 2, 30])
@promise
async def test_a_cancelled_batch_has_sent_whole_messages_from_its_front(
    flavour: Flavour, slow_peer: Peer, turns: int
) -> None:
    async with connected(flavour, slow_peer) as ws:
        assert await flavour.interrupt(lambda: ws.send_many(LARGE), turns) is INTERRUPTED
        sending = flavour.spawn(ws.send_text, "later")
        sent: list[bytes] = []
        while (frame := await flavour.call(slow_peer.frame)) != Wire(wire.TEXT, b"later"):
            sent.append(frame.payload)
        await sending.result()
        assert len(sent) < len(LARGE)
        assert sent == LARGE[: len(sent)]


@tcp_and_tls
@promise
async def test_a_batch_that_times_out_says_how_many_messages_are_sent(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        with pytest.raises(SendTimeout, match=rf" of 100 messages were sent within {SHORT} seconds") as caught:
            await ws.send_many(LARGE, timeout=SHORT)
        count = caught.value.messages_sent
        assert count is not None
        assert 0 < count < len(LARGE)
        assert caught.value.timeout == SHORT
        sending = flavour.spawn(ws.send_text, "later")
        frames = await flavour.call(slow_peer.frames, count + 1)
        assert [frame.payload for frame in frames] == [*LARGE[:count], b"later"]
        await sending.result()


@promise
async def test_a_network_that_takes_all_at_once_does_not_defeat_the_time_limit(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(SendTimeout) as caught:
            await ws.send_many(LARGE[:6], timeout=0)  # in three writes
        count = caught.value.messages_sent
        assert count is not None
        assert count < 6
        frames = await flavour.call(peer.frames, count)
        assert [frame.payload for frame in frames] == LARGE[:count]


@tcp_and_tls
@promise
async def test_a_batch_that_was_not_begun_in_time_is_not_sent(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        await block(ws)
        for timeout in (SHORT, 0):
            with pytest.raises(SendTimeout, match=rf"^0 of 2 messages were sent within {timeout} seconds$") as caught:
                await ws.send_many(["never", b"never"], timeout=timeout)
            assert caught.value.messages_sent == 0
            assert not caught.value.is_pending
        sending = flavour.spawn(ws.send_text, "last")
        assert await flavour.call(slow_peer.frames, 2) == [Wire(wire.BINARY, bytes(HUGE)), Wire(wire.TEXT, b"last")]
        await sending.result()


@tcp_and_tls
@pytest.mark.parametrize("end", ["this side", "the peer"])
@promise
async def test_a_batch_that_the_end_interrupts_says_how_many_messages_were_sent(
    flavour: Flavour, slow_peer: Peer, end: str
) -> None:
    async def send() -> int | None:
        with pytest.raises(WebSocketClosed, match="messages were handed to the network before") as caught:
            await ws.send_many(LARGE)
        return caught.value.messages_sent

    async with connected(flavour, slow_peer, close_timeout=0.1) as ws:
        sending = flavour.spawn(send)
        await sending.waiting()
        if end == "the peer":
            slow_peer.reset()
        else:
            await ws.close()
        count = await sending.result()
        assert count is not None
        assert 0 < count < len(LARGE)
        with pytest.raises(WebSocketClosed) as caught:
            await ws.send_text("too late")
        assert caught.value.messages_sent is None
