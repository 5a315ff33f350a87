"""The common part of the blocking and threaded flavours: sockets, events and time limits that block a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polysocket.effects import polling
from polysocket.effects.deadlines import DeadlinePassed, TimeLimit
from polysocket.effects.happy_eyeballs import SocketAttempts, family_of, first_connected
from polysocket.effects.interface import Event, run
from polysocket.effects.mutex import Mutex, ThreadMutex
from polysocket.effects.names import Lookup, known_addresses
from polysocket.effects.poller import process_poller
from polysocket.effects.send_buffer import SendBuffer, Watcher
from polysocket.effects.shutdown import shut_down
from polysocket.effects.sizes import READ_SIZE

__all__ = [
    "BlockingAttempts",
    "SocketEffect",
    "SocketStream",
    "ThreadEvent",
    "call_deadline",
    "context_of_call",
    "seconds_left",
]


T = TypeVar("T")


BREAK: Final = 0.0001
"""Seconds between two turns of a flood in which other threads get its websocket's lock. A lock goes to the thread that
asks first. That is the one that has just released it, so without a break others waited for 0.5 s."""

BREAKS_APART: Final = 0.01
"""Seconds from one break to the next. With a break in each turn, a stream of small messages takes a tenth longer."""

call_deadline: ContextVar[float | None] = ContextVar("call_deadline", default=None)
"""The time at which the calling program must stop waiting."""


class _Turns(threading.local):
    """The turns of a thread that receives a flood."""

    last_break: float = 0.0
    """The time of its last break."""


_turns: Final = _Turns()


def seconds_left() -> float:
    """Return the seconds that the calling program may wait. Raises DeadlinePassed."""
    deadline = call_deadline.get()
    if deadline is None:
        return polling.ENDLESS
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlinePassed
    return min(seconds, polling.ENDLESS)


def context_of_call() -> Context:
    """Return a copy of the caller's context for a call by the user, which has no deadline yet.

    The caller can be a signal handler or a callback that interrupts another call, whose deadline is not its own.
    """
    context = copy_context()
    if call_deadline.get() is not None:
        context.run(call_deadline.set, None)
    return context


class ThreadEvent:
    """An :class:`~polysocket.effects.Event` for threads."""

    def __init__(self) -> None:
        self._is_set = False
        # For each thread that waits, a lock that is held until the event is set. A threading.Event has a lock besides,
        # for which a signal handler that sets it could wait forever.
        self._bells: list[threading.Lock] = []

    def set(self) -> None:
        """Set the flag, and wake the threads that wait."""
        self._is_set = True
        for bell in tuple(self._bells):
            polling.ring(bell)

    async def wait(self) -> None:
        """Block until the event is set."""
        bell = threading.Lock()
        bell.acquire()
        self._bells.append(bell)
        try:
            while not self._is_set:  # It may have been set before the bell was there to be rung.
                polling.wait_until_rung(bell, seconds_left())
        finally:
            self._bells.remove(bell)


class SocketEffect(ABC):
    """The part of an :class:`~polysocket.effects.Effect` that blocks; subclasses drive the programs."""

    attempts: type[SocketAttempts]
    """The attempts of a new connection, which wait as the subclass does."""
    is_async: bool = False
    leaves_caller: bool = False
    """Whether a program that has to wait leaves the caller's thread, so that the caller never waits for itself."""
    checkpoint: Callable[[], Awaitable[object]] | None = None
    deadline: ContextVar[float | None] = call_deadline
    """The deadline of the calling program: one that sends looks at it, too, although it need not wait."""

    async def next_turn(self) -> None:
        """Look at the time limit, which a flood must not outlast, and let other threads have the mutex at times."""
        seconds_left()
        if time.monotonic() - _turns.last_break > BREAKS_APART:
            time.sleep(BREAK)
            _turns.last_break = time.monotonic()

    @abstractmethod
    def event(self) -> Event:
        """Return a new event."""

    def make_stream(self, sock: socket.socket) -> SocketStream:
        """Make a stream of this effect."""
        return SocketStream(sock)

    def mutex(self) -> Mutex:
        """Return a lock."""
        return ThreadMutex()

    if TYPE_CHECKING:

        def now(self) -> float:
            """Return the system's time."""
            ...

    else:
        now = staticmethod(time.monotonic)  # One call less for each websocket that is opened, and for each Ping.

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether the error is no ``Exception``, such as KeyboardInterrupt."""
        return not isinstance(error, Exception)

    def time_limit(self, seconds: float | None, /) -> TimeLimit:
        """Set a deadline for all that the program waits for inside."""
        return TimeLimit(seconds, time.monotonic, call_deadline)

    def interruptible(self) -> contextlib.AbstractAsyncContextManager[Callable[[], None]]:
        """Return a block whose function does nothing: a thread can't be interrupted."""
        return contextlib.nullcontext(lambda: None)

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Have the process's poller make the call."""
        return process_poller().call_later(seconds, call)

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Drive the program in a thread; ``threading.excepthook`` reports its error."""

        def drive() -> None:
            call_deadline.set(None)
            error: BaseException | None = None
            try:
                run(program())
            except BaseException as raised:
                error = raised
                raise
            finally:
                try:
                    on_done(error)
                finally:
                    del error  # Its traceback has this frame.

        name = f"polysocket {program.__name__}"
        try:
            threading.Thread(target=copy_context().run, args=(drive,), name=name, daemon=True).start()
        except RuntimeError as error:  # The system has no more threads.
            on_done(error)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call the function right here: a thread may block."""
        return function()

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> SocketStream:
        """Connect via happy eyeballs (RFC 8305). A name is looked up in a thread, which may outlast the time limit."""
        family = socket.AF_UNSPEC if local_address is None else family_of(local_address)
        addresses = known_addresses(host, port, family)
        if addresses is None:
            lookup = Lookup(host, port, family, self.event())
            await lookup.done.wait()
            addresses = lookup.addresses()
        return self.make_stream(await first_connected(host, addresses, self.attempts(local_address)))

    async def connect_unix(self, path: str, /) -> SocketStream:
        """Connect to a Unix socket."""
        return self.make_stream(_connected(socket.socket(socket.AF_UNIX), path))

    async def adopt(self, sock: socket.socket, /) -> SocketStream:
        """Make a stream of a connected socket."""
        return self.make_stream(sock)


