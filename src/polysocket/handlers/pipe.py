"""Pipes: run a *stage*, from the stream of incoming data frames to the stream of outgoing frames, on a websocket.

In a blocking flavour streams are iterators and a stage is a generator function; in an async flavour both are async.
:func:`from_text_pipe` and :func:`from_message_pipe` make a stage for every flavour from one function on messages.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Final

from polysocket._core import close_codes
from polysocket._core.received import Fragments
from polysocket._lifting import wait_for_result
from polysocket._logger import get_logger
from polysocket._session.iterating import AsyncUntilClosed, UntilClosed
from polysocket._session.session import Session
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.effects import Effect
from polysocket.errors import ConnectionLost, InvalidFrame, InvalidHandler, UnexpectedFrame, WebSocketClosed
from polysocket.frames import Binary, Close, DataFrame, Frame, Text
from polysocket.handlers.handler import Handler, is_own_end

__all__ = ["MessageStage", "PipeHandler", "from_message_pipe", "from_text_pipe"]

BlockingStage = Callable[[Iterator[DataFrame]], Iterator[Frame | Close]]
AsyncStage = Callable[[AsyncIterator[DataFrame]], AsyncIterator[Frame | Close]]
Answer = str | bytes | Frame | Close | None

# Pings are answered and the peer's Close is noticed while the stage takes nothing. 256 frames hide the latency of a
# stage; "wait" turns a slower stage into backpressure instead of an error.
READ_AHEAD: Final = Buffer.bounded(256, overflow="wait")


class PipeHandler(Handler):
    """The stream handler: ``stage`` takes the stream of incoming data frames and returns that of outgoing frames.

    A stage is a generator function in the blocking and threaded flavours, an async generator function in the others.
    ``open_websocket`` returns the :class:`CloseInfo` when both the stage and the websocket have ended:

    - A stage that returns closes with 1000. A stage that yields a :class:`Close`, and returns, chooses the code.
    - A stage that raises closes with 1011, or with 1003 for :class:`UnexpectedFrame`. ``open_websocket`` raises the
      error.
    - If the peer closes, the incoming stream yields all frames received before the Close. Then it ends after a normal
      closing (1000, 1001, no code) and raises :class:`WebSocketClosed` after any other. Frames that the stage yields
      from then on are dropped.
    - If the connection is lost, the incoming stream yields all frames that have arrived, and raises
      :class:`ConnectionLost`. Meanwhile, frames that the stage yields are dropped. After that, sending raises, too.
    - A stage may run for at most ``close_timeout`` seconds after the websocket has ended. Then an async stage is
      cancelled. A blocking stage is ended when it next yields or asks for a frame, because a waiting thread can't be
      interrupted.

    If the stage yields a fragment (``final`` is False), its next data frame is sent as the continuation. A stage that
    returns within a message closes with 1011, and :class:`InvalidFrame` is raised.

    At most 256 frames, or 16 MiB of them, are read ahead. Pings are answered even if the stage takes nothing.
    """

    def __init__(self, stage: BlockingStage | AsyncStage | MessageStage) -> None:
        self.stage = stage

    def check(self, effect: Effect) -> None:
        """Raise :class:`InvalidHandler` if the stage is not a generator function of the flavour's kind."""
        if isinstance(self.stage, MessageStage):
            if self.stage.is_async and not effect.is_async:
                raise InvalidHandler(f"{self.stage.function!r} is async, which this flavour can't await")
        elif effect.is_async and not inspect.isasyncgenfunction(self.stage):
            raise InvalidHandler(f"in an async flavour a stage is an async generator function, not {self.stage!r}")
        elif not effect.is_async and not inspect.isgeneratorfunction(self.stage):
            raise InvalidHandler(f"in a blocking flavour a stage is a generator function, not {self.stage!r}")

    async def start(self, effect: Effect, session: Session) -> CloseInfo:
        """Run the stage to its end, close, and return how the websocket ended."""
        session.read_ahead(READ_AHEAD)
        run = _StageRun(effect, session)
        try:
            await (run.run_async if effect.is_async else run.run_blocking)(self.stage)
        except UnexpectedFrame:
            await session.close(close_codes.MESSAGE_KIND_REFUSED)
            raise
        except BaseException as error:
            if not is_own_end(session, error):
                await session.close_after(error)
                raise
            await session.close()
            if session.close_info is None or not session.close_info.is_normal:
                raise
        else:
            await session.close()
        assert session.close_info is not None, "a closed session has a close_info"
        if run.has_dropped_lost and session.close_info.cause is CloseCause.NETWORK:
            raise session.error()
        return session.close_info


