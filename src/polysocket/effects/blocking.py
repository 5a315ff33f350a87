"""The effect of blocking sockets: ``F[T]`` is ``T``."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from polysocket.effects.happy_eyeballs import SocketAttempts
from polysocket.effects.interface import foreign_await
from polysocket.effects.sockets import BlockingAttempts, SocketEffect, ThreadEvent, call_deadline, context_of_call

__all__ = ["BlockingEffect"]

P = ParamSpec("P")
T = TypeVar("T")


class BlockingEffect(SocketEffect):
    """The :class:`~polysocket.effects.Effect` of blocking sockets: its coroutines never suspend."""

    name: str = "polysocket.blocking"
    attempts: type[SocketAttempts] = BlockingAttempts

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, T]:
        """Make a function that drives the program to its end.

        A program whose ``ready`` is a pair of itself and a plain function has that called first, with the object and
        keywords that the program takes. What it returns is the result, unless it is None.
        """
        owner = getattr(program, "__self__", None)
        of, found = getattr(program, "ready", (None, None))
        ready: Callable[..., T | None] | None = None
        if found is not None and of is getattr(program, "__func__", program):  # functools.wraps copies it, too.
            ready = found if owner is None else partial(found, owner)
        positional = 1 if owner is None else 0
        keywords = frozenset(inspect.signature(program).parameters) if ready is not None else frozenset[str]()

        @wraps(program)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            # The program itself raises the error for arguments that it doesn't take.
            if ready is not None and len(args) == positional and (not kwargs or kwargs.keys() <= keywords):
                here = ready(*args, **kwargs)
                if here is not None:
                    return here
            # As in run(), without its call, and mostly without that of context_of_call(): each message comes this way.
            coroutine = program(*args, **kwargs)
            try:
                context = copy_context() if call_deadline.get() is None else context_of_call()
                context.run(coroutine.send, None)
            except StopIteration as stop:  # No call follows in which a signal handler could raise: that loses a result.
                result: T = stop.value
                return result
            except BaseException:
                coroutine.close()
                raise
            coroutine.close()
            raise foreign_await(coroutine)

        return call

    async def unlift(self, value: T, /) -> T:
        """Return the value itself."""
        return value

    def event(self) -> ThreadEvent:
        """Return a new event."""
        return ThreadEvent()

    def current_task(self) -> object:
        """Return the number of the calling thread."""
        return threading.get_ident()
