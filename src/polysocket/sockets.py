"""What the flavours over plain sockets share: sending without waiting, and the system's call to wait.

No flavour is known here, and nothing about WebSockets.
"""

from __future__ import annotations

import math
import select
import socket
import sys
from collections.abc import Sequence

__all__ = ["Outgoing", "wait_until_connected", "wait_until_ready"]


class Outgoing:
    """Bytes on their way out by a non-blocking socket; a failed one stays failed. Guarded by whoever uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unsent = bytearray()
        self._error: OSError | None = None

    def __len__(self) -> int:
        """How many bytes the system has not taken."""
        return len(self._unsent)

    @property
    def is_waiting(self) -> bool:
        """Whether there are bytes that the system may take later."""
        return bool(self._unsent) and self._error is None

    def write(self, data: bytes) -> None:
        """Take all of ``data``, and send what the system takes at once; raises OSError where the socket has failed."""
        self._unsent += data
        self.send()
        self.check()

    def send(self) -> None:
        """Send what the system takes at once; an error is kept for :meth:`check`."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            self._error = error

    def check(self) -> None:
        """Raise the OSError by which the socket has failed."""
        if self._error is not None:
            raise type(self._error)(*self._error.args) from self._error


def wait_until_ready(fd: int, readable: bool, writable: bool, seconds: float | None) -> tuple[bool, bool]:
    """Block until the socket is readable or writable, as asked for, or the time has passed; tells which it is."""
    if sys.platform == "win32":
        can_read, can_write, _ = select.select([fd] * readable, [fd] * writable, [], seconds)
        return bool(can_read), bool(can_write)
    poll = select.poll()
    poll.register(fd, select.POLLIN * readable | select.POLLOUT * writable)
    ready = poll.poll(None if seconds is None else math.ceil(seconds * 1000))
    events = ready[0][1] if ready else 0
    # Errors and the end of the stream, which are always told, are found by reading or writing.
    return readable and bool(events & ~select.POLLOUT), writable and bool(events)


def wait_until_connected(sockets: Sequence[socket.socket], seconds: float | None) -> socket.socket | None:
    """Block until one of the sockets has connected, or failed to, and give it; None where the time has passed first."""
    if sys.platform == "win32":
        _, connected, failed = select.select([], sockets, sockets, seconds)
        return next(iter([*connected, *failed]), None)
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLOUT)
    ready = dict(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
    return next((sock for sock in sockets if sock.fileno() in ready), None)
