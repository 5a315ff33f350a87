"""What the flavours over plain sockets share: sending without waiting, and the system's call to wait.

No flavour is known here, and nothing about WebSockets.
"""

from __future__ import annotations

import socket

__all__ = ["SendBuffer"]


class SendBuffer:
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
