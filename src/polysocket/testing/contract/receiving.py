"""The ``receive`` methods: no frame is lost or received twice, the order is kept, one caller at a time receives."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    ConcurrentReceive,
    Frame,
    Ping,
    Pong,
    ReceiveTimeout,
    Text,
    UnexpectedFrame,
    WebSocket,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connected, promise
from polysocket.testing.contract.places import Echo, Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire

T = TypeVar("T")


class Script(NamedTuple):
    """The bytes that a peer sends, and the frames that the client must receive."""

    sent: list[bytes]
    frames: list[Frame | Close]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that the data frames form."""
        messages: list[str | bytes] = []
        parts: list[str | bytes] = []
        for frame in self.frames:
            if isinstance(frame, Text | Binary):
                parts.append(frame.payload)
                if frame.final:
                    messages.append(type(frame.payload)().join(parts))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                    parts = []
        return messages

    @property
    def pongs(self) -> list[Wire]:
        """The Pongs with which the client must answer."""
        return [Wire(wire.PONG, frame.payload) for frame in self.frames if isinstance(frame, Ping)]


def script(*, compressed: bool = False) -> Script:
    """Return whole and fragmented messages of both kinds, with control frames between and within them."""
    umlaut = "ü".encode()
    [text] = wire.fragments(wire.TEXT, "Grüße".encode(), compressed=compressed)
    [empty] = wire.fragments(wire.TEXT, b"", compressed=compressed)
    [binary] = wire.fragments(wire.BINARY, bytes(range(200)), compressed=compressed)
    one, two, three = wire.fragments(wire.TEXT, b"gr" + umlaut[:1], umlaut[1:] + b"n", b"", compressed=compressed)
    first, last = wire.fragments(wire.BINARY, b"a" * 130, b"b", compressed=compressed)
    ping, between, pong = (
        wire.encode(opcode, payload)
        for opcode, payload in ((wire.PING, b""), (wire.PING, b"between"), (wire.PONG, b"unasked"))
    )
    sent = [text, ping, one, between, two, three, binary, empty, pong, first, between, last, text]
    return Script(
        sent,
        [
            Text("Grüße"),
            Ping(b""),
            Text("gr", final=False),
            Ping(b"between"),
            Text("ün", final=False),
            Text(""),
            Binary(bytes(range(200))),
            Text(""),
            Pong(b"unasked"),
            Binary(b"a" * 130, final=False),
            Ping(b"between"),
            Binary(b"b"),
            Text("Grüße"),
        ],
    )


def pieces(peer: Peer, sent: list[bytes], size: int) -> Iterator[bytes]:
    """Return the bytes on the wire in pieces. Records of TLS start and end within frames, and are cut, too."""
    plain = b"".join(sent)
    raw = b"".join(peer.stream.encrypted(plain[start : start + 23]) for start in range(0, len(plain), 23))
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


# Cancelled, or timed out, at every point


async def check_rest(
    flavour: Flavour,
    ws: WebSocket[Async],
    peer: Peer,
    received: list[T],
    expected: list[T],
    receive: Callable[[], Coroutine[Any, Any, T]],
) -> None:
    """Receive the rest of the script; check that nothing was lost, each Ping was answered, and the Close is next."""
    while len(received) < len(expected):
        received.append(await receive())
    assert received == expected
    pongs = script().pongs
    assert await flavour.call(peer.frames, len(pongs)) == pongs
    peer.send(wire.close(1000, "x"))
    assert await ws.receive() == Close(1000, "x")


@every_transport
@pytest.mark.parametrize("size", [1, 2, 5, 61])
@promise
async def test_receive_may_be_cancelled_without_losing_a_frame(
    flavour: Flavour, deflating_peer: Peer, compressed: bool, size: int
) -> None:
    sent, expected = script(compressed=compressed)
    received: list[Frame | Close] = []
    async with connected(flavour, deflating_peer) as ws:
        turns = itertools.cycle(range(7))
        for piece in pieces(deflating_peer, sent, size):
            deflating_peer.send_raw(piece)
            frame = await flavour.interrupt(ws.receive, next(turns))
            if frame is not INTERRUPTED:
                received.append(frame)
        await check_rest(flavour, ws, deflating_peer, received, expected, ws.receive)


@tcp_and_tls
@promise
async def test_receive_may_time_out_without_losing_a_frame(
    flavour: Flavour, deflating_peer: Peer, compressed: bool
) -> None:
    sent, expected = script(compressed=compressed)
    received: list[Frame | Close] = []
    async with connected(flavour, deflating_peer) as ws:
        for piece in pieces(deflating_peer, sent, 3):
            deflating_peer.send_raw(piece)
            try:
                received.append(await ws.receive(timeout=0.001))
            except ReceiveTimeout:
                continue
        await check_rest(flavour, ws, deflating_peer, received, expected, ws.receive)


