"""Iterate over what is received until the websocket has ended normally; raise at any other end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

from polysocket._session.async_for import AsyncForIterator
from polysocket._session.receiving import DATA
from polysocket._session.session import Session
from polysocket.effects import Lifter
from polysocket.errors import WebSocketClosed

__all__ = ["AsyncMessages", "AsyncUntilClosed", "Messages", "UntilClosed"]

T = TypeVar("T")


class UntilClosed(Iterator[T]):
    """The iterator over what is received until a normal closing, for the flavours of threads.

    It is no generator, so that an error, such as a timeout, ends only the current step.
    """

    def __init__(self, receive: Callable[[], T]) -> None:
        self._receive = receive

    def __next__(self) -> T:
        try:
            return self._receive()
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                raise StopIteration from None
            raise


class Messages(UntilClosed[str | bytes]):
    """The iterator over a blocking websocket's messages; one that is here is taken without running a program.

    It holds none itself: a loop that is left early has lost none.
    """

    def __init__(self, session: Session, timeout: float | None, effect: Lifter) -> None:
        read_until: Callable[..., str | bytes] = effect.lift(session.read_until)
        super().__init__(partial(read_until, partial(session.receiver.take_message, DATA, True), "message", timeout))
        self._take_ready = session.receiver.take_ready_message

    def __next__(self) -> str | bytes:
        message: str | bytes | None = self._take_ready(DATA)
        return super().__next__() if message is None else message


class AsyncMessages(AsyncForIterator[str | bytes]):
    """The iterator over a websocket's messages; it asks the session itself, to be short for each message.

    It holds none itself: a loop that is left early, or cancelled, has lost none.
    """

    def __init__(self, session: Session, timeout: float | None) -> None:
        self._session = session
        self._timeout = timeout
        self._take = partial(session.receiver.take_message, DATA, True)

    async def __anext__(self) -> str | bytes:
        session = self._session
        # A loop over nothing is a checkpoint, too.
        if (checkpoint := session.receiver.checkpoint) is not None and (
            session.receiver.queue.count or session._connection.has_ended
        ):
            session.receiver.pause = checkpoint()
            await session.receiver.pause
        try:
            message: str | bytes | None = session.receiver.take_ready_message(DATA)
            if message is not None:
                return message
            return await session.read_until(self._take, "message", self._timeout)
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                raise StopAsyncIteration from None
            raise


class AsyncUntilClosed(AsyncForIterator[T]):
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
