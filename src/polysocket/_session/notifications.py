"""Calls to observers, made in the order of what happened, and never while the session's mutex is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from polysocket.effects import Mutex

__all__ = ["Notifications"]

T = TypeVar("T")


class Notifications:
    """A queue of calls that are due; a session without observers never fills it."""

    def __init__(self, mutex: Mutex) -> None:
        self.due: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._mutex = mutex
        self._is_delivering = False

    def add(self, call: Callable[[T], object], argument: T) -> None:
        """Queue a call; the mutex is held."""
        self.due.append((call, argument))

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
                        return
                    is_own_call = self._is_delivering = True  # in this order: a signal handler may raise between
                    call, argument = self.due.popleft()
                call(argument)
            finally:
                if is_own_call:
                    self._is_delivering = False
