"""The flavour for anyio's users: ``F[T]`` is a coroutine, on asyncio or trio, whichever runs.

sniffio tells which; trio is imported only where it runs. A websocket as anyio's own kind of stream is here, too. How to
wait is not known here.
"""

from __future__ import annotations

import contextlib
from ssl import SSLContext
from typing import Any, Unpack

import anyio.abc
import anyio.lowlevel

from polysocket._connect import open_websocket
from polysocket._opening.options import ConnectOptions
from polysocket._opening.transport import Transport
from polysocket.backend import Backend, SocketOpener
from polysocket.effects import Async
from polysocket.effects.anyio import AnyioEffect, running_effect
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Close, Text
from polysocket.proxy import ProxySetting
from polysocket.request import Request, basic_request
from polysocket.websocket import Opening, WebSocket

__all__ = ["AnyioBackend", "ObjectStream", "connect"]


def connect(url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> Opening[Async]:
    """Open a websocket: await it, or enter it by ``async with``, at whose end it closes.

    The options are those of :class:`~polysocket.ConnectOptions`. Raises :class:`OpeningFailed` (its subclasses
    say at which step), :class:`InvalidURL`, :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """

    async def program() -> WebSocket[Any]:
        return await open_websocket(running_effect(), url_or_request, options)

    return Opening(program())


class AnyioBackend(Backend[Async]):
    """A backend on asyncio or trio.

    ``ssl`` is for its wss URLs, ``proxy`` leads to the servers, ``request`` is what a URL begins with.
    """

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = None, request: Request = basic_request
    ) -> None:
        super().__init__(SocketOpener(AnyioEffect(), Transport(ssl, proxy=proxy), request))


class ObjectStream(anyio.abc.ObjectStream[str | bytes]):
    """A websocket as anyio's stream of messages, which owns it: ``str`` is a text message, ``bytes`` a binary one.

    Each error is anyio's, with polysocket's as its ``__cause__``. ``websocket`` is the websocket itself.
    """

    def __init__(self, websocket: WebSocket[Async]) -> None:
        self.websocket = websocket
        self._is_closed = False
        self._has_sent_end = False

    async def receive(self) -> str | bytes:
        """Receive a whole message; a cancellation loses none.

        Raises ``EndOfStream`` once the other side has closed normally (1000, 1001, no code), ``BrokenResourceError``
        where the websocket has ended otherwise, ``ClosedResourceError`` after :meth:`aclose`, and
        ``BusyResourceError`` while another task receives.
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
        """Send a message; a cancelled send has sent the whole of it or nothing. Many tasks may send.

        Raises ``BrokenResourceError`` where the websocket has ended, ``ClosedResourceError`` after :meth:`send_eof` and
        :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._has_sent_end)
        try:
            await self.websocket.send(Text(item) if isinstance(item, str) else Binary(item))
        except WebSocketClosed as error:
            self._check(self._has_sent_end, error)
            raise anyio.BrokenResourceError(str(error)) from error

    async def send_eof(self) -> None:
        """Send a Close: nothing more can be sent, and what the other side still sends can be received.

        May be called more than once. Raises ``ClosedResourceError`` after :meth:`aclose`.
        """
        await anyio.lowlevel.checkpoint()
        self._check(self._is_closed)
        self._has_sent_end = True
        if self.websocket.is_open:
            with contextlib.suppress(WebSocketClosed):  # The other side was faster.
                await self.websocket.send(Close())

    async def aclose(self) -> None:
        """Close the websocket; where that is cancelled, its connection is ended as it is."""
        self._is_closed = self._has_sent_end = True
        await self.websocket.close()

    def _check(self, is_closed: bool, cause: WebSocketClosed | None = None) -> None:
        if is_closed:
            raise anyio.ClosedResourceError from cause
