"""Time limits for runtimes in which nothing can cancel a wait: a deadline in a context variable.

Each wait of such a runtime looks at the deadline and raises :class:`DeadlinePassed`. Threads have one context variable,
the virtual clock of ``polysocket.testing`` has another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = ["DeadlinePassed", "TimeLimit", "unlimited"]

P = ParamSpec("P")
T = TypeVar("T")


class DeadlinePassed(BaseException):
    """The end of a wait whose time limit has passed: it ends a program as a cancellation does elsewhere."""


class TimeLimit:
    """A time limit on a clock, as a context manager of programs; ``deadline`` holds the nearest of nested limits."""

    def __init__(self, seconds: float | None, now: Callable[[], float], deadline: ContextVar[float | None]) -> None:
        self._seconds = seconds
        self._now = now
        self._deadline = deadline

    async def __aenter__(self) -> None:
        outer = self._deadline.get()
        own = None if self._seconds is None else self._now() + self._seconds
        self._is_nearest = own is not None and (outer is None or own < outer)
        self._token = self._deadline.set(own if self._is_nearest else outer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._deadline.reset(self._token)
        if self._is_nearest and isinstance(error, DeadlinePassed):
            raise TimeoutError(f"{self._seconds} seconds have passed") from None


def unlimited(
    program: Callable[P, Coroutine[Any, Any, T]], deadline: ContextVar[float | None]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the program without the time limits that it inherits in its context."""

    @functools.wraps(program)
    async def begun(*args: P.args, **kwargs: P.kwargs) -> T:
        deadline.set(None)
        return await program(*args, **kwargs)

    return begun
