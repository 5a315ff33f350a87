"""The base of all handlers, and the high-level handler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from polysocket._session.session import Session
from polysocket.buffer import Buffer
from polysocket.effects import Effect
from polysocket.errors import InvalidHandler
from polysocket.websocket import WebSocket

__all__ = ["Handler", "WebSocketHandler"]


F = TypeVar("F")


class Handler(ABC):
    """What ``open_websocket`` takes."""

    @abstractmethod
    def check(self, effect: Effect) -> None:
        """Raise :class:`InvalidHandler` where the handler can't work in this flavour."""

    @abstractmethod
    async def start(self, effect: Effect, session: Session) -> Any:
        """Take the open session, and give the result."""


class WebSocketHandler(Handler):
    """The high-level handler: the result is a :class:`WebSocket` that reads ahead into ``buffer``.

    Without a buffer it reads on demand: while somebody receives, pings or closes.
    """

    def __init__(self, buffer: Buffer | None = None) -> None:
        if not isinstance(buffer, Buffer | None):
            raise InvalidHandler(f"buffer is a Buffer or None, not {buffer!r}")
        self.buffer = buffer

    def check(self, effect: Effect) -> None:
        """Any flavour will do."""

    async def start(self, effect: Effect, session: Session) -> WebSocket[Any]:
        """Begin to read ahead."""
        if self.buffer is not None:
            session.read_ahead(self.buffer)
        return WebSocket(session, effect)
