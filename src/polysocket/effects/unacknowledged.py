"""The bytes that a socket has taken and the peer's system has not acknowledged, as far as this system tells."""

from __future__ import annotations

import socket
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl
    import termios

__all__ = ["unacknowledged_bytes"]

SO_NWRITE: Final = 0x1024
"""The option of macOS, which Python does not name: the bytes in the send buffer."""


def unacknowledged_bytes(sock: socket.socket) -> int:
    """Return how many bytes wait in the system; 0 if it doesn't tell, or if the socket is closed."""
    size = 0
    try:
        if sys.platform == "linux":
            size = int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        elif sys.platform == "darwin":
            size = sock.getsockopt(socket.SOL_SOCKET, SO_NWRITE)
    except (OSError, ValueError):
        pass
    return size
