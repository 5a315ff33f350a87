"""The public ``reconnect`` of each flavour, with a real server that restarts."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import inspect
import logging
import re
import threading
from types import ModuleType
from typing import Any

import pytest

from polysocket import (
    Async,
    Backoff,
    Blocking,
    ConnectFailed,
    Gap,
    InvalidURL,
    WebSocket,
    blocking,
    is_final,
    polymorphic,
)
from polysocket.testing import EchoServer
from tests.reconnecting.programs import RUNNERS, SOON, Restarting, server

__all__ = ["server"]


@polymorphic
async def subscribe(ws: WebSocket[Async]) -> None:
    """Subscribe."""
    await ws.send_text("subscribe")


class AsyncFlavour:
    """An asynchronous flavour: its module, and how to run a program in it."""

    def __init__(self, name: str) -> None:
        module, self.run = RUNNERS[name]
        self.module: ModuleType = importlib.import_module(f"polysocket.{module}")


def is_installed(name: str) -> bool:
    """Return whether the libraries in a flavour's name are installed."""
    return all(importlib.util.find_spec(word) for word in name.split() if word != "on")


@pytest.fixture(params=[name for name in RUNNERS if is_installed(name)])
def flavour(request: pytest.FixtureRequest) -> AsyncFlavour:
    """Each asynchronous flavour in turn."""
    return AsyncFlavour(request.param)


def test_blocking_messages_go_on_after_a_restart(server: Restarting) -> None:
    received: list[object] = []
    with blocking.reconnect(server.url, policy=SOON, on_open=subscribe) as connections:
        for message in connections.messages():
            received.append(message)
            if message == "subscribe" and server.clients == 1:
                server.restart()
            elif message == "subscribe":
                break
    check(received)
    assert connections.websocket is None


def test_async_messages_go_on_after_a_restart(flavour: AsyncFlavour, server: Restarting) -> None:
    received: list[object] = []

    async def program() -> None:
        async with flavour.module.reconnect(server.url, policy=SOON, on_open=subscribe) as connections:
            async for message in connections.messages():
                received.append(message)
                if message == "subscribe" and server.clients == 1:
                    server.restart()
                elif message == "subscribe":
                    break

    flavour.run(program)
    check(received)


def check(received: list[object]) -> None:
    *first, gap, hello, answer = received
    assert first == ["hello 1", "subscribe"]
    assert isinstance(gap, Gap)
    assert gap.close_info.code == 1001
    assert (hello, answer) == ("hello 2", "subscribe")


def test_a_blocking_loop_gets_each_websocket(server: Restarting) -> None:
    hellos: list[str] = []
    for ws in blocking.reconnect(server.url, policy=SOON):
        assert type(ws) is blocking.WebSocket
        hellos.append(ws.receive_text())
        if len(hellos) == 3:
            break
    assert hellos == ["hello 1", "hello 2", "hello 3"]
    assert not ws.is_open


def test_an_async_loop_gets_each_websocket(flavour: AsyncFlavour, server: Restarting) -> None:
    hellos: list[str] = []

    async def program() -> None:
        async for ws in flavour.module.reconnect(server.url, policy=SOON):
            assert type(ws) is flavour.module.WebSocket
            hellos.append(await ws.receive_text())
            if len(hellos) == 3:
                break
        assert not ws.is_open

    flavour.run(program)
    assert hellos == ["hello 1", "hello 2", "hello 3"]


def test_closing_from_another_thread_ends_the_wait_of_a_blocking_loop() -> None:
    with EchoServer() as closed:
        url = closed.url
    has_failed = threading.Event()

    def note(_: Exception) -> bool:
        has_failed.set()
        return False

    connections = blocking.reconnect(url, policy=Backoff(initial=10**6, maximum=10**6), is_final=note)
    looping = threading.Thread(target=list, args=(connections,))
    looping.start()
    assert has_failed.wait(10)
    connections.close()
    looping.join(10)
    assert not looping.is_alive()


