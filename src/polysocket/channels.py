"""``WebSocketChannel``: a websocket as trio's own kind of channel.

For trio's users only: importing this imports trio. What anyio's users have for it is in :mod:`polysocket.anyio`.
"""

from __future__ import annotations

import trio

from polysocket.effect import Trio
from polysocket.errors import ConcurrentReceive, WebSocketClosed
from polysocket.frames import Binary, Text
from polysocket.websocket import WebSocket

__all__ = ["WebSocketChannel"]


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
