"""Reconnecting: which ends are followed by the next websocket, and what a loop gets."""

from __future__ import annotations

import contextlib
import socket

import pytest

from polysocket import (
    Async,
    Backoff,
    Buffer,
    BufferFull,
    CloseCause,
    CloseInfo,
    ConcurrentReceive,
    ConnectFailed,
    ConnectionLost,
    ConnectOptions,
    Gap,
    InvalidRequest,
    WebSocket,
    WebSocketClosed,
)
from polysocket.testing import VirtualClock
from polysocket.testing.contract import wire
from polysocket.testing.contract.connections import (
    LATER,
    closing,
    left,
    longest_delays,
    reconnect,
    staying,
    take,
    take_all,
)
from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, promise
from polysocket.testing.contract.places import (
    Echo,
    Listener,
    Peer,
    Place,
    answering,
    client_context,
)
from polysocket.testing.contract.wire import Wire

# The loop over websockets


@tcp_and_tls
@pytest.mark.parametrize("code", [1000, 1001, None, 1011, 1012, 1013, 3000, 4000])
@promise
async def test_a_loop_yields_the_next_websocket_after_a_close_of_the_peer(
    flavour: Flavour, place: Place, code: int | None
) -> None:
    received: list[str | bytes] = []
    with Peer(place, closing(code, "a"), closing(code, "b"), staying("c")) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            async for ws in connections:
                assert connections.websocket is ws
                with contextlib.suppress(WebSocketClosed):
                    async for message in ws:
                        received.append(message)
                        if message == "c":
                            break
                if received == ["a", "b", "c"]:
                    break
        assert len(peer.requests) == 3


@promise
async def test_a_loop_yields_the_next_websocket_after_a_lost_connection(flavour: Flavour, place: Place) -> None:
    with Peer(place, staying(), staying("b")) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            websockets = aiter(connections)
            first = await anext(websockets)
            await first.send_text("the peer hangs up after this")
            with pytest.raises(ConnectionLost):
                await first.receive()
            assert await (await anext(websockets)).receive_text() == "b"


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1010])
@promise
async def test_a_close_code_that_blames_this_side_is_raised(flavour: Flavour, place: Place, code: int) -> None:
    with Peer(place, closing(code)) as peer:
        async with reconnect(flavour, peer) as connections:
            websockets = aiter(connections)
            ws = await anext(websockets)
            with pytest.raises(WebSocketClosed):
                await ws.receive_text()
            peer.hang_up()
            with pytest.raises(WebSocketClosed) as caught:
                await anext(websockets)
            assert caught.value.close_info.code == code
            assert await take_all(connections) == []


@promise
async def test_a_message_that_is_too_big_is_raised(flavour: Flavour, place: Place) -> None:
    with Peer(place, staying("much too big")) as peer:
        async with left(reconnect(flavour, peer, max_message_size=3), peer) as connections:
            reading = flavour.spawn(take, connections.messages(), 1)
            assert (await flavour.call(peer.frame)).payload[:2] == (1009).to_bytes(2, "big")
            peer.hang_up()
            with pytest.raises(WebSocketClosed) as caught:
                await reading.result()
            assert caught.value.close_info.cause is CloseCause.LIMIT


@promise
async def test_each_websocket_reads_ahead_into_a_buffer(flavour: Flavour, place: Place) -> None:
    with Peer(place, staying("a")) as peer:
        options: ConnectOptions = {"buffer": Buffer.bounded(1), "ping_interval": None}
        async with left(reconnect(flavour, peer, **options), peer) as connections:
            ws = await anext(aiter(connections))
            peer.send(wire.text("b"))
            assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
            assert await ws.receive_text() == "a"
            with pytest.raises(BufferFull):
                await ws.receive_text()


@promise
async def test_closing_a_websocket_in_the_body_is_followed_by_the_next(flavour: Flavour, echo: Echo) -> None:
    infos: list[CloseInfo | None] = []
    async with reconnect(flavour, echo, policy=Backoff(initial=0, attempts=1)) as connections:
        async for ws in connections:
            if len(infos) == 2:
                break
            await ws.close(1008)
            infos.append(ws.close_info)
    assert [info.code for info in infos if info is not None] == [1008, 1008]


@promise
async def test_a_body_that_ends_closes_its_websocket_before_the_next_is_opened(flavour: Flavour, echo: Echo) -> None:
    websockets: list[WebSocket[Async]] = []
    async with reconnect(flavour, echo) as connections:
        async for ws in connections:
            assert not any(each.is_open for each in websockets)
            websockets.append(ws)
            if len(websockets) == 3:
                break
    assert all(each.close_info is not None and each.close_info.is_normal for each in websockets)


@promise
async def test_an_exception_in_the_body_ends_the_loop_and_closes_with_1011(flavour: Flavour, place: Place) -> None:
    async def loop() -> None:
        async with reconnect(flavour, peer) as connections:
            async for _ in connections:
                raise LookupError("on purpose")

    with Peer(place) as peer:
        running = flavour.spawn(loop)
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, (1011).to_bytes(2, "big"))]
        with pytest.raises(LookupError):
            await running.result()


