"""The effect of threads: ``F[T]`` is ``concurrent.futures.Future[T]``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from polysocket.effects import foreign_await
from polysocket.effects.sockets import SocketEffect, SocketStream, ThreadEvent, unlimited

__all__ = ["ThreadedEffect"]


P = ParamSpec("P")


T = TypeVar("T")


class MayBlock:
    """Awaited where the next step may have to wait: behind it the program is in a thread of its own."""

    def __await__(self) -> Generator[MayBlock, None, None]:
        yield self


_caller: ContextVar[int] = ContextVar("_caller")


class ThreadedEffect(SocketEffect):
    """The :class:`~polysocket.effects.Effect` of threads: a program suspends only to change the thread."""

    def current_task(self) -> object:
        """The thread that called."""
        return _caller.get()

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Future[T]]:
        """Make a function that begins the program, and gives its future."""

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> Future[T]:
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()  # A program that has begun is not to be cancelled.
            context = copy_context()  # The time limits are in it.
            context.run(_caller.set, threading.get_ident())
            coroutine = program(*args, **kwargs)
            if not context.run(_advance, coroutine, future):
                name = f"polysocket {program.__name__}"
                threading.Thread(target=context.run, args=(_finish, coroutine, future), name=name, daemon=True).start()
            return future

        return call

    async def unlift(self, value: Future[T], /) -> T:
        """Wait for the future's result."""
        await MayBlock()
        return value.result()

    def event(self) -> ThreadedEvent:
        """A new event."""
        return ThreadedEvent()

    def make_stream(self, sock: socket.socket) -> ThreadedStream:
        """What the streams of this effect are."""
        return ThreadedStream(sock)

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Drive the program in a thread."""

        def drive() -> None:
            _caller.set(threading.get_ident())
            ended: Future[None] = Future()
            _finish(unlimited(program)(), ended)
            ended.result()  # An error is the thread's, as in the blocking flavour.

        name = f"polysocket {program.__name__}"
        threading.Thread(target=copy_context().run, args=(drive,), name=name, daemon=True).start()

    async def connect_tcp(self, host: str, port: int, /) -> SocketStream:
        """Connect in a thread."""
        await MayBlock()
        return await super().connect_tcp(host, port)


class ThreadedEvent(ThreadEvent):
    """An :class:`~polysocket.effects.Event` that is waited for in a thread of its own."""

    async def wait(self) -> None:
        """Wait until the event is set."""
        await MayBlock()
        await super().wait()


class ThreadedStream(SocketStream):
    """A :class:`~polysocket.effects.ByteStream` that is waited for in a thread of its own."""

    async def read(self) -> bytes:
        """Wait for bytes."""
        await MayBlock()
        return await super().read()

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        if self.pending:
            await MayBlock()
        await super().drain()


def _advance(coroutine: Coroutine[Any, Any, T], future: Future[T]) -> bool:
    """Run the program to its end, or to where it may block; tells whether that was the end."""
    try:
        if isinstance(coroutine.send(None), MayBlock):
            return False
        coroutine.close()
        future.set_exception(foreign_await(coroutine))
    except StopIteration as stop:
        future.set_result(stop.value)
    except BaseException as error:  # noqa: BLE001 - the future raises it, as an executor's does
        future.set_exception(error)
    return True


def _finish(coroutine: Coroutine[Any, Any, T], future: Future[T]) -> None:
    while not _advance(coroutine, future):
        pass
