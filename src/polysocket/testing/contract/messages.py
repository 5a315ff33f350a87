"""Messages in JSON and in parts, messages that are not compressed, and iteration with a limit for idle time."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import pytest

from polysocket import (
    Close,
    InvalidFrame,
    InvalidJSON,
    ReceiveTimeout,
    SendTimeout,
    Text,
    WebSocketClosed,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connected, promise
from polysocket.testing.contract.places import DEFLATE, PATIENCE, Echo, Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire

SHORT = 0.1  # seconds: a timeout that passes
HUGE = 6 * 1024 * 1024  # bytes: more than the system buffers on loopback

UNFINISHED = Wire(wire.CLOSE, (1011).to_bytes(2, "big") + b"a fragmented message was not finished")


# JSON


@promise
async def test_json_is_sent_as_text_and_received_as_a_value(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        values: list[Any] = [{"name": "Grüße", "sizes": [1, 2.5, None, True]}, [], "text", 0, None]
        for value in values:
            await ws.send_json(value)
            assert await ws.receive_json(timeout=5) == value
        await ws.send_json([1, "ü"], compress=False, timeout=5)
        assert await ws.receive_text() == '[1,"ü"]'
        await ws.send_binary(b'{"a": 1}')
        assert await ws.receive_json() == {"a": 1}


@pytest.mark.parametrize("value", [object(), float("nan"), {1j: 2}, "\ud800"], ids=["object", "nan", "key", "text"])
@promise
async def test_a_value_that_json_does_not_have_is_not_sent(flavour: Flavour, peer: Peer, value: object) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(InvalidFrame):
            await ws.send_json(value)
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")


NOT_JSON: Final[list[str | bytes]] = [
    "no JSON",
    "",
    "[" * 100_000,
    b"\xff\xff",
    "9" * 5000,
    "NaN",
    '{"a":Infinity}',
    "[-Infinity]",
]


@pytest.mark.parametrize("message", NOT_JSON, ids=lambda m: repr(m[:9]))
@promise
async def test_a_message_that_is_not_json_is_in_the_error(flavour: Flavour, peer: Peer, message: str | bytes) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.TEXT if isinstance(message, str) else wire.BINARY, message) + wire.text("1"))
        with pytest.raises(InvalidJSON, match="the message is not JSON: ") as caught:
            await ws.receive_json()
        assert caught.value.message == message
        assert len(str(caught.value)) < 300
        assert caught.value.__cause__ is None
        assert await ws.receive_json() == 1


@promise
async def test_receive_json_times_out_and_ends_as_receive_message_does(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        with pytest.raises(ReceiveTimeout):
            await ws.receive_json(timeout=SHORT)
        peer.send(wire.close())
        with pytest.raises(WebSocketClosed):
            await ws.receive_json()


# In parts


async def async_parts(*parts: Any) -> AsyncIterator[Any]:
    """Yield the parts, and raise those that are exceptions."""
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


def parts_of(*parts: Any) -> Iterator[Any]:
    """Yield the parts, and raise those that are exceptions."""
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


def kinds(flavour: Flavour) -> list[Callable[..., Any]]:
    """Return the kinds of iterables that the flavour takes."""
    return [parts_of, async_parts] if flavour.effect().is_async else [parts_of]


@promise
async def test_a_message_is_sent_in_parts_as_they_come(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for parts in kinds(flavour):
            for timeout in (None, 5):
                await ws.send_fragments(parts("a", "", "ü"), timeout=timeout)
                assert await flavour.call(peer.frames, 4) == [
                    Wire(wire.TEXT, b"a", final=False),
                    Wire(wire.CONTINUATION, b"", final=False),
                    Wire(wire.CONTINUATION, "ü".encode(), final=False),
                    Wire(wire.CONTINUATION, b""),
                ]
                await ws.send_fragments(parts(b"a"), timeout=timeout)
                assert await flavour.call(peer.frames, 2) == [
                    Wire(wire.BINARY, b"a", final=False),
                    Wire(wire.CONTINUATION, b""),
                ]
                await ws.send_fragments(parts(), timeout=timeout)
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")


@promise
async def test_a_message_that_its_iterable_can_not_finish_closes(flavour: Flavour, place: Place) -> None:
    for parts in kinds(flavour):
        for raised in (LookupError("on purpose"), b"of another kind"):
            with Peer(place) as peer:
                async with connected(flavour, peer) as ws:
                    error = type(raised) if isinstance(raised, Exception) else InvalidFrame
                    with pytest.raises(error):
                        await ws.send_fragments(parts("a", raised))
                    assert not ws.is_open
                    assert await flavour.call(peer.frames, 2) == [Wire(wire.TEXT, b"a", final=False), UNFINISHED]


@promise
async def test_an_iterable_that_raises_before_its_first_part_changes_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for parts in kinds(flavour):
            with pytest.raises(LookupError):
                await ws.send_fragments(parts(LookupError("on purpose")))
        for wrong in ("text", b"bytes", 5, None):
            with pytest.raises(TypeError, match="the parts are an iterable of str or bytes, not a "):
                await ws.send_fragments(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ws.send_text("next")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"next")


@promise
async def test_a_cancelled_message_in_parts_is_never_followed_by_another(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer) as ws:
        parts = [bytes(HUGE)] * 3
        assert await flavour.interrupt(lambda: ws.send_fragments(parts), 30) is INTERRUPTED
        assert not ws.is_open
        with pytest.raises(WebSocketClosed):
            await ws.send_text("too late")
        frames = await flavour.call(slow_peer.frames, 2)
        assert frames == [Wire(wire.BINARY, bytes(HUGE), final=False), UNFINISHED]


@promise
async def test_a_part_that_times_out_closes(flavour: Flavour, slow_peer: Peer) -> None:
    async with connected(flavour, slow_peer, close_timeout=SHORT) as ws:
        with pytest.raises(SendTimeout):
            await ws.send_fragments([bytes(HUGE)], timeout=SHORT)
        assert not ws.is_open


@promise
async def test_other_senders_wait_for_the_end_of_a_message_in_parts(flavour: Flavour, peer: Peer) -> None:
    go_on, go_on_in_thread = flavour.event(), threading.Event()

    async def async_parts() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()
        yield "b"

    def parts() -> Iterator[str]:
        yield "a"
        assert go_on_in_thread.wait(PATIENCE)
        yield "b"

    async with connected(flavour, peer) as ws:
        sending = flavour.spawn(ws.send_fragments, async_parts() if flavour.effect().is_async else parts())
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"a", final=False)
        other = flavour.spawn(ws.send_text, "other")
        await other.waiting()
        go_on.set()
        go_on_in_thread.set()
        await sending.result()
        await other.result()
        assert [frame.payload for frame in await flavour.call(peer.frames, 3)] == [b"b", b"", b"other"]


@promise
async def test_a_message_is_received_part_by_part(flavour: Flavour, deflating_peer: Peer, compressed: bool) -> None:
    one, two, three = wire.fragments(wire.TEXT, b"a", "ü".encode(), b"", compressed=compressed)
    async with connected(flavour, deflating_peer) as ws:
        received: list[str | bytes] = []
        deflating_peer.send(one)
        async for part in ws.receive_fragments(timeout=5):
            received.append(part)
            if part == "a":
                deflating_peer.send(wire.encode(wire.PING, b"between") + two + three + wire.encode(wire.BINARY, b"b"))
        assert received == ["a", "ü"]
        assert [part async for part in ws.receive_fragments()] == [b"b"]
        assert await flavour.call(deflating_peer.frame) == Wire(wire.PONG, b"between")


@promise
async def test_the_rest_of_a_message_stays_after_an_early_exit(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(b"".join(wire.fragments(wire.TEXT, b"a", b"b", b"c")))
        async for part in ws.receive_fragments():
            assert part == "a"
            break
        assert await ws.receive_text() == "bc"


@promise
async def test_part_by_part_times_out_without_loss_and_raises_at_the_close(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        parts = ws.receive_fragments(timeout=SHORT)
        with pytest.raises(ReceiveTimeout):
            await anext(parts)
        peer.send(wire.encode(wire.TEXT, "a", final=False) + wire.close())
        assert await anext(parts) == "a"
        with pytest.raises(WebSocketClosed):
            await anext(parts)


# Not compressed


@promise
async def test_one_message_may_be_left_uncompressed(flavour: Flavour, place: Place) -> None:
    """RFC 7692 §6: RSV1 of the first frame marks a compressed message."""
    with Peer(place, upgrading(DEFLATE)) as peer:
        async with connected(flavour, peer) as ws:
            for timeout in (None, 5):
                await ws.send_text("a", compress=False, timeout=timeout)
                await ws.send_binary(b"b", compress=False, timeout=timeout)
                await ws.send(Text("c", final=False), compress=False, timeout=timeout)
                await ws.send(Text("d"), is_continuation=True, timeout=timeout)
                await ws.send_fragments(["e"], compress=False, timeout=timeout)
                await ws.send_json("f", compress=False, timeout=timeout)
                assert await flavour.call(peer.frames, 7) == [
                    Wire(wire.TEXT, b"a"),
                    Wire(wire.BINARY, b"b"),
                    Wire(wire.TEXT, b"c", final=False),
                    Wire(wire.CONTINUATION, b"d"),
                    Wire(wire.TEXT, b"e", final=False),
                    Wire(wire.CONTINUATION, b""),
                    Wire(wire.TEXT, b'"f"'),
                ]
                await ws.send_text("a", timeout=timeout)
                assert (await flavour.call(peer.frame)).compressed


@promise
async def test_messages_with_and_without_compression_alternate(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        for number in range(6):
            await ws.send_text("a" * 1000, compress=number % 2 == 0)
            assert await ws.receive_text() == "a" * 1000


# Idle


async def collect(messages: AsyncIterator[str | bytes], received: list[str | bytes]) -> None:
    """Append each message as it comes."""
    async for message in messages:
        received.append(message)  # noqa: PERF401 - those before an error are kept, too


@promise
async def test_iteration_with_a_limit_raises_after_idle_time_and_goes_on(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + wire.encode(wire.BINARY, b"b"))
        received: list[str | bytes] = []
        messages = ws.messages(timeout=SHORT)
        with pytest.raises(ReceiveTimeout, match="no message was received within"):
            await collect(messages, received)
        assert ws.is_open
        peer.send(wire.text("c") + wire.close(1001))
        await collect(messages, received)
        assert received == ["a", b"b", "c"]


@promise
async def test_iteration_without_a_limit_is_that_over_the_websocket(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + wire.close(4000, "x"))
        received: list[str | bytes] = []
        with pytest.raises(WebSocketClosed) as caught:
            await collect(ws.messages(), received)
        assert received == ["a"]
        assert caught.value.close == Close(4000, "x")
