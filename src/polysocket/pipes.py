"""Streams: a websocket as a stage, from the stream of incoming data frames to the stream of outgoing frames.

In a blocking flavour streams are iterators and a stage is a generator function; in an asynchronous one they are
asynchronous. What a stage does with messages is written once, as a function, and lifted to both kinds.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any

from polysocket.buffer import Buffer
from polysocket.effect import Effect, settled
from polysocket.errors import CloseInfo, InvalidHandler, UnexpectedFrame, WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Text, joined
from polysocket.handlers import Handler
from polysocket.session import Session
from polysocket.websocket import UntilClosed, until_closed

__all__ = ["MessageStage", "PipeHandler", "from_message_pipe", "from_text_pipe"]

BlockingStage = Callable[[Iterator[DataFrame]], Generator[Frame | Close, None, None]]
AsyncStage = Callable[[AsyncIterator[DataFrame]], AsyncGenerator[Frame | Close, None]]
READ_AHEAD = Buffer.bounded(256, overflow="wait")  # so that Pings are answered while the stage takes nothing
Answer = str | bytes | Frame | Close | None


class PipeHandler(Handler):
    """The stream handler: ``stage`` takes the stream of incoming data frames, and gives that of outgoing frames.

    It is a generator function in the blocking and threaded flavours, an async generator function in the others.
    ``open_websocket`` goes on until either stream ends; its result is the :class:`CloseInfo`. The end of the outgoing
    stream closes with 1000, its error with 1011 (and is raised); a stage that gives a :class:`Close`, and ends, chooses
    the code. The incoming stream ends at a normal closing, and raises at any other. Where the stage gives a fragment
    (``final`` is False), its next data frame is the continuation.
    """

    def __init__(self, stage: BlockingStage | AsyncStage | MessageStage) -> None:
        self.stage = stage

    def check(self, effect: Effect) -> None:
        """Refuse what is no generator function of the flavour's kind."""
        if isinstance(self.stage, MessageStage):
            if self.stage.is_async and not effect.is_async:
                raise InvalidHandler(f"{self.stage.function!r} is async, which this flavour can't await")
        elif effect.is_async and not inspect.isasyncgenfunction(self.stage):
            raise InvalidHandler(f"in an async flavour a stage is an async generator function, not {self.stage!r}")
        elif not effect.is_async and not inspect.isgeneratorfunction(self.stage):
            raise InvalidHandler(f"in a blocking flavour a stage is a generator function, not {self.stage!r}")

    async def start(self, effect: Effect, session: Session) -> CloseInfo:
        """Run the stage until it or the websocket has ended."""
        session.read_ahead(READ_AHEAD)
        try:
            if effect.is_async:
                await _run_async(self.stage, session)
            else:
                await _run_blocking(self.stage, effect, session)
        except WebSocketClosed as error:
            if session.is_open:  # It is the end of another websocket.
                await session.leave(error)
                raise
            await session.close()
            if session.close_info is None or not session.close_info.is_normal:
                raise
        except UnexpectedFrame:
            await session.close(CloseCode.UNSUPPORTED_DATA)
            raise
        except BaseException as error:
            await session.leave(error)
            raise
        await session.close()
        info = session.close_info
        assert info is not None, "a closed session explains itself"
        return info


async def _run_async(stage: Any, session: Session) -> None:
    send = _continuing(session)
    outgoing = (stage.over_async if isinstance(stage, MessageStage) else stage)(UntilClosed(session.receive_data_frame))
    async with aclosing(outgoing):
        async for frame in outgoing:
            await send(frame)


async def _run_blocking(stage: Any, effect: Effect, session: Session) -> None:
    send = _continuing(session)
    receive = effect.lift(session.receive_data_frame)
    incoming = until_closed(lambda: settled(receive()))
    outgoing = (stage.over if isinstance(stage, MessageStage) else stage)(incoming)
    with closing(outgoing):
        for frame in outgoing:
            await send(frame)


def _continuing(session: Session) -> Callable[[Frame | Close], Awaitable[None]]:
    """A ``send`` that knows by itself which frames are continuations."""
    is_open = False

    async def send(frame: Frame | Close) -> None:
        nonlocal is_open
        if isinstance(frame, Text | Binary):
            await session.send(frame, is_continuation=is_open)
            is_open = not frame.final
        else:
            await session.send(frame)

    return send


def from_text_pipe(function: Callable[[str], Answer | Awaitable[Answer]]) -> MessageStage:
    """Lift a function on whole text messages to a stage; None sends nothing (sttp's ``fromTextPipe``).

    A binary message closes with 1003, and is raised as :class:`UnexpectedFrame`.
    """
    return MessageStage(function, takes_binary=False)


def from_message_pipe(function: Callable[[str | bytes], Answer | Awaitable[Answer]]) -> MessageStage:
    """Lift a function on whole messages, ``str`` or ``bytes``, to a stage; None sends nothing."""
    return MessageStage(function, takes_binary=True)


class MessageStage:
    """A stage made of a function on whole messages; it may be async where the flavour is."""

    def __init__(self, function: Callable[[Any], Answer | Awaitable[Answer]], *, takes_binary: bool) -> None:
        if not callable(function):
            raise InvalidHandler(f"a pipe is made of a function, not of {function!r}")
        self.function: Callable[[Any], Any] = function
        self.is_async: bool = inspect.iscoroutinefunction(function)
        self._takes_binary = takes_binary

    def over(self, incoming: Iterable[DataFrame]) -> Generator[Frame | Close, None, None]:
        """The stage as a generator."""
        fragments: list[DataFrame] = []
        for frame in incoming:
            message = self._message(frame, fragments)
            if message is not None:
                yield from _frames(self.function(message))

    async def over_async(self, incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame | Close, None]:
        """The stage as an async generator."""
        fragments: list[DataFrame] = []
        async for frame in incoming:
            message = self._message(frame, fragments)
            if message is not None:
                answer = self.function(message)
                for outgoing in _frames(await answer if inspect.isawaitable(answer) else answer):
                    yield outgoing

    def _message(self, frame: DataFrame, fragments: list[DataFrame]) -> str | bytes | None:
        if isinstance(frame, Binary) and not self._takes_binary:
            raise UnexpectedFrame("a Binary frame came into a pipe of text")
        fragments.append(frame)
        if not frame.final:
            return None
        message = joined(fragments)
        fragments.clear()
        return message


def _frames(answer: Answer) -> list[Frame | Close]:
    match answer:
        case None:
            return []
        case str():
            return [Text(answer)]
        case bytes():
            return [Binary(answer)]
        case frame:
            return [frame]
