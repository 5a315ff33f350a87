"""Wait for sockets by the system's call."""

from __future__ import annotations

import math
import select
import socket
import sys
from collections.abc import Sequence

__all__ = ["wait_until_connected", "wait_until_ready"]


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
