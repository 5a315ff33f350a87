"""The blocking flavour: plain sockets and plain values; ``F[T]`` is ``T``.

Neither asyncio nor trio nor anyio is imported. How this flavour waits is in ``polysocket.effects.blocking``.
"""

from __future__ import annotations

from typing import Unpack

from polysocket import backend, websocket
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.effects import Blocking, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.request import Request

__all__ = ["BlockingBackend", "WebSocket", "connect"]


class WebSocket(websocket.WebSocket[Blocking], effect=BlockingEffect()):
    """An open websocket of blocking sockets, whose methods return plain values."""


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> WebSocket:
    """Open a websocket, which the end of a ``with`` closes.

    Raises:
        OpeningFailed: The websocket could not be opened; each subclass names a step.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
    """
    return run(websocket.open_websocket(WebSocket, BlockingEffect(), url_or_request, options))


class BlockingBackend(backend.SocketBackend[Blocking], effect=BlockingEffect()):
    """A backend of blocking sockets."""
