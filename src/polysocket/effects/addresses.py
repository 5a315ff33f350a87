"""The addresses of a connected socket, for the streams over it."""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["addresses"]


def addresses(sock: socket.socket) -> tuple[Any, Any]:
    """Return the peer's address and the socket's own, in the form of the socket's family; None for an unknown one."""
    try:
        remote = sock.getpeername()
    except OSError:  # The peer has already reset the connection.
        remote = None
    try:
        return remote, sock.getsockname()
    except OSError:
        return remote, None
