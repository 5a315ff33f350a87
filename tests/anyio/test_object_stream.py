"""``ObjectStream`` keeps the promises of anyio's streams."""

from __future__ import annotations

from typing import Any, cast

import anyio
import anyio.abc
import pytest
from anyio.streams.stapled import StapledObjectStream

from polysocket import Blocking, ConnectionLost, Threaded, WebSocketClosed
from polysocket.anyio import ObjectStream, connect
from polysocket.testing import memory_pair
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

pytestmark = pytest.mark.anyio

NORMAL = Wire(wire.CLOSE, (1000).to_bytes(2, "big"))


async def test_a_stream_carries_messages_of_both_kinds(url: str) -> None:
    async with ObjectStream(await connect(url)) as stream:
        both: anyio.abc.ObjectStream[str | bytes] = StapledObjectStream(stream, stream)
        for message in ("a", b"b"):
            await both.send(message)
            assert await both.receive() == message


async def test_a_message_is_taken_before_other_tasks_can_change_it(url: str) -> None:
    async with ObjectStream(await connect(url)) as stream:
        buffer = bytearray(b"before")

        async def change() -> None:
            buffer[:] = b"after."

        for _ in range(10):  # trio runs tasks in a random order
            buffer[:] = b"before"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(change)
                await stream.send(cast("bytes", buffer))
            assert (await stream.receive(), bytes(buffer)) == (b"before", b"after.")


@pytest.mark.parametrize("kind", [Blocking, Threaded])
async def test_a_websocket_that_can_not_be_awaited_is_refused(kind: type[Any]) -> None:
    """It would take a message, and fail to await it."""
    with memory_pair(kind) as (client, _), pytest.raises(TypeError, match="takes a websocket of an asynchronous fl"):
        ObjectStream(client)
    with pytest.raises(TypeError, match="takes a websocket of an asynchronous flavour, not 5"):
        ObjectStream(cast("Any", 5))


async def test_iteration_ends_if_the_peer_closes_normally(peer: Peer) -> None:
    async with ObjectStream(await connect(peer.url)) as stream:
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close(1001))
        peer.stream.socket.shutdown(1)
        assert [message async for message in stream] == ["a", b"b"]
        with pytest.raises(anyio.EndOfStream) as caught:
            await stream.receive()
        assert isinstance(caught.value.__cause__, WebSocketClosed)
        with pytest.raises(anyio.BrokenResourceError) as broken:
            await stream.send("too late")
        assert isinstance(broken.value.__cause__, WebSocketClosed)


async def test_an_abnormal_close_raises_broken_resource_error(peer: Peer) -> None:
    async with ObjectStream(await connect(peer.url)) as stream:
        peer.send(wire.encode(wire.TEXT, "a") + wire.close(1011, "bad luck"))
        peer.stream.socket.shutdown(1)
        assert await stream.receive() == "a"
        with pytest.raises(anyio.BrokenResourceError, match="bad luck"):
            await stream.receive()


async def test_a_lost_connection_raises_broken_resource_error(peer: Peer) -> None:
    async with ObjectStream(await connect(peer.url)) as stream:
        peer.hang_up()
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await stream.receive()
        assert isinstance(caught.value.__cause__, ConnectionLost)


async def test_using_it_after_aclose_raises_closed_resource_error(url: str) -> None:
    stream = ObjectStream(await connect(url))
    await stream.send("a")
    await stream.websocket.ping()  # Now the echo has arrived.
    for _ in range(2):
        await stream.aclose()
    for use in (stream.receive, lambda: stream.send("b"), stream.send_eof):
        with pytest.raises(anyio.ClosedResourceError):
            await use()


async def test_aclose_ends_a_receive_that_waits(url: str) -> None:
    stream = ObjectStream(await connect(url))
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()


async def test_only_one_task_at_a_time_may_receive(url: str) -> None:
    async with ObjectStream(await connect(url)) as stream, anyio.create_task_group() as tasks:

        async def receive() -> None:
            assert await stream.receive() == "a"

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError, match="receiving from"):
            await stream.receive()
        await stream.send("a")


async def test_the_peer_may_go_on_sending_after_send_eof(peer: Peer) -> None:
    stream = ObjectStream(await connect(peer.url))
    for _ in range(2):
        await stream.send_eof()
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send("too late")
    assert peer.frame() == NORMAL
    peer.send(wire.encode(wire.TEXT, "late") + wire.close())
    peer.stream.socket.shutdown(1)
    assert [message async for message in stream] == ["late"]
    await stream.aclose()
    assert peer.rest() == []


async def test_send_eof_may_follow_the_close_of_the_peer(peer: Peer) -> None:
    async with ObjectStream(await connect(peer.url)) as stream:
        peer.send(wire.close())
        peer.stream.socket.shutdown(1)
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.send_eof()


async def test_a_cancelled_receive_loses_nothing(url: str) -> None:
    async with ObjectStream(await connect(url)) as stream:
        await stream.send("a")
        await stream.websocket.ping()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.receive()
        assert scope.cancelled_caught
        assert await stream.receive() == "a"


async def test_a_cancelled_send_sends_nothing(url: str) -> None:
    async with ObjectStream(await connect(url)) as stream:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.send("a")
        assert scope.cancelled_caught
        await stream.send("b")
        assert await stream.receive() == "b"


async def test_aclose_forcefully_does_not_wait_for_the_peer(peer: Peer) -> None:
    stream = ObjectStream(await connect(peer.url))
    await anyio.aclose_forcefully(stream)
    assert await anyio.to_thread.run_sync(peer.rest) in ([], [NORMAL])
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()
