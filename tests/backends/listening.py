"""Listeners that record their calls in an inbox, with plain methods and with coroutine functions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from polysocket import Binary, CloseInfo, Listener, Ping, Pong, Text, WebSocket
from tests.backends.flavours import ASYNC, FLAVOURS, Inbox


class Recorder(Listener[Any]):
    """A listener that records its calls: ``"open"``, frames, errors, and the CloseInfo last."""

    def __init__(self, calls: Inbox[Any]) -> None:
        self.calls = calls
        self.threads: set[int] = set()

    def on_open(self, ws: WebSocket[Any]) -> object:
        self.ws = ws
        return self.record("open")

    def on_text(self, frame: Text) -> object:
        return self.record(frame)

    def on_binary(self, frame: Binary) -> object:
        return self.record(frame)

    def on_ping(self, frame: Ping) -> object:
        return self.record(frame)

    def on_pong(self, frame: Pong) -> object:
        return self.record(frame)

    def on_close(self, info: CloseInfo) -> object:
        return self.record(info)

    def on_error(self, error: Exception) -> object:
        return self.record(error)

    def record(self, call: object) -> object:
        self.threads.add(threading.get_ident())
        return self.calls.put(call)


class AsyncRecorder(Recorder):
    """A Recorder whose methods are coroutine functions."""

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


async def calls_to_the_end(listener: Recorder) -> list[Any]:
    """Wait for ``on_close``, and return all calls up to it."""
    calls = [await listener.calls.get()]
    while not isinstance(calls[-1], CloseInfo):
        calls.append(await listener.calls.get())
    return calls


def failing(listener: Recorder, name: str, error: Exception) -> None:
    """Make one method raise: a plain function, or a coroutine function like the listener's others."""

    def fail(_: object) -> None:
        raise error

    async def fail_async(_: object) -> None:
        raise error

    setattr(listener, name, fail_async if isinstance(listener, AsyncRecorder) else fail)
