"""The calls in which the blocking and the threaded flavour wait.

Python runs signal handlers in the main thread, before and after a call that blocks. Most systems end the call for that;
Windows does not. A signal that comes just before the call, while the thread lets another one run, ends it on no system.
So a call in the main thread lasts at most ``LONGEST_WAIT``. Then its caller looks again and renews it.

Callers look each name up in this module at each call, so that a test can replace it.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import sys
import threading
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

    from polysocket.effects.readiness import Wait

__all__ = [
    "ENDLESS",
    "LONGEST_WAIT",
    "ring",
    "until_over",
    "wait_for_result",
    "wait_until_connected",
    "wait_until_ended",
    "wait_until_ready",
    "wait_until_rung",
]

T = TypeVar("T")

LONGEST_WAIT: float = 1.0
"""Seconds that the main thread waits at most: about as long as a person waits for Ctrl-C to act."""

ENDLESS: Final = 24 * 60 * 60.0
"""Seconds for a wait without a time limit. ``poll()`` takes at most 2**31 ms, about 24 days."""


def _longest_wait() -> float:
    return LONGEST_WAIT if threading.get_ident() == threading.main_thread().ident else ENDLESS


def wait_until_ready(fd: int, readable: bool, writable: bool, seconds: float) -> tuple[bool, bool]:
    """Block until the socket is readable or writable, as asked for, or ``seconds`` have passed; return which it is.

    In the main thread, this function and the next two return after ``LONGEST_WAIT``, too.
    """
    if seconds > LONGEST_WAIT:
        seconds = min(seconds, _longest_wait())
    if sys.platform == "win32":
        can_read, can_write, _ = select.select([fd] * readable, [fd] * writable, [], seconds)
        return bool(can_read), bool(can_write)
    poll = select.poll()
    poll.register(fd, select.POLLIN * readable | select.POLLOUT * writable)
    ready = poll.poll(math.ceil(seconds * 1000))
    events = ready[0][1] if ready else 0
    # poll() also reports errors and EOF. The next read or write raises the error, or returns EOF.
    return readable and bool(events & ~select.POLLOUT), writable and bool(events)


def wait_until_connected(sockets: Sequence[socket.socket], seconds: float) -> socket.socket | None:
    """Block until one of the sockets has connected or failed; return it, or None after ``seconds``."""
    seconds = min(seconds, _longest_wait())
    if sys.platform == "win32":
        _, connected, failed = select.select([], sockets, sockets, seconds)
        return next(iter([*connected, *failed]), None)
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLOUT)
    ready = dict(poll.poll(math.ceil(seconds * 1000)))
    for sock in sockets:  # A generator would swallow the exception of a signal handler that raises while it is freed.
        if sock.fileno() in ready:
            return sock
    return None


def wait_until_rung(bell: threading.Lock, seconds: float) -> bool:
    """Block until the bell, a lock that is held, is rung; return False if ``seconds`` pass first."""
    return bell.acquire(timeout=min(seconds, _longest_wait()))


def ring(bell: threading.Lock) -> None:
    """Wake the thread that waits for the bell. A signal handler may do this at any time."""
    with contextlib.suppress(RuntimeError):  # It was rung already.
        bell.release()


def wait_until_ended(thread: threading.Thread) -> None:
    """Block until a thread has ended."""
    while thread.is_alive():
        thread.join(_longest_wait())


def wait_for_result(future: Future[T]) -> T:
    """Block until a future is done; return its result or raise its error."""
    try:
        while not future.done():
            with contextlib.suppress(TimeoutError):
                future.exception(_longest_wait())  # It raises a TimeoutError only if the time has passed.
        return future.result()
    finally:
        del future  # Its error has a traceback with this frame.


def until_over(wait: Wait) -> Awaitable[object]:
    """Return what a program of the threaded flavour awaits, which blocks no thread."""
    return wait
