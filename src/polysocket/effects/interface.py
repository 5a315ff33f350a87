"""The effect ``F``: how a flavour waits, and in which wrapper results come.

A *program* is an ``async def`` over an :class:`Effect` and a :class:`ByteStream`; it never imports a flavour. The
effect's ``lift`` turns a program into what the flavour's user calls: in asyncio and trio the program itself, in the
blocking flavour a function that drives the coroutine to its end (:func:`run`). Nothing here knows WebSockets.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = [
    "Async",
    "Asyncio",
    "Blocking",
    "ByteStream",
    "CoroutineEffect",
    "Effect",
    "Event",
    "Lifter",
    "Threaded",
    "Trio",
    "foreign_await",
    "run",
]


P = ParamSpec("P")


T = TypeVar("T")


class Blocking:
    """The tag of plain values: a call blocks its thread, and gives ``T``."""


class Threaded:
    """The tag of futures: a call goes on in a thread, and gives ``concurrent.futures.Future[T]``."""


class Async:
    """The tag of coroutines: a call gives ``Coroutine[Any, Any, T]``."""


class Asyncio(Async):
    """Coroutines that run on asyncio (or uvloop)."""


class Trio(Async):
    """Coroutines that run on trio."""


class Event(Protocol):
    """A flag that is set once."""

    def set(self) -> None:
        """Set the flag; whoever waits goes on. May be called more than once, and while a lock is held."""
        ...

    async def wait(self) -> object:
        """Wait until the flag is set; a cancellation or a passed time limit changes nothing."""
        ...


class ByteStream(Protocol):
    """A stream of bytes to the other side: a TCP connection, a Unix socket, TLS over another stream.

    ``write`` takes whole pieces and never waits, so that no cancellation can tear a frame; ``drain`` waits. It goes
    on sending what it has taken while somebody is in ``read`` or ``drain``. Network errors are ``OSError``.
    """

    @property
    def pending(self) -> int:
        """How many bytes wait for the network.

        A stream may say 0 while there are few. Above 0, :meth:`drain` should be called before much more is written.
        """
        ...

    async def read(self) -> bytes:
        """Some bytes, as soon as there are any; ``b""`` at the end of the stream, or once the stream was aborted.

        One caller at a time. Raises OSError. A cancellation or a passed time limit loses nothing.
        """
        ...

    def write(self, data: bytes) -> None:
        """Take all of ``data`` and begin to send it; raises OSError where the connection is known to be broken.

        Where threads call, any of them may, while others are in :meth:`read` and :meth:`drain`.
        """
        ...

    async def drain(self) -> None:
        """Wait until the network has taken enough for more to be written. Many callers may wait.

        Raises OSError. A cancellation or a passed time limit leaves the rest pending.
        """
        ...

    async def close(self) -> None:
        """Send what is pending, then end the connection. Raises OSError; bounded only by the caller's time limit."""
        ...

    def abort(self) -> None:
        """End the connection at once; whoever waits in :meth:`read` or :meth:`drain` is woken. Never raises."""
        ...


class Lifter(Protocol):
    """The two ways between a program and ``F``; ``is_async`` tells whether programs can await an ``F``."""

    is_async: bool

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """What the user calls: takes the program's arguments and gives its result in the flavour's wrapper."""
        ...

    async def unlift(self, value: Any, /) -> Any:
        """The plain value of one in the flavour's wrapper, once it is there."""
        ...


class Effect(Lifter, Protocol):
    """What a flavour is made of: waiting, time, and opening streams; see ``polysocket.blocking`` for the shortest.

    Every ``async`` method here really suspends in an asynchronous flavour, and never does in a blocking one.
    """

    def event(self) -> Event:
        """A new event, not set."""
        ...

    def mutex(self) -> AbstractContextManager[Any]:
        """Return a lock for stretches that never wait; one that locks nothing if only one thread calls."""
        ...

    @property
    def checkpoint(self) -> Callable[[], Awaitable[object]] | None:
        """A coroutine function that a call awaits if it need not wait; None if the flavour wants no checkpoints."""
        ...

    def time_limit(self, seconds: float | None, /) -> AbstractAsyncContextManager[Any]:
        """Bound what is awaited inside; at the end raises TimeoutError where it took too long. None for no bound."""
        ...

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """A block that can be ended from outside: gives a function that interrupts whatever is awaited inside.

        Then the block ends, and raises nothing. The function is called at most once, and not behind the block's end.
        Where ``is_async`` is False it may do nothing: nobody can interrupt a thread.
        """
        ...

    def current_task(self) -> object:
        """Who is calling: the task, or the thread; to be compared only. Raises RuntimeError where no library runs."""
        ...

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Whether an error ends the program from outside: a cancellation, or what is no ``Exception`` anyway.

        In asyncio and trio a cancellation is no ``Exception``; in Twisted and curio it is one.
        """
        ...

    def now(self) -> float:
        """The flavour's clock, in seconds."""
        ...

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run a program in the background; it handles its own errors, and ends when its stream does.

        It begins once this has returned, since the caller may hold a lock that it takes, and without the caller's time
        limits; and it begins in any case, even where it is cancelled at once.
        """
        ...

    async def connect_tcp(self, host: str, port: int, /) -> ByteStream:
        """Connect to a host by name or address, over IPv6 or IPv4. Raises OSError."""
        ...

    async def connect_unix(self, path: str, /) -> ByteStream:
        """Connect to a Unix socket. Raises OSError."""
        ...

    async def adopt(self, sock: socket.socket, /) -> ByteStream:
        """Make a stream of a connected socket, which the stream then owns. Raises OSError."""
        ...


class CoroutineEffect:
    """The two ways where ``F`` is coroutines: the user calls the program itself. So programs see every flavour."""

    is_async: bool = True
    checkpoint: Callable[[], Awaitable[object]] | None = None

    def mutex(self) -> AbstractContextManager[Any]:
        """Return a context manager that locks nothing: tasks are not switched between awaits."""
        return nullcontext()

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[Any, Any, T]]:
        """The program itself."""
        return program

    async def unlift(self, value: Awaitable[T], /) -> T:
        """Await the value."""
        return await value

    def is_cancellation(self, error: BaseException, /) -> bool:
        """What is no Exception."""
        return not isinstance(error, Exception)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive a program whose effect never suspends; its result or its error is the call's own."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        coroutine.close()
    raise foreign_await(coroutine)


def foreign_await(coroutine: Coroutine[Any, Any, Any]) -> RuntimeError:
    """The error of a program that suspends where its effect does not."""
    return RuntimeError(
        f"{getattr(coroutine, '__qualname__', 'the program')} awaited something that is not of its flavour: a program "
        "may await only the websocket's methods and other programs"
    )
