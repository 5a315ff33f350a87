"""Look at sockets that no caller reads, and make calls at their times: one poller for all streams of a runtime.

asyncio's transports tell of data by themselves. The other flavours' sockets are looked at from time to time: that costs
an idle socket next to nothing, and a socket that is read by its user nothing at all. Nothing here knows WebSockets.
"""

from __future__ import annotations

import atexit
import contextlib
import heapq
import itertools
import os
import select
import selectors
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias
from weakref import WeakSet

from polysocket._logger import get_logger
from polysocket.effects import polling

__all__ = ["TICK", "Poller", "process_poller"]

TICK: Final = 0.25
"""Seconds between two looks: short for a peer that waits for a Pong, and only four wake-ups a second."""

LONGEST_LOOK: Final = 1.0
"""Seconds that a fork waits for the end of a look. The look can wait for a lock that the forking thread holds: a signal
handler may fork. Then the fork goes on without it."""

LONGEST_FORK: Final = 2.0
"""Seconds from which on a fork that holds up the looks is over, although its hook did not say so."""

MOST_SOCKETS: Final = 500
"""Sockets for one select() of Windows, which takes 512 (FD_SETSIZE)."""


_pollers: Final[WeakSet[Poller]] = WeakSet()
"""The pollers of this process: of its threads, and of each event loop that has one."""

Timer: TypeAlias = list[Callable[[], object]]
"""A call that is due once; empty after it was made or revoked."""


class Poller(ABC):
    """The sockets and the timers of one runtime.

    Any caller may post what is new, at any time and without a lock. Only :meth:`look` acts on it, in one thread.
    """

    now: Callable[[], float] = staticmethod(time.monotonic)
    """The clock of the timers."""

    def __init__(self) -> None:
        self._posted_sockets: deque[tuple[int, Callable[[], object] | None]] = deque()
        self._posted_timers: deque[tuple[float, Timer]] = deque()
        self._selector: selectors.BaseSelector | None = None  # while it looks at sockets
        self._timers: list[tuple[float, int, Timer]] = []
        self._revoked = 0  # timers that were revoked since those in the heap were dropped, about
        self._numbers = itertools.count()
        self._is_running = False
        self._looking_thread = 0  # while it looks
        _pollers.add(self)

    def watch(self, fd: int, call: Callable[[], object]) -> float:
        """Make this call at each look at which the socket is readable, until :meth:`unwatch`.

        Return the seconds between two looks.
        """
        self._posted_sockets.append((fd, call))
        if not self._is_running:
            self._start()
        return TICK

    def unwatch(self, fd: int) -> None:
        """Forget a socket, before it is closed: the system may give its number to another one."""
        if self._selector is not None:
            # Now: once the socket is closed, it can't be, and a forked process may hold it open and readable.
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(fd)
        self._posted_sockets.append((fd, None))
        self._wake()  # for its end, if no other socket is watched

    def call_later(self, seconds: float, call: Callable[[], object]) -> Callable[[], None]:
        """Make a call at the first look after this time; return a function that revokes it."""
        timer = [call]
        self._posted_timers.append((self.now() + seconds, timer))
        if not self._is_running:
            self._start()
        elif seconds < TICK and self._looking_thread != threading.get_ident():
            self._wake()
        return partial(self._revoke, timer)

    def _revoke(self, timer: Timer) -> None:
        timer.clear()
        self._revoked += 1
        self._wake()  # for its end, if nothing else is left to do

    @abstractmethod
    def _start(self) -> None:
        """Begin to call :meth:`look` again and again, unless that has begun."""

    @abstractmethod
    def _wake(self) -> None:
        """Have :meth:`look` called soon, if it is called at all."""

    def look(self) -> float | None:
        """Make the calls that are due; return the seconds until the next look, or None if nothing is left to do."""
        self._looking_thread = threading.get_ident()
        self._take_posted()
        for call in self._calls_of_readable():
            _make(call)
        now = self.now()
        while self._timers and (self._timers[0][0] <= now or not self._timers[0][2]):
            for due in heapq.heappop(self._timers)[2]:
                _make(due)
        self._looking_thread = 0
        self._take_posted()
        is_watching = self._selector is not None and bool(self._selector.get_map())
        if not is_watching or self._revoked > len(self._timers) // 2:
            self._drop_revoked()
        if not (is_watching or self._timers or self._posted_sockets):
            return None
        return min(max(self._timers[0][0] - self.now(), 0), TICK) if self._timers else TICK

    def _drop_revoked(self) -> None:
        self._timers = [timer for timer in self._timers if timer[2]]
        heapq.heapify(self._timers)
        self._revoked = 0

    def _take_posted(self) -> None:
        while self._posted_timers:
            time, timer = self._posted_timers.popleft()
            heapq.heappush(self._timers, (time, next(self._numbers), timer))
        if self._posted_sockets and self._selector is None:
            try:
                self._selector = selectors.DefaultSelector()
            except OSError:  # The process has no more descriptors. The next look tries again.
                return
        while self._posted_sockets and self._selector is not None:
            fd, call = self._posted_sockets.popleft()
            with contextlib.suppress(KeyError, ValueError):  # It is new, or was closed.
                self._selector.unregister(fd)
            if call is not None:
                with contextlib.suppress(KeyError, OSError, ValueError):  # It was closed meanwhile.
                    self._selector.register(fd, selectors.EVENT_READ, call)

    def _calls_of_readable(self) -> list[Callable[[], object]]:
        if self._selector is None:
            return []
        try:
            if sys.platform == "win32":
                keys = self._selector.get_map()
                sockets = list(keys)
                parts = (sockets[start : start + MOST_SOCKETS] for start in range(0, len(sockets), MOST_SOCKETS))
                return [keys[fd].data for part in parts for fd in select.select(part, [], [], 0)[0]]
            return [key.data for key, _ in self._selector.select(0)]
        except OSError:  # A socket was closed just now; the next look knows it.
            return []

    def close(self) -> None:
        """Free what the system holds for the poller."""
        if self._selector is not None:
            self._selector.close()
            self._selector = None


