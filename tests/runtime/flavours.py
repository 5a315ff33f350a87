"""The five flavours at run time: a module with a WebSocket class, a backend class and ``connect``."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import pytest

from polysocket import Async, Asyncio, Backend, Blocking, Threaded, Trio, WebSocket
from polysocket.testing import WebSocketStub


class Flavour:
    """A flavour: its name, how signatures write its results, and whether its methods are coroutine functions."""

    def __init__(self, name: str, tag: type[Any], written: str = "{}", *, is_async: bool = False) -> None:
        self.name = name
        self.tag = tag
        self.written = written
        self.is_async = is_async

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"polysocket.{self.name}")

    @property
    def websocket_class(self) -> Any:
        return self.module.WebSocket

    @property
    def backend_class(self) -> Any:
        return getattr(self.module, f"{self.name.capitalize()}Backend")

    def backend(self) -> Backend[Any]:
        backend: Backend[Any] = self.backend_class()
        return backend

    def websocket(self, *messages: str) -> WebSocket[Any]:
        """Make an open websocket that receives these messages."""
        ws: WebSocket[Any] = WebSocketStub.with_initial_incoming(messages).build(self.tag)
        return ws

    def result(self, call: Callable[[], Any]) -> Any:
        """Return the plain result of a call in ``F``."""
        if not self.is_async:
            value = call()
            return value.result() if isinstance(value, Future) else value

        async def program() -> Any:
            return await call()

        if self.name == "trio":
            import trio

            return trio.run(program)
        return asyncio.run(program())


needs_trio = pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
needs_anyio = pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")

flavours = [
    pytest.param(Flavour("blocking", Blocking), id="blocking"),
    pytest.param(Flavour("threaded", Threaded, "Future[{}]"), id="threaded"),
]
async_flavours = [
    pytest.param(Flavour("asyncio", Asyncio, is_async=True), id="asyncio"),
    pytest.param(Flavour("trio", Trio, is_async=True), id="trio", marks=needs_trio),
    pytest.param(Flavour("anyio", Async, is_async=True), id="anyio", marks=needs_anyio),
]
every_flavour = pytest.mark.parametrize("flavour", flavours + async_flavours)
every_async_flavour = pytest.mark.parametrize("flavour", async_flavours)
