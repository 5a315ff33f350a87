"""The blocking flavour: plain sockets and plain values; ``F[T]`` is ``T``.

Only waiting lives here, nothing about WebSockets. Neither asyncio nor trio nor anyio is imported.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import ParamSpec, TypeVar, Unpack

from polysocket._connect import open_websocket
from polysocket._opening.options import ConnectOptions
from polysocket._opening.transport import Transport
from polysocket.backend import Backend, SocketOpener
from polysocket.effects import Blocking, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import WebSocket

__all__ = ["BlockingBackend", "connect"]


P = ParamSpec("P")


T = TypeVar("T")


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> WebSocket[Blocking]:
    """Open a websocket, which closes at the end of a ``with``.

    The options are those of :class:`~polysocket.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`.
    """
    return run(open_websocket(BlockingEffect(), url_or_request, options))


class BlockingBackend(Backend[Blocking]):
    """A backend of blocking sockets.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(BlockingEffect(), Transport(ssl, proxy=proxy), request))
