"""What the flavours over blocking sockets share: time limits, events and streams that block a thread.

Only waiting lives here, nothing about WebSockets.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from polysocket.effects.happy_eyeballs import Address, first_connected
from polysocket.effects.polling import wait_until_connected, wait_until_ready
from polysocket.effects.send_buffer import SendBuffer

__all__ = ["DeadlinePassed", "SocketEffect", "SocketStream", "ThreadEvent", "TimeLimit", "unlimited"]


LONGEST_WAIT = 24 * 60 * 60.0  # seconds, after which one looks again: the system's calls have bounds of their own


READ_SIZE = 120 * 1024  # bytes: room for a frame of 64 KiB, and less than what malloc has from the system each time


class DeadlinePassed(BaseException):
    """A time limit has passed: it ends what waits, as a cancellation does elsewhere."""


_deadline: ContextVar[float | None] = ContextVar("_deadline", default=None)


"""The time at which the calling program must stop waiting."""


def _remaining() -> float | None:
    """Seconds that the calling program may wait, or None for no limit; raises DeadlinePassed."""
    deadline = _deadline.get()
    if deadline is None:
        return None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlinePassed
    return min(seconds, LONGEST_WAIT)


def _remaining_or_look() -> float | None:
    """The same, but 0 where the deadline has passed: what is there already may still be taken."""
    try:
        return _remaining()
    except DeadlinePassed:
        return 0


class TimeLimit:
    """A time limit by a clock, as a context manager of programs; ``deadline`` has the nearest one of them."""

    def __init__(self, seconds: float | None, now: Callable[[], float], deadline: ContextVar[float | None]) -> None:
        self._seconds = seconds
        self._now = now
        self._deadline = deadline

    async def __aenter__(self) -> None:
        outer = self._deadline.get()
        own = None if self._seconds is None else self._now() + self._seconds
        self._is_nearest = own is not None and (outer is None or own < outer)
        self._token = self._deadline.set(own if self._is_nearest else outer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._deadline.reset(self._token)
        if self._is_nearest and isinstance(error, DeadlinePassed):
            raise TimeoutError(f"{self._seconds} seconds have passed") from None


def unlimited(
    program: Callable[[], Coroutine[Any, Any, None]], deadline: ContextVar[float | None] = _deadline
) -> Callable[[], Coroutine[Any, Any, None]]:
    """The program for the background: the time limits of whoever begins it, which it may inherit, are not its own."""

    @functools.wraps(program)
    async def begun() -> None:
        deadline.set(None)
        await program()

    return begun


class ThreadEvent:
    """An :class:`~polysocket.effects.Event` for threads."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.set: Callable[[], None] = self._event.set

    async def wait(self) -> None:
        """Block until the event is set."""
        while not self._event.wait(_remaining()):
            pass


class SocketEffect:
    """The part of an :class:`~polysocket.effects.Effect` that blocks; how programs are driven is its subclasses'."""

    is_async: bool = False
    checkpoint: None = None

    def mutex(self) -> contextlib.AbstractContextManager[Any]:
        """Return a lock."""
        return threading.Lock()

    def now(self) -> float:
        """The system's clock."""
        return time.monotonic()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """What is no Exception, such as KeyboardInterrupt."""
        return not isinstance(error, Exception)

    def time_limit(self, seconds: float | None, /) -> TimeLimit:
        """A deadline for all that the program waits for."""
        return TimeLimit(seconds, time.monotonic, _deadline)

    def interruptible(self) -> contextlib.AbstractAsyncContextManager[Callable[[], None]]:
        """Nothing: a thread can't be interrupted."""
        return contextlib.nullcontext(lambda: None)

    def make_stream(self, sock: socket.socket) -> SocketStream:
        """What the streams of this effect are."""
        return SocketStream(sock)

    async def connect_tcp(self, host: str, port: int, /) -> SocketStream:
        """Connect by happy eyeballs (RFC 8305). Looking up the name is the system's, and knows no time limit."""
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        sock = await first_connected(host, addresses, SocketAttempts())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.make_stream(sock)

    async def connect_unix(self, path: str, /) -> SocketStream:
        """Connect to a Unix socket."""
        return self.make_stream(_connected(socket.socket(socket.AF_UNIX), path))

    async def adopt(self, sock: socket.socket, /) -> SocketStream:
        """Use a connected socket."""
        return self.make_stream(sock)