def test_a_loop_frees_its_websocket_without_the_garbage_collector(server: Restarting) -> None:
    gc.disable()
    try:
        for ws in blocking.reconnect(server.url):
            ws.receive_text()
            break
        with pytest.raises(LookupError):
            leave_by_exception(server.url)
        assert not ws.is_open
    finally:
        gc.enable()


def leave_by_exception(url: str) -> None:
    for _ in blocking.reconnect(url):
        raise LookupError("on purpose")


def test_each_failed_attempt_is_logged_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    with EchoServer() as closed:
        url = closed.url
    with caplog.at_level(logging.DEBUG, "polysocket"), pytest.raises(ConnectFailed):
        next(iter(blocking.reconnect(url, policy=Backoff(initial=0, attempts=2))))
    lines = [(each.levelno, each.getMessage()) for each in caplog.records if "next attempt" in each.getMessage()]
    (level, text), *others = lines
    assert (level, others) == (logging.DEBUG, [])
    assert re.fullmatch(r"the next attempt follows in 0\.0 seconds: could not connect to localhost port \d+: .*", text)


class Prefix(logging.LoggerAdapter[Any]):
    """An adapter that puts a name before each line."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return f"mine: {msg}", kwargs


def test_failed_attempts_are_logged_to_a_logger_or_an_adapter_that_is_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "polysocket")
    caplog.set_level(logging.DEBUG, "own")
    adapter = Prefix(logging.getLogger("own"), {})
    with EchoServer() as closed:
        url = closed.url
    with pytest.raises(ConnectFailed):
        next(iter(blocking.reconnect(url, policy=Backoff(initial=0, attempts=2), logger=adapter)))
    lines = [(each.name, each.getMessage()[:31]) for each in caplog.records if "next attempt" in each.getMessage()]
    assert lines == [("own", "mine: the next attempt follows ")]


def test_a_wrong_url_is_refused_at_once(flavour: AsyncFlavour) -> None:
    for module in (blocking, flavour.module):
        with pytest.raises(InvalidURL):
            module.reconnect("no URL")
        with pytest.raises(TypeError, match=r"reconnect\(\) got an unexpected keyword argument 'opentimeout'; did you"):
            module.reconnect("ws://localhost", opentimeout=1)


def test_an_async_object_is_for_async_with_and_async_for(flavour: AsyncFlavour) -> None:
    connections = flavour.module.reconnect("ws://localhost")
    with pytest.raises(TypeError, match="is for 'async for', not 'for'"):
        iter(connections)
    with pytest.raises(TypeError, match="is for 'async with', not 'with'"):
        connections.__enter__()


def test_a_blocking_object_is_for_with_and_for() -> None:
    connections: Any = blocking.reconnect("ws://localhost")
    with pytest.raises(TypeError, match="is for 'for', not 'async for'"):
        aiter(connections)
    entering = connections.__aenter__()
    with pytest.raises(TypeError, match="is for 'with', not 'async with'"):
        entering.send(None)


def test_async_for_over_connect_names_reconnect(flavour: AsyncFlavour) -> None:
    with pytest.raises(TypeError, match=r"'async for ws in reconnect\(…\)' opens the next one"):
        aiter(flavour.module.connect("ws://localhost"))


def test_a_blocking_on_open_must_not_be_async(server: Restarting) -> None:
    async def prepare(ws: WebSocket[Blocking]) -> None:
        raise AssertionError("it is not called")

    connections = blocking.reconnect(server.url, on_open=prepare)
    with pytest.raises(TypeError, match="on_open is a plain function in this flavour, or a polymorphic program"):
        next(iter(connections))


def test_the_signature_shows_each_option(flavour: AsyncFlavour) -> None:
    for module in (blocking, flavour.module):
        target, *own_and_options = inspect.signature(module.reconnect).parameters.values()
        own, options = own_and_options[:3], own_and_options[3:]
        assert [(each.name, each.default) for each in own] == [
            ("policy", Backoff()),
            ("is_final", is_final),
            ("on_open", None),
        ]
        assert [target, *options] == list(inspect.signature(module.connect).parameters.values())
        documented = re.findall(r"^ +(\w+): ", module.reconnect.__doc__.partition("Raises:")[0], re.MULTILINE)
        assert documented == [each.name for each in own_and_options]
