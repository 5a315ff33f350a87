"""The asyncio flavour (uvloop too): ``F[T]`` is a coroutine.

How this flavour waits is in ``polysocket.effects.asyncio``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Unpack

from polysocket import backend, connections, websocket
from polysocket._opening import eager_imports as _  # noqa: F401 - for its effect
from polysocket._opening.finality import is_final
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.backoff import DEFAULT_BACKOFF, Backoff
from polysocket.effects import Asyncio
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.request import Request

__all__ = ["AsyncioBackend", "Connections", "WebSocket", "connect", "reconnect"]

_effect = AsyncioEffect()


class WebSocket(websocket.WebSocket[Asyncio], effect=_effect):
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
    return websocket.ConnectCall(websocket.open_websocket(WebSocket, _effect, url_or_request, options))


class Connections(connections.Connections[Asyncio, WebSocket], effect=_effect):
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
        NoAsyncLibrary: From the loop. asyncio is not running.

    Cancellation:
        A cancelled step of the loop loses no message. The next step goes on.
    """
    return Connections(WebSocket, _effect, url_or_request, options, policy=policy, is_final=is_final, on_open=on_open)


class AsyncioBackend(backend.SocketBackend[Asyncio], effect=_effect):
    """A backend of asyncio."""