class _StageRun:
    """One run of a stage: its incoming stream, its outgoing stream, and its deadline after the websocket's end."""

    def __init__(self, effect: Effect, session: Session) -> None:
        self._effect = effect
        self._session = session
        self._is_in_message = False  # The stage's last data frame was a fragment with more to follow.
        self._ended_at: float | None = None  # when the websocket ended, or took nothing more, on the effect's clock
        self._has_ended = effect.event()  # or takes nothing more
        self.has_dropped_lost: bool = False
        """Whether frames of the stage were dropped since the connection was lost."""

    async def run_async(self, stage: Any) -> None:
        """Run a stage of an async flavour; cancel it at the deadline."""
        over = stage.over_async if isinstance(stage, MessageStage) else stage
        incoming = AsyncUntilClosed(self._session.receive_data_frame)
        async with self._cancelled_at_deadline(), aclosing(over(incoming)) as outgoing:
            async for frame in outgoing:
                await self._send(frame)
        self._check_message_is_complete()

    async def run_blocking(self, stage: Any) -> None:
        """Run a stage of a blocking flavour; end it when it yields or asks after the deadline."""
        self._session.when_ended(self._note_end)
        await self._effect.run_blocking(partial(self._run_through, stage))
        self._check_message_is_complete()

    def _run_through(self, stage: Any) -> None:
        over = stage.over if isinstance(stage, MessageStage) else stage
        send = self._effect.lift(self._send)
        with closing(over(self._incoming())) as outgoing:
            for frame in outgoing:
                wait_for_result(send(frame))

    def _incoming(self) -> Iterator[DataFrame]:
        receive = self._effect.lift(self._session.receive_data_frame)
        for frame in UntilClosed(lambda: wait_for_result(receive())):
            if self._is_overdue():
                raise self._overdue()
            yield frame

    async def _send(self, frame: Frame | Close) -> None:
        """Send a frame of the stage, as a continuation if its last data frame asks for it; drop it after a Close."""
        is_data = isinstance(frame, Text | Binary)
        try:
            await self._session.send(frame, is_continuation=is_data and self._is_in_message)
        except WebSocketClosed as error:
            if not self._may_drop(error.close_info):
                raise
            await self._drop()
        else:
            if isinstance(frame, Text | Binary):
                self._is_in_message = not frame.final

    def _may_drop(self, end: CloseInfo) -> bool:
        """Return whether the stage may go on after this end of the websocket, since it may have frames to take."""
        if end.initiator is not Side.REMOTE:
            return False
        if end.cause is CloseCause.NETWORK and not self._session.is_exhausted:
            self.has_dropped_lost = True
            self._note_end(end)
            return True
        return end.cause is CloseCause.CLOSE

    async def _drop(self) -> None:
        if self._is_overdue():
            raise self._overdue()
        if self._effect.is_async:
            # Let other tasks run. Otherwise a stage that only yields starves the event loop.
            with contextlib.suppress(TimeoutError):
                async with self._effect.time_limit(0):
                    await self._effect.event().wait()

    def _check_message_is_complete(self) -> None:
        if self._is_in_message and self._session.is_open and not self.has_dropped_lost:
            raise InvalidFrame("the stage has ended within a message: its last frame has final=False")

    # The deadline

    @contextlib.asynccontextmanager
    async def _cancelled_at_deadline(self) -> AsyncGenerator[None]:
        """Cancel the block at the deadline, and raise the websocket's end."""
        stage_has_ended = self._effect.event()
        is_running, is_cancelled = True, False

        async def watch() -> None:
            nonlocal is_cancelled
            await self._has_ended.wait()
            try:
                async with self._effect.time_limit(self._session.seconds_left(self._ended_at)):
                    await stage_has_ended.wait()
            except TimeoutError:
                if is_running:
                    is_cancelled = True
                    cancel()

        async with self._effect.interruptible() as cancel:
            self._session.when_ended(self._note_end)
            self._effect.spawn(watch, lambda _: None)
            try:
                yield
            finally:
                is_running = False
                stage_has_ended.set()
                self._has_ended.set()
        if is_cancelled:
            raise self._overdue()

    def _note_end(self, _: CloseInfo) -> None:
        if self._ended_at is None:
            self._ended_at = self._effect.now()
        self._has_ended.set()

    def _is_overdue(self) -> bool:
        return self._ended_at is not None and self._session.seconds_left(self._ended_at) == 0

    def _overdue(self) -> WebSocketClosed:
        get_logger().warning(
            "the stage of a pipe has not ended within the close timeout after its websocket, and was ended"
        )
        if self._session.close_info is None and self._session.loss is not None:
            return ConnectionLost(self._session.loss)
        return self._session.error()


