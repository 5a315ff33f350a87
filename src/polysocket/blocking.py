"""The blocking flavour: plain sockets and plain values; ``F[T]`` is ``T``.

Only waiting lives here, nothing about WebSockets. Neither asyncio nor trio nor anyio is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from ssl import SSLContext
from typing import Any, ParamSpec, TypeVar, Unpack

from polysocket.backend import Backend, SocketOpener
from polysocket.effect import Blocking, run
from polysocket.opening import ConnectOptions, Route, open_websocket
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.threads import SocketEffect, ThreadEvent, unlimited
from polysocket.websocket import WebSocket

__all__ = ["BlockingBackend", "BlockingEffect", "connect"]

P = ParamSpec("P")
T = TypeVar("T")


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> WebSocket[Blocking]:
    """Open a websocket, which closes at the end of a ``with``.

    The options are those of :class:`~polysocket.opening.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`.
    """
    return run(open_websocket(BlockingEffect(), url_or_request, options))


class BlockingEffect(SocketEffect):
    """The :class:`~polysocket.effect.Effect` of blocking sockets: its coroutines never suspend."""

    def event(self) -> ThreadEvent:
        """A new event."""
        return ThreadEvent()

    def current_task(self) -> object:
        """The calling thread."""
        return threading.get_ident()

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, T]:
        """Make a function that drives the program to its end."""

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return run(program(*args, **kwargs))

        return call

    async def unlift(self, value: T, /) -> T:
        """The value itself."""
        return value

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Drive the program in a thread."""
        drive = self.lift(unlimited(program))
        threading.Thread(target=drive, name=f"polysocket {program.__name__}", daemon=True).start()


class BlockingBackend(Backend[Blocking]):
    """A backend of blocking sockets.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(BlockingEffect(), Route(ssl, proxy=proxy), request))
