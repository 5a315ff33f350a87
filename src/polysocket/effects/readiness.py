"""Wait in one thread for the sockets, deadlines and events of all programs that are suspended.

A program suspends via ``await polling.until_over(Wait(...))``. The *wait loop* is a thread that waits. It hands each
program whose wait is over to a worker (:mod:`polysocket.effects.workers`), since a program may block.

The wait loop and its workers have *users*: calls that are suspended, and streams that are open. The threads start with
the first call that suspends, and end with the last user: a program that receives one message after another starts no
thread for each. Nothing here knows WebSockets.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Final

from polysocket.effects.workers import Workers

__all__ = ["READ", "WRITE", "Wait", "WaitLoop", "add_user", "remove_user", "wait_loop_for"]

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

MOST_SOCKETS: Final = 500 if sys.platform == "win32" else math.inf
"""Sockets that can be waited for. In Windows, Python's select() takes 512 (FD_SETSIZE)."""

LONGEST_SELECT: Final = 60 * 60.0  # seconds: select.epoll refuses more than 2**31 ms, and waking once an hour is free


class Wait:
    """The wait of a suspended program: until a socket is ready, the deadline has come, or :meth:`end_now` is called."""

    def __init__(self, interests: Mapping[int, int] | None = None, deadline: float | None = None) -> None:
        self.interests: Mapping[int, int] = interests or {}
        """For each descriptor, what it is waited for: ``READ``, ``WRITE`` or both."""
        self.deadline: float = math.inf if deadline is None else deadline
        """The time of ``time.monotonic()`` at which the wait ends in any case."""
        self.ready: dict[int, int] = {}
        """The descriptors that have ended the wait, and what they are ready for."""
        self.is_woken: bool = False
        """Whether :meth:`end_now` was called."""
        self.refusal: str | None = None
        """Why the system can't wait for these descriptors."""
        self.resume: Callable[[], object] | None = None
        """The function that a worker calls after the wait; None once that is due."""
        self.loop: WaitLoop | None = None

    def __await__(self) -> Generator[Wait, None, None]:
        yield self
        if self.refusal is not None:
            raise OSError(self.refusal)

    def end_now(self) -> None:
        """End the wait. May be called more than once, by any thread, and before the program has suspended."""
        self.is_woken = True
        if self.loop is not None:
            self.loop.post(self)


class WaitLoop:
    """The thread that waits. Other threads share nothing with it but what they post."""

    def __init__(self) -> None:
        self._workers = Workers()
        self._posted: deque[Wait] = deque()
        self._waits: dict[int, set[Wait]] = {}  # by descriptor
        self._timed: set[Wait] = set()  # those that have a deadline
        self._next_look = math.inf  # at the deadlines; none is earlier
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = _bell()
        self._selector.register(self._bell, READ)

    def start(self) -> None:
        """Start a worker and the thread. Raises RuntimeError if the system has no more threads."""
        self._workers.start_one()
        threading.Thread(target=self._run, name="polysocket wait loop", daemon=True).start()

    def post(self, wait: Wait) -> None:
        """Tell the wait loop of a wait that has begun or was woken. May be called more than once, with a lock held."""
        wait.loop = self  # before the loop looks at is_woken: end_now() sets that, and then looks for the loop
        self._posted.append(wait)
        self.ring()

    def ring(self) -> None:
        """Have the wait loop look at what is new."""
        with contextlib.suppress(OSError, ValueError):  # It was rung often enough, or the wait loop has ended.
            self._rope.write(b"\0")

    def close(self) -> None:
        """End the workers, and close the descriptors."""
        self._workers.end()
        self.close_descriptors()

    def close_descriptors(self) -> None:
        """Close the descriptors only."""
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _run(self) -> None:
        while _is_needed(self):
            while self._posted:
                self._take(self._posted.popleft())
            self._workers.grow_if_stuck()
            seconds = min(self._next_look - time.monotonic(), self._workers.seconds_until_stuck(), LONGEST_SELECT)
            for key, events in self._selector.select(max(seconds, 0)):
                if key.fileobj is self._bell:
                    self._bell.read(4096)
                else:
                    self._end_waits(key.fd, events)
            self._end_overdue()  # after a look at the sockets, also if the deadline had passed before the wait began
        self.close()

    def _take(self, wait: Wait) -> None:
        if wait.resume is None:
            return
        if wait.is_woken:
            self._end(wait)
            return
        if wait.deadline < math.inf:
            self._timed.add(wait)
            self._next_look = min(self._next_look, wait.deadline)
        try:
            for fd in wait.interests:
                self._waits.setdefault(fd, set()).add(wait)
                self._watch(fd)
        except (OSError, ValueError) as error:
            wait.refusal = str(error)
            self._end(wait)

    def _end_waits(self, fd: int, events: int) -> None:
        for wait in tuple(self._waits.get(fd, ())):
            if ready := wait.interests[fd] & events:
                wait.ready[fd] = ready
                self._end(wait)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            for wait in [wait for wait in self._timed if wait.deadline <= now]:
                self._end(wait)
            self._next_look = min((wait.deadline for wait in self._timed), default=math.inf)

    def _end(self, wait: Wait) -> None:
        self._timed.discard(wait)
        for fd in wait.interests:
            if fd in self._waits:
                self._waits[fd].discard(wait)
                with contextlib.suppress(OSError, ValueError):  # A user has closed the descriptor.
                    self._watch(fd)
        resume, wait.resume = wait.resume, None
        if resume is not None:
            self._workers.put(resume)

    def _watch(self, fd: int) -> None:
        """Tell the system what a descriptor is waited for."""
        events = 0
        for wait in self._waits[fd]:
            events |= wait.interests[fd]
        is_watched = fd in self._selector.get_map()
        if not events:
            del self._waits[fd]
            if is_watched:
                self._selector.unregister(fd)
        elif is_watched:
            self._selector.modify(fd, events)
        elif len(self._waits) > MOST_SOCKETS:
            raise OSError(f"Windows can't wait for more than {MOST_SOCKETS} sockets at a time")
        else:
            self._selector.register(fd, events)


