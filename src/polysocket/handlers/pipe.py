"""Streams: a websocket as a stage, from the stream of incoming data frames to the stream of outgoing frames.

In a blocking flavour streams are iterators and a stage is a generator function; in an asynchronous one they are
asynchronous. What a stage does with messages is written once, as a function, and lifted to both kinds.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any, Final

from polysocket._session.session import Session
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.effects import Effect, Event, settled
from polysocket.errors import InvalidFrame, InvalidHandler, UnexpectedFrame, WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Text, joined
from polysocket.handlers.handler import Handler
from polysocket.websocket import UntilClosed, until_closed

__all__ = ["MessageStage", "PipeHandler", "from_message_pipe", "from_text_pipe"]


logger: Final = logging.getLogger("polysocket")


BlockingStage = Callable[[Iterator[DataFrame]], Iterator[Frame | Close]]


AsyncStage = Callable[[AsyncIterator[DataFrame]], AsyncIterator[Frame | Close]]


MOST_DROPPED = 1000  # frames that a stage gives behind the Close without taking one: it will never ask again


READ_AHEAD = Buffer.bounded(256, overflow="wait")  # so that Pings are answered while the stage takes nothing


Answer = str | bytes | Frame | Close | None


class PipeHandler(Handler):
    """The stream handler: ``stage`` takes the stream of incoming data frames, and gives that of outgoing frames.

    It is a generator function in the blocking and threaded flavours, an async generator function in the others.
    ``open_websocket`` goes on until either stream ends; its result is the :class:`CloseInfo`. The end of the outgoing
    stream closes with 1000, its error with 1011 (and is raised); a stage that gives a :class:`Close`, and ends, chooses
    the code. Where the stage gives a fragment (``final`` is False), its next data frame is the continuation; a stage
    that ends within a message closes with 1011, and :class:`InvalidFrame` is raised.

    Up to 256 frames, or 16 MiB of them, are read ahead, so Pings are answered while the stage takes nothing. The
    incoming stream gives all that came before the other side's Close; then it ends where the closing is normal, and
    raises at any other. What the stage gives behind that Close is dropped. A stage that then takes nothing for as long
    as the close timeout is ended, and at once where it never took anything and nothing is there: an asynchronous one is
    cancelled; a blocking one is ended where it gives its next frame, for nothing can end a thread that waits.
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
        flow = _Flow(effect, session)
        try:
            await (flow.run_async if effect.is_async else flow.run_blocking)(self.stage)
        except WebSocketClosed as error:
            if not session.is_ended_by(error):
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


class _Flow:
    """A stage at its work: what it takes from the websocket, and what it gives.

    Behind the other side's Close it takes what is left, and what it gives is dropped. For this it has as long as a
    closing may take, anew with each frame that it takes; where it never took any, and none is there, no time at all.
    """

    def __init__(self, effect: Effect, session: Session) -> None:
        self._effect = effect
        self._session = session
        self._in_message = False  # of fragments, that the stage gives
        self._has_asked = False
        self._knows_end = False
        self._dropped = 0  # frames, since it took one
        self._since = 0.0  # when the websocket has ended, or the stage was given something behind that
        self._is_over = False
        self._is_interrupted = False

    async def run_async(self, stage: Any) -> None:
        """Run a stage of an asynchronous flavour."""
        begin, end, is_watched = self._effect.event(), self._effect.event(), self._effect.event()

        async def watch() -> None:
            await begin.wait()
            await self._watch(end, interrupt)

        try:
            async with self._effect.interruptible() as interrupt:
                self._session.when_ended(lambda _: begin.set())
                self._effect.spawn(watch, lambda _: is_watched.set())
                try:
                    await self._send_all(stage.over_async if isinstance(stage, MessageStage) else stage)
                finally:
                    self._is_over = True
                    begin.set()
                    end.set()
        except Exception:
            await is_watched.wait()
            raise
        await is_watched.wait()
        if self._is_interrupted:
            raise self._session.error()
        self._check_end()

    async def _send_all(self, stage: Any) -> None:
        async with aclosing(stage(UntilClosed(self._receive))) as outgoing:
            async for frame in outgoing:
                await self._send(frame)

    async def run_blocking(self, stage: Any) -> None:
        """Run a stage of a blocking flavour, in a thread that it may block."""
        own_thread = self._effect.event()
        own_thread.set()
        await own_thread.wait()  # In the threaded flavour, whoever waits does so in a thread of its own.
        over = stage.over if isinstance(stage, MessageStage) else stage
        receive = self._effect.lift(self._receive)
        with closing(over(until_closed(lambda: settled(receive())))) as outgoing:
            for frame in outgoing:
                await self._send(frame)
        self._check_end()

    async def _receive(self) -> DataFrame:
        self._has_asked = True
        try:
            return await self._session.receive_data_frame()
        finally:
            self._since = self._effect.now()
            self._dropped = 0

    async def _send(self, frame: Frame | Close) -> None:
        """Send; which frames are continuations is known by those before."""
        is_data = isinstance(frame, Text | Binary)
        try:
            await self._session.send(frame, is_continuation=is_data and self._in_message)
        except WebSocketClosed as error:
            if error.close_info.cause is not CloseCause.CLOSE or error.close_info.initiator is not Side.REMOTE:
                raise
            await self._drop()
        else:
            if isinstance(frame, Text | Binary):
                self._in_message = not frame.final

    async def _drop(self) -> None:
        self._note_end()
        self._dropped += 1
        if self._is_interrupted or self._seconds_left() == 0:
            raise self._session.error()
        if self._effect.is_async:
            await self._let_others_run()

    def _check_end(self) -> None:
        if self._in_message and self._session.is_open:
            raise InvalidFrame("the stage has ended within a message: the last frame that it gave has final=False")

    def _note_end(self) -> None:
        if not self._knows_end:
            self._knows_end = True
            self._since = self._effect.now()

    def _seconds_left(self) -> float | None:
        """How long the stage may go on, now that the websocket has ended."""
        if not self._has_asked and not self._session.has_data:
            return 0
        seconds = 0 if self._dropped > MOST_DROPPED else self._session.seconds_left(self._since)
        if seconds == 0:
            logger.warning("a pipe's stage was not at its end when its websocket was, and was ended")
        return seconds

    async def _watch(self, end: Event, interrupt: Callable[[], None]) -> None:
        """Interrupt a stage that waits for something else than the websocket, which has ended."""
        self._note_end()
        if not self._is_over:
            await self._let_others_run()  # The stage may be about to ask.
        while not self._is_over:
            seconds = self._seconds_left()
            if seconds == 0:
                self._is_interrupted = True
                interrupt()
                return
            with contextlib.suppress(TimeoutError):
                async with self._effect.time_limit(seconds):
                    await end.wait()

    async def _let_others_run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with self._effect.time_limit(0):
                await self._effect.event().wait()


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
