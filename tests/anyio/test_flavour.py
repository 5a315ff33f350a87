"""``polysocket.anyio`` opens websockets on any event loop that anyio supports."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
from typing import assert_type

import anyio
import pytest
import sniffio

import polysocket.anyio
from polysocket import Async, Listener, NoAsyncLibrary, PipeHandler, Text, WebSocket, WebSocketHandler, from_text_pipe
from polysocket._opening.options import ConnectOptions
from polysocket.anyio import AnyioBackend, connect
from polysocket.effects.anyio import AnyioEffect
from polysocket.errors import ConnectFailed, ReceiveTimeout
from polysocket.testing import EchoServer
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.websocket import ConnectCall, open_websocket


@pytest.mark.anyio
async def test_connect_opens_a_websocket_with_async_with_or_await(url: str) -> None:
    async with assert_type(connect(url), ConnectCall[polysocket.anyio.WebSocket]) as ws:
        assert_type(ws, polysocket.anyio.WebSocket)
        await ws.send_text("Hello!")
        assert await ws.receive_text() == "Hello!"
        with pytest.raises(ReceiveTimeout):
            await ws.receive_text(timeout=0.001)
        assert await ws.ping(timeout=5) < 5
    ws = await connect(url)
    await ws.close()


@pytest.mark.anyio
async def test_a_failed_opening_raises_connect_failed(peer: Peer, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConnectFailed, match="Unix socket"):
        await connect("ws://localhost/", unix_path=f"{tmp_path}/nowhere")


@pytest.mark.anyio
async def test_a_backend_takes_websocket_handlers_and_listeners(url: str) -> None:
    class Answers(Listener[Async]):
        def __init__(self) -> None:
            self.texts, self._incoming = self.streams = anyio.create_memory_object_stream[str](1)

        async def on_text(self, frame: Text) -> None:
            await self.texts.send(frame.payload)

        async def next(self) -> str:
            return await self._incoming.receive()

    async with AnyioBackend() as backend:
        assert_type(backend, AnyioBackend)
        ws = (await backend.open_websocket(url, WebSocketHandler())).result
        assert_type(ws, WebSocket[Async])
        for number in range(3):
            await ws.send_text(str(number))
            assert await ws.receive_text(timeout=5) == str(number)
        answers = Answers()
        listened = (await backend.open_websocket(url, answers)).result
        await listened.send_text("a")
        assert await answers.next() == "a"
    for stream in answers.streams:
        stream.close()
    assert not ws.is_open
    assert not listened.is_open


@pytest.mark.anyio
async def test_a_backend_takes_pipes(peer: Peer) -> None:
    async def make_handler() -> PipeHandler:
        return PipeHandler(from_text_pipe(str.upper))

    def play() -> bytes:
        peer.send(wire.encode(wire.TEXT, "a"))
        payload = peer.frame().payload
        peer.send(wire.close())
        assert peer.frame().opcode == wire.CLOSE
        peer.hang_up()
        return payload

    async with AnyioBackend() as backend, anyio.create_task_group() as tasks:

        async def pipe() -> None:
            await backend.open_websocket_f(peer.url, make_handler)

        tasks.start_soon(pipe)
        assert await anyio.to_thread.run_sync(play) == b"A"


@pytest.mark.anyio
async def test_the_effect_connects_via_tcp_a_unix_socket_or_a_given_socket(url: str, tmp_path: pathlib.Path) -> None:
    effect, path = AnyioEffect(), tmp_path / "socket"
    port = int(url.rsplit(":", 1)[1].strip("/"))
    with EchoServer(unix_path=path):
        ways: list[ConnectOptions] = [{}, {"unix_path": path}, {"sock": socket.create_connection(("127.0.0.1", port))}]
        for way in ways:
            async with await open_websocket(WebSocket[Async], effect, url, way) as ws:
                assert await ws.ping() < 5
                await ws.send(Text("a", final=False))
                await ws.send(Text("b"), is_continuation=True)
                assert await ws.receive_text() == "ab"


def test_opening_outside_of_an_event_loop_raises(url: str) -> None:
    with pytest.raises(NoAsyncLibrary, match="no asynchronous library runs here"):
        connect(url).__await__().send(None)
    with pytest.raises(NoAsyncLibrary, match="no asynchronous library runs here"):
        AnyioBackend().open_websocket(url, WebSocketHandler()).send(None)


def test_an_unknown_library_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffio.thread_local, "name", "curio")
    with pytest.raises(NoAsyncLibrary, match="what runs is curio"):
        connect(url).__await__().send(None)


def test_trio_is_not_imported_if_asyncio_runs(url: str) -> None:
    program = f"""
import asyncio, sys
from polysocket.anyio import connect

async def main():
    async with connect({url!r}) as ws:
        await ws.send_text("a")
        print(await ws.receive_text(), "trio" in sys.modules)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("a False\n", "")
