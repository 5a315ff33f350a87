"""The calls in which threads block: all that the blocking and threaded flavours wait in.

They are looked up in this module at each call, so that a test can replace them.
"""

from __future__ import annotations

import math
import select
import socket
import sys
import threading
from collections.abc import Sequence

__all__ = ["wait_until_connected", "wait_until_ready", "wait_until_set"]


def wait_until_ready(fd: int, readable: bool, writable: bool, seconds: float | None) -> tuple[bool, bool]:
    """Block until the socket is readable or writable, as asked for, or the time has passed; return which it is."""
    if sys.platform == "win32":
        can_read, can_write, _ = select.select([fd] * readable, [fd] * writable, [], seconds)
        return bool(can_read), bool(can_write)
    poll = select.poll()
    poll.register(fd, select.POLLIN * readable | select.POLLOUT * writable)
    ready = poll.poll(None if seconds is None else math.ceil(seconds * 1000))
    events = ready[0][1] if ready else 0
    # poll() reports errors and EOF in any case; reading or writing then meets them.
    return readable and bool(events & ~select.POLLOUT), writable and bool(events)


def wait_until_connected(sockets: Sequence[socket.socket], seconds: float | None) -> socket.socket | None:
    """Block until one of the sockets has connected or failed; return it, or None after ``seconds``."""
    if sys.platform == "win32":
        _, connected, failed = select.select([], sockets, sockets, seconds)
        return next(iter([*connected, *failed]), None)
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLOUT)
    ready = dict(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
    return next((sock for sock in sockets if sock.fileno() in ready), None)


def wait_until_set(event: threading.Event, seconds: float | None) -> bool:
    """Block until another thread sets the event; return False if the time has passed first."""
    return event.wait(seconds)
