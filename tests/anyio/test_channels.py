"""``WebSocketChannel`` keeps the promises of trio's channels."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import pytest

from polysocket import Blocking, ConnectionLost, Threaded, WebSocketClosed
from polysocket.testing import memory_pair
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

if importlib.util.find_spec("trio") is None:
    pytest.skip("trio is not installed", allow_module_level=True)

import trio
import trio.testing

from polysocket.trio import WebSocketChannel, connect

PATIENCE = 10  # seconds to wait before a test fails


def run(body: Callable[[WebSocketChannel], Awaitable[None]], url: str) -> None:
    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with WebSocketChannel(await connect(url)) as channel:
                await body(channel)

    trio.run(main)


@pytest.mark.parametrize("kind", [Blocking, Threaded])
def test_a_websocket_that_can_not_be_awaited_is_refused(kind: type[Any]) -> None:
    """It would take a message, and fail to await it."""
    with memory_pair(kind) as (client, _), pytest.raises(TypeError, match="takes a websocket of an asynchronous fl"):
        WebSocketChannel(client)


def test_a_message_is_taken_before_other_tasks_can_change_it(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        buffer = bytearray(b"before")

        async def change() -> None:
            buffer[:] = b"after."

        for _ in range(10):  # trio runs tasks in a random order
            buffer[:] = b"before"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(change)
                await channel.send(cast("bytes", buffer))
            assert (await channel.receive(), bytes(buffer)) == (b"before", b"after.")

    run(body, url)


def test_a_channel_carries_messages_of_both_kinds(url: str) -> None:
    async def body(channel: trio.abc.Channel[str | bytes]) -> None:
        for message in ("a", b"b"):
            with trio.testing.assert_checkpoints():
                await channel.send(message)
            assert await channel.receive() == message

    run(body, url)


def test_receive_and_aclose_are_checkpoints_even_if_they_need_not_wait(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        await channel.send("a")
        await channel.websocket.ping()  # Now the echo has arrived.
        with trio.testing.assert_checkpoints():
            assert await channel.receive() == "a"
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                await channel.aclose()

    run(body, url)


def test_iteration_ends_if_the_peer_closes_normally(peer: Peer) -> None:
    async def body(channel: WebSocketChannel) -> None:
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close(1001))
        peer.stream.socket.shutdown(1)
        assert [message async for message in channel] == ["a", b"b"]
        with pytest.raises(trio.EndOfChannel) as caught:
            await channel.receive()
        assert isinstance(caught.value.__cause__, WebSocketClosed)
        with pytest.raises(trio.BrokenResourceError) as broken:
            await channel.send("too late")
        assert isinstance(broken.value.__cause__, WebSocketClosed)

    run(body, peer.url)


def test_an_abnormal_close_raises_broken_resource_error(peer: Peer) -> None:
    async def body(channel: WebSocketChannel) -> None:
        peer.send(wire.encode(wire.TEXT, "a") + wire.close(1011, "bad luck"))
        peer.stream.socket.shutdown(1)
        assert await channel.receive() == "a"
        with pytest.raises(trio.BrokenResourceError, match="bad luck"):
            await channel.receive()

    run(body, peer.url)


def test_a_lost_connection_raises_broken_resource_error(peer: Peer) -> None:
    async def body(channel: WebSocketChannel) -> None:
        peer.hang_up()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await channel.receive()
        assert isinstance(caught.value.__cause__, ConnectionLost)

    run(body, peer.url)


def test_using_it_after_aclose_raises_closed_resource_error(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        await channel.send("a")
        await channel.websocket.ping()
        await channel.aclose()
        uses: list[Callable[[], Coroutine[Any, Any, object]]] = [channel.receive, lambda: channel.send("b")]
        for use in uses:
            with pytest.raises(trio.ClosedResourceError):
                await use()

    run(body, url)


def test_aclose_ends_a_receive_that_waits(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await channel.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await channel.aclose()

    run(body, url)


def test_only_one_task_at_a_time_may_receive(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        async def receive() -> None:
            assert await channel.receive() == "a"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="one at a time"):
                await channel.receive()
            await channel.send("a")

    run(body, url)


def test_a_cancelled_receive_loses_nothing_and_a_cancelled_send_sends_nothing(url: str) -> None:
    async def body(channel: WebSocketChannel) -> None:
        await channel.send("a")
        await channel.websocket.ping()
        with trio.CancelScope() as scope:
            scope.cancel()
            await channel.receive()
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await channel.send("b")
        assert scope.cancelled_caught
        await channel.send("c")
        assert [await channel.receive(), await channel.receive()] == ["a", "c"]

    run(body, url)


def test_aclose_forcefully_does_not_wait_for_the_peer(peer: Peer) -> None:
    async def body(channel: WebSocketChannel) -> None:
        await trio.aclose_forcefully(channel)
        with pytest.raises(trio.ClosedResourceError):
            await channel.receive()

    run(body, peer.url)
    assert peer.rest() in ([], [Wire(wire.CLOSE, b"\x03\xe8")])
