"""The end of a connection: ``shutdown`` before ``close``, in every flavour.

``close`` alone ends a connection only if no other descriptor is left. A child process that was forked has one, so the
peer would see no end while the child lives.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["drop", "shut_down"]


def shut_down(sock: socket.socket) -> None:
    """End the connection in both directions, even if other descriptors are open; the caller closes the socket."""
    with contextlib.suppress(OSError):  # The peer was faster.
        sock.shutdown(socket.SHUT_RDWR)


def drop(sock: socket.socket) -> None:
    """End the connection of a socket, one that is being made too, and close the socket."""
    shut_down(sock)
    sock.close()
