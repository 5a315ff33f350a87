"""The effect ``F``: how a flavour waits, and the wrapper in which its results come.

A *program* is an ``async def`` over an :class:`Effect` and a :class:`ByteStream`; it never imports a flavour. The
effect's ``lift`` turns a program into the function that the user calls: in asyncio and trio the program itself, in the
blocking flavour a function that drives the coroutine to its end (:func:`run`). Nothing here knows WebSockets.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, Protocol, TypeVar

from polysocket.effects.mutex import Mutex, NoMutex

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
    """The tag of plain values: a call blocks its thread and returns ``T``."""


class Threaded:
    """The tag of futures: a call continues in a thread and returns ``concurrent.futures.Future[T]``."""


class Async:
    """The tag of coroutines: a call returns ``Coroutine[Any, Any, T]``."""


class Asyncio(Async):
    """Coroutines that run on asyncio (or uvloop)."""


class Trio(Async):
    """Coroutines that run on trio."""


class Event(Protocol):
    """A flag that is set once."""

    def set(self) -> None:
        """Set the flag and wake the tasks that wait. May be called more than once, and while a lock is held."""
        ...

    async def wait(self) -> object:
        """Wait until the flag is set. A cancellation, or a time limit that passes, changes nothing."""
        ...


class ByteStream(Protocol):
    """A stream of bytes to the peer: a TCP connection, a Unix socket, TLS over another stream.

    :meth:`write` takes whole pieces and never waits, so no cancellation can tear a frame; :meth:`drain` waits. The
    stream goes on sending what it has taken while a caller is in :meth:`read` or :meth:`drain`. Network errors are
    ``OSError``. After a write has failed, :meth:`read` still returns what arrived before.

    If signal handlers can raise inside its methods, a stream has two more properties: ``has_taken`` is True from just
    before it takes bytes from the system until the next :meth:`read` waits; ``is_torn`` is True if an interrupted call
    has sent a part of what was pending. The connection is ended if a call is interrupted while one of them is True.

    A stream may have two methods that spare copies, and that do the same as :meth:`read` otherwise. ``read_view()`` may
    return a memoryview, which is valid until the caller waits again. ``read_into(buffer)`` may put the bytes into a
    memoryview, and then returns their number. After a cancellation, the next read returns what the buffer has got.

    A stream whose methods take a lock has it as ``mutex``, a :class:`ThreadMutex`. The websocket takes the same one.
    With two, a signal handler could wait forever: for the second one, whose owner waits for the first one, which the
    handler's own thread holds.

    A stream over a socket has two attributes, ``remote_address`` and ``local_address``: what the socket's
    ``getpeername()`` and ``getsockname()`` have returned, or None. They are kept after the stream has ended.
    """

    @property
    def pending(self) -> int:
        """How many bytes wait for the network: cheap to read, and 0 while :meth:`drain` need not be called.

        A stream may report 0 while few bytes wait, and 1 if :meth:`drain` is due to let the event loop run other tasks.
        """
        ...

    async def read(self) -> bytes:
        """Return the bytes that have arrived; wait if there are none. Return ``b""`` at EOF and after :meth:`abort`.

        One caller at a time. Raises OSError. A cancellation, or a time limit that passes, loses nothing.
        """
        ...

    def write(self, data: bytes) -> None:
        """Take all of ``data`` and begin to send it. Raises OSError if the connection is known to be broken.

        In a flavour of threads, any thread may call this while others are in :meth:`read` and :meth:`drain`.
        """
        ...

    def read_now(self) -> bytes | None:
        """Return what :meth:`read` would return without waiting, or None if it would wait. Raises OSError.

        Not to be called while a caller is in :meth:`read`.
        """
        ...

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Make this call, which never waits, soon after bytes or the end have come and no caller is in :meth:`read`.

        Return the seconds after which it is made at the latest, at most 0.5: 0 if a transport calls back. The call may
        be made again while nothing is read, and also if nothing has come. It is made in the event loop, or in a thread
        of the runtime's, until :meth:`abort` or a call with None.
        """
        ...

    def progress(self) -> tuple[int, int]:
        """Return how many bytes were written so far, and how many of them the peer has taken, as far as is known.

        What the peer's system has acknowledged counts as taken; if that is not known, what this system has taken does.
        Both numbers may be those of a stream below, such as of TLS records.
        """
        ...

    async def drain(self) -> None:
        """Wait until the network has taken enough for more to be written. Many callers may wait.

        Raises OSError. A cancellation, or a time limit that passes, leaves the rest pending.
        """
        ...

    async def close(self) -> None:
        """Flush what is pending, then end the connection. Raises OSError. Only the caller's time limit bounds this."""
        ...

    def abort(self) -> None:
        """Drop the connection at once and wake the callers of :meth:`read` and :meth:`drain`. Never raises.

        The peer sees the end even if a forked process has a copy of the descriptor: shut a socket down, then close it.
        The same holds for :meth:`close`.
        """
        ...


class Lifter(Protocol):
    """The two ways between a program and ``F``."""

    @property
    def is_async(self) -> bool:
        """Whether a program can await an ``F``."""
        ...

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """Make the function that the user calls: it takes the program's arguments and returns its result in ``F``."""
        ...

    async def unlift(self, value: Any, /) -> Any:
        """Wait for the result in ``F`` and return it plain."""
        ...


