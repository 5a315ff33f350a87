"""Ends without a closing handshake: a lost connection, a protocol error, a message over the limit."""

from __future__ import annotations

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    CloseCause,
    ConnectionLost,
    MessageTooBig,
    Ping,
    ProtocolError,
    Side,
    Text,
    WebSocket,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.closing import check_ended
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import DEFLATE, Peer, Place, upgrading
from polysocket.testing.contract.wire import Wire

# Lost


@every_transport
@pytest.mark.parametrize(
    ("torn", "before"),
    [
        (b"", []),
        (wire.text("a"), [Text("a")]),
        (wire.text("a") + wire.text("bc")[:1], [Text("a")]),
        (wire.text("a") + wire.text("bc")[:2], [Text("a")]),
        (wire.text("a") + wire.text("bc")[:3], [Text("a")]),
        (wire.text("a") + wire.encode(wire.BINARY, bytes(70_000))[:-1], [Text("a")]),
        (wire.fragments(wire.BINARY, b"a", b"b")[0], [Binary(b"a", final=False)]),
        (wire.close(1000)[:3], []),
    ],
    ids=["nothing", "whole", "header", "header whole", "payload", "long payload", "fragment", "Close"],
)
@promise
async def test_frames_before_a_lost_connection_are_received_wherever_it_is_cut(
    flavour: Flavour, peer: Peer, torn: bytes, before: list[object]
) -> None:
    async with connected(flavour, peer) as ws:
        await flavour.call(peer.send, torn)
        peer.hang_up()
        assert [await ws.receive() for _ in before] == before
        error = await check_ended(ws)
        assert isinstance(error, ConnectionLost)
        assert error.close is None
        assert (error.close_info.code, error.close_info.initiator) == (1006, Side.REMOTE)
        assert error.close_info.cause is CloseCause.NETWORK


@every_transport
@promise
async def test_a_reset_connection_is_lost(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a"))
        assert await ws.receive() == Text("a")
        peer.reset()
        error = await check_ended(ws)
        assert isinstance(error, ConnectionLost)
        assert error.close_info.cause is CloseCause.NETWORK


@tcp_and_tls
@promise
async def test_a_receive_that_waits_raises_if_the_connection_is_lost(flavour: Flavour, peer: Peer) -> None:
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
async def test_iteration_raises_if_the_connection_is_lost(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("a"))
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
            peer.send(wire.text("a"))
            peer.notify_close()
            assert await ws.receive() == Text("a")
            assert isinstance(await check_ended(ws), ConnectionLost)


@promise
async def test_a_broken_tls_record_loses_the_connection_after_the_valid_frames(flavour: Flavour, place: Place) -> None:
    secure = Place("tls", place.folder)
    with Peer(secure) as peer:
        async with connected(flavour, peer) as ws:
            peer.send_raw(peer.stream.encrypted(wire.text("a")) + b"\x17\x03\x03\x00\x20" + bytes(32))
            assert await ws.receive() == Text("a")
            error = await check_ended(ws)
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
async def test_a_protocol_error_fails_the_websocket_after_the_valid_frames(
    flavour: Flavour, peer: Peer, broken: bytes, code: int
) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.text("good") + wire.encode(wire.PING, b"p") + broken + wire.text("never"))
        assert [await ws.receive(), await ws.receive()] == [Text("good"), Ping(b"p")]
        first = await flavour.call(peer.frame)
        assert first == Wire(wire.PONG, b"p")
        if broken[0] == 1:
            assert isinstance(await ws.receive(), Text)  # the valid first fragment
        error = await check_ended(ws)
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
            peer.send(b"".join(good + bad) + wire.text("never"))
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
async def test_messages_have_no_limit_if_max_message_size_is_none(flavour: Flavour, peer: Peer) -> None:
    size = 5 * 1024 * 1024
    async with connected(flavour, peer, max_message_size=None) as ws:
        sending = flavour.spawn(flavour.call, peer.send, wire.encode(wire.BINARY, bytes(size)))
        assert len(await ws.receive_binary()) == size
        await sending.result()
