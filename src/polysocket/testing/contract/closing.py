"""The end: ``close`` from either side, at any time, as often as one likes; lost connections; what comes after."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    InvalidFrame,
    MessageTooBig,
    Ping,
    ProtocolError,
    ReceiveTimeout,
    Side,
    Text,
    WebSocket,
    WebSocketClosed,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect, connected, promise
from polysocket.testing.contract.places import DEFLATE, Echo, Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire


def text(payload: str) -> bytes:
    return wire.encode(wire.TEXT, payload)


async def the_end(ws: WebSocket[Async]) -> WebSocketClosed:
    """What receive and send raise from now on: the same."""
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


# From this side


@every_transport
@promise
async def test_close_tells_code_and_reason_and_waits_for_the_answer(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close, 4001, "¡adiós!")
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x0f\xa1" + "¡adiós!".encode())]
    await closing.result()
    assert ws.close_info is not None
    assert (ws.close_info.initiator, ws.close_info.cause, ws.close_info.code) == (Side.LOCAL, CloseCause.CLOSE, 4001)
    assert ws.close_info.received == ws.close_info.sent == Close(4001, "¡adiós!")
    assert await ws.receive() == Close(4001, "¡adiós!")
    assert (await the_end(ws)).close == Close(4001, "¡adiós!")


@every_transport
@promise
async def test_close_twice(flavour: Flavour, echo: Echo) -> None:
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
async def test_close_from_many_at_the_same_time(flavour: Flavour, peer: Peer) -> None:
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
async def test_close_takes_no_longer_than_close_timeout_where_the_other_side_is_silent(
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
    assert isinstance(await the_end(ws), ConnectionLost)
    assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe8")]


@tcp_and_tls
@promise
async def test_close_takes_no_longer_than_close_timeout_where_the_other_side_reads_nothing(
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
async def test_close_takes_no_longer_than_close_timeout_where_the_other_side_goes_on_sending(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.1)

    def send_until_refused() -> None:
        try:
            while True:
                peer.send(text("x" * 10_000))
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
async def test_one_close_cancelled_ends_the_other_too(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close)
    await closing.waiting()
    assert await flavour.interrupt(ws.close) is INTERRUPTED
    await closing.result()
    assert not ws.is_open


@tcp_and_tls
@pytest.mark.parametrize("way", ["receive", "receive_text", "iteration"])
@promise
async def test_close_while_another_receives(flavour: Flavour, peer: Peer, way: str) -> None:
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
async def test_close_while_another_receives_from_a_silent_peer(flavour: Flavour, peer: Peer) -> None:
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
    peer.send(text("first") + text("second") + wire.encode(wire.PING, b"p") + one + two)
    assert await ws.receive_text() == "first"
    closing = flavour.spawn(ws.close)
    await flavour.call(peer.finish)
    await closing.result()
    assert [await ws.receive(), await ws.receive()] == [Text("second"), Ping(b"p")]
    assert await ws.receive_message() == "one two"
    assert await ws.receive() == Close(1000)
    await the_end(ws)


@promise
async def test_one_who_receives_while_another_closes_gets_what_still_comes(flavour: Flavour, peer: Peer) -> None:
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
    peer.send(text("one") + text("two") + wire.close(1000))
    peer.hang_up()
    await closing.result()
    assert await receiving.result() == [Text("one"), Text("two"), Close(1000)]


@promise
async def test_close_does_not_wait_for_one_who_has_received_enough(flavour: Flavour, peer: Peer) -> None:
    """The other side has more to say than is kept, and says its Close behind it."""
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
async def test_close_says_by_tls_that_nothing_more_will_come(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    closing = flavour.spawn(ws.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(wire.close(1000))
    peer.notify_close()
    assert await flavour.call(peer.rest) == []
    assert peer.stream.was_told_of_the_end
    peer.hang_up()
    await closing.result()


@promise
async def test_after_sending_a_close_the_rest_can_be_received(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        await ws.send(Close(4000, "mine"))
        assert not ws.is_open
        with pytest.raises(WebSocketClosed):
            await ws.send_text("too late")
        peer.send(text("a") + wire.encode(wire.PING, b"p") + wire.close(4001, "yours"))
        assert [await ws.receive() for _ in range(3)] == [Text("a"), Ping(b"p"), Close(4001, "yours")]
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x0f\xa0mine")
        error = await the_end(ws)
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
        peer.send(text("a"))
        assert await ws.receive_text() == "a"


# From the other side


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
async def test_the_other_side_closes(flavour: Flavour, peer: Peer, sent: bytes, received: Close, answer: bytes) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(text("a") + sent)
        assert await ws.receive() == Text("a")
        assert await ws.receive() == received
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, answer)
        error = await the_end(ws)
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
        peer.send(text("a") + wire.encode(wire.BINARY, b"b") + wire.close(code))
        received: list[str | bytes] = []

        async def iterate() -> None:
            async for message in ws:
                received.append(message)  # noqa: PERF401 - what came before the error is wanted

        for _ in range(2):
            if is_normal:
                await iterate()
            else:
                with pytest.raises(WebSocketClosed) as caught:
                    await iterate()
                assert caught.value.close_info.code == code
        assert received == ["a", b"b"]


@promise
async def test_both_sides_close_at_the_same_time(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    peer.send(text("crossing") + wire.close(1001))
    await ws.send(Close(4000))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x0f\xa0")
    peer.hang_up()
    await ws.close()
    assert ws.close_info is not None
    assert (ws.close_info.sent, ws.close_info.received) == (Close(4000), Close(1001))


# Lost


@every_transport
@pytest.mark.parametrize(
    ("torn", "before"),
    [
        (b"", []),
        (text("a"), [Text("a")]),
        (text("a") + text("bc")[:1], [Text("a")]),
        (text("a") + text("bc")[:2], [Text("a")]),
        (text("a") + text("bc")[:3], [Text("a")]),
        (text("a") + wire.encode(wire.BINARY, bytes(70_000))[:-1], [Text("a")]),
        (wire.fragments(wire.BINARY, b"a", b"b")[0], [Binary(b"a", final=False)]),
        (wire.close(1000)[:3], []),
    ],
    ids=["nothing", "whole", "header", "header whole", "payload", "long payload", "fragment", "Close"],
)
@promise
async def test_a_connection_lost_anywhere_gives_what_came_before(
    flavour: Flavour, peer: Peer, torn: bytes, before: list[object]
) -> None:
    async with connected(flavour, peer) as ws:
        await flavour.call(peer.send, torn)
        peer.hang_up()
        assert [await ws.receive() for _ in before] == before
        error = await the_end(ws)
        assert isinstance(error, ConnectionLost)
        assert error.close is None
        assert (error.close_info.code, error.close_info.initiator) == (1006, Side.REMOTE)
        assert error.close_info.cause is CloseCause.NETWORK


@every_transport
@promise
async def test_a_reset_connection_is_lost(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(text("a"))
        assert await ws.receive() == Text("a")
        peer.reset()
        error = await the_end(ws)
        assert isinstance(error, ConnectionLost)
        assert error.close_info.cause is CloseCause.NETWORK


@tcp_and_tls
@promise
async def test_whoever_receives_is_told_of_a_lost_connection(flavour: Flavour, peer: Peer) -> None:
    async def receive(ws: WebSocket[Async]) -> type[Exception]:
        with pytest.raises(ConnectionLost) as caught:
            await ws.receive()
        return type(caught.value)

    async with connected(flavour, peer) as ws:
        receiving = flavour.spawn(receive, ws)
        await receiving.waiting()
        peer.hang_up()
        assert await receiving.result() is ConnectionLost


@promise
async def test_iteration_raises_at_a_lost_connection(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(text("a"))
        peer.hang_up()
        messages = aiter(ws)
        assert await anext(messages) == "a"
        with pytest.raises(ConnectionLost):
            await anext(messages)


@promise
async def test_a_tls_close_notify_without_a_close_is_a_lost_connection(flavour: Flavour, place: Place) -> None:
    secure = Place("tls", place.folder)
    with Peer(secure) as peer:
        async with connected(flavour, peer) as ws:
            peer.send(text("a"))
            peer.notify_close()
            assert await ws.receive() == Text("a")
            assert isinstance(await the_end(ws), ConnectionLost)


@promise
async def test_a_broken_tls_record_loses_the_connection_behind_what_was_good(flavour: Flavour, place: Place) -> None:
    secure = Place("tls", place.folder)
    with Peer(secure) as peer:
        async with connected(flavour, peer) as ws:
            peer.send_raw(peer.stream.encrypted(text("a")) + b"\x17\x03\x03\x00\x20" + bytes(32))
            assert await ws.receive() == Text("a")
            error = await the_end(ws)
            assert isinstance(error, ConnectionLost)
            assert "record" in str(error).lower() or "mac" in str(error).lower()


# Failed


@tcp_and_tls
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"\x83\x00", 1002),
        (b"\xc1\x00", 1002),
        (b"\x81\x81\x00\x00\x00\x00a", 1002),
        (b"\x09\x00", 1002),
        (b"\x89\x7e\x00\x7e" + bytes(126), 1002),
        (b"\x80\x00", 1002),
        (b"\x01\x01a\x81\x01b", 1002),
        (b"\x88\x01x", 1002),
        (wire.close(1005), 1002),
        (b"\x81\x02\xc3\x28", 1007),
        (b"\x01\x01\xc3\x80\x01\x28", 1007),
        (wire.encode(wire.CLOSE, b"\x03\xe8\xff"), 1007),
    ],
    ids=[
        "opcode",
        "RSV",
        "masked",
        "fragmented Ping",
        "long Ping",
        "continuation of nothing",
        "no continuation",
        "short Close",
        "forbidden code",
        "UTF-8",
        "UTF-8 over fragments",
        "UTF-8 of a reason",
    ],
)
@promise
async def test_a_protocol_error_fails_the_websocket_behind_what_was_good(
    flavour: Flavour, peer: Peer, broken: bytes, code: int
) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(text("good") + wire.encode(wire.PING, b"p") + broken + text("never"))
        assert [await ws.receive(), await ws.receive()] == [Text("good"), Ping(b"p")]
        first = await flavour.call(peer.frame)
        assert first == Wire(wire.PONG, b"p")
        if broken[0] == 1:
            assert isinstance(await ws.receive(), Text)  # the first fragment was good
        error = await the_end(ws)
        close = await flavour.call(peer.frame)
        assert (close.opcode, int.from_bytes(close.payload[:2], "big")) == (wire.CLOSE, code)
        assert isinstance(error, ProtocolError)
        assert error.close_info.cause is CloseCause.PROTOCOL_ERROR
        assert error.close_info.sent == Close(code, close.payload[2:].decode())


@pytest.mark.parametrize("way", ["whole", "fragments", "compressed", "compressed fragments"])
@pytest.mark.parametrize("kind", [wire.TEXT, wire.BINARY])
@promise
async def test_a_message_over_the_limit_is_too_big(flavour: Flavour, place: Place, way: str, kind: int) -> None:
    compressed = "compressed" in way
    size = 1000
    good = wire.fragments(kind, b"a" * size, compressed=compressed)
    parts = [b"a" * 600, b"a" * 401] if "fragments" in way else [b"a" * 1001]
    bad = wire.fragments(kind, *parts, compressed=compressed)
    with Peer(place, upgrading(*[DEFLATE] * compressed)) as peer:
        async with connected(flavour, peer, max_message_size=size) as ws:
            peer.send(b"".join(good + bad) + text("never"))
            message = await ws.receive_message()
            assert message == ("a" if kind == wire.TEXT else b"a") * size
            with pytest.raises(MessageTooBig, match="1000") as caught:
                await ws.receive_message()
            assert caught.value.limit == size
            close = await flavour.call(peer.frame)
            assert (close.opcode, int.from_bytes(close.payload[:2], "big")) == (wire.CLOSE, 1009)
            assert caught.value.close_info.cause is CloseCause.LIMIT
            assert caught.value.close_info.sent is not None
            assert caught.value.close_info.sent.code == 1009


@promise
async def test_messages_have_no_bound_where_none_is_wanted(flavour: Flavour, echo: Echo, place: Place) -> None:
    size = 5 * 1024 * 1024
    with Peer(place) as peer:
        async with connected(flavour, peer, max_message_size=None) as ws:
            sending = flavour.spawn(flavour.call, peer.send, wire.encode(wire.BINARY, bytes(size)))
            assert len(await ws.receive_binary()) == size
            await sending.result()


# Leaving a block


@tcp_and_tls
@pytest.mark.parametrize(("error", "code"), [(None, 1000), (KeyError, 1011)])
@promise
async def test_leaving_a_block_closes(flavour: Flavour, peer: Peer, error: type[Exception] | None, code: int) -> None:
    async def block() -> None:
        async with await connect(flavour, peer):
            if error is not None:
                raise error

    leaving = flavour.spawn(block)
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, code.to_bytes(2, "big"))]
    if error is None:
        await leaving.result()
    else:
        with pytest.raises(error):
            await leaving.result()


@every_transport
@promise
async def test_leaving_a_block_by_a_cancellation_does_not_wait(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=None)

    async def block() -> None:
        async with ws:
            await ws.receive()

    assert await flavour.interrupt(block) is INTERRUPTED
    assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]
    error = await the_end(ws)
    assert error.close_info.cause is CloseCause.CANCELLATION


class Stop(BaseException):
    """As KeyboardInterrupt and SystemExit are: no Exception."""


@every_transport
@promise
async def test_leaving_a_block_by_what_is_no_exception_does_not_wait(flavour: Flavour, peer: Peer) -> None:
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
async def test_leaving_a_block_by_a_cancellation_in_the_middle_of_a_frame(
    flavour: Flavour, place: Place, turns: int
) -> None:
    with Peer(place, receive_buffer=4096) as peer:
        ws = await connect(flavour, peer, close_timeout=None)

        async def block() -> None:
            async with ws:
                await ws.send_binary(bytes(6 * 1024 * 1024))

        assert await flavour.interrupt(block, turns) is INTERRUPTED
        if turns:
            await the_end(ws)
        await ws.close() if turns else await flavour.interrupt(ws.close)


@pytest.mark.parametrize("what", ["receive", "ping", "a turn to send", "all of them"])
@promise
async def test_leaving_a_block_by_a_cancellation_tells_whoever_still_waits(
    flavour: Flavour, peer: Peer, what: str
) -> None:
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
async def test_leaving_a_block_tells_a_ping_that_waits_behind_what_nobody_takes(flavour: Flavour, peer: Peer) -> None:
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
    await flavour.call(peer.send, much + wire.encode(wire.PING, b"p") + text("a"))
    with pytest.raises(ReceiveTimeout):
        await ws.ping(b"y", timeout=0.2)  # by now, all that fits is read
    assert await flavour.interrupt(block) is INTERRUPTED
    assert await pinging.result()
    assert await ws.receive() == Binary(bytes(1024 * 1024))