class Effect(Lifter, Protocol):
    """The runtime of a flavour: waiting, time, background programs, and opening streams.

    ``polysocket.effects.blocking`` is the shortest one. In an asynchronous flavour every ``async`` method here may
    suspend; in a blocking one none ever does.

    An effect of threads has two more attributes. ``deadline`` is the context variable of its time limits: a send that
    need not wait looks at it, too. ``leaves_caller`` is True if a program that has to wait leaves the caller's thread.
    """

    @property
    def name(self) -> str:
        """The flavour's name for error texts, such as ``"polysocket.asyncio"``."""
        ...

    @property
    def checkpoint(self) -> Callable[[], Awaitable[object]] | None:
        """A coroutine function that a call awaits if it need not wait for the network; None if none is needed.

        A send awaits it after its frame, a receive before it takes what is here: a cancellation then loses nothing.
        """
        ...

    @property
    def next_turn(self) -> Callable[[], Awaitable[object]]:
        """A coroutine function to await between two stretches of work: it lets other tasks run, and time limits end."""
        ...

    def event(self) -> Event:
        """Return a new event, not set."""
        ...

    def mutex(self) -> Mutex:
        """Return a guard for code that never waits, to be used in the event loop that runs here.

        It is a :class:`ThreadMutex` if threads may call, else a :class:`NoMutex`, which can know its event loop.
        """
        ...

    def time_limit(self, seconds: float | None, /) -> AbstractAsyncContextManager[Any]:
        """Bound what is awaited inside: raise TimeoutError after ``seconds``. None for no bound."""
        ...

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Return a block whose value is a function that interrupts what is awaited inside.

        An interrupted block ends and raises nothing. The function is called at most once, and not after the block's
        end. If ``is_async`` is False the function may do nothing, since a thread can't be interrupted.
        """
        ...

    def current_task(self) -> object:
        """Return the calling task or thread, to be compared only. Raises RuntimeError outside of the event loop."""
        ...

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether an error ends the program from outside: a cancellation, or anything but an ``Exception``.

        In asyncio and trio a cancellation is no ``Exception``; in Twisted and curio it is one.
        """
        ...

    def now(self) -> float:
        """Return the time of the flavour's clock, in seconds."""
        ...

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Make a call that never waits after ``seconds``; return a function that revokes it, and may come too late.

        It is made in the event loop, or in a thread of the runtime's, and never before this method has returned.
        """
        ...

    def spawn(
        self,
        program: Callable[[], Coroutine[Any, Any, None]],
        on_done: Callable[[BaseException | None], object],
        /,
    ) -> None:
        """Run a program in the background, with the caller's context variables and without its time limits.

        The program starts after this method has returned, since the caller may hold a lock that the program takes.

        ``on_done`` is called exactly once: with None if the program has returned, with the error if it has raised, was
        cancelled, or could not start at all (a task can be cancelled before its first step; the system can refuse a
        thread). In the last case ``on_done`` may be called before this method returns, so it must not take a lock that
        the caller holds. An error that is no cancellation is also logged or reported by the runtime, since it is a bug.
        """
        ...

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks, and return its result: in a worker thread if this thread runs an event loop.

        After a cancellation, or a time limit that passes, the function may go on in its thread. Its result is dropped.
        """
        ...

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> ByteStream:
        """Connect to a host, by name or address, over IPv6 or IPv4. Raises OSError.

        ``local_address`` is the IP address and the port, or 0, to connect from. Its family is the only one to use.
        """
        ...

    async def connect_unix(self, path: str, /) -> ByteStream:
        """Connect to a Unix socket. Raises OSError."""
        ...

    async def adopt(self, sock: socket.socket, /) -> ByteStream:
        """Make a stream of a connected socket, which the stream then owns. Raises OSError."""
        ...


class CoroutineEffect:
    """The base of an :class:`Effect` whose ``F`` is coroutines: the user calls the program itself.

    It is also the :class:`Lifter` through which a program sees a websocket of any flavour.
    """

    @property
    def is_async(self) -> bool:
        """Always True: a program can await a coroutine."""
        return True

    # Not a property, which would be one more call for each message.
    checkpoint: Callable[[], Awaitable[object]] | None = None
    """None: sends need no checkpoint."""
    deadline: ContextVar[float | None] | None = None
    """None: time limits end a program by a cancellation."""

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return the program itself."""
        return program

    async def unlift(self, value: Awaitable[T], /) -> T:
        """Await the value."""
        return await value

    def mutex(self) -> Mutex:
        """Return a guard that takes no lock, since all tasks run in one thread."""
        return NoMutex()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether the error is no ``Exception``."""
        return not isinstance(error, Exception)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive a program whose effect never suspends; return its result or raise its error.

    It runs in a copy of the caller's context: a time limit, which is a context variable, can't outlive a program that
    a signal handler interrupts.
    """
    try:
        copy_context().run(coroutine.send, None)
    except StopIteration as stop:  # No call follows in which a signal handler could raise: that loses a result.
        result: T = stop.value
        return result
    except BaseException:
        coroutine.close()
        raise
    coroutine.close()
    raise foreign_await(coroutine)


def foreign_await(coroutine: Any, awaited: str | None = None) -> RuntimeError:
    """Return the error of a program that awaits what its flavour can't wait for, such as ``asyncio.sleep``.

    Raise it if a program suspends although its effect does not. ``awaited`` names what was awaited, if that is known.
    """
    what = "something that" if awaited is None else f"{awaited}, which"
    name = getattr(coroutine, "__qualname__", "the program")
    return RuntimeError(
        f"{name} awaited {what} is not of its flavour: a program may await "
        "only the websocket's methods, other programs, and what ws.effect has (sleep, time_limit, event, spawn)"
    )