def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.settimeout(seconds_left())
        sock.connect(address)
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError) and error.errno is None:  # Python's, not the system's
            raise DeadlinePassed from error
        raise
    return sock


class BlockingAttempts(SocketAttempts):
    """The attempts of one thread."""

    async def wait_until_connected(self, sockets: list[socket.socket], seconds: float | None) -> socket.socket | None:
        """Wait until one of the attempts has ended."""
        left = seconds_left()
        return polling.wait_until_connected(sockets, left if seconds is None else min(seconds, left))


class SocketStream(SendBuffer):
    """A :class:`~polysocket.effects.ByteStream` over a socket; threads may read and write at the same time."""

    find_watcher: Callable[[], Watcher] = staticmethod(process_poller)

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.mutex: Mutex = ThreadMutex()
        super().__init__(sock, self.mutex)
        self._aborted = False
        self._waiters: dict[object, bool] = {}  # threads that use the socket, and whether they send once they can
        self._sender: threading.Thread | None = None
        self._has_sender = False
        self._last_look: float | None = None  # the deadline after which what had arrived was taken

    async def read(self, buffer: memoryview | None = None) -> Any:
        """Wait for bytes, and send what is pending meanwhile; return the number of those that a buffer has got."""
        return self._read(buffer)

    read_into = read

    def read_now(self) -> bytes | None:
        """Return what has arrived; None if nothing has."""
        with self._mutex:  # Meanwhile no thread closes the socket.
            return b"" if self._aborted else self._receive()

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        self._drain()

    async def close(self) -> None:
        """Flush what is pending, then close the socket."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """Shut the connection down, which wakes the threads that wait for it; the last of them closes the socket."""
        with self._mutex:
            # All of it again if it was done before: a signal handler may have raised in the middle.
            self._aborted = True
            self._unwatch()
            self._error = ConnectionAbortedError("the connection was ended by this side")
            shut_down(self._socket)
            self._close_if_unused()
        if self._sender is not None and not self.mutex.is_held():
            polling.wait_until_ended(self._sender)  # The shutdown has woken it. It takes the mutex before it ends.

    def _read(self, buffer: memoryview | None = None) -> bytes | int:
        while not self._aborted:
            if (data := self._wait(readable=True, buffer=buffer)) is not None:
                return data
        return b""

    def _drain(self) -> None:
        try:
            while self._unsent:
                with self._mutex:
                    self._check()
                self._wait(readable=False)
        except BaseException:
            with self._mutex:
                self._send_in_background()
            raise

    def _send_later(self) -> None:
        """Leave it to the next reader or drain, unless a reader began to wait before there was something to send."""
        if self._waiters and not any(self._waiters.values()):
            self._send_in_background()

    def _send_in_background(self) -> None:
        """Send what is pending in a thread, to the last byte or the end of the stream. Locked.

        If the system refuses a thread, the next caller that drains or begins to read sends it.
        """
        if self._must_flush and not self._has_sender:
            self._has_sender = True
            sender = threading.Thread(target=self._send_all_pending, name="polysocket send", daemon=True)
            try:
                sender.start()
            except RuntimeError:  # The system has no more threads.
                self._has_sender = False
            else:
                self._sender = sender

    def _send_all_pending(self) -> None:
        call_deadline.set(None)  # A thread can inherit a context, as in free-threaded Python 3.14.
        while True:
            with self._mutex:
                self._has_sender = self._must_flush
                if not self._has_sender:
                    return
            self._wait(readable=False)

    def _wait(self, *, readable: bool, buffer: memoryview | None = None) -> bytes | int | None:
        """Wait until something can be done, and do it: send what is pending; return what has arrived."""
        waiter = object()
        if readable:
            self.has_taken: bool = False
        try:
            with self._mutex:
                writable = bool(self._unsent) and self._must_flush
                if self._aborted or not (readable or writable):
                    return None  # Another thread has sent all that was pending.
                self._waiters[waiter] = writable
            seconds = polling.ENDLESS if call_deadline.get() is None else self._seconds_to_wait()
            can_read, can_write = polling.wait_until_ready(self._socket.fileno(), readable, writable, seconds)
            received = self._receive(buffer) if can_read else None
        finally:
            with self._mutex:
                self._waiters.pop(waiter, None)
                if self._aborted:
                    self._close_if_unused()
        if can_write:
            with self._mutex:
                self._flush()
        elif not can_read:
            seconds_left()
        return received

    def _seconds_to_wait(self) -> float:
        """Return 0 after the deadline, once: what has arrived may still be taken, but a flood must not outlast it."""
        deadline = call_deadline.get()
        if deadline is not None and deadline <= time.monotonic():
            if self._last_look == deadline:
                raise DeadlinePassed
            self._last_look = deadline
            return 0
        return seconds_left()

    def _receive(self, buffer: memoryview | None = None) -> Any:
        self.has_taken = True
        try:
            return self._socket.recv(READ_SIZE) if buffer is None else self._socket.recv_into(buffer)
        except BlockingIOError:
            return None
        except OSError:
            if self._aborted:
                return b""
            raise

    def _close_if_unused(self) -> None:
        # The system may give the number of a closed socket to a new one, for which a waiting thread would then wait.
        if not self._waiters:
            self._socket.close()
