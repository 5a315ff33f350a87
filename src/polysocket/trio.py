"""The trio flavour: ``F[T]`` is a coroutine; and a websocket as trio's channel.

How this flavour waits is in ``polysocket.effects.trio``.
"""

from __future__ import annotations

from typing import Unpack

import trio

from polysocket import backend, websocket
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.effects import Trio
from polysocket.effects.trio import TrioEffect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Text
from polysocket.request import Request

__all__ = ["TrioBackend", "WebSocket", "WebSocketChannel", "connect"]


class WebSocket(websocket.WebSocket[Trio], effect=TrioEffect()):
    """An open websocket of trio, whose methods are coroutine functions."""


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> websocket.ConnectCall[WebSocket]:
    """Open a websocket: await the call, or enter it with ``async with``, whose end closes the websocket.

    Raises:
        OpeningFailed: The websocket could not be opened; each subclass names a step.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
        NoAsyncLibrary: trio is not running.

    Cancellation:
        A cancelled call drops the connection.
    """
    return websocket.ConnectCall(websocket.open_websocket(WebSocket, TrioEffect(), url_or_request, options))


class TrioBackend(backend.SocketBackend[Trio], effect=TrioEffect()):
    """A backend of trio."""


class WebSocketChannel(trio.abc.Channel[str | bytes]):
    """A websocket as trio's channel of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is trio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: websocket.WebSocket[Trio]) -> None:
        self.websocket = websocket
        self._is_closed = False

    async def receive(self) -> str | bytes:
        """Receive a whole message. A cancellation loses none.

        Raises:
            trio.EndOfChannel: The peer has closed normally (1000, 1001, no code).
            trio.BrokenResourceError: The websocket has ended in another way.
            trio.ClosedResourceError: After :meth:`aclose`.
            trio.BusyResourceError: Another task is receiving.
        """
        await trio.lowlevel.checkpoint()
        self._check()
        try:
            return await self.websocket.receive_message()
        except ConcurrentReceive as error:
            raise trio.BusyResourceError(str(error)) from error
        except WebSocketClosed as error:
            self._check(error)
            if error.close_info.is_normal:
                raise trio.EndOfChannel from error
            raise trio.BrokenResourceError(str(error)) from error

    async def send(self, value: str | bytes) -> None:
        """Send a message. Many tasks may send. A cancelled send has sent the whole message or nothing.

        Raises ``BrokenResourceError`` if the websocket has ended, ``ClosedResourceError`` after :meth:`aclose`.
        """
        await trio.lowlevel.checkpoint()
        self._check()
        try:
            await self.websocket.send(Text(value) if isinstance(value, str) else Binary(value))
        except WebSocketClosed as error:
            self._check(error)
            raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Close the websocket. A cancellation drops the connection."""
        self._is_closed = True
        await self.websocket.close()

    def _check(self, cause: WebSocketClosed | None = None) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError from cause
