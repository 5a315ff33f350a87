"""The asyncio flavour (uvloop too): ``F[T]`` is a coroutine.

How this flavour waits is in ``polysocket.effects.asyncio``.
"""

from __future__ import annotations

from typing import Unpack

from polysocket import backend, websocket
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.effects import Asyncio
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.request import Request

__all__ = ["AsyncioBackend", "WebSocket", "connect"]


class WebSocket(websocket.WebSocket[Asyncio], effect=AsyncioEffect()):
    """An open websocket of asyncio, whose methods are coroutine functions."""


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> websocket.ConnectCall[WebSocket]:
    """Open a websocket: await the call, or enter it with ``async with``, whose end closes the websocket.

    Raises:
        OpeningFailed: The websocket could not be opened; each subclass names a step.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
        NoAsyncLibrary: asyncio is not running.

    Cancellation:
        A cancelled call drops the connection.
    """
    return websocket.ConnectCall(websocket.open_websocket(WebSocket, AsyncioEffect(), url_or_request, options))


class AsyncioBackend(backend.SocketBackend[Asyncio], effect=AsyncioEffect()):
    """A backend of asyncio."""
