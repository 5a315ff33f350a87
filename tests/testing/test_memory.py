"""A pair in memory: it behaves as over a network, and has the faults that a test asks for."""

from __future__ import annotations

from typing import Any

import pytest

from polysocket import (
    Asyncio,
    Binary,
    Blocking,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    Deflate,
    Frame,
    InvalidRequest,
    Ping,
    Pong,
    Side,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    basic_request,
)
from polysocket._opening.tls import TLSStream
from polysocket.testing import Faults, inside, memory_pair, memory_streams
from polysocket.testing.contract.places import client_context, server_context
from polysocket.testing.effect_of import effect_of
from tests.backends.flavours import Flavour
from tests.testing.joined import joined

CONVERSATION: list[Frame] = [
    Text("Grüße"),
    Binary(bytes(300)),
    Ping(b"are you there"),
    Text("a", final=False),
    Text("b"),
    Text(""),
]


async def test_frames_go_in_both_directions(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag) as (client, server, _):
        for sender, receiver in ((client, server), (server, client)):
            for position, frame in enumerate(CONVERSATION):
                await sender.send(frame, is_continuation=position == 4)
            assert [await receiver.receive() for _ in CONVERSATION] == CONVERSATION
            assert await sender.receive() == Pong(b"are you there")


async def test_a_closing_handshake_is_seen_on_both_sides(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag) as (client, server, _):
        closing = flavour.spawn(client.close, 4000, "done")
        assert await server.receive() == Close(4000, "done")
        await server.close()
        await closing.result()
        assert client.close_info == CloseInfo(Side.LOCAL, CloseCause.CLOSE, Close(4000), Close(4000, "done"))
        assert server.close_info == CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(4000, "done"), Close(4000))


async def test_frames_that_arrived_before_a_failed_send_are_received(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag, to_client=Faults(pieces=(10,))) as (client, server, pair):
        for number in range(20):
            await server.send_text(str(number))
            await server.send(Ping(b"unanswered"))
        await server.send(Close(4003))
        pair.server._session.abort()
        with pytest.raises(ConnectionLost):
            await client.send_text("too late")
        assert [await client.receive_text() for _ in range(20)] == [str(number) for number in range(20)]
        with pytest.raises(WebSocketClosed) as caught:
            await client.receive_text()
        assert caught.value.close == Close(4003)


async def test_the_end_of_the_block_aborts_both_sides_without_waiting(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag) as (client, server, _):
        await client.send_text("never received")
    assert not client.is_open
    assert not server.is_open
    with pytest.raises(WebSocketClosed):
        await client.send_text("too late")


async def test_both_sides_agree_in_a_real_opening_handshake(flavour: Flavour, tag: type[Any]) -> None:
    request = basic_request.get("ws://memory/chat").subprotocol("news", "chat").compress(Deflate())
    limits = basic_request.subprotocol("chat")
    async with joined(flavour, tag, request=request, limits=limits) as (client, server, _):
        assert client.subprotocol == server.subprotocol == "chat"
        assert client.response.status == 101
        assert client.response.extensions
        await client.send_text("compressed " * 100)
        assert await server.receive_text() == "compressed " * 100


def test_with_is_refused_in_an_async_flavour() -> None:
    pair: Any = memory_pair(Asyncio)
    with pytest.raises(TypeError, match="is for 'async with', not 'with'"), pair:
        pass


def test_a_request_that_can_not_be_sent_is_invalid() -> None:
    with pytest.raises(InvalidRequest, match="no URL"):
        memory_pair(Blocking, request=basic_request)


def test_a_request_that_the_server_refuses_is_rejected() -> None:
    request = basic_request.get("ws://memory/").header("Host", "two hosts")
    with pytest.raises(UpgradeRejected, match="400"):
        memory_pair(Blocking, request=request)


def test_a_tag_that_is_not_a_flavour_is_refused() -> None:
    with pytest.raises(TypeError, match="Blocking, Threaded, Asyncio, Trio"):
        memory_pair(str)


@pytest.mark.parametrize("pieces", [(1,), (2, 1), (7,), (1000,)])
async def test_bytes_in_pieces_change_nothing(flavour: Flavour, tag: type[Any], pieces: tuple[int, ...]) -> None:
    faults = Faults(pieces=pieces)
    async with joined(flavour, tag, to_server=faults, to_client=faults) as (client, server, _):
        for position, frame in enumerate(CONVERSATION):
            await client.send(frame, is_continuation=position == 4)
        assert [await server.receive() for _ in CONVERSATION] == CONVERSATION
        assert await client.receive() == Pong(b"are you there")


@pytest.mark.parametrize("cut_after", range(2 + 3, 2 + 3 + 2 + 3))
async def test_a_cut_within_a_frame_loses_the_connection_after_the_frames_before_it(
    flavour: Flavour, tag: type[Any], cut_after: int
) -> None:
    async with joined(flavour, tag, to_client=Faults(cut_after=cut_after)) as (client, server, _):
        await server.send_text("one")  # 2 bytes of header, 3 of payload
        if cut_after > 5:
            await server.send_text("two")
        assert await client.receive_text() == "one"
        with pytest.raises(ConnectionLost, match=f"cut after {cut_after} bytes") as caught:
            await client.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert caught.value.close_info.cause is CloseCause.NETWORK
        assert caught.value.close_info.code == 1006


async def test_a_cut_breaks_both_directions(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag, to_server=Faults(cut_after=10)) as (client, server, _):
        await server.send_text("already on its way")
        await client.send_text("a lot more than fits into ten bytes")
        with pytest.raises(ConnectionLost):
            await client.send_text("more")
        assert await client.receive_text() == "already on its way"
        with pytest.raises(ConnectionLost):
            await client.receive()
        with pytest.raises(ConnectionLost):
            await server.receive()
        with pytest.raises(WebSocketClosed):
            await server.send_text("too late")


async def test_a_cut_at_once_lets_nothing_through(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag, to_server=Faults(cut_after=0)) as (client, server, _):
        await client.send_text("lost")
        with pytest.raises(ConnectionLost):
            await server.receive()


async def test_without_room_a_sender_waits_until_the_peer_receives(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag, to_server=Faults(room=1000)) as (client, server, pair):
        order: list[str] = []

        async def send() -> None:
            await client.send_binary(bytes(5000))
            order.append("sent")

        sending = flavour.spawn(send)
        await flavour.nothing_left_to_do()
        if flavour.is_async:
            assert not order
        assert await server.receive_binary() == bytes(5000)
        order.append("received")
        await sending.result()
        assert "sent" in order
        assert inside(pair.client).pending_bytes == 0


async def test_a_sender_that_waits_for_room_is_woken_by_the_end(flavour: Flavour, tag: type[Any]) -> None:
    async with joined(flavour, tag, to_server=Faults(room=0)) as (client, _, pair):
        sending = flavour.spawn(client.send_text, "never received")
        await flavour.nothing_left_to_do()
        pair.server._session.abort()
        with pytest.raises(WebSocketClosed):
            await sending.result()


@pytest.mark.parametrize(
    "faults",
    [{"cut_after": -1}, {"delay": -0.5}, {"room": -1}, {"pieces": (2, 0)}],
    ids=lambda faults: next(iter(faults)),
)
def test_faults_that_can_not_be_are_refused(faults: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(faults)).rstrip("s")):
        Faults(**faults)


async def test_streams_in_memory_carry_tls(flavour: Flavour, tag: type[Any]) -> None:
    async def conversation() -> None:
        client, server = memory_streams(effect, Faults(pieces=(100,)), Faults(pieces=(3, 50)))

        async def serve() -> None:
            tls = await TLSStream.start(server, server_context(), effect, server_side=True)
            tls.write(await tls.read())
            await tls.drain()

        effect.spawn(serve, lambda _: None)
        tls = await TLSStream.start(client, client_context(), effect, server_hostname="localhost")
        tls.write(b"hello")
        await tls.drain()
        assert await tls.read() == b"hello"
        tls.abort()

    effect = effect_of(tag)
    await flavour.value(effect.lift(conversation)())


async def test_the_end_of_a_stream_follows_small_bytes_that_are_unread(flavour: Flavour, tag: type[Any]) -> None:
    async def conversation() -> list[bytes]:
        client, server = memory_streams(effect)
        server.write(b"bytes, ")
        server.write(b"and more")
        server.abort()
        return [await client.read(), await client.read()]

    effect = effect_of(tag)
    assert await flavour.value(effect.lift(conversation)()) == [b"bytes, and more", b""]


async def test_many_tasks_may_send_at_the_same_time(flavour: Flavour, tag: type[Any]) -> None:
    faults = Faults(pieces=(3, 1000), room=50)
    async with joined(flavour, tag, to_server=faults) as (client, server, _):
        texts = [f"{number} {'x' * number}" for number in range(40)]

        async def send(some: list[str]) -> None:
            for text in some:
                await client.send_text(text)

        senders = [flavour.spawn(send, texts[start::4]) for start in range(4)]
        received = [await server.receive_text() for _ in texts]
        for sender in senders:
            await sender.result()
        assert sorted(received) == sorted(texts)