@every_transport
@pytest.mark.parametrize("ends", ["interruption", "timeout"])
@promise
async def test_receiving_a_large_message_may_end_anywhere_without_losing_a_byte(
    flavour: Flavour, peer: Peer, ends: str
) -> None:
    messages = [bytes(range(251)) * (size // 251) for size in (1000, 200_000, 1_500_000)]
    sent = b"".join([wire.encode(wire.BINARY, message) for message in messages])
    received: list[object] = []
    async with connected(flavour, peer, max_message_size=None) as ws:
        sender = threading.Thread(target=peer.send, args=[sent])
        sender.start()
        turns = itertools.cycle(range(7))
        while len(received) < len(messages):
            try:
                if ends == "interruption":
                    message: object = await flavour.interrupt(ws.receive_binary, next(turns))
                else:
                    message = await ws.receive_binary(timeout=0.0001)
            except ReceiveTimeout:
                continue
            if message is not INTERRUPTED:
                received.append(message)
        sender.join()
    assert [hash(message) for message in received] == [hash(message) for message in messages]


@tcp_and_tls
@pytest.mark.parametrize("way", ["receive_message", "iteration"])
@promise
async def test_receiving_a_message_may_be_cancelled_without_losing_a_fragment(
    flavour: Flavour, deflating_peer: Peer, compressed: bool, way: str
) -> None:
    whole = script(compressed=compressed)
    received: list[str | bytes] = []
    async with connected(flavour, deflating_peer) as ws:
        messages = aiter(ws)

        async def receive() -> str | bytes:
            return await (ws.receive_message() if way == "receive_message" else anext(messages))

        turns = itertools.cycle(range(7))
        for piece in pieces(deflating_peer, whole.sent, 1):
            deflating_peer.send_raw(piece)
            message = await flavour.interrupt(receive, next(turns))
            if message is not INTERRUPTED:
                received.append(message)
        await check_rest(flavour, ws, deflating_peer, received, whole.messages, receive)


@promise
async def test_the_fragments_of_a_cancelled_receive_text_can_be_received(flavour: Flavour, peer: Peer) -> None:
    one, two, three = wire.fragments(wire.TEXT, b"one ", b"two ", b"three")
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.TEXT, "whole") + one)
        assert await ws.receive_text() == "whole"
        assert await flavour.interrupt(ws.receive_text) is INTERRUPTED
        peer.send(wire.encode(wire.PING, b"between") + two)
        assert await flavour.interrupt(ws.receive_text) is INTERRUPTED
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"between")
        assert await ws.receive() == Text("one ", final=False)
        assert await ws.receive() == Text("two ", final=False)
        peer.send(three + one + two + three)
        assert await ws.receive() == Text("three")
        assert await ws.receive_text() == "one two three"


@promise
async def test_the_rest_of_a_cancelled_message_that_another_caller_has_read_completes_it(
    flavour: Flavour, peer: Peer
) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    async with connected(flavour, peer) as ws:
        for by_frames in (False, True):
            peer.send(wire.text("whole") + one)
            assert await ws.receive_text() == "whole"
            assert await flavour.interrupt(ws.receive_text) is INTERRUPTED
            with pytest.raises(UnexpectedFrame, match="a Text frame arrived"):
                await ws.receive_binary()
            pinging = flavour.spawn(ws.ping, b"x")
            assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
            peer.send(two + wire.encode(wire.PONG, b"x"))
            await pinging.result()
            if by_frames:
                assert await ws.receive_data_frame() == Text("one ", final=False)
                assert await ws.receive_data_frame() == Text("two")
            else:
                assert await ws.receive_text() == "one two"


@promise
async def test_the_fragments_of_a_receive_text_that_timed_out_can_be_received(flavour: Flavour, peer: Peer) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    async with connected(flavour, peer) as ws:
        for _ in range(2):
            peer.send(one)
            with pytest.raises(ReceiveTimeout, match=r"0\.01 seconds"):
                await ws.receive_text(timeout=0.01)
            peer.send(two)
            assert await ws.receive_message() == "one two"
        peer.send(one)
        with pytest.raises(TimeoutError):
            await ws.receive_message(timeout=0.01)
        assert await ws.receive_data_frame() == Text("one ", final=False)
        peer.send(two)
        assert await ws.receive_text_frame() == Text("two")


