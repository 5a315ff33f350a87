"""The trio flavour: ``F[T]`` is a coroutine; and a websocket as trio's channel.

How this flavour waits is in ``polysocket.effects.trio``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Unpack

import trio

from polysocket import backend, connections, websocket
from polysocket._core.validation import snapshot
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.finality import is_final
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.backoff import DEFAULT_BACKOFF, Backoff
from polysocket.effects import Trio
from polysocket.effects.trio import TrioEffect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Text
from polysocket.request import Request
from polysocket.websocket import check_async

__all__ = ["Connections", "TrioBackend", "WebSocket", "WebSocketChannel", "connect", "reconnect"]

_effect = TrioEffect()


class WebSocket(websocket.WebSocket[Trio], effect=_effect):
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
    return websocket.ConnectCall(websocket.open_websocket(WebSocket, _effect, url_or_request, options))


class Connections(connections.Connections[Trio, WebSocket], effect=_effect):
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
        NoAsyncLibrary: From the loop. trio is not running.

    Cancellation:
        A cancelled step of the loop loses no message. The next step goes on.
    """
    return Connections(WebSocket, _effect, url_or_request, options, policy=policy, is_final=is_final, on_open=on_open)


class TrioBackend(backend.SocketBackend[Trio], effect=_effect):
    """A backend of trio."""


class WebSocketChannel(trio.abc.Channel[str | bytes]):
    """A websocket as trio's channel of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is trio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: websocket.WebSocket[Trio]) -> None:
        check_async(self, websocket)
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
        frame = snapshot(Text(value) if isinstance(value, str) else Binary(value))
        await trio.lowlevel.checkpoint()
        self._check()
        try:
            await self.websocket.send(frame)
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
