"""The effect of blocking sockets: ``F[T]`` is ``T``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from polysocket.effects import foreign_await
from polysocket.effects.sockets import SocketEffect, ThreadEvent, unlimited

__all__ = ["BlockingEffect"]


P = ParamSpec("P")


T = TypeVar("T")


class BlockingEffect(SocketEffect):
    """The :class:`~polysocket.effects.Effect` of blocking sockets: its coroutines never suspend."""

    def event(self) -> ThreadEvent:
        """A new event."""
        return ThreadEvent()

    def current_task(self) -> object:
        """The calling thread."""
        return threading.get_ident()

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, T]:
        """Make a function that drives the program to its end."""

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            coroutine = program(*args, **kwargs)  # As in run(), without its call: this is on the way of each message.
            try:
                coroutine.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result
            finally:
                coroutine.close()
            raise foreign_await(coroutine)

        return call

    async def unlift(self, value: T, /) -> T:
        """The value itself."""
        return value

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Drive the program in a thread."""
        drive = self.lift(unlimited(program))
        threading.Thread(target=drive, name=f"polysocket {program.__name__}", daemon=True).start()
