"""The anyio flavour: ``F[T]`` is a coroutine, on asyncio or trio; and a websocket as anyio's object stream.

The running library is found by sniffio, and trio is imported only if it is running. How this flavour waits is in
``polysocket.effects.anyio``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Unpack

import anyio.abc
import anyio.lowlevel

from polysocket import backend, connections, websocket
from polysocket._core.validation import snapshot
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.finality import is_final
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.backoff import DEFAULT_BACKOFF, Backoff
from polysocket.effects import Async
from polysocket.effects.anyio import AnyioEffect, running_effect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Close, Text
from polysocket.request import Request
from polysocket.websocket import check_async

__all__ = ["AnyioBackend", "Connections", "ObjectStream", "WebSocket", "connect", "reconnect"]

_effect = AnyioEffect()


class WebSocket(websocket.WebSocket[Async], effect=_effect):
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


class Connections(connections.Connections[Async, WebSocket], effect=_effect):
    """The websockets that :func:`reconnect` opens, one after the other."""


@shows_options
def reconnect(
    url_or_request: str | Request,
    /,
    *,
    policy: Backoff = DEFAULT_BACKOFF,
    is_final: Callable[[Exception], bool] = is_final,
    on_open: Callable[[WebSocket], Awaitable[object]] | None = None,
    **options: Unpack[ConnectOptions],
) -> Connections:
    """Open a websocket, and the next one whenever one has ended.

    ``async for ws in reconnect(…)`` yields each websocket once it is open. ``reconnect(…).messages()`` yields the
    messages of all of them, and a :class:`Gap` between two. Enter the call with ``async with``, whose end closes the
    websocket. Nothing is sent again by itself.

    Args:
        policy: The delays between the attempts, and their number.
        is_final: A function that returns whether an error is raised, or another attempt follows.
        on_open: A coroutine function or polymorphic program, called with each new websocket to subscribe.

    Raises:
        OpeningFailed: From the loop. No attempt may follow; each subclass names a step.
        WebSocketClosed: From the loop. A websocket has ended, and no attempt may follow.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
        NoAsyncLibrary: From the loop. Neither asyncio nor trio is running.

    Cancellation:
        A cancelled step of the loop loses no message. The next step goes on.
    """
    return Connections(WebSocket, _effect, url_or_request, options, policy=policy, is_final=is_final, on_open=on_open)


class AnyioBackend(backend.SocketBackend[Async], effect=_effect):
    """A backend of asyncio or trio."""


class ObjectStream(anyio.abc.ObjectStream[str | bytes]):
    """A websocket as anyio's stream of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is anyio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: websocket.WebSocket[Async]) -> None:
        check_async(self, websocket)
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
        frame = snapshot(Text(item) if isinstance(item, str) else Binary(item))
        await anyio.lowlevel.checkpoint()
        self._check(self._has_sent_end)
        try:
            await self.websocket.send(frame)
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
