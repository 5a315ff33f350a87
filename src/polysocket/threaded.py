"""The threaded flavour: plain sockets, and ``concurrent.futures.Future``; ``F[T]`` is ``Future[T]``.

A call runs in the caller's thread until it would have to wait, so that sends keep the order of the calls. Then it goes
on in a thread of its own. How this flavour waits is in ``polysocket.effects.threaded``.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Unpack

from polysocket import backend, websocket
from polysocket._opening.options import ConnectOptions, shows_options
from polysocket.effects import Threaded
from polysocket.effects.threaded import ThreadedEffect
from polysocket.request import Request

__all__ = ["ThreadedBackend", "WebSocket", "connect"]

_effect = ThreadedEffect()


class WebSocket(websocket.WebSocket[Threaded], effect=_effect):
    """An open websocket of threads, whose methods return futures."""


@shows_options
def connect(
    url_or_request: str | Request, /, **options: Unpack[ConnectOptions]
) -> Future[websocket.WebSocket[Threaded]]:
    """Open a websocket in a thread; the end of the websocket's ``with`` closes it.

    Raises:
        OpeningFailed: Via the future. The websocket could not be opened; each subclass names a step.
        InvalidURL: Via the future. The URL can't be used.
        InvalidRequest: Via the future. A header or an option can't be used.
    """
    kind: type[websocket.WebSocket[Threaded]] = WebSocket  # A Future[WebSocket] is no Future[WebSocket[Threaded]].
    return _effect.lift(websocket.open_websocket)(kind, _effect, url_or_request, options)


class ThreadedBackend(backend.SocketBackend[Threaded], effect=_effect):
    """A backend of threads."""