@promise
async def test_a_lost_connection_that_the_body_does_not_catch_ends_the_loop(flavour: Flavour, place: Place) -> None:
    async def loop() -> None:
        async with reconnect(flavour, peer) as connections:
            async for ws in connections:
                await ws.send_text("the peer hangs up after this")
                await ws.receive()

    with Peer(place, staying(), staying()) as peer:
        with pytest.raises(ConnectionLost):
            await loop()
        assert len(peer.requests) == 1


@promise
async def test_the_end_of_the_block_closes_with_1000(flavour: Flavour, place: Place) -> None:
    async def loop() -> None:
        async with reconnect(flavour, peer) as connections:
            async for _ in connections:
                break
        assert await take_all(connections) == []

    with Peer(place) as peer:
        running = flavour.spawn(loop)
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, (1000).to_bytes(2, "big"))]
        await running.result()


@promise
async def test_a_loop_without_a_block_drops_the_connection_when_it_is_left(flavour: Flavour, place: Place) -> None:
    with Peer(place) as peer:
        async for ws in reconnect(flavour, peer):
            assert ws.is_open
            break
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, (1001).to_bytes(2, "big"))]


@promise
async def test_nothing_is_sent_again_by_itself(flavour: Flavour, place: Place) -> None:
    with Peer(place, staying(), staying()) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            websockets = aiter(connections)
            first = await anext(websockets)
            await first.send_text("lost")
            with pytest.raises(ConnectionLost):
                await first.receive()
            with pytest.raises(ConnectionLost):
                await first.send_text("refused")
            second = await anext(websockets)
            await second.send_text("new")
            assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"new")


@promise
async def test_redirects_are_followed_anew_by_each_attempt(flavour: Flavour, place: Place) -> None:
    there = answering("302 Found", "Location: /there")
    with Peer(place, there, closing(1001), there, staying("b")) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            gap, message = await take(connections.messages(), 2)
            assert (gap.attempts, message) == (1, "b")
        assert [request.split()[1] for request in peer.requests] == [b"/", b"/there", b"/", b"/there"]


# Messages and gaps


@tcp_and_tls
@promise
async def test_messages_come_from_all_websockets_with_a_gap_between_two(flavour: Flavour, place: Place) -> None:
    clock = VirtualClock(autojump=True)
    answers = [staying("a"), closing(1001, "b", "c"), answering("503 Busy", "Retry-After: 7"), staying("d")]
    with Peer(place, *answers) as peer:
        async with left(reconnect(flavour, peer, clock=clock), peer) as connections:
            messages = connections.messages()
            assert await anext(messages) == "a"
            assert connections.websocket is not None
            await connections.websocket.send_text("the peer hangs up after this")
            first, *received, second, last = await take(messages, 5)
            assert received == ["b", "c"]
            assert last == "d"
            assert isinstance(first, Gap)
            assert (first.close_info.code, first.attempts, first.seconds) == (1006, 1, 0)
            assert isinstance(second, Gap)
            assert (second.close_info.code, second.attempts, second.seconds) == (1001, 2, 7)


@promise
async def test_a_loop_over_messages_that_was_left_can_be_continued(flavour: Flavour, place: Place) -> None:
    with Peer(place, staying("a", "b", "c")) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            ws = await anext(aiter(connections))
            assert [await anext(connections.messages()) for _ in range(3)] == ["a", "b", "c"]
            assert connections.websocket is ws


@promise
async def test_a_cancelled_step_loses_neither_a_message_nor_a_gap(flavour: Flavour, echo: Echo) -> None:
    async with reconnect(flavour, echo) as connections:
        messages = connections.messages()

        async def step() -> object:
            return await anext(messages)

        ws = await anext(aiter(connections))
        await ws.close()
        for turns in range(30):
            if (gap := await flavour.interrupt(step, turns)) is not INTERRUPTED:
                break
        else:
            gap = await step()
        assert isinstance(gap, Gap)
        assert gap.close_info == ws.close_info
        assert connections.websocket is not None
        assert await flavour.interrupt(step) is INTERRUPTED
        await connections.websocket.send_text("a")
        assert await step() == "a"