def from_text_pipe(function: Callable[[str], Answer | Awaitable[Answer]]) -> MessageStage:
    """Make a stage from a function on whole text messages (sttp's ``fromTextPipe``).

    The returned ``str``, ``bytes``, frame or Close is sent. None sends nothing. A binary message closes with 1003, and
    :class:`UnexpectedFrame` is raised. The function may be async in an async flavour.
    """
    return MessageStage(function, takes_binary=False)


def from_message_pipe(function: Callable[[str | bytes], Answer | Awaitable[Answer]]) -> MessageStage:
    """Make a stage from a function on whole messages, ``str`` or ``bytes``; otherwise as :func:`from_text_pipe`."""
    return MessageStage(function, takes_binary=True)


class MessageStage:
    """A stage made from a function on whole messages, for every flavour. The fragments of a message are joined."""

    def __init__(self, function: Callable[[Any], Answer | Awaitable[Answer]], *, takes_binary: bool) -> None:
        if not callable(function):
            raise InvalidHandler(f"a pipe is made of a function, not of {function!r}")
        self.function: Callable[[Any], Any] = function
        self.is_async: bool = inspect.iscoroutinefunction(function)
        self._takes_binary = takes_binary

    def over(self, incoming: Iterable[DataFrame]) -> Generator[Frame | Close, None, None]:
        """Run the stage as a generator."""
        fragments = Fragments()
        for frame in incoming:
            message = self._completed_message(fragments, frame)
            if message is not None:
                yield from _frames(self.function(message))

    async def over_async(self, incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame | Close, None]:
        """Run the stage as an async generator."""
        fragments = Fragments()
        async for frame in incoming:
            message = self._completed_message(fragments, frame)
            if message is not None:
                answer = self.function(message)
                for outgoing in _frames(await answer if inspect.isawaitable(answer) else answer):
                    yield outgoing

    def _completed_message(self, fragments: Fragments, frame: DataFrame) -> str | bytes | None:
        """Return the message that a frame completes, with the fragments before it; else add it to them."""
        if isinstance(frame, Binary) and not self._takes_binary:
            raise UnexpectedFrame("a Binary frame came into a pipe of text", frame, Text)
        if frame.final and not fragments:
            return frame.payload
        fragments.add(frame.payload)
        return fragments.join() if frame.final else None


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