def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.settimeout(_remaining())
        sock.connect(address)
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError) and error.errno is None:  # Python's, not the system's
            raise DeadlinePassed from error
        raise
    return sock


class SocketAttempts:
    """The :class:`~polysocket.effects.happy_eyeballs.Attempts` of one thread."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def begin(self, address: Address) -> None:
        """Begin one more."""
        family, kind, proto, _, where = address
        sock = socket.socket(family, kind, proto)
        self._sockets.append(sock)
        sock.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                sock.connect(where)
        except OSError:
            self._sockets.remove(sock)
            sock.close()
            raise

    async def next_connected(self, seconds: float | None) -> socket.socket | None:
        """Wait for one of them."""
        limits = [limit for limit in (seconds, _remaining()) if limit is not None]
        sock = wait_until_connected(self._sockets, min(limits, default=None))
        if sock is None:
            return None
        self._sockets.remove(sock)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            raise OSError(error, os.strerror(error))
        return sock

    async def end(self) -> None:
        """Close those that are left."""
        for sock in self._sockets:
            sock.close()


class SocketStream:
    """A :class:`~polysocket.effects.ByteStream` over a socket; threads may read and write at the same time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._lock = threading.Lock()
        self._outgoing = SendBuffer(sock)
        self._aborted = False
        self._waiting = 0  # threads that wait for the socket, or receive
        self._sending = 0  # those of them that send once they can
        self._sender: threading.Thread | None = None
        self._has_sender = False

    @property
    def pending(self) -> int:
        """Bytes that the system has not taken."""
        return len(self._outgoing)

    async def read(self) -> bytes:
        """Wait for bytes, and send what is pending meanwhile."""
        while not self._aborted:
            if (data := self._wait(readable=True)) is not None:
                return data
        return b""

    def write(self, data: bytes) -> None:
        """Send at once what the system takes; the rest is pending."""
        with self._lock:
            self._check()
            self._outgoing.write(data)
            if self._waiting and not self._sending:
                self._go_on_sending()  # Whoever reads began to wait before there was something to send.

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        try:
            while self._outgoing:
                self._check()
                self._wait(readable=False)
        except BaseException:
            with self._lock:
                self._go_on_sending()
            raise

    async def close(self) -> None:
        """Send what is pending, then close the socket."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """Shut the connection down, which wakes the threads that wait for it; the last of them closes the socket."""
        with self._lock:
            if not self._aborted:
                self._aborted = True
                with contextlib.suppress(OSError):  # The other side was faster.
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._close_if_unused()
        if self._sender is not None:
            self._sender.join()  # The shutdown has woken it.

    def _go_on_sending(self) -> None:
        """Send what is pending in a thread, to the last byte or the stream's end: nobody else may do it. Locked."""
        if self._outgoing.is_waiting and not self._aborted and not self._has_sender:
            self._has_sender = True
            self._sender = threading.Thread(target=self._send_all_pending, name="polysocket send", daemon=True)
            self._sender.start()

    def _send_all_pending(self) -> None:
        _deadline.set(None)  # Where threads inherit a context, as in free-threaded Python 3.14.
        while True:
            with self._lock:
                self._has_sender = self._outgoing.is_waiting and not self._aborted
                if not self._has_sender:
                    return
            self._wait(readable=False)

    def _check(self) -> None:
        if self._aborted:
            raise ConnectionAbortedError("the connection was ended by this side")
        self._outgoing.check()

    def _close_if_unused(self) -> None:
        # The system may give the number of a closed socket to a new one, for which a waiting thread would then wait.
        if self._aborted and not self._waiting:
            self._socket.close()

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            if self._aborted:
                return b""
            raise

    def _wait(self, *, readable: bool) -> bytes | None:
        """Wait until something can be done, and do it: send what is pending, and give what there is to read."""
        with self._lock:
            writable = self._outgoing.is_waiting
            if self._aborted or not (readable or writable):
                return None  # Another thread has sent all that was pending.
            self._waiting += 1
            self._sending += writable
        try:
            can_read, can_write = wait_until_ready(self._socket.fileno(), readable, writable, _remaining_or_look())
            received = self._receive() if can_read else None
        finally:
            with self._lock:
                self._waiting -= 1
                self._sending -= writable
                self._close_if_unused()
        if can_write:
            with self._lock:
                self._outgoing.send()
        elif not can_read:
            _remaining()
        return received
