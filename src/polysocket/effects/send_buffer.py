"""The sending half of a stream over a plain socket: common to the blocking, threaded and trio flavours."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from polysocket.effects.addresses import addresses
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.effects.mutex import Mutex
from polysocket.effects.unacknowledged import unacknowledged_bytes

__all__ = ["SendBuffer"]


INTERRUPTED: Final = ConnectionAbortedError("a write was interrupted, perhaps in the middle of a frame")
"""The error of a stream after a signal handler has raised in a write: nothing may follow a torn frame."""


class Watcher(Protocol):
    """The one that looks at sockets which no caller reads: one for a process, or for an event loop."""

    def watch(self, fd: int, call: Callable[[], object], /) -> float:
        """Make this call while the socket is readable; return the seconds after which it is made at the latest."""
        ...

    def unwatch(self, fd: int, /) -> None:
        """Forget the socket."""
        ...


class SendBuffer(ABC):
    """The base of a :class:`~polysocket.effects.ByteStream` over a non-blocking socket: sends without waiting.

    Bytes that the system does not take at once are kept, and sent via ``_flush`` once the socket is writable. A
    socket that has failed stays failed. ``mutex`` guards the buffer; methods marked *Locked* are called while it is
    held.
    """

    find_watcher: Callable[[], Watcher]
    """A function that returns the runtime's watcher of sockets."""

    def __init__(self, sock: socket.socket, mutex: Mutex) -> None:
        self.pending: int = 0
        self.remote_address: Any
        self.local_address: Any
        self.remote_address, self.local_address = addresses(sock)
        self._socket = sock
        self._mutex = mutex
        self._unsent = bytearray()
        self._error: OSError | None = None
        self._watcher: Watcher | None = None  # while the socket is watched
        self._written = 0
        self._is_sending = False  # stays True if a signal handler has raised between a send and the note of its outcome
        self._is_flushing = False
        self.has_taken: bool = False
        """True from just before bytes are received until the next wait for more."""

    def write(self, data: bytes) -> None:
        """Send at once what the system takes; the rest is pending. Raises OSError if the socket has failed."""
        with self._mutex:
            if self._error is not None or self._is_sending:
                if not self._is_flushing:
                    self._raise_error()
                self._unsent += data  # for the flush that a signal handler interrupts to write
                self.pending = len(self._unsent)
                self._written += len(data)
                return
            self._is_sending = True
            self._written += len(data)
            unsent: bytes | memoryview = data
            if not self._unsent:
                try:
                    sent = self._socket.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    self._error = without_tracebacks(error)
                    self._raise_error()
                if sent == len(data):
                    self.pending = 0
                    self._is_sending = False
                    return
                unsent = memoryview(data)[sent:]
            self._unsent += unsent
            self.pending = len(self._unsent)
            self._is_sending = False
            self._send_later()

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Have the runtime's watcher make this call while there is something to read."""
        if call is None:
            self._unwatch()
            return 0
        self._watcher = self.find_watcher()
        return self._watcher.watch(self._socket.fileno(), call)

    def _unwatch(self) -> None:
        """End the watch, before the socket is closed."""
        if self._watcher is not None and (fd := self._socket.fileno()) >= 0:
            self._watcher.unwatch(fd)
        self._watcher = None  # only now: a signal handler may raise, and then all of this is done again

    def __del__(self) -> None:
        if hasattr(self, "_watcher"):  # __init__ may have raised.
            self._unwatch()

    def progress(self) -> tuple[int, int]:
        """Return how many bytes were written so far, and how many of them the peer's system has acknowledged."""
        with self._mutex:
            return self._written, self._written - len(self._unsent) - unacknowledged_bytes(self._socket)

    @property
    def is_torn(self) -> bool:
        """Whether a signal handler has raised in the middle of a send."""
        with self._mutex:  # Another thread may be in the middle of one.
            return self._is_sending

    @abstractmethod
    def _send_later(self) -> None:
        """Have ``_flush`` called once the socket is writable. Locked."""

    @property
    def _must_flush(self) -> bool:
        """Whether there are bytes that the system may take later. Locked."""
        return bool(self._unsent) and self._error is None and not self._is_sending

    def _flush(self) -> None:
        """Send what the system takes at once, and keep an error for the next write or drain. Locked."""
        if not self._must_flush:
            return
        self._is_sending = True
        try:
            self._is_flushing = True
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._error = without_tracebacks(error)
        finally:
            self._is_flushing = False
        self.pending = len(self._unsent)
        self._is_sending = False

    def _check(self) -> None:
        """Raise the OSError with which the socket has failed. Locked."""
        if self._error is not None or self._is_sending:
            self._raise_error()

    def _raise_error(self) -> NoReturn:
        error = self._error or INTERRUPTED
        raise type(error)(*error.args) from error
