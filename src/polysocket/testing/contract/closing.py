"""The closing handshake: from either side, at any time, any number of times; and the errors of all later calls."""

from __future__ import annotations

import pytest

from polysocket import (
    Async,
    Close,
    CloseCause,
    ConnectionLost,
    InvalidFrame,
    Ping,
    Side,
    Text,
    WebSocket,
    WebSocketClosed,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect, connected, promise
from polysocket.testing.contract.places import Echo, Peer, Place
from polysocket.testing.contract.wire import Wire


async def check_ended(ws: WebSocket[Async]) -> WebSocketClosed:
    """Check that receive, send and ping all raise the same error from now on; return it."""
    with pytest.raises(WebSocketClosed) as received:
        await ws.receive()
    with pytest.raises(WebSocketClosed) as received_text:
        await ws.receive_text()
    with pytest.raises(WebSocketClosed) as sent:
        await ws.send_text("too late")
    with pytest.raises(WebSocketClosed):
        await ws.ping()
    assert not ws.is_open
    for error in (received, received_text, sent):
        assert error.value.close_info == ws.close_info
        assert type(error.value) is type(received.value)
    return received.value


# Initiated by this side


@every_transport
@promise
async def test_close_sends_code_and_reason_and_waits_for_the_answer(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close, 4001, "¡adiós!")
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x0f\xa1" + "¡adiós!".encode())]
    await closing.result()
    assert ws.close_info is not None
    assert (ws.close_info.initiator, ws.close_info.cause, ws.close_info.code) == (Side.LOCAL, CloseCause.CLOSE, 4001)
    assert ws.close_info.received == ws.close_info.sent == Close(4001, "¡adiós!")
    assert await ws.receive() == Close(4001, "¡adiós!")
    assert (await check_ended(ws)).close == Close(4001, "¡adiós!")


@every_transport
@promise
async def test_close_may_be_called_again_and_changes_nothing(flavour: Flavour, echo: Echo) -> None:
    ws = await connect(flavour, echo)
    await ws.close()
    info = ws.close_info
    await ws.close(4000, "again")
    await ws.close()
    assert ws.close_info == info
    assert info is not None
    assert info.sent == Close(1000)


@tcp_and_tls
@promise
async def test_many_callers_may_close_at_the_same_time(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = [flavour.spawn(ws.close) for _ in range(4)]
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
    for task in closing:
        await task.result()
    assert ws.close_info is not None
    assert ws.close_info.cause is CloseCause.CLOSE


@every_transport
@pytest.mark.parametrize("others", [0, 2])
@promise
async def test_close_takes_no_longer_than_close_timeout_if_the_peer_is_silent(
    flavour: Flavour, peer: Peer, others: int
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.05)
    closing = [flavour.spawn(ws.close) for _ in range(others)]
    await ws.close()
    for task in closing:
        await task.result()
    assert ws.close_info is not None
    assert (ws.close_info.initiator, ws.close_info.cause) == (Side.LOCAL, CloseCause.TIMEOUT)
    assert "0.05 seconds" in str(ws.close_info)
    assert isinstance(await check_ended(ws), ConnectionLost)
    assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe8")]


@tcp_and_tls
@promise
async def test_close_takes_no_longer_than_close_timeout_if_the_peer_reads_nothing(
    flavour: Flavour, place: Place
) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        ws = await connect(flavour, peer, close_timeout=0.05)
        assert await flavour.interrupt(lambda: ws.send_binary(bytes(6 * 1024 * 1024)), 30) is INTERRUPTED
        await ws.close()
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.TIMEOUT


@tcp_and_tls
@promise
async def test_close_takes_no_longer_than_close_timeout_if_the_peer_goes_on_sending(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.1)

    def send_until_refused() -> None:
        try:
            while True:
                peer.send(wire.text("x" * 10_000))
        except OSError:
            return

    sending = flavour.spawn(flavour.call, send_until_refused)
    await ws.close()
    await sending.result()
    assert ws.close_info is not None
    assert ws.close_info.cause is CloseCause.TIMEOUT


@tcp_and_tls
@promise
async def test_close_may_be_cancelled_and_the_connection_is_ended(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    assert await flavour.interrupt(ws.close) is INTERRUPTED
    assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert ws.close_info is not None
    assert ws.close_info.cause is CloseCause.CANCELLATION
    await ws.close()


@promise
async def test_a_cancelled_close_ends_a_concurrent_close_too(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close)
    await closing.waiting()
    assert await flavour.interrupt(ws.close) is INTERRUPTED
    await closing.result()
    assert not ws.is_open


@tcp_and_tls
@pytest.mark.parametrize("way", ["receive", "receive_text", "iteration"])
@promise
async def test_close_ends_the_receive_of_another_caller(flavour: Flavour, peer: Peer, way: str) -> None:
    ws = await connect(flavour, peer)
    messages = aiter(ws)

    async def receive() -> object:
        try:
            return await (anext(messages) if way == "iteration" else getattr(ws, way)())
        except (WebSocketClosed, StopAsyncIteration) as error:
            return error

    receiving = flavour.spawn(receive)
    await receiving.waiting()
    closing = flavour.spawn(ws.close)
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
    await closing.result()
    end = await receiving.result()
    if way == "receive":
        assert end == Close(1000)
    elif way == "receive_text":
        assert isinstance(end, WebSocketClosed)
        assert end.close_info == ws.close_info
    else:
        assert isinstance(end, StopAsyncIteration)


@tcp_and_tls
@promise
async def test_close_ends_the_receive_of_another_caller_if_the_peer_is_silent(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=0.05)

    async def receive() -> WebSocketClosed:
        with pytest.raises(WebSocketClosed) as caught:
            await ws.receive()
        return caught.value

    receiving = flavour.spawn(receive)
    await receiving.waiting()
    await ws.close()
    error = await receiving.result()
    assert isinstance(error, ConnectionLost)
    assert error.close_info == ws.close_info
    assert error.close_info.cause is CloseCause.TIMEOUT


@promise
async def test_frames_received_before_close_can_still_be_received(flavour: Flavour, peer: Peer) -> None:
    one, two = wire.fragments(wire.TEXT, b"one ", b"two")
    ws = await connect(flavour, peer)
    peer.send(wire.text("first") + wire.text("second") + wire.encode(wire.PING, b"p") + one + two)
    assert await ws.receive_text() == "first"
    closing = flavour.spawn(ws.close)
    await flavour.call(peer.finish)
    await closing.result()
    assert [await ws.receive(), await ws.receive()] == [Text("second"), Ping(b"p")]
    assert await ws.receive_message() == "one two"
    assert await ws.receive() == Close(1000)
    await check_ended(ws)


@promise
async def test_a_receiver_gets_the_frames_that_come_while_another_task_closes(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)

    async def receive_all() -> list[object]:
        received: list[object] = []
        while not (received and isinstance(received[-1], Close)):
            received.append(await ws.receive())
        return received

    receiving = flavour.spawn(receive_all)
    await receiving.waiting()
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(wire.text("one") + wire.text("two") + wire.close(1000))
    peer.hang_up()
    await closing.result()
    assert await receiving.result() == [Text("one"), Text("two"), Close(1000)]


@promise
async def test_close_does_not_wait_for_a_receiver_that_takes_no_more(flavour: Flavour, peer: Peer) -> None:
    """The peer sends more than the queue holds, and then its Close."""
    ws = await connect(flavour, peer)
    receiving = flavour.spawn(ws.receive_message)
    await receiving.waiting()
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    sending = flavour.spawn(flavour.call, peer.send, wire.encode(wire.BINARY, bytes(100_000)) * 40 + wire.close(1000))
    assert await receiving.result() == bytes(100_000)
    await sending.result()
    peer.hang_up()
    await closing.result()
    assert ws.close_info is not None
    assert ws.close_info.is_normal


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_close_sends_a_tls_close_notify(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(wire.close(1000))
    peer.notify_close()
    assert await flavour.call(peer.rest) == []
    assert peer.stream.has_received_close_notify
    peer.hang_up()
    await closing.result()


@promise
async def test_after_sending_a_close_the_rest_can_be_received(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Close(4000, "mine"))
        assert not ws.is_open
        with pytest.raises(WebSocketClosed):
            await ws.send_text("too late")
        peer.send(wire.text("a") + wire.encode(wire.PING, b"p") + wire.close(4001, "yours"))
        assert [await ws.receive() for _ in range(3)] == [Text("a"), Ping(b"p"), Close(4001, "yours")]
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x0f\xa0mine")
        error = await check_ended(ws)
        assert error.close == Close(4001, "yours")
        assert (error.close_info.initiator, error.close_info.sent) == (Side.LOCAL, Close(4000, "mine"))


@promise
async def test_a_close_that_may_not_be_sent_is_refused_and_changes_nothing(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        for code, reason in ((999, ""), (1006, ""), (1015, ""), (2000, ""), (5000, ""), (1000, "x" * 124), (1005, "x")):
            with pytest.raises(InvalidFrame):
                await ws.close(code, reason)
        assert ws.is_open
        assert ws.close_info is None
        peer.send(wire.text("a"))
        assert await ws.receive_text() == "a"


# Initiated by the peer


@every_transport
@pytest.mark.parametrize(
    ("sent", "received", "answer"),
    [
        (wire.close(1000, "x"), Close(1000, "x"), b"\x03\xe8"),
        (wire.close(1001), Close(1001), b"\x03\xe9"),
        (wire.close(4999, "ü"), Close(4999, "ü"), b"\x13\x87"),
        (wire.close(None), Close(1005), b""),
    ],
)
@promise
async def test_a_close_from_the_peer_is_received_and_answered(
    flavour: Flavour, peer: Peer, sent: bytes, received: Close, answer: bytes
) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + sent)
        assert await ws.receive() == Text("a")
        assert await ws.receive() == received
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, answer)
        error = await check_ended(ws)
        assert type(error) is WebSocketClosed
        assert error.close == received
        assert (error.close_info.initiator, error.close_info.cause) == (Side.REMOTE, CloseCause.CLOSE)
        assert error.close_info.code == received.code


@pytest.mark.parametrize(
    ("code", "is_normal"), [(1000, True), (1001, True), (None, True), (1002, False), (1011, False), (4000, False)]
)
@promise
async def test_iteration_ends_at_a_normal_closing_and_raises_at_another(
    flavour: Flavour, peer: Peer, code: int | None, is_normal: bool
) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a") + wire.encode(wire.BINARY, b"b") + wire.close(code))
        received: list[str | bytes] = []

        async def iterate() -> None:
            async for message in ws:
                received.append(message)  # noqa: PERF401 - the messages before the error are kept

        for _ in range(2):
            if is_normal:
                await iterate()
            else:
                with pytest.raises(WebSocketClosed) as caught:
                    await iterate()
                assert caught.value.close_info.code == code
        assert received == ["a", b"b"]


@promise
async def test_closes_that_cross_are_both_kept(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, ping_interval=None)  # Keepalive would answer the peer's Close.
    peer.send(wire.text("crossing") + wire.close(1001))
    await ws.send(Close(4000))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x0f\xa0")
    peer.hang_up()
    await ws.close()
    assert ws.close_info is not None
    assert (ws.close_info.sent, ws.close_info.received) == (Close(4000), Close(1001))
