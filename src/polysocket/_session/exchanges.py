"""The exchanges of a multiplexer: one reader hands answers to the tasks and threads that wait for them.

Nothing here knows a protocol. The mutex guards all of this, and never while a caller waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from polysocket._session.sending import reentrant_call
from polysocket._session.session import Session
from polysocket.buffer import Buffer
from polysocket.effects import Effect, Event
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.errors import ExchangeEnded, ReceiveTimeout, ReentrantCall, SubscriptionFull
from polysocket.request import check_timeout

__all__ = ["Answers", "Exchanges"]


class Answers:
    """The answers to one request: those that have arrived, those that wait for one, and how the exchange ended."""

    def __init__(self, number: Hashable, buffer: Buffer) -> None:
        self.number: Hashable = number
        self.buffer: Buffer = buffer
        self.values: deque[tuple[Any, int]] = deque()  # each with its size in bytes
        self.held_bytes: int = 0
        self.waiting: list[Event] = []
        self.has_begun: bool = False
        self.make_error: Callable[[], BaseException] | None = None  # once it has ended

    def add(self, value: Any, size: int) -> bool:
        """Keep an answer. Return False if there is no room for it; then the exchange has ended."""
        frames, max_bytes = self.buffer.frames, self.buffer.max_bytes
        has_room = (frames is None or len(self.values) < frames) and (
            # One answer is always taken: its message was accepted, and is held in any case.
            max_bytes is None or not self.values or self.held_bytes + size <= max_bytes
        )
        if has_room:
            self.values.append((value, size))
            self.held_bytes += size
            self._wake()
        else:
            text = f"more answers arrived than the buffer holds: {frames} answers, {max_bytes} bytes"
            self.end(lambda: SubscriptionFull(text, frames, max_bytes))
        return has_room

    def end(self, make_error: Callable[[], BaseException]) -> None:
        """Have callers raise this error after the answers that have arrived, unless the exchange has ended before."""
        if self.make_error is None:
            self.make_error = make_error
        self._wake()

    def take(self) -> tuple[bool, Any]:
        """Return True and the next answer if there is one. Return False and None if more can arrive."""
        if self.values:
            value, size = self.values.popleft()
            self.held_bytes -= size
            return True, value
        return False, None

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            waiter.set()


class Exchanges:
    """The open exchanges of one websocket by their numbers, and the reader that hands answers to them."""

    def __init__(self, session: Session, effect: Effect) -> None:
        self._session = session
        self._effect = effect
        # With a mutex of its own, a signal handler could wait for the reader, which waits for the handler's own thread.
        self._mutex = session._mutex
        self._open: dict[Hashable, Answers] = {}
        self._full: list[Hashable] = []
        self._has_started = effect.event()  # The reader is ready, or has ended.
        self._is_starting = False  # whether a caller has started the reader, or is about to
        self._starter: object = None  # the task or thread of that caller, until the reader has started
        self._make_error: Callable[[], BaseException] | None = None  # after the end of the reader
        self._reader: object = None  # its task or thread
        self.message_size: int = 0
        """The size of the message that the reader handles."""

    async def start(self, read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the reader with the first call, and wait until it is ready."""
        self._session.check_event_loop()
        self._refuse_reentrant_call()
        task, is_first = self._effect.current_task(), False

        async def run() -> None:
            self._reader = self._effect.current_task()
            await read()

        try:
            with self._mutex:
                is_first, self._is_starting = not self._is_starting, True
                if is_first:
                    self._starter = task
            if is_first:
                self._session.run_until_closed(run, self._note_reader_done)
                self._starter = None
        except BaseException as error:
            if is_first:  # Without a reader, later callers would wait forever.
                self._starter = None
                self._session.abort(f"the reader could not start: {error!r}")
                self.fail(self._session.error)
            raise
        await self._has_started.wait()

    def note_ready(self) -> None:
        """Let the callers of :meth:`start` go on."""
        self._has_started.set()

    def fail(self, make_error: Callable[[], BaseException]) -> None:
        """End all exchanges, and each one that follows, with an error."""
        with self._mutex:
            self._make_error = self._make_error or make_error
        self.end_all(make_error)
        self.note_ready()

    def _note_reader_done(self, _: BaseException | None) -> None:
        self._reader = None  # A later thread may have the same number.
        self.fail(self._session.error)

    def end_all(self, make_error: Callable[[], BaseException]) -> None:
        """End all exchanges that are open."""
        with self._mutex:
            answers, self._open = list(self._open.values()), {}
            for each in answers:
                each.end(make_error)

    def open(self, answers: Answers) -> bool:
        """Open an exchange; return False if it has begun or ended before.

        Raises ValueError if another one with its number is open, and the reader's error after the end of the reader.
        """
        with self._mutex:
            if answers.has_begun or answers.make_error is not None:
                return False
            make_error = self._make_error
            if make_error is None:
                if answers.number in self._open:
                    raise ValueError(f"an exchange with the number {answers.number!r} is open already")
                answers.has_begun = True
                self._open[answers.number] = answers
                return True
        raise make_error()

    def close(self, answers: Answers) -> bool:
        """Forget an exchange, and drop its answers. Return whether it was open: then more could have arrived."""
        with self._mutex:
            was_open = self._open.get(answers.number) is answers
            if was_open and self._session.belongs_to_other_loop:  # not if no loop runs, as in the garbage collector
                self._session.check_event_loop()
            if was_open:
                del self._open[answers.number]
            answers.values.clear()
            answers.end(lambda: ExchangeEnded("the exchange was closed by this side"))
        return was_open

    def deliver(self, number: Hashable, value: Any) -> bool:
        """Hand over an answer; return False if no exchange of this number is open."""
        with self._mutex:
            answers = self._open.get(number)
            if answers is None:
                return False
            if not answers.add(value, self.message_size):
                del self._open[number]
                self._full.append(number)
        return True

    def finish(self, number: Hashable, make_error: Callable[[], BaseException]) -> bool:
        """End an exchange after the answers that have arrived; return False if none of this number is open."""
        with self._mutex:
            answers = self._open.pop(number, None)
            if answers is not None:
                answers.end(make_error)
        return answers is not None

    def take_full(self) -> list[Hashable]:
        """Return the numbers of the exchanges that have ended for want of room since the last call."""
        with self._mutex:
            full, self._full = self._full, []
        return full

    async def receive(self, answers: Answers, timeout: float | None) -> Any:
        """Return the next answer; wait for it at most ``timeout`` seconds."""
        check_timeout(timeout)
        self._session.check_event_loop()
        self._refuse_reentrant_call()
        is_ready = answers.values or answers.make_error is not None
        if is_ready and (checkpoint := self._effect.checkpoint) is not None:
            await checkpoint()
        is_taken, value = False, None
        try:
            async with self._effect.time_limit(timeout):
                while not is_taken and await self._wait(answers):
                    with self._mutex:
                        is_taken, value = answers.take()  # Another caller may have been faster.
        except TimeoutError:
            raise ReceiveTimeout(f"no answer was received within {timeout} seconds", timeout, "answer") from None
        if is_taken:
            return value
        assert answers.make_error is not None, "without an answer, the exchange has ended"
        error = without_tracebacks(answers.make_error())
        try:
            raise error
        finally:
            del error  # Its traceback has this frame.

    async def _wait(self, answers: Answers) -> bool:
        """Wait until there is an answer, or the exchange has ended; return False then."""
        while True:
            with self._mutex:
                if answers.values:
                    return True
                if answers.make_error is not None:
                    return False
                waiter = self._effect.event()
                answers.waiting.append(waiter)
            try:
                await waiter.wait()
            finally:
                with self._mutex:
                    if waiter in answers.waiting:
                        answers.waiting.remove(waiter)

    def _refuse_reentrant_call(self) -> None:
        """Raise :class:`ReentrantCall` if nothing could hand over the answer while this caller waits for it."""
        self._session._refuse_reentrant_call("a method that waits for an answer")
        if self._starter is not None and self._effect.current_task() == self._starter:
            raise reentrant_call("a method that waits for an answer")
        if self._reader is not None and self._effect.current_task() == self._reader:
            raise ReentrantCall(
                "on_start and on_message can't wait for an answer, which only they could hand over: start a program "
                "with ws.effect.spawn() that does"
            )
