"""The anyio flavour: ``F[T]`` is a coroutine, on asyncio or trio; and a websocket as anyio's object stream.

The running library is found by sniffio, and trio is imported only if it is running. How this flavour waits is in
``polysocket.effects.anyio``.
"""

from __future__ import annotations

import contextlib
from typing import Unpack

import anyio.abc
import anyio.lowlevel

from polysocket import backend, websocket
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.effects import Async
from polysocket.effects.anyio import AnyioEffect, running_effect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Close, Text
from polysocket.request import Request

__all__ = ["AnyioBackend", "ObjectStream", "WebSocket", "connect"]


class WebSocket(websocket.WebSocket[Async], effect=AnyioEffect()):
    """An open websocket of asyncio or trio, whose methods are coroutine functions."""


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> websocket.ConnectCall[WebSocket]:
    """Open a websocket: await the call, or enter it with ``async with``, whose end closes the websocket.

    Raises:
        OpeningFailed: The websocket could not be opened; each subclass names a step.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
        NoAsyncLibrary: Neither asyncio nor trio is running.

    Cancellation:
        A cancelled call drops the connection.
    """

    async def program() -> WebSocket:
        return await websocket.open_websocket(WebSocket, running_effect(), url_or_request, options)

    return websocket.ConnectCall(program())


class AnyioBackend(backend.SocketBackend[Async], effect=AnyioEffect()):
    """A backend of asyncio or trio."""


class ObjectStream(anyio.abc.ObjectStream[str | bytes]):
    """A websocket as anyio's stream of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is anyio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: websocket.WebSocket[Async]) -> None:
        self.websocket = websocket
        self._is_closed = False
        self._has_sent_end = False

    async def receive(self) -> str | bytes:
        """Receive a whole message. A cancellation loses none.

        Raises:
            anyio.EndOfStream: The peer has closed normally (1000, 1001, no code).
            anyio.BrokenResourceError: The websocket has ended in another way.
            anyio.ClosedResourceError: After :meth:`aclose`.
            anyio.BusyResourceError: Another task is receiving.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._is_closed)
        try:
            return await self.websocket.receive_message()
        except ConcurrentReceive as error:
            raise anyio.BusyResourceError("receiving from") from error
        except WebSocketClosed as error:
            self._check(self._is_closed, error)
            if error.close_info.is_normal:
                raise anyio.EndOfStream from error
            raise anyio.BrokenResourceError(str(error)) from error

    async def send(self, item: str | bytes) -> None:
        """Send a message. Many tasks may send. A cancelled send has sent the whole message or nothing.

        Raises ``BrokenResourceError`` if the websocket has ended, ``ClosedResourceError`` after :meth:`send_eof` and
        :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._has_sent_end)
        try:
            await self.websocket.send(Text(item) if isinstance(item, str) else Binary(item))
        except WebSocketClosed as error:
            self._check(self._has_sent_end, error)
            raise anyio.BrokenResourceError(str(error)) from error

    async def send_eof(self) -> None:
        """Send a Close. Nothing more can be sent; messages that the peer still sends can be received.

        May be called more than once. Raises ``ClosedResourceError`` after :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._is_closed)
        self._has_sent_end = True
        if self.websocket.is_open:
            with contextlib.suppress(WebSocketClosed):  # The peer was faster.
                await self.websocket.send(Close())

    async def aclose(self) -> None:
        """Close the websocket. A cancellation drops the connection."""
        self._is_closed = self._has_sent_end = True
        await self.websocket.close()

    def _check(self, is_closed: bool, cause: WebSocketClosed | None = None) -> None:
        if is_closed:
            raise anyio.ClosedResourceError from cause
