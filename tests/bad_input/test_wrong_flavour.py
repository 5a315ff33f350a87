"""A flavour that is used like another one, or on the wrong event loop."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import pickle
import subprocess
import sys
from typing import Any

import pytest

from polysocket import (
    NoAsyncLibrary,
    Text,
    Threaded,
    WebSocketHandler,
    WrongEventLoop,
    blocking,
)
from polysocket import asyncio as polysocket_asyncio
from polysocket.testing import EchoServer, WebSocketStub
from tests.bad_input.judgement import says
from tests.bad_input.peer import Peer, upgrading

# The wrong flavour


@pytest.mark.parametrize("way", ["with", "for"])
def test_an_asyncio_websocket_needs_async_with_and_async_for(way: str) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(peer.url) as ws:
            misused: Any = ws
            try:
                if way == "with":
                    misused.__enter__()
                else:
                    next(iter(misused)).close()
            finally:
                assert ws.is_open

    with Peer(upgrading()) as peer, pytest.raises(TypeError) as caught:
        asyncio.run(main())
    says(caught.value, "WebSocket", f"async {way}")


@pytest.mark.parametrize("way", ["with", "for"])
def test_a_blocking_websocket_needs_with_and_for(way: str) -> None:
    async def main(misused: Any) -> None:
        if way == "with":
            await misused.__aenter__()
        else:
            await anext(aiter(misused))

    with Peer(upgrading(b"\x81\x01a")) as peer, blocking.connect(peer.url) as ws:
        with pytest.raises(TypeError) as caught:
            asyncio.run(main(ws))
        assert ws.is_open
    says(caught.value, "WebSocket", f"'{way}'")


def test_connect_of_asyncio_needs_async_with() -> None:
    opening: Any = polysocket_asyncio.connect("ws://127.0.0.1:1/")
    with pytest.raises(TypeError, match=r"^connect\(\) of this flavour is for 'async with', not 'with'$"), opening:
        pass


def test_a_threaded_websocket_cannot_be_iterated() -> None:
    ws: Any = WebSocketStub.with_initial_incoming([Text("a")]).build(Threaded)
    for way in (iter, aiter):
        with pytest.raises(TypeError, match=r"has no iteration: call receive_message\(\)"):
            way(ws)
    assert ws.receive_message().result() == "a"


ASYNC = [name for name in ("asyncio", "trio", "anyio") if importlib.util.find_spec(name)]


@pytest.mark.parametrize("name", ASYNC)
@pytest.mark.parametrize("first", ["await", "async with"])
@pytest.mark.parametrize("second", ["await", "async with"])
def test_a_connect_may_be_awaited_or_entered_only_once(name: str, first: str, second: str) -> None:
    connect = importlib.import_module(f"polysocket.{name}").connect

    async def use(opening: Any, way: str) -> None:
        if way == "await":
            await (await opening).close()
        else:
            async with opening:
                pass

    async def main() -> None:
        opening = connect(server.url)
        await use(opening, first)
        with pytest.raises(RuntimeError, match=r"this connect\(\) was awaited or entered already: call it again"):
            await use(opening, second)

    with EchoServer() as server:
        importlib.import_module("trio").run(main) if name == "trio" else asyncio.run(main())


@pytest.mark.parametrize("name", ASYNC)
def test_a_connect_that_is_never_awaited_warns(name: str) -> None:
    with pytest.warns(RuntimeWarning, match="coroutine 'connect' was never awaited"):
        importlib.import_module(f"polysocket.{name}").connect("ws://127.0.0.1:1/")


@pytest.mark.parametrize("name", ASYNC)
@pytest.mark.parametrize("attribute", ["send_text", "receive_text", "messages", "is_open", "close_info"])
def test_a_connect_that_is_used_like_its_websocket_says_how_to_get_that(name: str, attribute: str) -> None:
    opening: Any = importlib.import_module(f"polysocket.{name}").connect("ws://127.0.0.1:1/")
    try:
        with pytest.raises(AttributeError) as caught:
            getattr(opening, attribute)
        says(caught.value, repr(attribute), "ws = await connect(…)", "async with connect(…) as ws")
        assert not hasattr(opening, attribute)
        with pytest.raises(AttributeError, match=r"^'ConnectCall' object has no attribute 'another'$"):
            _ = opening.another
        assert type(copy.copy(opening)) is type(opening)
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(opening)
    finally:
        opening.close()


@pytest.mark.parametrize("iterate", ["messages", "receive_fragments"])
def test_an_iterator_of_asyncio_names_async_for(iterate: str) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(peer.url) as ws:
            misused: Any = getattr(ws, iterate)()
            with pytest.raises(TypeError, match="'async for', not 'for'"):
                iter(misused)
            assert ws.is_open

    with Peer(upgrading()) as peer:
        asyncio.run(main())


def test_the_iterators_of_reconnect_name_async_for() -> None:
    misused: Any = polysocket_asyncio.reconnect("ws://127.0.0.1:1/")
    for each in (misused, misused.messages(), aiter(misused)):
        with pytest.raises(TypeError, match="'async for', not 'for'"):
            iter(each)


@pytest.mark.parametrize("name", ASYNC)
def test_repr_says_that_the_event_loop_has_ended(name: str) -> None:
    flavour = importlib.import_module(f"polysocket.{name}")

    def run(main: Any, *arguments: object) -> Any:
        return (
            importlib.import_module("trio").run(main, *arguments) if name == "trio" else asyncio.run(main(*arguments))
        )

    async def main() -> Any:
        return await flavour.connect(server.url)

    with EchoServer() as server:
        ws = run(main)
        assert repr(ws) == f"<polysocket.{name}.WebSocket {server.url} open in an event loop that has ended>"
        with pytest.raises(WrongEventLoop):  # It drops the connection.
            run(ws.close)
        assert repr(ws) == f"<polysocket.{name}.WebSocket {server.url} {ws.close_info}>"


# No event loop runs, or another library's


@pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
@pytest.mark.parametrize(("called", "running"), [("asyncio", "trio"), ("trio", "asyncio")])
@pytest.mark.parametrize("way", ["connect", "backend"])
def test_a_flavour_names_the_right_one_if_another_library_runs(called: str, running: str, way: str) -> None:
    flavour = importlib.import_module(f"polysocket.{called}")

    async def main() -> None:
        if way == "connect":
            await flavour.connect("ws://127.0.0.1:1/")
        else:
            backend = getattr(flavour, f"{called.capitalize()}Backend")()
            await backend.open_websocket("ws://127.0.0.1:1/", WebSocketHandler())

    with pytest.raises(NoAsyncLibrary) as caught:
        importlib.import_module(running).run(main() if running == "asyncio" else main)
    says(caught.value, f"polysocket.{called} can't wait here: {running} runs, for which there is polysocket.{running}")
    assert isinstance(caught.value, RuntimeError)


def test_a_library_known_only_to_sniffio_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sniffio = pytest.importorskip("sniffio")
    monkeypatch.setattr(sniffio.thread_local, "name", "curio")
    with pytest.raises(NoAsyncLibrary) as caught:
        polysocket_asyncio.connect("ws://127.0.0.1:1/").__await__().send(None)
    assert str(caught.value) == "polysocket.asyncio can't wait here: curio runs"


def test_the_error_without_an_event_loop_does_not_need_sniffio() -> None:
    program = """
import sys

sys.modules["sniffio"] = None  # as if it were not installed
from polysocket import NoAsyncLibrary, asyncio

try:
    asyncio.connect("ws://127.0.0.1:1/").__await__().send(None)
except NoAsyncLibrary as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("polysocket.asyncio can't wait here: no asynchronous library runs"), ran.stderr


@pytest.mark.parametrize("name", [name for name in ("asyncio", "trio") if importlib.util.find_spec(name)])
def test_a_flavour_names_the_blocking_one_if_no_library_runs(name: str) -> None:
    opening = importlib.import_module(f"polysocket.{name}").connect("ws://127.0.0.1:1/")
    with pytest.raises(NoAsyncLibrary) as caught:
        opening.__await__().send(None)
    says(caught.value, f"polysocket.{name} can't wait here: no asynchronous library runs", "polysocket.blocking")
