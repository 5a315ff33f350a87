"""The base class of all handlers, and the handler that returns a :class:`WebSocket`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from polysocket._session.session import Session
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause
from polysocket.effects import Effect
from polysocket.errors import InvalidHandler, WebSocketClosed
from polysocket.websocket import WebSocket

__all__ = ["Handler", "WebSocketHandler", "is_own_end"]


class Handler(ABC):
    """The base class of the handlers that ``open_websocket`` takes."""

    @abstractmethod
    def check(self, effect: Effect) -> None:
        """Raise :class:`InvalidHandler` if the handler can't work in this flavour. Called before connecting."""

    @abstractmethod
    async def start(self, effect: Effect, session: Session) -> Any:
        """Take over the open session and return the result of ``open_websocket``."""


class WebSocketHandler(Handler):
    """The high-level handler: the result is a :class:`WebSocket` that reads ahead into ``buffer``.

    Without a buffer, the websocket reads on demand: while a caller receives, pings or closes.
    """

    def __init__(self, buffer: Buffer | None = None) -> None:
        if not isinstance(buffer, Buffer | None):
            raise InvalidHandler(f"buffer is a Buffer or None, not {buffer!r}")
        self.buffer = buffer

    def check(self, effect: Effect) -> None:
        """Accept every flavour."""

    async def start(self, effect: Effect, session: Session) -> WebSocket[Any]:
        """Start to read ahead if there is a buffer, and return the websocket."""
        if self.buffer is not None:
            session.read_ahead(self.buffer)
        return WebSocket(session, effect)


def is_own_end(session: Session, error: BaseException) -> bool:
    """Return whether ``error`` was raised because a Close, or the network, ended this session.

    A user's code may raise the :class:`WebSocketClosed` of another websocket. Two such errors belong to the same
    websocket if their sent Close is the same object, or if the network explains both by the same object.
    """
    if not isinstance(error, WebSocketClosed):
        return False
    ended, info = error.close_info, session.close_info
    if ended.cause is CloseCause.NETWORK:
        return ended is info or ended is session.loss
    return ended.cause is CloseCause.CLOSE and info is not None and ended.sent is info.sent
