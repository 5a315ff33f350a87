"""Connecting to a Unix socket without waiting, for event loops.

uvloop ends a path at its first NUL, so it knows no abstract addresses. For asyncio and trio, a socket that was refused
because of the server's full backlog looks connected.
"""

from __future__ import annotations

import socket

__all__ = ["connected_unix_socket"]


def connected_unix_socket(path: str) -> socket.socket:
    """Return a new socket that is connected to a path, or to an abstract address of Linux, which begins with a NUL.

    It never waits: such a connection is made at once, or fails. Raises OSError.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock
