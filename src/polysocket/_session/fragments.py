"""Send one message from the parts that an iterable yields, and receive one part by part (RFC 6455 §5.4)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import partial
from typing import Any

from polysocket._core import close_codes
from polysocket._session.async_for import AsyncForIterator
from polysocket._session.session import Session
from polysocket.frames import Binary, DataFrame, Text
from polysocket.request import check_timeout

__all__ = ["AsyncFragments", "Fragments", "send_fragments"]

Parts = Iterable[str] | Iterable[bytes]
AsyncParts = AsyncIterable[str] | AsyncIterable[bytes]


async def send_fragments(session: Session, parts: Parts | AsyncParts, compress: bool, timeout: float | None) -> None:
    """Send each part as a fragment, then an empty last one; nothing if there are no parts.

    If a message that was begun can't be finished, no other one may follow: a Close is sent. An asynchronous generator
    is closed, since the caller may not hold it.
    """
    check_timeout(timeout)
    session.check_event_loop()
    _check_parts(parts, is_async=session._effect.is_async)
    message = _Outgoing(session, compress, timeout)
    try:
        if isinstance(parts, AsyncIterable):
            async with _closing(parts):
                async for part in parts:
                    await message.send(part)
        else:
            for part in parts:
                await message.send(part)
        await message.finish()
    except GeneratorExit:  # The coroutine was abandoned, perhaps with its event loop.
        if message.is_begun:
            session.abort("a fragmented message was not finished")
        raise
    except BaseException:
        if message.is_begun:
            session.send_close(close_codes.MESSAGE_UNFINISHED, "a fragmented message was not finished")
        raise


def _closing(parts: Any) -> AbstractAsyncContextManager[object]:
    return aclosing(parts) if hasattr(parts, "aclose") else nullcontext()


class _Outgoing:
    """A message that is being sent; ``is_begun`` is True once a fragment of it is on its way."""

    def __init__(self, session: Session, compress: bool, timeout: float | None) -> None:
        self.is_begun = False
        self._session = session
        self._compress = compress
        self._timeout = timeout
        self._kind: type[DataFrame] = Text

    async def send(self, part: str | bytes) -> None:
        self._kind = Text if isinstance(part, str) else Binary
        frame = Text(part, final=False) if isinstance(part, str) else Binary(part, final=False)
        await self._send(frame)

    async def finish(self) -> None:
        if self.is_begun:
            await self._send(Text("") if self._kind is Text else Binary(b""))
        elif (checkpoint := self._session._effect.checkpoint) is not None:
            await checkpoint()

    async def _send(self, frame: DataFrame) -> None:
        if self._timeout is not None:
            await self._session._sender.send_within(self._timeout, partial(self._begin_to_send, frame))
        elif (rest := self._begin_to_send(frame)) is not None:
            await rest

    def _begin_to_send(
        self, frame: DataFrame, on_taken: Callable[[], object] | None = None
    ) -> Awaitable[object] | None:
        def note() -> None:
            self.is_begun = True
            if on_taken is not None:
                on_taken()

        return self._session.send_frame(frame, self.is_begun, self._compress, note)


def _check_parts(parts: object, *, is_async: bool) -> None:
    """Raise TypeError unless the parts can be iterated over in this flavour."""
    kind = type(parts).__name__
    if isinstance(parts, AsyncIterable) and not is_async:
        raise TypeError(f"the parts are an iterable of str or bytes; this flavour can't await a {kind}")
    if isinstance(parts, str | bytes | bytearray | memoryview) or not isinstance(parts, Iterable | AsyncIterable):
        raise TypeError(f"the parts are an iterable of str or bytes, not a {kind}")


class Fragments(Iterator[str | bytes]):
    """The iterator over the parts of one message, in the blocking flavour; empty fragments are left out."""

    def __init__(self, receive: Callable[[], DataFrame]) -> None:
        self._receive = receive
        self._is_complete = False

    def __next__(self) -> str | bytes:
        while not self._is_complete:
            frame = self._receive()
            self._is_complete = frame.final
            if frame.payload:
                return frame.payload
        raise StopIteration


class AsyncFragments(AsyncForIterator[str | bytes]):
    """The iterator over the parts of one message, in the asynchronous flavours; empty fragments are left out."""

    def __init__(self, receive: Callable[[], Awaitable[DataFrame]]) -> None:
        self._receive = receive
        self._is_complete = False

    async def __anext__(self) -> str | bytes:
        while not self._is_complete:
            frame = await self._receive()
            self._is_complete = frame.final
            if frame.payload:
                return frame.payload
        raise StopAsyncIteration
