"""Reconnecting: which ends are followed by another attempt, when it is made, and what a loop gets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Unpack
from unittest import mock

import pytest

from polysocket import (
    Async,
    Backoff,
    CloseCause,
    CloseInfo,
    ConcurrentReceive,
    ConnectFailed,
    ConnectionLost,
    ConnectOptions,
    Gap,
    InvalidRequest,
    Request,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    is_final,
    polymorphic,
)
from polysocket.connections import CoroutineConnections
from polysocket.testing import VirtualClock, VirtualEffect
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, promise
from polysocket.testing.contract.places import (
    Answer,
    Echo,
    Listener,
    Peer,
    Place,
    Target,
    answering,
    client_context,
    upgrading,
)
from polysocket.testing.contract.wire import Wire
from polysocket.websocket import CoroutineWebSocket

AT_ONCE = Backoff(initial=0)
LATER = answering("503 Service Unavailable", "Retry-After: 3600")


def reconnect(
    flavour: Flavour,
    target: Target,
    url: str | Request | None = None,
    *,
    clock: VirtualClock | None = None,
    policy: Backoff = AT_ONCE,
    is_final: Callable[[Exception], bool] = is_final,
    on_open: Callable[[CoroutineWebSocket], Awaitable[object]] | None = None,
    **options: Unpack[ConnectOptions],
) -> CoroutineConnections:
    """Reconnect to a server of the test, over the flavour's effect; the delays pass on the clock, if there is one."""
    effect = flavour.effect() if clock is None else VirtualEffect(flavour.effect(), clock)
    settings: ConnectOptions = {**target.options(), **options}
    return CoroutineConnections(
        CoroutineWebSocket, effect, url or target.url, settings, policy=policy, is_final=is_final, on_open=on_open
    )


def closing(code: int | None, *texts: str) -> Answer:
    """Return an answer that accepts, sends messages, and closes with a code, or with none."""
    close = wire.encode(wire.CLOSE) if code is None else wire.close(code)
    return upgrading(trailing=b"".join(map(wire.text, texts)) + close)


def staying(*texts: str) -> Answer:
    """Return an answer that accepts and sends messages."""
    return upgrading(trailing=b"".join(map(wire.text, texts)))


@contextlib.contextmanager
def longest_delays() -> Generator[None]:
    """Take the longest delay that the jitter may choose."""

    def uniform(_: float, longest: float) -> float:
        return longest

    with mock.patch("random.uniform", uniform):
        yield


@contextlib.asynccontextmanager
async def left(connections: CoroutineConnections, peer: Peer) -> AsyncGenerator[CoroutineConnections]:
    """Enter connections. At the end of the block the peer hangs up first, so that closing does not wait."""
    async with connections:
        yield connections
        peer.hang_up()


async def take(items: AsyncIterator[Any], count: int) -> list[Any]:
    """Return the next items."""
    return [await anext(items) for _ in range(count)]


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


async def take_all(connections: CoroutineConnections) -> list[WebSocket[Async]]:
    """Iterate to the end."""
    return [ws async for ws in connections]


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


# Attempts


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@promise
async def test_a_rejection_that_may_pass_is_followed_by_another_attempt(
    flavour: Flavour, place: Place, status: int
) -> None:
    with Peer(place, answering(f"{status} Later"), staying("a")) as peer:
        async with left(reconnect(flavour, peer), peer) as connections:
            assert await take(connections.messages(), 1) == ["a"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 426, 451])
@promise
async def test_a_rejection_that_stays_is_raised(flavour: Flavour, place: Place, status: int) -> None:
    with Peer(place, answering(f"{status} Never")) as peer:
        async with reconnect(flavour, peer) as connections:
            with pytest.raises(UpgradeRejected) as caught:
                await take(connections.messages(), 1)
            assert caught.value.response.status == status
        assert len(peer.requests) == 1


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_an_error_of_a_certificate_is_raised(flavour: Flavour, peer: Peer) -> None:
    async with reconnect(flavour, peer, ssl=None) as connections:
        with pytest.raises(ConnectFailed, match="certificate is not valid"):
            await take(connections.messages(), 1)


