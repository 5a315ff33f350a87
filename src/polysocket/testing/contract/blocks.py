"""The end of an ``async with`` block: it closes the websocket, and does not wait after a cancellation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from polysocket import Binary, CloseCause, CloseInfo, ReceiveTimeout, Text, WebSocketClosed
from polysocket.testing.contract import wire
from polysocket.testing.contract.closing import check_ended
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect, promise
from polysocket.testing.contract.places import Peer, Place
from polysocket.testing.contract.wire import Wire


@tcp_and_tls
@pytest.mark.parametrize(("error", "code"), [(None, 1000), (KeyError, 1011)])
@promise
async def test_the_end_of_a_block_closes_with_a_code_for_its_error(
    flavour: Flavour, peer: Peer, error: type[Exception] | None, code: int
) -> None:
    async def block() -> None:
        async with await connect(flavour, peer):
            if error is not None:
                raise error

    running = flavour.spawn(block)
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, code.to_bytes(2, "big"))]
    if error is None:
        await running.result()
    else:
        with pytest.raises(error):
            await running.result()


@every_transport
@promise
async def test_a_cancelled_block_does_not_wait_for_the_peer(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=None)

    async def block() -> None:
        async with ws:
            await ws.receive()

    assert await flavour.interrupt(block) is INTERRUPTED
    assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]
    error = await check_ended(ws)
    assert error.close_info.cause is CloseCause.CANCELLATION


class Stop(BaseException):
    """An error that is not an ``Exception``, as KeyboardInterrupt and SystemExit."""


@every_transport
@promise
async def test_a_block_that_raises_a_base_exception_does_not_wait_for_the_peer(flavour: Flavour, peer: Peer) -> None:
    async def block() -> None:
        async with ws:
            await ws.send_text("sent")
            raise Stop

    ws = await connect(flavour, peer, close_timeout=None)
    with pytest.raises(Stop):
        await block()
    assert await flavour.call(peer.rest) == [Wire(wire.TEXT, b"sent"), Wire(wire.CLOSE, b"\x03\xe9")]
    assert not ws.is_open


@tcp_and_tls
@pytest.mark.parametrize("turns", [0, 1, 2, 30])
@promise
async def test_a_block_may_be_cancelled_in_the_middle_of_a_frame(flavour: Flavour, place: Place, turns: int) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        ws = await connect(flavour, peer, close_timeout=None)

        async def block() -> None:
            async with ws:
                await ws.send_binary(bytes(6 * 1024 * 1024))

        assert await flavour.interrupt(block, turns) is INTERRUPTED
        if turns:
            await check_ended(ws)
        await ws.close() if turns else await flavour.interrupt(ws.close)


@pytest.mark.parametrize("what", ["receive", "ping", "a turn to send", "all of them"])
@promise
async def test_a_cancelled_block_wakes_the_callers_that_wait(flavour: Flavour, peer: Peer, what: str) -> None:
    ws = await connect(flavour, peer)

    async def raises(call: Callable[[], Coroutine[Any, Any, object]]) -> CloseInfo:
        with pytest.raises(WebSocketClosed) as caught:
            await call()
        return caught.value.close_info

    async def block() -> None:
        async with ws:
            await flavour.event().wait()

    await ws.send(Text("one, ", final=False))
    calls = {"receive": ws.receive, "ping": ws.ping, "a turn to send": lambda: ws.send_text("another")}
    waiting = [flavour.spawn(raises, calls[name]) for name in calls if what in (name, "all of them")]
    for task in waiting:
        await task.waiting()
    assert await flavour.interrupt(block) is INTERRUPTED
    for task in waiting:
        assert await task.result() == ws.close_info


@promise
async def test_a_cancelled_block_wakes_a_ping_that_waits_for_room_in_the_queue(flavour: Flavour, peer: Peer) -> None:
    async def ping() -> bool:
        with pytest.raises(WebSocketClosed):
            await ws.ping(b"x")
        return True

    async def block() -> None:
        async with ws:
            await flavour.event().wait()

    ws = await connect(flavour, peer, max_message_size=None)
    pinging = flavour.spawn(ping)
    assert await flavour.call(peer.frame) == Wire(wire.PING, b"x")
    much = wire.encode(wire.BINARY, bytes(1024 * 1024))
    await flavour.call(peer.send, much + wire.encode(wire.PING, b"p") + wire.text("a"))
    with pytest.raises(ReceiveTimeout):
        await ws.ping(b"y", timeout=0.2)  # until the queue is full
    assert await flavour.interrupt(block) is INTERRUPTED
    assert await pinging.result()
    assert await ws.receive() == Binary(bytes(1024 * 1024))
