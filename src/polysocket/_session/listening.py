"""A listener at its work, as whoever closes sees it: when it is at its end, and who may wait for that.

Whoever closes from inside a listener's method can't wait for that listener, and two that close the same backend must
not wait for each other. What a listener does is in :mod:`~polysocket.handlers.listener`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

from polysocket.effects import Effect

__all__ = ["Listening", "calling_listener"]


class Listening:
    """A listener's work, from its first frame to the end of ``on_close``."""

    def __init__(self, effect: Effect) -> None:
        self._has_ended = effect.event()
        self._is_free = effect.event()  # It has ended, or waits for other listeners itself.

    def end(self) -> None:
        """The listener was told of the end."""
        self._is_free.set()
        self._has_ended.set()

    def wait_for_others(self) -> None:
        """The listener itself begins to wait for others: from now on none of them waits for it."""
        self._is_free.set()

    async def ended(self, asking: Listening | None) -> None:
        """Wait for the end; a listener that is asking waits for no other that does so."""
        if asking is not self:
            await (self._has_ended if asking is None else self._is_free).wait()

    @contextlib.contextmanager
    def calling(self) -> Generator[None]:
        """While the block goes on, the listener is in a method."""
        call = _Call(self)
        token = _call.set(call)
        try:
            yield
        finally:
            call.is_running = False  # for tasks that it has started, too: they inherit the variable
            _call.reset(token)


class _Call:
    """A call of a listener's method."""

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self.is_running = True


_call: ContextVar[_Call | None] = ContextVar("_call", default=None)


def calling_listener() -> Listening | None:
    """The listener in whose method this is called, or in a task that such a method has started and may wait for."""
    call = _call.get()
    return call.listening if call is not None and call.is_running else None
