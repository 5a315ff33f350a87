"""The threaded flavour: plain sockets, and ``concurrent.futures.Future``; ``F[T]`` is ``Future[T]``.

A program begins in the thread that calls, so that sends keep the order of the calls, and goes on in a thread of its own
from where it would first have to wait. Only waiting lives here, nothing about WebSockets.
"""

from __future__ import annotations

from concurrent.futures import Future
from ssl import SSLContext
from typing import ParamSpec, TypeVar, Unpack

from polysocket._connect import open_websocket
from polysocket._opening.options import ConnectOptions
from polysocket._opening.transport import Transport
from polysocket.backend import Backend, SocketOpener
from polysocket.effects import Threaded
from polysocket.effects.threaded import ThreadedEffect
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import WebSocket

__all__ = ["ThreadedBackend", "connect"]


P = ParamSpec("P")


T = TypeVar("T")


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Future[WebSocket[Threaded]]:
    """Open a websocket in a thread; leaving its ``with`` closes it.

    The options are those of :class:`~polysocket.ConnectOptions`. The future raises :class:`OpeningFailed` (its
    subclasses say at which step), :class:`InvalidURL`, :class:`InvalidRequest`.
    """
    effect = ThreadedEffect()
    future: Future[WebSocket[Threaded]] = effect.lift(open_websocket)(effect, url_or_request, options)
    return future


class ThreadedBackend(Backend[Threaded]):
    """A backend on threads.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(ThreadedEffect(), Transport(ssl, proxy=proxy), request))
