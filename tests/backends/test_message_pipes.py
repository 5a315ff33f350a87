"""Pipes made from a function on whole messages: ``from_text_pipe`` and ``from_message_pipe``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from polysocket import Close, Pong, Text, UnexpectedFrame, from_message_pipe, from_text_pipe
from polysocket.handlers.pipe import MessageStage
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, Flavour
from tests.backends.peers import read_to_close, text
from tests.backends.stages import start_pipe

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
lifts = pytest.mark.parametrize(
    "lift", [from_text_pipe, from_message_pipe], ids=["from_text_pipe", "from_message_pipe"]
)
Lift = Callable[[Any], MessageStage]


async def test_a_function_receives_whole_messages_and_its_results_are_sent(flavour: Flavour, peer: Peer) -> None:
    received: list[str | bytes] = []

    def function(message: str | bytes) -> Any:
        received.append(message)
        return [None, "text", b"binary", Text("frame", final=True), Pong(b"pong")][len(received) - 1]

    pipe = await start_pipe(flavour, peer, from_message_pipe(function))
    peer.send(text("a", final=False) + wire.encode(wire.PING) + wire.encode(wire.CONTINUATION, "b"))
    assert await flavour.call(peer.frame) == Wire(wire.PONG)
    for frame in (wire.encode(wire.BINARY, b"c"), text("d"), text("e"), text("")):
        peer.send(frame)
    assert await flavour.call(peer.frames, 4) == [
        Wire(wire.TEXT, b"text"),
        Wire(wire.BINARY, b"binary"),
        Wire(wire.TEXT, b"frame"),
        Wire(wire.PONG, b"pong"),
    ]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()
    assert received == ["ab", b"c", "d", "e", ""]


@in_async_flavours
@lifts
async def test_a_function_may_be_async(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    async def function(message: str) -> str:
        await flavour.nothing_left_to_do()
        return message.upper()

    pipe = await start_pipe(flavour, peer, lift(function))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.TEXT, b"A"), Wire(wire.TEXT, b"B")]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


@in_async_flavours
@lifts
async def test_an_awaitable_that_a_plain_function_returns_is_awaited(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    async def later(message: str) -> str:
        return message.upper()

    def function(message: str) -> Awaitable[str]:
        return later(message)

    pipe = await start_pipe(flavour, peer, lift(function))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


@lifts
async def test_a_function_receives_all_messages_sent_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer], lift: Lift
) -> None:
    messages: list[str] = []

    def function(message: str) -> str:
        messages.append(message)
        return message

    peer = new_peer(upgrading(trailing=text("a") + text("b") + text("c") + wire.close()))
    pipe = await start_pipe(flavour, peer, lift(function))
    assert await flavour.call(read_to_close, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert (await pipe.result()).received == Close()
    assert messages == ["a", "b", "c"]


@lifts
async def test_the_error_of_a_function_closes_with_1011_and_is_raised(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    def function(_: str) -> str:
        raise ZeroDivisionError

    pipe = await start_pipe(flavour, peer, lift(function))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(ZeroDivisionError):
        await pipe.result()


async def test_a_binary_message_in_a_pipe_of_text_closes_with_1003_and_is_raised(flavour: Flavour, peer: Peer) -> None:
    pipe = await start_pipe(flavour, peer, from_text_pipe(str.upper))
    peer.send(text("a") + wire.encode(wire.BINARY, b"b"))
    assert await flavour.call(peer.finish) == [Wire(wire.TEXT, b"A"), Wire(wire.CLOSE, b"\x03\xeb")]
    with pytest.raises(UnexpectedFrame, match="a Binary frame came into a pipe of text"):
        await pipe.result()
