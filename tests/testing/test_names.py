"""The public names: each has a docstring and an exact type, and importing them needs no other package."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from typing import TYPE_CHECKING, assert_type

import pytest

import polysocket.testing
from polysocket import Asyncio, Blocking, Threaded, Trio, WebSocket, WebSocketHandler, WebSocketResponse
from polysocket.testing import BackendStub, MemoryPair, RecordingBackend, WebSocketStub, memory_pair

OTHERS = ("trio", "hypothesis", "pytest", "asyncio", "anyio")


@pytest.mark.parametrize("module", ["polysocket.testing", "polysocket.testing.effect_of"])
def test_importing_needs_no_other_package(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {OTHERS!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", polysocket.testing.__all__)
def test_every_public_name_has_a_docstring(name: str) -> None:
    if name != "Incoming":  # an alias
        assert getattr(polysocket.testing, name).__doc__


if TYPE_CHECKING:

    def what_type_checkers_see() -> None:
        assert_type(memory_pair(Trio), MemoryPair[Trio])
        assert_type(memory_pair(Blocking).server, WebSocket[Blocking])
        assert_type(WebSocketStub().build(Asyncio), WebSocket[Asyncio])
        assert_type(WebSocketStub().build(Threaded).receive_text(), Future[str])
        with memory_pair(Blocking) as (client, _):
            assert_type(client.receive_text(), str)

        stub = BackendStub.threaded().when_any_request().then_respond_web_socket(WebSocketStub())
        assert_type(stub, BackendStub[Threaded])
        assert_type(RecordingBackend(stub), RecordingBackend[Threaded])
        handler = WebSocketHandler()
        blocking = BackendStub.blocking().open_websocket("ws://a/", handler)
        assert_type(blocking, WebSocketResponse[WebSocket[Blocking]])

    async def what_type_checkers_see_of_coroutines() -> None:
        assert_type(await WebSocketStub().build(Asyncio).receive_text(), str)
        response = await BackendStub.trio().open_websocket("ws://a/", WebSocketHandler())
        assert_type(response, WebSocketResponse[WebSocket[Trio]])
        async with memory_pair(Trio) as (_, server):
            assert_type(server, WebSocket[Trio])
