"""Stubs and pairs in memory for users of anyio."""

from __future__ import annotations

from typing import assert_type

import pytest

from polysocket import Async, Text, WebSocket, WebSocketHandler
from polysocket.testing import BackendStub, StubFactory, VirtualClock, WebSocketStub, memory_pair

pytestmark = pytest.mark.anyio

stub = WebSocketStub.with_initial_incoming([Text("a")])


async def test_a_stub_of_a_websocket_is_awaited() -> None:
    async with assert_type(stub.build(Async), WebSocket[Async]) as ws:
        assert await ws.receive_text() == "a"


async def test_stubs_of_a_backend_open_stubs_of_websockets() -> None:
    for backend in (BackendStub.anyio(), BackendStub.of(Async), StubFactory()(Async)):
        async with backend.when_any_request().then_respond_web_socket(stub) as opening:
            ws = (await opening.open_websocket("ws://localhost/", WebSocketHandler())).result
            assert await ws.receive_text() == "a"


async def test_a_pair_in_memory_exchanges_messages() -> None:
    async with memory_pair(Async, clock=VirtualClock(autojump=True)) as (client, server):
        await client.send_text("a")
        assert await server.receive_text() == "a"
        with pytest.raises(TimeoutError):
            await client.receive_text(timeout=5)
