"""Guards for code that never waits: a lock for threads, and nothing for the tasks of one event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

__all__ = ["Mutex", "NoMutex", "ThreadMutex"]


class Mutex(AbstractContextManager[object], Protocol):
    """A guard that is entered with ``with``."""

    def is_held(self) -> object:
        """Return something true if the calling thread is inside: a signal handler can interrupt the guard's owner."""
        ...


if TYPE_CHECKING:

    class _RLock(AbstractContextManager[object]):
        def __exit__(self, *error: object) -> None: ...
        def is_held(self) -> bool: ...

else:
    _RLock = type(threading.RLock())


class ThreadMutex(_RLock):
    """A lock. A signal handler that calls what its own thread is in the middle of must not wait for it forever."""

    if not TYPE_CHECKING:
        # The method of C's RLock, which threading.Condition uses, too. A Python method would cost a call a message.
        is_held = _RLock._is_owned


class NoMutex:
    """A context manager that does nothing: the mutex of a flavour whose tasks all run in one thread."""

    # Any C function that accepts all arguments and returns something false. It costs half of what a lock or a
    # contextlib.nullcontext costs, and no Python call: "with" is on the way of each message.
    __enter__: Callable[..., object] = "".format
    __exit__: Callable[..., Any] = "".format
    is_held: Callable[..., object] = "".format
    """Return something false: the tasks of one thread can't interrupt each other."""
