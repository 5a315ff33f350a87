"""The base of flavours whose ``F`` is a call that has begun: a Deferred of Twisted's, a task, a cancellable future.

Their runtimes do not tell one cancellation of a call from another. So each block here notes whether it has caused the
cancellation that comes out of it.
"""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from polysocket._logger import get_logger
from polysocket.effects.interface import Event
from polysocket.effects.mutex import Mutex, NoMutex

__all__ = ["EagerEffect", "WaiterEvent"]


P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound=Awaitable[Any])


class _Call:
    """A call of a lifted program, with what represents it in ``F``."""

    running: Any


_call: ContextVar[_Call] = ContextVar("_call")
_task: ContextVar[object] = ContextVar("_task")
"""The outermost call, whose program makes the others."""


class EagerEffect(ABC):
    """The base of an :class:`~polysocket.effects.Effect` whose calls begin at once, and can be awaited and cancelled.

    All calls are made in the one thread of an event loop.
    """

    is_async: bool = True
    checkpoint: Callable[[], Awaitable[object]] | None = None

    cancellation: type[BaseException]
    """The error that a cancelled call raises."""

    @abstractmethod
    def begin(self, coroutine: Coroutine[Any, Any, Any], /) -> Any:
        """Run a coroutine to its first wait, in the current context; return what represents the call in ``F``."""

    @abstractmethod
    def cancel(self, running: Any, /) -> None:
        """Cancel what a call waits for at this moment."""

    @abstractmethod
    def event(self) -> Event:
        """Return a new event, not set."""

    @abstractmethod
    def call_later(self, seconds: float, function: Callable[[], object], /) -> Callable[[], object]:
        """Schedule a call, in a later turn of the loop; return a function that revokes it, and may come too late."""

    @abstractmethod
    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks in a worker thread."""

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """Make a function that begins the program."""

        @functools.wraps(program)
        def begin(*args: P.args, **kwargs: P.kwargs) -> Any:
            context, call = copy_context(), _Call()
            context.run(_call.set, call)
            if _task not in context:
                context.run(_task.set, call)
            call.running = context.run(self.begin, program(*args, **kwargs))
            return call.running

        return begin

    async def unlift(self, value: Awaitable[T], /) -> T:
        """Await the value."""
        return await value

    async def next_turn(self) -> None:
        """Let the loop run other calls."""
        event = self.event()
        self.call_later(0, event.set)
        await event.wait()

    def mutex(self) -> Mutex:
        """Return a guard that takes no lock."""
        return NoMutex()

    def current_task(self) -> object:
        """Return the outermost call of the calling program."""
        return _task.get()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether the error is the ``cancellation``, or no ``Exception``."""
        return isinstance(error, self.cancellation) or not isinstance(error, Exception)

    @contextlib.asynccontextmanager
    async def time_limit(self, seconds: float | None, /) -> AsyncGenerator[None]:
        """Cancel what is awaited inside after ``seconds``; raise TimeoutError then."""
        block = _Block(functools.partial(self._cancel, _call.get()))
        if seconds is not None:
            block.revoke = self.call_later(seconds, block.end)
        try:
            yield
        except self.cancellation as error:
            if block.has_cancelled:
                raise TimeoutError(f"{seconds} seconds have passed") from error
            raise
        finally:
            block.leave()

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        """Return a block that is cancelled soon after its function is called: that caller may hold a mutex."""
        block = _Block(functools.partial(self._cancel, _call.get()))

        def interrupt() -> None:
            block.revoke = self.call_later(0, block.end)

        try:
            yield interrupt
        except self.cancellation:
            if not block.has_cancelled:
                raise
        finally:
            block.leave()

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Run the program in a later turn of the loop, as a task of its own; log its error."""

        async def run() -> None:
            error: BaseException | None = None
            try:
                await program()
            except BaseException as raised:  # noqa: BLE001 - logged, and handed to on_done
                error = raised
                if not self.is_cancellation(raised):
                    get_logger().exception("a background program failed: %s", program.__qualname__)
            on_done(error)

        context = copy_context()
        context.run(_task.set, object())
        self.call_later(0, functools.partial(context.run, self.lift(run)))

    def _cancel(self, call: _Call) -> None:
        self.cancel(call.running)


class _Block:
    """A block that can be cancelled, and knows it if it was."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.has_cancelled = False
        self.revoke: Callable[[], object] = lambda: None
        self._cancel = cancel

    def end(self) -> None:
        self.has_cancelled = True
        self._cancel()

    def leave(self) -> None:
        revoke, self.revoke = self.revoke, lambda: None  # A timer has this object, which must not keep the timer.
        revoke()


class WaiterEvent(Generic[W]):
    """An :class:`~polysocket.effects.Event` made of one-shot awaitables, a new one for each caller that waits.

    ``wake`` has one of them return in a later turn of the loop, since the caller of :meth:`set` may hold a mutex; it
    must accept one that was cancelled.
    """

    def __init__(self, new_waiter: Callable[[], W], wake: Callable[[W], object]) -> None:
        self._new_waiter = new_waiter
        self._wake = wake
        self._is_set = False
        self._waiters: list[W] = []

    def set(self) -> None:
        """Set the flag and wake the callers that wait."""
        self._is_set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._wake(waiter)

    async def wait(self) -> None:
        """Wait until the flag is set."""
        if self._is_set:
            return
        waiter = self._new_waiter()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
