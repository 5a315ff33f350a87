"""The trio flavour as its users call it: ``async with``, ``await``, ``async for``; nurseries and cancel scopes."""

from __future__ import annotations

import pytest

from polysocket import ReceiveTimeout
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.places import Echo, Peer
from polysocket.testing.contract.wire import Wire

trio = pytest.importorskip("trio")

from polysocket import trio as polysocket_trio  # noqa: E402


@every_transport
def test_async_with_opens_and_closes_a_websocket(echo: Echo) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(echo.url, **echo.options()) as ws:
            await ws.send_text("a")
            assert await ws.receive_text() == "a"
            assert await ws.ping() > 0
        assert not ws.is_open

    trio.run(main)


def test_connect_may_be_awaited_and_the_websocket_iterated(peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_trio.connect(peer.url, close_timeout=5)
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close())
        assert [message async for message in ws] == ["a", b"b"]
        peer.hang_up()
        await ws.close()

    trio.run(main)


def test_the_time_limits_of_trio_lose_no_frame(peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_trio.connect(peer.url, close_timeout=5)
        one, two = wire.fragments(wire.TEXT, b"one ", b"two")
        peer.send(one)
        for _ in range(3):
            with trio.move_on_after(0.01) as scope:
                await ws.receive_text()
            assert scope.cancelled_caught
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.01):
                await ws.receive_text(timeout=5)
            with pytest.raises(ReceiveTimeout), trio.fail_after(5):
                await ws.receive_text(timeout=0.01)
        peer.send(two)
        assert await ws.receive_text() == "one two"
        peer.hang_up()
        await ws.close()

    trio.run(main)


def test_a_failing_nursery_ends_its_websocket(peer: Peer) -> None:
    async def listen() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=None) as ws:
            await ws.receive()

    async def fail() -> None:
        await trio.to_thread.run_sync(lambda: peer.stream)
        raise LookupError

    async def main() -> None:
        async def both() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                nursery.start_soon(fail)

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert caught.group_contains(LookupError)

    trio.run(main)
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


def test_close_in_a_cancelled_scope_sends_the_close_and_does_not_wait(peer: Peer) -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            async with polysocket_trio.connect(peer.url, close_timeout=None) as ws:
                await ws.send_text("sent")
                scope.cancel()
        assert scope.cancelled_caught
        assert not ws.is_open

    trio.run(main)
    assert peer.rest() == [Wire(wire.TEXT, b"sent"), Wire(wire.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("size", [1, 6 * 1024 * 1024])
def test_a_block_that_is_cancelled_just_before_a_send_ends(peer: Peer, size: int) -> None:
    """The order in which trio runs the sender and the cancelled block is random, so the contract runs this often."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with polysocket_trio.connect(peer.url) as ws:
                scope.cancel()
                await ws.send_binary(bytes(size))
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
