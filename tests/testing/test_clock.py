"""The virtual clock: delays and time limits pass on it, and no test waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from polysocket import (
    Blocking,
    Buffer,
    CloseCause,
    InvalidFrame,
    Pong,
    ReceiveTimeout,
    Text,
    WebSocket,
    WebSocketHandler,
)
from polysocket.testing import (
    BackendStub,
    EchoServer,
    Faults,
    VirtualClock,
    VirtualEffect,
    WebSocketStub,
    memory_pair,
)
from polysocket.testing.effect_of import effect_of
from polysocket.websocket import open_websocket
from tests.backends.flavours import Flavour, has_trio, seen
from tests.testing.joined import after, joined

HOUR = 3600.0


async def test_a_delayed_frame_is_received_after_its_delay(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    async with joined(flavour, tag, clock=clock, to_client=Faults(delay=HOUR)) as (_, server, pair):
        await server.send_text("late")
        assert await after(HOUR, clock, flavour, pair.client.receive_text) == "late"
        assert clock.now() == HOUR


async def test_a_delayed_frame_is_not_received_before_its_delay(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    async with joined(flavour, tag, clock=clock, to_client=Faults(delay=HOUR)) as (_, server, pair):
        await server.send_text("late")
        with pytest.raises(ReceiveTimeout):
            await after(60, clock, flavour, lambda: pair.client.receive_text(timeout=60))
        assert clock.now() == 60
        assert await after(HOUR - 60, clock, flavour, pair.client.receive_text) == "late"


async def test_the_end_of_the_connection_is_delayed_too(flavour: Flavour, tag: type[Any], clock: VirtualClock) -> None:
    async with joined(flavour, tag, clock=clock, to_client=Faults(delay=5)) as (_, __, pair):
        pair.server._session.abort()
        close = await after(5, clock, flavour, pair.client.receive)
        assert close.code == 1001
        assert clock.now() == 5


async def test_a_time_limit_passes_on_the_clock(flavour: Flavour, tag: type[Any], clock: VirtualClock) -> None:
    async with joined(flavour, tag, clock=clock) as (client, server, pair):
        with pytest.raises(ReceiveTimeout):
            await after(HOUR, clock, flavour, lambda: pair.client.receive(timeout=HOUR))
        await server.send_text("nothing was lost")
        assert await client.receive_text(timeout=HOUR) == "nothing was lost"
        assert clock.now() == HOUR


def test_a_call_that_interrupts_another_one_has_its_own_time_limit() -> None:
    clock = VirtualClock(autojump=True)
    waiting, other = (memory_pair(Blocking, clock=clock).client for _ in range(2))
    ends: list[float] = []

    def interrupt() -> None:
        with pytest.raises(ReceiveTimeout):
            other.receive(timeout=0)
        ends.append(clock.now())

    clock.call_at(5, interrupt)
    with pytest.raises(ReceiveTimeout):
        waiting.receive(timeout=5)
    assert ends == [5]


async def test_the_round_trip_of_a_ping_is_measured_on_the_clock(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    faults = Faults(delay=0.75)
    async with joined(flavour, tag, clock=clock, to_client=faults) as (_, server, pair):
        await server.send(Pong(b"early"))
        assert await after(0.75, clock, flavour, lambda: pair.client.ping(b"early")) == 0.75


async def test_a_close_that_is_not_answered_ends_after_the_close_timeout_on_the_clock(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    async with joined(flavour, tag, clock=clock) as (client, _, pair):
        await after(10, clock, flavour, pair.client.close)
        assert clock.now() == 10
        assert client.close_info is not None
        assert client.close_info.cause is CloseCause.TIMEOUT


async def test_the_close_timeout_does_not_run_since_a_close_that_was_refused(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    async with joined(flavour, tag, clock=clock) as (client, _, pair):
        with pytest.raises(InvalidFrame):
            await client.close(1)
        with pytest.raises(ReceiveTimeout):
            await after(HOUR, clock, flavour, lambda: pair.client.receive(timeout=HOUR))
        await after(10, clock, flavour, pair.client.close)
        assert clock.now() == HOUR + 10


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="time does not go back"):
        VirtualClock().advance(-1)


async def test_reading_ahead_goes_on_while_time_limits_pass(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    stub = WebSocketStub.with_initial_incoming([Text("a")]).then_respond(lambda frame: [frame]).then_wait()
    backend = BackendStub.of(tag, effect=VirtualEffect(effect_of(tag), clock))
    backend = backend.when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        opening: Any = backend.open_websocket("ws://example.com/", WebSocketHandler(Buffer.unbounded()))
        ws = (await flavour.value(opening)).result
        assert await seen(flavour, ws).receive_text() == "a"
        with pytest.raises(ReceiveTimeout):
            await after(HOUR, clock, flavour, lambda: ws.receive(timeout=HOUR))
        await seen(flavour, ws).send_text("b")
        assert await seen(flavour, ws).receive_text() == "b"


async def test_waiting_for_an_event_that_is_set_takes_no_time(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    effect = VirtualEffect(effect_of(tag), clock)

    async def program() -> None:
        event = effect.event()
        event.set()
        async with effect.time_limit(HOUR):
            await event.wait()

    await flavour.value(effect.lift(program)())
    assert clock.now() == 0


async def test_a_virtual_effect_opens_sockets_of_the_flavour(
    flavour: Flavour, tag: type[Any], clock: VirtualClock
) -> None:
    effect = VirtualEffect(effect_of(tag), clock)
    with EchoServer() as server:
        ws = seen(flavour, await flavour.value(effect.lift(open_websocket)(WebSocket[Any], effect, server.url, {})))
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"
        await ws.close()


@pytest.mark.skipif(not has_trio, reason="trio is not installed")
def test_the_virtual_clock_of_trio_works_too() -> None:
    import trio
    import trio.testing

    from polysocket import Trio

    async def main() -> None:
        begun = trio.current_time()
        async with memory_pair(Trio, to_client=Faults(delay=HOUR)) as (client, server):
            await server.send_text("late")
            assert await client.receive_text() == "late"
            with pytest.raises(ReceiveTimeout):
                await client.receive(timeout=HOUR)
        assert trio.current_time() - begun >= 2 * HOUR

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