@promise
async def test_a_timeout_of_zero_polls(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(ReceiveTimeout):
            await ws.receive(timeout=0)
        peer.send(wire.encode(wire.TEXT, "here"))
        for _ in range(100):
            try:
                assert await ws.receive(timeout=0) == Text("here")
            except ReceiveTimeout:
                continue
            break
        else:
            raise AssertionError("the frame that has arrived is never returned")


@pytest.mark.parametrize("timeout", [None, 1e10, math.inf])
@promise
async def test_a_timeout_may_be_huge_or_none(flavour: Flavour, peer: Peer, timeout: float | None) -> None:
    async with connected(flavour, peer, open_timeout=timeout, close_timeout=timeout) as ws:
        receiving = flavour.spawn(lambda: ws.receive(timeout=timeout))
        pinging = flavour.spawn(lambda: ws.ping(b"x", timeout=timeout))
        await receiving.waiting()
        await pinging.waiting()
        assert (await flavour.call(peer.frame)).opcode == wire.PING
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.PONG, b"x"))
        assert await receiving.result() == Text("a")
        assert await pinging.result() >= 0


# One caller at a time


@tcp_and_tls
@pytest.mark.parametrize("kind", ["receive", "receive_text", "receive_message", "iteration"])
@promise
async def test_a_second_receive_is_refused_at_once_and_the_first_goes_on(
    flavour: Flavour, peer: Peer, kind: str
) -> None:
    refused = flavour.event()

    async def receive(ws: WebSocket[Async]) -> object:
        try:
            return await (anext(aiter(ws)) if kind == "iteration" else getattr(ws, kind)())
        except ConcurrentReceive:
            refused.set()
            return None

    async with connected(flavour, peer) as ws:
        for _ in range(3):
            refused = flavour.event()
            first, second = flavour.spawn(receive, ws), flavour.spawn(receive, ws)
            await refused.wait()
            peer.send(wire.encode(wire.TEXT, "for one"))
            results = [await first.result(), await second.result()]
            results.remove(None)
            assert results == [Text("for one") if kind == "receive" else "for one"]


@promise
async def test_a_refused_receive_takes_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        first = flavour.spawn(ws.receive)
        await first.waiting()
        for _ in range(3):
            with pytest.raises(ConcurrentReceive, match="one at a time"):
                await ws.receive(timeout=1)
        peer.send(b"".join(wire.encode(wire.TEXT, name) for name in "abc"))
        assert await first.result() == Text("a")
        assert [await ws.receive(), await ws.receive_text()] == [Text("b"), "c"]


# The kinds of receive


@promise
async def test_each_kind_of_receive_takes_the_frames_of_its_name(flavour: Flavour, peer: Peer) -> None:
    text = wire.encode(wire.TEXT, "t")
    binary = wire.encode(wire.BINARY, b"b")
    pong = wire.encode(wire.PONG, b"p")
    async with connected(flavour, peer) as ws:
        peer.send(pong * 2 + (pong + text) * 3 + (pong + binary) * 3 + pong + text + binary + text)
        assert await ws.receive() == Pong(b"p")
        assert await ws.receive_data_frame() == Text("t")
        assert await ws.receive_text_frame() == Text("t")
        assert await ws.receive_text() == "t"
        assert await ws.receive_data_frame() == Binary(b"b")
        assert await ws.receive_binary_frame() == Binary(b"b")
        assert await ws.receive_binary() == b"b"
        assert [await ws.receive_message(), await ws.receive_message()] == ["t", b"b"]
        assert await anext(aiter(ws)) == "t"


@promise
async def test_a_frame_of_the_wrong_kind_raises_and_can_still_be_received(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.BINARY, b"b") + b"".join(wire.fragments(wire.TEXT, b"te", b"xt")))
        for receive in (ws.receive_text, ws.receive_text_frame):
            with pytest.raises(UnexpectedFrame, match="a Binary frame arrived, but a Text frame was to be received"):
                await receive()
        assert await ws.receive_binary() == b"b"
        for receive_binary in (ws.receive_binary, ws.receive_binary_frame):
            with pytest.raises(UnexpectedFrame, match="a Text frame arrived, but a Binary frame was to be received"):
                await receive_binary()
        assert await ws.receive() == Text("te", final=False)
        with pytest.raises(UnexpectedFrame):
            await ws.receive_binary()
        assert await ws.receive() == Text("xt")


@every_transport
@promise
async def test_messages_of_all_kinds_and_sizes_are_echoed(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        for text in ("", "Hello! ¡Hola! 你好!", "x" * 126, "ü" * 40_000):
            await ws.send_text(text)
            assert await ws.receive_text() == text
        for data in (b"", bytes(range(256)), bytes(70_000), bytes(1024 * 1024)):
            await ws.send_binary(data)
            assert await ws.receive_binary() == data


@promise
async def test_frames_in_one_piece_with_the_handshake_are_received(flavour: Flavour, place: Place) -> None:
    sent, expected = script()
    with Peer(place, upgrading(trailing=b"".join(sent))) as peer:
        async with connected(flavour, peer) as ws:
            assert [await ws.receive() for _ in expected] == expected
