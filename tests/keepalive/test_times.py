"""The times of keepalive, on a virtual clock: a day passes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from polysocket import Asyncio, CloseCause, ConnectionLost, Ping, Request, basic_request
from polysocket.testing import Faults, MemoryPair, VirtualClock, memory_pair

ALIVE = basic_request.get("ws://memory/")
SILENT = ALIVE.keepalive(interval=None)
TURNS = 20  # of the event loop, for what the background does


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def pass_time(clock: VirtualClock, seconds: float) -> None:
    """Let seconds pass one by one, with turns of the loop between them."""
    for _ in range(round(seconds)):
        clock.advance(1)
        await turns()


def played(
    play: Callable[[MemoryPair[Asyncio], VirtualClock], Awaitable[None]],
    client: Request = ALIVE,
    server: Request = ALIVE,
    to_client: Faults = Faults(),  # noqa: B008 - immutable
) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with memory_pair(Asyncio, clock=clock, request=client, limits=server, to_client=to_client) as pair:
            await play(pair, clock)

    asyncio.run(main())


def test_two_idle_sides_stay_connected_for_a_day() -> None:
    async def play(pair: MemoryPair[Asyncio], clock: VirtualClock) -> None:
        await pass_time(clock, 24 * 60 * 60 / 60)  # minutes are enough to show it
        assert pair.client.is_open
        assert pair.server.is_open
        await pair.client.send_text("good morning")
        assert await pair.server.receive_text() == "good morning"

    played(play)


def test_the_first_ping_is_sent_in_the_last_fifth_of_the_interval() -> None:
    async def play(pair: MemoryPair[Asyncio], clock: VirtualClock) -> None:
        receiving = asyncio.create_task(pair.server.receive())
        await pass_time(clock, 15)
        assert not receiving.done()
        await pass_time(clock, 5)
        assert isinstance(await receiving, Ping)

    played(play, server=SILENT)


def test_a_silent_peer_is_dead_after_the_timeout_and_not_before() -> None:
    async def play(pair: MemoryPair[Asyncio], clock: VirtualClock) -> None:
        await pass_time(clock, 35)  # the first Ping after 16 seconds at the earliest, and 20 for an answer
        assert pair.client.is_open
        receiving = asyncio.create_task(pair.client.receive())
        await pass_time(clock, 6)
        with pytest.raises(ConnectionLost) as caught:
            await receiving
        assert caught.value.close_info.cause is CloseCause.KEEPALIVE

    played(play, server=SILENT)


def test_the_latency_is_that_of_the_network() -> None:
    async def play(pair: MemoryPair[Asyncio], clock: VirtualClock) -> None:
        await pass_time(clock, 30)
        assert pair.client.latency == pytest.approx(3, abs=1)

    played(play, to_client=Faults(delay=3))
