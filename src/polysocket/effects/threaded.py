"""The effect of threads: ``F[T]`` is ``concurrent.futures.Future[T]``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from polysocket.effects import polling
from polysocket.effects.interface import foreign_await
from polysocket.effects.sockets import SocketEffect, SocketStream, ThreadEvent

__all__ = ["ThreadedEffect"]

P = ParamSpec("P")
T = TypeVar("T")


class MayBlock:
    """An awaitable before a step that may block: after it the program is in a thread of its own."""

    def __await__(self) -> Generator[MayBlock, None, None]:
        steps: Any = iter((self,))  # An iterator in C: a generator would cost another Python call.
        return steps  # type: ignore[no-any-return]


may_block: Final = MayBlock()


_caller: ContextVar[int] = ContextVar("_caller")
"""The number of the thread that has called."""


class ThreadedEffect(SocketEffect):
    """The :class:`~polysocket.effects.Effect` of threads: a program suspends only to change the thread."""

    name: str = "polysocket.threaded"
    leaves_caller: bool = True

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Future[T]]:
        """Make a function that begins the program in the caller's thread, and returns its future."""

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> Future[T]:
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()  # A program that has begun can't be cancelled.
            context = copy_context()  # with the time limits
            context.run(_caller.set, threading.get_ident())
            coroutine = program(*args, **kwargs)
            thread: threading.Thread | None = None
            refusal: RuntimeError | None = None
            try:
                while not context.run(_advance, coroutine, future, refusal):
                    arguments, name = (_finish, coroutine, future), f"polysocket {program.__name__}"
                    thread = threading.Thread(target=context.run, args=arguments, name=name, daemon=True)
                    try:
                        thread.start()
                        break
                    except RuntimeError as error:  # No more threads: the step that may block raises this.
                        thread, refusal = None, error
                return future
            except BaseException:
                if thread is None or thread.ident is None:  # A signal handler has raised: nothing goes on with it.
                    context.run(coroutine.close)
                raise
            finally:
                del future, refusal  # The errors have tracebacks with this frame; so in the other functions here.

        return call

    async def unlift(self, value: Future[T], /) -> T:
        """Wait for the future's result."""
        await may_block
        try:
            return polling.wait_for_result(value)
        finally:
            del value

    def event(self) -> ThreadedEvent:
        """Return a new event."""
        return ThreadedEvent()

    def current_task(self) -> object:
        """Return the number of the thread that has called."""
        return _caller.get()

    def drive(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a program to its end; this thread counts as its caller."""
        _caller.set(threading.get_ident())
        ended: Future[None] = Future()
        _finish(coroutine, ended)
        try:
            ended.result()
        finally:
            del ended

    def make_stream(self, sock: socket.socket) -> ThreadedStream:
        """Make a stream of this effect."""
        return ThreadedStream(sock)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call the function in the program's thread, not in the caller's."""
        await may_block
        return function()

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> SocketStream:
        """Connect in a thread."""
        await may_block
        return await super().connect_tcp(host, port, local_address)


class ThreadedEvent(ThreadEvent):
    """An :class:`~polysocket.effects.Event` that is waited for in a thread of its own."""

    async def wait(self) -> None:
        """Wait until the event is set."""
        await may_block
        await super().wait()


class ThreadedStream(SocketStream):
    """A :class:`~polysocket.effects.ByteStream` that is waited for in a thread of its own."""

    async def read(self) -> bytes:
        """Wait for bytes."""
        self.has_taken: bool = False  # The system can refuse the thread: then nothing is read.
        await may_block
        return self._read()

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        if self.pending:
            await may_block
        self._drain()


def _advance(coroutine: Coroutine[Any, Any, T], future: Future[T], error: Exception | None = None) -> bool:
    """Run the program to its end, or to a step that may block; return whether it has ended.

    If there is an error, the step at which the program has stopped raises it.
    """
    try:
        if isinstance(coroutine.send(None) if error is None else coroutine.throw(error), MayBlock):
            return False
        coroutine.close()
        future.set_exception(foreign_await(coroutine))
    except StopIteration as stop:
        future.set_result(stop.value)
    except BaseException as raised:  # noqa: BLE001 - the future raises it, as an executor's does
        coroutine.close()  # It waits for its next step if a signal handler has raised after the call of send().
        future.set_exception(raised)
        del future, error
    return True


def _finish(coroutine: Coroutine[Any, Any, T], future: Future[T]) -> None:
    while not _advance(coroutine, future):
        pass
    del future
