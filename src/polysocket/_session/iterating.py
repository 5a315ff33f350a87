"""Iterate over what is received until the websocket has ended normally; raise at any other end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import TypeVar

from polysocket._session.receiving import DATA
from polysocket._session.session import Session
from polysocket.errors import WebSocketClosed

__all__ = ["Messages", "UntilClosed", "until_closed"]

T = TypeVar("T")


def until_closed(receive: Callable[[], T]) -> Generator[T, None, None]:
    """Yield what is received until a normal closing; raise at any other."""
    while True:
        try:
            received = receive()
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                return
            raise
        yield received


class Messages(AsyncIterator[str | bytes]):
    """The iterator over a websocket's messages; it asks the session itself, to be short for each message."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._take = partial(session.receiver.take_message, DATA, True)

    async def __anext__(self) -> str | bytes:
        try:
            if (frame := self._session.receiver.take_whole(DATA)) is not None:
                return frame.payload
            return await self._session.read_until(self._take, "message")
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                raise StopAsyncIteration from None
            raise


class UntilClosed(AsyncIterator[T]):
    """The iterator over what is received until a normal closing, for asynchronous flavours.

    It is no async generator, so that a cancellation ends only the current step.
    """

    def __init__(self, receive: Callable[[], Awaitable[T]]) -> None:
        self._receive = receive

    async def __anext__(self) -> T:
        try:
            return await self._receive()
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                raise StopAsyncIteration from None
            raise