def _bell() -> tuple[io.RawIOBase, io.RawIOBase]:
    """Return two files: the wait loop waits for the first one, and a write to the second one wakes it."""
    if sys.platform == "win32":  # which can't wait for a pipe
        files = list[io.RawIOBase]()
        for sock in socket.socketpair():
            sock.setblocking(False)
            files.append(sock.makefile("rwb", buffering=0))
            sock.close()  # The file keeps it open.
        return files[0], files[1]
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return io.FileIO(reader, "rb"), io.FileIO(writer, "wb")


# The wait loop of the process

_lock = threading.RLock()  # A signal handler or a destructor may make a call while its own thread is inside.
_loop: WaitLoop | None = None
_users = set[object]()
_of_parent: list[object] = []
"""The suspended programs of the parent process.

They are kept: if a coroutine is freed, its ``finally`` blocks run, which would act on the parent's connections.
"""


def add_user(user: object) -> None:
    """Have the threads last, once they have started, until this user is removed."""
    _users.add(user)


def wait_loop_for(user: object) -> WaitLoop:
    """Add a user and return the wait loop. Raises RuntimeError or OSError if it can't be started."""
    _users.add(user)
    loop = _loop  # without a lock on the common way: the caller may hold others
    if loop is None:
        with _lock:
            loop = _loop or _start()
    return loop


def _start() -> WaitLoop:
    """Start the wait loop of the process; the lock is held."""
    global _loop  # noqa: PLW0603 - one for the process
    loop = WaitLoop()
    try:
        loop.start()
        if _loop is None:  # else a signal handler has started one meanwhile, and this one ends
            _loop = loop
    except BaseException:
        if _loop is loop:
            _loop = None  # A signal handler can raise after each step.
        loop.close()
        raise
    return _loop


def remove_user(user: object) -> None:
    """Let the threads end, if no other user is left. May be called more than once."""
    _users.discard(user)
    loop = _loop  # now: it may have started for another user who has left before this one
    if loop is not None and not _users:
        loop.ring()


def _is_needed(loop: WaitLoop) -> bool:
    """Return whether the wait loop goes on; if not, the next call that suspends starts another one."""
    global _loop  # noqa: PLW0603 - one for the process
    if _loop is loop and _users:
        return True
    with _lock:  # The wait loop may be about to start: it is the current one only then.
        if _loop is loop:
            _loop = None  # before the look at the users: a new one adds itself, and then looks for the loop
            if _users:
                _loop = loop
        return _loop is loop


def _leave_to_parent() -> None:
    """Begin anew in a forked process."""
    global _lock, _loop, _users
    if _loop is not None:
        _loop.close_descriptors()
    _of_parent.append((_loop, _users))
    _lock, _loop, _users = threading.RLock(), None, set[object]()


if hasattr(os, "register_at_fork"):  # not in Windows
    os.register_at_fork(after_in_child=_leave_to_parent)