def _make(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - logged, since the calls of other websockets follow
        get_logger().exception("a call in the background failed")


class _ProcessPoller(Poller):
    """The poller of the flavours of threads: a daemon thread, which ends when nothing is left to do."""

    def __init__(self) -> None:
        super().__init__()
        # Those that are about to start the thread: the first one does. No lock, since its caller may hold others, and
        # since a signal handler can raise between the taking of a lock and the note that it was taken.
        self._starting: list[object] = []
        self._bell = threading.Lock()
        self._bell.acquire()
        self.looking = threading.RLock()
        """Held during a look, which takes locks of websockets."""
        self._has_stopped = self._has_warned = False
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        turn = object()
        try:
            if self._is_first(turn) and not (self._is_running or self._has_stopped):
                self._start_thread()
        finally:
            if turn in self._starting:
                self._starting.remove(turn)

    def _is_first(self, turn: object) -> bool:
        self._starting.append(turn)
        return self._starting[0] is turn

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="polysocket keepalive", daemon=True)
        try:
            self._is_running = True
            thread.start()
            self._thread = thread
            self._has_warned = False
        except RuntimeError as error:  # The system has no more threads.
            self._is_running = False
            self._take_posted()  # No other thread looks, and what is posted must not grow.
            self._drop_revoked()
            # CPython from 3.12 on starts none at the interpreter's end. Then there is nothing to keep alive.
            if not self._has_warned and "interpreter shutdown" not in str(error):
                self._has_warned = True
                text = f"no thread can be started that keeps idle websockets alive: {error}"
                warnings.warn(text, RuntimeWarning, stacklevel=2)
        except BaseException:  # A signal handler has raised; the thread may run.
            self._is_running = thread.ident is not None
            raise

    def _wake(self) -> None:
        polling.ring(self._bell)

    def _run(self) -> None:
        try:
            while not self._has_stopped and self._goes_on(self._look_alone()):
                pass
        except BaseException:
            self._is_running = False
            raise

    def _look_alone(self) -> float | None:
        """Look while no fork is about to happen; return what :meth:`look` returns."""
        while not (looking := self.looking).acquire(timeout=LONGEST_FORK):
            self.looking = threading.RLock()  # A signal handler has raised in a fork's hook: the old one is never free.
        try:
            return self.look()
        finally:
            looking.release()

    def _goes_on(self, seconds: float | None) -> bool:
        """Wait for these seconds, or for the bell; return False if the thread ends since nothing is left to do."""
        if seconds is not None:
            self._bell.acquire(timeout=seconds)
            return True
        self._is_running = False  # In this order: what is posted from now on starts another thread,
        if not (self._posted_sockets or self._posted_timers):
            return False
        turn = object()
        goes_on = self._is_first(turn) and not self._is_running  # and this one goes on for what was posted just before
        self._is_running = self._is_running or goes_on
        self._starting.remove(turn)
        return goes_on

    def stop(self) -> None:
        """End the thread, before the interpreter does."""
        self._has_stopped = True
        self._wake()
        if self._thread is not None:
            self._thread.join(TICK)


_poller = _ProcessPoller()
_held: list[threading.RLock | None] = []
"""For each fork that is about to happen, the lock that holds up the looks, or None if they go on: a signal handler may
fork within a fork."""


def process_poller() -> Poller:
    """Return the poller of this process."""
    return _poller


def _stop_at_exit() -> None:
    _poller.stop()


def _wait_for_look() -> None:
    """Let a look end before a fork: the locks that its thread holds would stay locked in the new process."""
    looking = _poller.looking
    _held.append(looking if looking.acquire(timeout=LONGEST_LOOK) else None)


def _go_on() -> None:
    looking = _held.pop() if _held else None
    if looking is not None:
        looking.release()


def _leave_to_parent() -> None:
    """Begin anew in a forked process: its sockets of the parent are the parent's to keep alive."""
    global _poller  # noqa: PLW0603 - one for the process
    # The system shares what a selector watches (epoll): to forget a socket here would forget it in the parent, too.
    for poller in tuple(_pollers):
        poller.close()
    _poller = _ProcessPoller()
    _held.clear()


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):  # not in Windows
    os.register_at_fork(before=_wait_for_look, after_in_parent=_go_on, after_in_child=_leave_to_parent)