@promise
async def test_a_cancelled_step_does_not_shorten_the_delay(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    listener.hang_up()
    errors: list[Exception] = []

    def note(error: Exception) -> bool:
        errors.append(error)
        return False

    async def step_until_attempt(number: int) -> None:
        turns = 8
        while len(errors) < number:
            assert await flavour.interrupt(lambda: take(messages, 1), turns) is INTERRUPTED
            turns *= 2

    clock = VirtualClock()
    with longest_delays():
        url = listener.url.replace("localhost", "127.0.0.1")  # It needs no thread to be looked up.
        policy = Backoff(initial=60)
        async with reconnect(flavour, listener, url, clock=clock, policy=policy, is_final=note) as connections:
            messages = connections.messages()
            await step_until_attempt(1)
            clock.advance(59)
            for _ in range(5):
                assert await flavour.interrupt(lambda: take(messages, 1), 30) is INTERRUPTED
            assert len(errors) == 1
            clock.advance(1)
            await step_until_attempt(2)
    assert all(isinstance(error, ConnectFailed) for error in errors)


# Closing from another task


@promise
async def test_closing_ends_the_wait_for_the_next_attempt(flavour: Flavour, place: Place) -> None:
    with Peer(place, LATER) as peer:
        async with reconnect(flavour, peer) as connections:
            looping = flavour.spawn(take_all, connections)
            await flavour.call(peer.wait_for_requests, 1)
            await looping.waiting()
            await connections.close()
            assert await looping.result() == []


@promise
async def test_closing_ends_the_wait_for_an_opening(flavour: Flavour, silent: Listener) -> None:
    limit = 5 if flavour.effect().is_async else 0.2  # A thread that connects can't be interrupted.
    async with reconnect(flavour, silent, open_timeout=limit) as connections:
        looping = flavour.spawn(take_all, connections)
        await looping.waiting()
        await connections.close()
        assert await looping.result() == []


@promise
async def test_closing_ends_a_loop_over_messages(flavour: Flavour, echo: Echo) -> None:
    received: list[str | bytes | Gap] = []

    async def loop() -> None:
        async for message in connections.messages():
            received.append(message)
            is_received.set()

    is_received = flavour.event()
    async with reconnect(flavour, echo, on_open=lambda ws: ws.send_text("a")) as connections:
        looping = flavour.spawn(loop)
        await is_received.wait()
        await looping.waiting()
        await connections.close()
        await looping.result()
    assert received == ["a"]


@pytest.mark.parametrize("is_waiting", [True, False], ids=["waiting", "in its body"])
@promise
async def test_a_loop_over_messages_gets_those_that_arrive_while_another_task_closes(
    flavour: Flavour, peer: Peer, is_waiting: bool
) -> None:
    async def rest() -> list[str | bytes | Gap]:
        return [message async for message in messages]

    connections = reconnect(flavour, peer)
    messages = connections.messages()
    first = flavour.spawn(anext, messages)
    await flavour.call(peer.send, wire.text("first"))
    assert await first.result() == "first"
    looping = flavour.spawn(rest) if is_waiting else None
    if looping is not None:
        await looping.waiting()
    closing = flavour.spawn(connections.close)
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.send(b"".join(map(wire.text, "abc")) + wire.close())
    peer.hang_up()
    await closing.result()
    assert await (rest() if looping is None else looping.result()) == ["a", "b", "c"]


@promise
async def test_a_cancelled_block_drops_the_connection(flavour: Flavour, place: Place) -> None:
    async def block() -> None:
        async with connections:
            await anext(connections.messages())

    with Peer(place) as peer:
        connections = reconnect(flavour, peer)
        await anext(aiter(connections))
        assert await flavour.interrupt(block) is INTERRUPTED
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, (1001).to_bytes(2, "big"))]
        assert await take_all(connections) == []


@promise
async def test_a_second_caller_that_waits_is_refused(flavour: Flavour, place: Place) -> None:
    with Peer(place, LATER) as peer:
        async with reconnect(flavour, peer) as connections:
            looping = flavour.spawn(take_all, connections)
            await flavour.call(peer.wait_for_requests, 1)
            await looping.waiting()
            for second in (aiter(connections), connections.messages()):
                with pytest.raises(ConcurrentReceive):
                    await anext(second)
            await connections.close()
            await looping.result()


@promise
async def test_repr_has_flavour_url_and_state_without_secrets(flavour: Flavour, peer: Peer) -> None:
    url = f"{peer.url.replace('//', '//user:secret@')}chat?mail=me@example.com&token=secret"
    connections = reconnect(flavour, peer, url)
    begin = f"<{flavour.effect().name}.Connections {peer.url}chat?…"
    assert repr(connections) == f"{begin} waiting>"
    await anext(aiter(connections))
    assert repr(connections) == f"{begin} open>"
    peer.hang_up()
    await connections.close()
    assert repr(connections) == f"{begin} closed>"


# Arguments


@promise
async def test_options_that_can_not_work_are_refused_at_once(flavour: Flavour, peer: Peer) -> None:
    left_socket, right_socket = socket.socketpair()
    with left_socket, right_socket, pytest.raises(InvalidRequest, match="reconnect\\(\\) opens many"):
        reconnect(flavour, peer, sock=left_socket)
    with pytest.raises(InvalidRequest, match="policy is a Backoff"):
        reconnect(flavour, peer, policy=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidRequest, match="is_final is a function"):
        reconnect(flavour, peer, is_final=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidRequest, match="on_open is a function"):
        reconnect(flavour, peer, on_open="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidRequest, match="ssl is for wss URLs"):
        reconnect(flavour, peer, ssl=client_context())