@promise
async def test_a_refused_connection_is_followed_by_another_attempt(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    listener.hang_up()
    clock, times = VirtualClock(autojump=True), list[float]()

    def note(_: Exception) -> bool:
        times.append(clock.now())
        return False

    policy = Backoff(attempts=3)
    async with reconnect(flavour, listener, clock=clock, policy=policy, is_final=note) as connections:
        with pytest.raises(ConnectFailed, match="could not connect"):
            await take(connections.messages(), 1)
    assert len(times) == 3
    assert 0 == times[0] < times[1] < times[2] <= 0.5 + 1


@promise
async def test_the_last_error_is_raised_after_the_allowed_attempts(flavour: Flavour, place: Place) -> None:
    clock = VirtualClock(autojump=True)
    with Peer(place, *[answering(f"{status} Busy") for status in (500, 502, 503)]) as peer:
        async with reconnect(flavour, peer, clock=clock, policy=Backoff(attempts=3)) as connections:
            with pytest.raises(UpgradeRejected) as caught:
                await take(connections.messages(), 1)
            assert caught.value.response.status == 503
            assert await take_all(connections) == []
        assert len(peer.requests) == 3


@promise
async def test_a_function_decides_which_error_is_final(flavour: Flavour, place: Place) -> None:
    seen: list[Exception] = []

    def is_normal(error: Exception) -> bool:
        seen.append(error)
        return isinstance(error, WebSocketClosed) and error.close_info.is_normal

    with Peer(place, answering("404 Not Found"), closing(1000, "a")) as peer:
        async with reconnect(flavour, peer, is_final=is_normal) as connections:
            messages = connections.messages()
            assert await anext(messages) == "a"
            peer.hang_up()
            with pytest.raises(WebSocketClosed) as caught:
                await anext(messages)
    assert [type(error) for error in seen] == [UpgradeRejected, WebSocketClosed]
    assert caught.value is seen[1]


# Delays


@promise
async def test_delays_grow_up_to_a_maximum(flavour: Flavour, place: Place) -> None:
    clock, times = VirtualClock(autojump=True), list[float]()

    def note(_: Exception) -> bool:
        times.append(clock.now())
        return False

    policy = Backoff(initial=1, factor=3, maximum=10)
    with Peer(place, *[answering("503 Busy")] * 5, staying("a")) as peer, longest_delays():
        async with left(reconnect(flavour, peer, clock=clock, policy=policy, is_final=note), peer) as connections:
            assert await take(connections.messages(), 1) == ["a"]
    assert times == [0, 1, 1 + 3, 1 + 3 + 9, 1 + 3 + 9 + 10]
    assert clock.now() == 33


@pytest.mark.parametrize(("seconds_up", "delays"), [(9, [1, 2, 4]), (10, [1, 1, 1])])
@promise
async def test_delays_start_again_only_after_a_stable_websocket(
    flavour: Flavour, place: Place, seconds_up: float, delays: list[float]
) -> None:
    clock, policy = VirtualClock(autojump=True), Backoff(initial=1, stable_after=10)
    gaps: list[float] = []
    with Peer(place, *[staying()] * 3, staying("end")) as peer, longest_delays():
        async with left(reconnect(flavour, peer, clock=clock, policy=policy), peer) as connections:
            ended_at = 0.0
            async for ws in connections:
                if ended_at:
                    gaps.append(clock.now() - ended_at)
                if len(gaps) == len(delays):
                    break
                clock.advance(seconds_up)
                ended_at = clock.now()
                await ws.send_text("the peer hangs up after this")
                with pytest.raises(ConnectionLost):
                    await ws.receive()
    assert gaps == delays


@pytest.mark.parametrize(
    "fields",
    [
        ["Retry-After: 90"],
        ["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:51:07 GMT"],
        ["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sunday, 06-Nov-94 08:51:07 GMT"],
        ["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun Nov  6 08:51:07 1994"],
    ],
    ids=["seconds", "date", "RFC 850", "asctime"],
)
@promise
async def test_retry_after_is_honoured(flavour: Flavour, place: Place, fields: list[str]) -> None:
    clock = VirtualClock(autojump=True)
    with Peer(place, answering("503 Service Unavailable", *fields), staying("a")) as peer:
        async with left(reconnect(flavour, peer, clock=clock), peer) as connections:
            assert await take(connections.messages(), 1) == ["a"]
    assert clock.now() == 90


# on_open


@polymorphic
async def subscribe(ws: WebSocket[Async]) -> str:
    """Subscribe, and return the answer."""
    await ws.send_text("subscribe")
    return await ws.receive_text()


@promise
async def test_on_open_is_called_with_each_websocket_before_the_loop_gets_it(flavour: Flavour, echo: Echo) -> None:
    prepared: list[WebSocket[Async]] = []

    async def prepare(ws: CoroutineWebSocket) -> None:
        assert await subscribe(ws) == "subscribe"
        prepared.append(ws)

    async with reconnect(flavour, echo, on_open=prepare) as connections:
        async for ws in connections:
            assert prepared[-1] is ws
            if len(prepared) == 3:
                break


@promise
async def test_a_polymorphic_program_may_prepare_each_websocket(flavour: Flavour, echo: Echo) -> None:
    async with reconnect(flavour, echo, on_open=subscribe) as connections:
        ws = await anext(aiter(connections))
        await ws.send_text("a")
        assert await ws.receive_text() == "a"


@promise
async def test_a_connection_that_is_lost_in_on_open_is_followed_by_another_attempt(
    flavour: Flavour, place: Place
) -> None:
    with Peer(place, staying(), closing(1013), staying("subscribed", "news")) as peer:
        async with left(reconnect(flavour, peer, on_open=subscribe), peer) as connections:
            assert await take(connections.messages(), 1) == ["news"]
        assert len(peer.requests) == 3


@promise
async def test_an_error_in_on_open_is_raised_and_closes_with_1011(flavour: Flavour, place: Place) -> None:
    async def fail(_: CoroutineWebSocket) -> None:
        raise LookupError("on purpose")

    with Peer(place) as peer:
        async with reconnect(flavour, peer, on_open=fail) as connections:
            opening = flavour.spawn(take, aiter(connections), 1)
            assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, (1011).to_bytes(2, "big"))]
            with pytest.raises(LookupError):
                await opening.result()
            assert connections.websocket is None


@promise
async def test_an_on_open_of_another_flavour_is_refused(flavour: Flavour, peer: Peer) -> None:
    async with reconnect(flavour, peer, on_open=lambda _: None) as connections:  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
        opening = flavour.spawn(take, aiter(connections), 1)
        await flavour.call(peer.finish)
        with pytest.raises(TypeError, match="on_open is an async function in this flavour"):
            await opening.result()


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
