"""Calls to observers, made in the order of what happened, and never while the session's mutex is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any, Final, TypeVar

from polysocket._session.reading import wake
from polysocket.effects import Event, Mutex

__all__ = ["Notifications"]

T = TypeVar("T")

# Calls that are due, about 180 bytes each, after which nothing more is read: those of one read of Pings come on top.
MOST_DUE: Final = 256


class Notifications:
    """A queue of calls that are due; a session without observers never fills it."""

    def __init__(self, mutex: Mutex) -> None:
        self.due: deque[tuple[Context, Callable[[Any], object], Any]] = deque()
        """The calls, each with the context of the caller that has caused it, since another caller may make it."""
        self.log: Callable[[str], object] | None = None
        """The log of the websocket; None if it is off."""
        self.may_hold_back: bool = True
        """False once one of the calls closes the websocket: it may wait for the peer's Close, which must be read."""
        self._mutex = mutex
        self._is_delivering = False
        self._thread = 0  # that makes the latest call
        self._waiting: list[Event] = []

    @property
    def is_delivered_elsewhere(self) -> bool:
        """Whether another thread makes the calls, and is in the middle of one."""
        return self._is_delivering and self._thread != get_ident()

    @property
    def is_delivered_here(self) -> bool:
        """Whether this thread makes the calls, so that its caller may be one of them."""
        return self._is_delivering and self._thread == get_ident()

    @property
    def is_late(self) -> bool:
        """Whether another thread makes the calls, and is slower than the peer: then nothing more is to be read."""
        return len(self.due) >= MOST_DUE and self.may_hold_back and self.is_delivered_elsewhere

    async def wait(self, waiter: Event) -> None:
        """Wait until another thread that makes the calls has made all that are due."""
        with self._mutex:
            if not self.is_delivered_elsewhere:
                return
            self._waiting.append(waiter)
        await waiter.wait()
        self.deliver()  # what that thread has left, if it was interrupted

    @property
    def has_work(self) -> bool:
        """Whether calls are due that no caller of :meth:`deliver` is about to make."""
        return bool(self.due) and not self._is_delivering

    def note(self, event: str) -> None:
        """Queue a line for the log about an event that no observer is told, if the log is on; the mutex is held."""
        if self.log is not None:
            self.add(self.log, event)

    def add(self, call: Callable[[T], object], argument: T) -> None:
        """Queue a call; the mutex is held."""
        self.due.append((copy_context(), call, argument))

    def deliver(self) -> None:
        """Make the calls that are due, one at a time; the mutex is not held.

        If a call is being made already, by another thread or by a caller of this one, that caller makes these calls,
        too.
        """
        while True:
            is_own_call = False
            try:
                with self._mutex:
                    if self._is_delivering or not self.due:
                        if not self._is_delivering and self._waiting:
                            wake(self._waiting)
                        return
                    is_own_call = self._is_delivering = True  # in this order: a signal handler may raise between
                    self._thread = get_ident()
                    context, call, argument = self.due.popleft()
                context.run(call, argument)
            except BaseException:
                with self._mutex:  # After this, no caller begins to wait for this one.
                    if is_own_call:
                        self._is_delivering = is_own_call = False
                    wake(self._waiting)
                raise
            finally:
                if is_own_call:
                    self._is_delivering = False
