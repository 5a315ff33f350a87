"""``ws.effect``: what a polymorphic program may wait for besides its websocket, in every flavour."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, TypeVar

from polysocket._logger import get_logger
from polysocket.effects import Effect, Event
from polysocket.request import check_seconds, check_timeout

__all__ = ["BackgroundProgram", "ProgramEffect", "check_function"]

T = TypeVar("T")


class ProgramEffect:
    """The effect of a program's flavour: time, events and background programs.

    ``ws.effect`` returns it to a polymorphic program, in every flavour. In asyncio and trio, it may also be used
    outside of one.
    """

    def __init__(self, effect: Effect) -> None:
        self._effect = effect

    @property
    def name(self) -> str:
        """The flavour's name, such as ``"polysocket.trio"``."""
        return self._effect.name

    def now(self) -> float:
        """Return the time of the flavour's clock in seconds, to be compared with later times."""
        return self._effect.now()

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds. Raises :class:`InvalidRequest` for anything but a number."""
        check_seconds(seconds)
        with suppress(TimeoutError):
            async with self._effect.time_limit(seconds):
                await self._effect.event().wait()

    def time_limit(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Limit the time of an ``async with`` block: raise TimeoutError if it waits for longer than this.

        None is no limit. Limits may be nested. In the flavours of threads, the limit ends what waits for the websocket,
        for this effect, or for another program, and not a call that blocks in another way. Raises
        :class:`InvalidRequest` for anything but a number or None.
        """
        check_timeout(seconds, "seconds")
        return self._effect.time_limit(seconds)

    def event(self) -> Event:
        """Return a new event: ``set()`` wakes all programs that are in ``await event.wait()``, and those that follow.

        In the blocking and the threaded flavour, any thread may set it.
        """
        return self._effect.event()

    def spawn(self, call: Callable[[], Awaitable[T]], /) -> BackgroundProgram[T]:
        """Start a program in the background, in a task or a thread, and return a handle with its result.

        It has the caller's context variables, and not the caller's time limits. It can't be cancelled: end it with an
        event that it waits for. A program that uses the websocket ends with the websocket.

        Args:
            call: A function without parameters whose result is awaited, such as ``ws.receive_text``, an ``async def``,
                or ``lambda: refresh(ws, 5)``.

        Raises:
            RuntimeError: The system has no more threads.
            TypeError: The call is not a function.
        """
        check_function("spawn", call)
        return BackgroundProgram(self._effect, call)


def check_function(method: str, call: object) -> None:
    """Raise TypeError unless the argument of a method is a function. Many give the result of its call instead."""
    if not callable(call):
        if inspect.iscoroutine(call):
            call.close()  # Python would warn that it was never awaited.
        raise TypeError(
            f"{method}() takes a function, such as ws.receive_text without its (), not {type(call).__name__}"
        )


class BackgroundProgram(Generic[T]):
    """A program in the background. If its error is never raised by :meth:`result`, the error is logged."""

    def __init__(self, effect: Effect, call: Callable[[], Awaitable[T]]) -> None:
        self._outcome: _Outcome[T] = _Outcome(effect, call)
        self._outcome.begin()

    @property
    def is_done(self) -> bool:
        """Whether the program has returned or raised."""
        return self._outcome.is_done

    async def result(self) -> T:
        """Wait for the end of the program; return its result or raise its error.

        Raises:
            RuntimeError: The program was ended from outside, such as by the end of its event loop.

        Cancellation:
            A cancelled call leaves the program running.
        """
        return await self._outcome.result()

    def __del__(self) -> None:
        outcome: _Outcome[T] | None = getattr(self, "_outcome", None)
        if outcome is not None:
            outcome.leave()


class _Outcome(Generic[T]):
    """How a program in the background ends.

    It is not the user's handle: the traceback of an error keeps this object in a reference cycle, and the handle must
    be freed at once.
    """

    def __init__(self, effect: Effect, call: Callable[[], Awaitable[T]]) -> None:
        self.is_done: bool = False
        self._effect = effect
        self._call: Callable[[], Awaitable[T]] | None = call
        self._name: str = getattr(call, "__qualname__", repr(call))
        self._has_ended = effect.event()
        self._values: list[T] = []  # the result, unless the program has raised
        self._error: BaseException | None = None
        self._is_reported = False
        self._is_left = False  # by its handle

    def begin(self) -> None:
        """Start the program. Raise the error with which the system has refused to start it, if it has."""
        self._effect.spawn(self._run, self._note_done)
        if self._error is not None and self._call is not None:
            self._is_reported = True
            raise self._error

    async def result(self) -> T:
        """Wait for the end; return the result or raise the error."""
        await self._has_ended.wait()
        error = self._error
        try:
            if error is None:
                return self._values[0]
            self._is_reported = True
            if self._effect.is_cancellation(error):
                raise RuntimeError(f"the background program {self._name} was ended by {error!r}") from error
            raise error
        finally:
            del error, self  # The error's traceback has this frame.

    def leave(self) -> None:
        """Note that no caller will ask for the result: an error is logged, now or at the end of the program."""
        self._is_left = True
        if self.is_done:
            self._report()

    async def _run(self) -> None:
        assert self._call is not None, "it starts once"
        call, self._call = self._call, None
        try:
            self._values.append(await call())
        except BaseException as error:
            if self._effect.is_cancellation(error):
                raise
            self._error = error  # for result(): the runtime would report it as a bug
        finally:
            del call, self  # The error's traceback has this frame.

    def _note_done(self, error: BaseException | None) -> None:
        if error is not None:
            self._error = error
        self.is_done = True
        if self._is_left:
            self._report()
        self._has_ended.set()

    def _report(self) -> None:
        error = self._error
        try:
            if error is not None and not self._is_reported and not self._effect.is_cancellation(error):
                self._is_reported = True
                get_logger().error("a background program failed: %s", self._name, exc_info=error)
        finally:
            del error
