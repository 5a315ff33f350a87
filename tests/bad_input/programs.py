"""Polymorphic programs for tests of bad input."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from polysocket import Async, WebSocket, polymorphic

E = TypeVar("E", bound=BaseException)

Call = Callable[[Any], Awaitable[object]]  # on a WebSocket[Async] that is used wrongly


@polymorphic
async def nothing(_: WebSocket[Async]) -> None:
    """Do nothing; the opening fails first."""


@polymorphic
async def receive_all(ws: WebSocket[Async]) -> None:
    """Receive until an error is raised."""
    while True:
        await ws.receive()


@polymorphic
async def be_refused(ws: WebSocket[Async], call: Call, kind: type[E]) -> E:
    """Make a call that must be refused and must leave the websocket open; return the error."""
    with pytest.raises(kind) as caught:
        await call(ws)
    assert ws.is_open
    assert ws.close_info is None
    return caught.value
