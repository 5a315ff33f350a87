from collections.abc import AsyncIterator

import pytest

from polysocket import Async, WebSocket
from polysocket.anyio import connect
from polysocket.testing import EchoServer


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ws(anyio_backend: str, polysocket_echo_server: EchoServer) -> AsyncIterator[WebSocket[Async]]:
    async with connect(polysocket_echo_server.url) as ws:
        yield ws


@pytest.mark.anyio
async def test_messages_come_back(ws: WebSocket[Async]) -> None:
    await ws.send_text("Hello!")
    assert await ws.receive_text(timeout=5) == "Hello!"
