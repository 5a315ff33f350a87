"""Attempts of ``reconnect``: which errors another one follows, when it is made, and how ``on_open`` prepares it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from polysocket import (
    Async,
    Backoff,
    ConnectFailed,
    ConnectionLost,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    polymorphic,
)
from polysocket.testing import VirtualClock
from polysocket.testing.contract import wire
from polysocket.testing.contract.connections import (
    closing,
    left,
    longest_delays,
    reconnect,
    staying,
    take,
    take_all,
)
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import (
    Echo,
    Listener,
    Peer,
    Place,
    answering,
)
from polysocket.testing.contract.wire import Wire
from polysocket.websocket import CoroutineWebSocket

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


@promise
async def test_an_is_final_that_returns_an_awaitable_is_refused(flavour: Flavour, place: Place) -> None:
    async def judge(_: Exception) -> bool:
        raise AssertionError("it is not awaited")

    def judge_later(error: Exception) -> Any:
        return judge(error)

    with Peer(place, answering("404 Not Found")) as peer:
        with pytest.raises(TypeError, match="is_final is a plain function in every flavour, not <function"):
            reconnect(flavour, peer, is_final=judge)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        async with reconnect(flavour, peer, is_final=judge_later) as connections:
            with pytest.raises(TypeError, match="is_final is a plain function in every flavour; its call returned"):
                await take(connections.messages(), 1)


@promise
async def test_a_rejection_of_credentials_that_a_function_renews_is_tried_once_more(
    flavour: Flavour, place: Place
) -> None:
    unauthorized, tokens = answering("401 Unauthorized"), iter("abcd")
    with Peer(place, unauthorized, closing(1001, "a"), unauthorized, unauthorized) as peer:
        async with reconnect(flavour, peer, auth=lambda: {"Authorization": f"Bearer {next(tokens)}"}) as connections:
            messages = connections.messages()
            assert await anext(messages) == "a"
            with pytest.raises(UpgradeRejected, match="401"):
                await anext(messages)
        sent = [re.search(rb"Bearer (.)", request) for request in peer.requests]
        assert [each and each[1] for each in sent] == [b"a", b"b", b"c", b"d"]


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


@pytest.mark.parametrize("error", [FileNotFoundError("on purpose"), PermissionError("on purpose")], ids=repr)
@promise
async def test_an_error_of_the_programs_files_is_raised(flavour: Flavour, place: Place, error: OSError) -> None:
    async def fail(_: CoroutineWebSocket) -> None:
        calls.append("on_open")
        raise error

    def fail_to_authenticate() -> dict[str, str]:
        calls.append("auth")
        raise error

    calls: list[str] = []
    once_more = Backoff(initial=0, attempts=2)

    with Peer(place) as peer:
        async with reconnect(flavour, peer, policy=once_more, on_open=fail) as connections:
            opening = flavour.spawn(take, aiter(connections), 1)
            await flavour.call(peer.finish)
            with pytest.raises(type(error)):
                await opening.result()
        async with reconnect(flavour, peer, policy=once_more, auth=fail_to_authenticate) as connections:
            with pytest.raises(type(error)):
                await take(connections.messages(), 1)
        assert calls == ["on_open", "auth"]


@promise
async def test_a_timeout_in_on_open_is_followed_by_another_attempt(flavour: Flavour, place: Place) -> None:
    async def time_out(_: CoroutineWebSocket) -> None:
        attempts.append("on_open")
        if len(attempts) == 1:
            raise TimeoutError

    attempts: list[str] = []
    with Peer(place, closing(1001), staying("a")) as peer:
        async with left(reconnect(flavour, peer, on_open=time_out), peer) as connections:
            assert await take(connections.messages(), 1) == ["a"]
    assert len(attempts) == 2


@promise
async def test_an_on_open_of_another_flavour_is_refused(flavour: Flavour, peer: Peer) -> None:
    async with reconnect(flavour, peer, on_open=lambda _: None) as connections:  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
        opening = flavour.spawn(take, aiter(connections), 1)
        await flavour.call(peer.finish)
        with pytest.raises(TypeError, match="on_open is an async function in this flavour"):
            await opening.result()
