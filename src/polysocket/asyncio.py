"""The asyncio flavour (uvloop too): ``F[T]`` is a coroutine.

Only waiting lives here, nothing about WebSockets.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Unpack

from polysocket._connect import open_websocket
from polysocket._opening.options import ConnectOptions
from polysocket._opening.transport import Transport
from polysocket.backend import Backend, SocketOpener
from polysocket.effects import Asyncio
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import Opening

__all__ = ["AsyncioBackend", "connect"]


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Opening[Asyncio]:
    """Open a websocket: await it, or enter it by ``async with``, at whose end it closes.

    The options are those of :class:`~polysocket.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """
    return Opening(open_websocket(AsyncioEffect(), url_or_request, options))


class AsyncioBackend(Backend[Asyncio]):
    """A backend on asyncio.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(AsyncioEffect(), Transport(ssl, proxy=proxy), request))
