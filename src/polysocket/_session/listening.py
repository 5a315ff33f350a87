"""Waiting for listeners: closing a backend waits until each listener has been told of its websocket's end.

A callback may close the backend. Closing then doesn't wait for the listener of that callback, and two listeners that
close the same backend don't wait for each other. The calls themselves are in :mod:`~polysocket.handlers.listener`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

from polysocket.effects import Effect

__all__ = ["Listening", "calling_listener"]


class Listening:
    """One listener's work on its websocket, from ``on_open`` to ``on_close``."""

    def __init__(self, effect: Effect) -> None:
        self._has_ended = effect.event()
        self._has_ended_or_waits = effect.event()

    def end(self) -> None:
        """Wake all that wait for this listener."""
        self._has_ended_or_waits.set()
        self._has_ended.set()

    def note_waiting(self) -> None:
        """Note that a callback of this listener waits for the others: from now on they don't wait for it."""
        self._has_ended_or_waits.set()

    async def wait_until_ended(self, caller: Listening | None) -> None:
        """Wait for the end. ``caller`` is the listener whose callback waits, if any."""
        if caller is not self:
            await (self._has_ended if caller is None else self._has_ended_or_waits).wait()

    @contextlib.contextmanager
    def calling(self) -> Generator[None]:
        """Mark the block, and all tasks that it starts, as a callback of this listener until the block ends."""
        call = _Call(self)
        token = _call.set(call)
        try:
            yield
        finally:
            _call.reset(token)
            call.listening = None  # A task that the callback started keeps its copy of the context variable.


class _Call:
    """A call of a listener's method; ``listening`` is cleared when the method has returned."""

    def __init__(self, listening: Listening | None) -> None:
        self.listening = listening


_call: ContextVar[_Call] = ContextVar("_call", default=_Call(None))  # noqa: B039 - the default is never changed


def calling_listener() -> Listening | None:
    """Return the listener whose callback runs here, or has started this task and has not returned."""
    return _call.get().listening
