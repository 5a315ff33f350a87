"""The polymorphic programs that meet what is bad."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from polysocket import Async, WebSocket, polymorphic

E = TypeVar("E", bound=BaseException)

Call = Callable[[Any], Awaitable[object]]  # of a WebSocket[Async] that is used as nobody should


@polymorphic
async def nothing(_: WebSocket[Async]) -> None:
    """Open and leave; the opening is what fails."""


@polymorphic
async def receive_all(ws: WebSocket[Async]) -> None:
    """Receive until an error comes."""
    while True:
        await ws.receive()


@polymorphic
async def be_refused(ws: WebSocket[Async], call: Call, kind: type[E]) -> E:
    """Make a call that must be refused, and find the websocket as open as before; gives the error."""
    with pytest.raises(kind) as caught:
        await call(ws)
    assert ws.is_open
    assert ws.close_info is None
    return caught.value
