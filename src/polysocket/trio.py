"""The trio flavour: ``F[T]`` is a coroutine.

Only waiting lives here, nothing about WebSockets.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Unpack

import trio

from polysocket._connect import open_websocket
from polysocket._opening.options import ConnectOptions
from polysocket._opening.transport import Transport
from polysocket.backend import Backend, SocketOpener
from polysocket.effects import Trio
from polysocket.effects.trio import TrioEffect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Text
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import Opening, WebSocket

__all__ = ["TrioBackend", "WebSocketChannel", "connect"]


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Opening[Trio]:
    """Open a websocket: await it, or enter it by ``async with``, at whose end it closes.

    The options are those of :class:`~polysocket.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """
    return Opening(open_websocket(TrioEffect(), url_or_request, options))


class TrioBackend(Backend[Trio]):
    """A backend on trio.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(TrioEffect(), Transport(ssl, proxy=proxy), request))


class WebSocketChannel(trio.abc.Channel[str | bytes]):
    """A websocket as trio's channel of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is trio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: WebSocket[Trio]) -> None:
        self.websocket = websocket
        self._is_closed = False

    async def receive(self) -> str | bytes:
        """Receive a whole message; a cancellation loses none.

        Raises ``EndOfChannel`` once the other side has closed normally (1000, 1001, no code), ``BrokenResourceError``
        where the websocket has ended otherwise, ``ClosedResourceError`` after :meth:`aclose`, and
        ``BusyResourceError`` while another task receives.
        """
        await trio.lowlevel.checkpoint()
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
        """Send a message; a cancelled send has sent the whole of it or nothing. Many tasks may send.

        Raises ``BrokenResourceError`` where the websocket has ended, ``ClosedResourceError`` after :meth:`aclose`.
        """
        await trio.lowlevel.checkpoint()
        self._check()
        try:
            await self.websocket.send(Text(value) if isinstance(value, str) else Binary(value))
        except WebSocketClosed as error:
            self._check(error)
            raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Close the websocket; where that is cancelled, its connection is ended as it is."""
        self._is_closed = True
        await self.websocket.close()

    def _check(self, cause: WebSocketClosed | None = None) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError from cause
