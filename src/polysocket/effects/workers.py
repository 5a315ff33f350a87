"""A small pool of daemon threads in which suspended programs of the threaded flavour go on.

A program calls functions of the user, which may block, even until another program of the same pool has gone on. So the
pool grows while all of its threads are stuck, without a bound: a bound could be a deadlock.
"""

from __future__ import annotations

import contextlib
import math
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Workers"]

PATIENCE: Final = 0.02
"""Seconds that work waits until the pool grows: longer than a program runs between two waits, and not too long for a
time limit, whose end is such work."""

MOST_IDLE: Final = 4
"""Idle workers that are kept, so that a few callbacks that block now and then don't start a thread each time."""


class Workers:
    """The threads of one wait loop, which alone puts work and has the pool grow."""

    def __init__(self) -> None:
        self._due: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # for the two numbers
        self._size = 0
        self._idle = 0
        self._waits_since = 0.0  # when the first work that is due came to the front, or the pool last grew

    def start_one(self) -> None:
        """Start one more worker. Raises RuntimeError if the system has no more threads."""
        threading.Thread(target=self._work, name="polysocket worker", daemon=True).start()
        with self._lock:
            self._size += 1

    def put(self, work: Callable[[], object]) -> None:
        """Have a worker call a function."""
        if self._due.empty():
            self._waits_since = time.monotonic()
        self._due.put(work)

    def end(self) -> None:
        """End each worker after the call that it makes."""
        self._due.put(None)

    def seconds_until_stuck(self) -> float:
        """Return the seconds after which to call :meth:`grow_if_stuck`."""
        return math.inf if self._due.empty() else max(self._waits_since + PATIENCE - time.monotonic(), 0)

    def grow_if_stuck(self) -> None:
        """Double the pool, but not beyond the work that is due, if no worker has taken any for a while."""
        if self.seconds_until_stuck() == 0:
            self._waits_since = time.monotonic()
            with contextlib.suppress(RuntimeError):  # The system has no more threads. The next look tries again.
                for _ in range(min(self._due.qsize(), self._size)):
                    self.start_one()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._idle == MOST_IDLE:
                    self._size -= 1
                    return
                self._idle += 1
            work = self._due.get()
            self._waits_since = time.monotonic()
            with self._lock:
                self._idle -= 1
            if work is None:
                self._due.put(None)  # for the next worker
                return
            try:
                work()
            except BaseException:  # noqa: BLE001 - reported as that of a thread, such as SystemExit of a callback
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            del work  # It may hold a websocket, while this thread waits.
