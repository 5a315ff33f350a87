import asyncio

import pytest

from polysocket import Async, Asyncio, Blocking, ConnectionLost, WebSocket
from polysocket.testing import Faults, VirtualClock, memory_pair


async def serve(ws: WebSocket[Async]) -> None:
    async with ws:
        async for message in ws:
            await ws.send_text(f"you said {message!s}")


async def talk() -> str:
    async with memory_pair(Asyncio, to_client=Faults(pieces=(1,))) as (client, server):
        serving = asyncio.create_task(serve(server))
        await client.send_text("Hello!")
        answer = await client.receive_text()
        await client.close()
        await serving
        return answer


def test_the_server_answers_if_bytes_arrive_one_by_one() -> None:
    assert asyncio.run(talk()) == "you said Hello!"


def test_a_connection_that_breaks_within_a_frame() -> None:
    with memory_pair(Blocking, to_client=Faults(cut_after=5)) as (client, server):
        server.send_text("Hello!")
        with pytest.raises(ConnectionLost, match="the connection was cut after 5 bytes"):
            client.receive_text()


def test_half_a_minute_passes_at_once() -> None:
    clock = VirtualClock(autojump=True)
    with memory_pair(Blocking, to_client=Faults(delay=30), clock=clock) as (client, server):
        server.send_text("Hello!")
        with pytest.raises(TimeoutError):
            client.receive_text(timeout=10)
        assert client.receive_text(timeout=60) == "Hello!"
        assert clock.now() == 30
