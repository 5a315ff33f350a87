"""Listeners that put what they hear into an inbox, by plain methods and by coroutine functions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from polysocket import Binary, CloseInfo, Listener, Ping, Pong, Text, WebSocket
from tests.backends.flavours import ASYNC, FLAVOURS, Inbox


class Recorder(Listener[Any]):
    """Puts what it hears into an inbox."""

    def __init__(self, heard: Inbox[Any]) -> None:
        self.heard = heard
        self.threads: set[int] = set()

    def on_open(self, ws: WebSocket[Any]) -> object:
        self.ws = ws
        return self.hear("open")

    def on_text(self, frame: Text) -> object:
        return self.hear(frame)

    def on_binary(self, frame: Binary) -> object:
        return self.hear(frame)

    def on_ping(self, frame: Ping) -> object:
        return self.hear(frame)

    def on_pong(self, frame: Pong) -> object:
        return self.hear(frame)

    def on_close(self, info: CloseInfo) -> object:
        return self.hear(info)

    def on_error(self, error: Exception) -> object:
        return self.hear(error)

    def hear(self, what: object) -> object:
        self.threads.add(threading.get_ident())
        return self.heard.put(what)


class AsyncRecorder(Recorder):
    """The same by coroutine functions."""

    async def on_open(self, ws: WebSocket[Any]) -> None:
        super().on_open(ws)

    async def on_text(self, frame: Text) -> None:
        super().on_text(frame)

    async def on_binary(self, frame: Binary) -> None:
        super().on_binary(frame)

    async def on_ping(self, frame: Ping) -> None:
        super().on_ping(frame)

    async def on_pong(self, frame: Pong) -> None:
        super().on_pong(frame)

    async def on_close(self, info: CloseInfo) -> None:
        super().on_close(info)

    async def on_error(self, error: Exception) -> None:
        super().on_error(error)


with_plain_and_async_methods = pytest.mark.parametrize(
    ("flavour", "recorder"),
    [pytest.param(name, Recorder, id=f"{name}-plain") for name in FLAVOURS]
    + [pytest.param(name, AsyncRecorder, id=f"{name}-async") for name in ASYNC],
    indirect=["flavour"],
)
