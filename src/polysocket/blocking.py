"""The blocking flavour: plain sockets and plain values; ``F[T]`` is ``T``.

Neither asyncio nor trio nor anyio is imported. How this flavour waits is in ``polysocket.effects.blocking``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from polysocket import backend, connections, websocket
from polysocket._opening.finality import is_final
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.backoff import DEFAULT_BACKOFF, Backoff
from polysocket.effects import Blocking
from polysocket.effects.blocking import BlockingEffect
from polysocket.request import Request

__all__ = ["BlockingBackend", "Connections", "WebSocket", "connect", "reconnect"]

_effect = BlockingEffect()


class WebSocket(websocket.WebSocket[Blocking], effect=_effect):
    """An open websocket of blocking sockets, whose methods return plain values."""


_open: Callable[..., WebSocket] = _effect.lift(websocket.open_websocket)


@shows_options
def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> WebSocket:
    """Open a websocket, which the end of a ``with`` closes.

    Raises:
        OpeningFailed: The websocket could not be opened; each subclass names a step.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
    """
    return _open(WebSocket, _effect, url_or_request, options)


class Connections(connections.Connections[Blocking, WebSocket], effect=_effect):
    """The websockets that :func:`reconnect` opens, one after the other."""


@shows_options
def reconnect(
    url_or_request: str | Request,
    /,
    *,
    policy: Backoff = DEFAULT_BACKOFF,
    is_final: Callable[[Exception], bool] = is_final,
    on_open: Callable[[WebSocket], object] | None = None,
    **options: Unpack[ConnectOptions],
) -> Connections:
    """Open a websocket, and the next one whenever one has ended.

    ``for ws in reconnect(…)`` yields each websocket once it is open. ``reconnect(…).messages()`` yields the messages
    of all of them, and a :class:`Gap` between two. Enter the call with ``with``, whose end closes the websocket.
    Nothing is sent again by itself.

    Args:
        policy: The delays between the attempts, and their number.
        is_final: A function that returns whether an error is raised, or another attempt follows.
        on_open: A function or polymorphic program, called with each new websocket to subscribe.

    Raises:
        OpeningFailed: From the loop. No attempt may follow; each subclass names a step.
        WebSocketClosed: From the loop. A websocket has ended, and no attempt may follow.
        InvalidURL: The URL can't be used.
        InvalidRequest: A header or an option can't be used.
    """
    return Connections(WebSocket, _effect, url_or_request, options, policy=policy, is_final=is_final, on_open=on_open)


class BlockingBackend(backend.SocketBackend[Blocking], effect=_effect):
    """A backend of blocking sockets."""
