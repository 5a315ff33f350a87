"""Guards for code that never waits: a lock for threads, and nothing for the tasks of one event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

__all__ = ["Mutex", "NoMutex", "ThreadMutex"]


class Mutex(AbstractContextManager[object], Protocol):
    """A guard that is entered with ``with``, by the tasks of one event loop or by all threads."""

    loop: object
    """The event loop whose tasks may enter."""

    @property
    def running_loop(self) -> Callable[[], object]:
        """A function that returns the event loop that runs here: equal to ``loop`` for all that may enter."""
        ...

    @property
    def has_loop_ended(self) -> Callable[[], object]:
        """A function that returns something true if the loop has ended, so that nothing can wait in it again."""
        ...

    def acquire(self, *, timeout: float) -> object:
        """Enter as ``with`` does, within this number of seconds; return something true if that was possible."""
        ...

    def release(self) -> object:
        """Leave after :meth:`acquire`."""
        ...

    def is_held(self) -> object:
        """Return something true if the calling thread is inside: a signal handler can interrupt the guard's owner."""
        ...


if TYPE_CHECKING:

    class _RLock(AbstractContextManager[object]):
        def __exit__(self, *error: object) -> None: ...
        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
        def release(self) -> None: ...
        def is_held(self) -> bool: ...

else:
    _RLock = type(threading.RLock())


class ThreadMutex(_RLock):
    """A lock. A signal handler that calls what its own thread is in the middle of must not wait for it forever."""

    loop: object = ""
    running_loop: Callable[..., object] = "".format
    """Return the empty string, as ``loop`` is: all threads may enter."""
    has_loop_ended: Callable[..., object] = "".format
    """Return something false: no loop is known."""

    if not TYPE_CHECKING:
        # The method of C's RLock, which threading.Condition uses, too. A Python method would cost a call a message.
        is_held = _RLock._is_owned


class NoMutex:
    """A context manager that does nothing: the mutex of a flavour whose tasks all run in one thread.

    An effect that knows its event loop sets ``loop``, ``running_loop`` and ``has_loop_ended``. A websocket then refuses
    calls in other loops. ``running_loop`` is called for each message: a function in C, or a fast one of the runtime.
    """

    # Any C function that accepts all arguments and returns something false. It costs half of what a lock or a
    # contextlib.nullcontext costs, and no Python call: "with" is on the way of each message.
    __enter__: Callable[..., object] = "".format
    __exit__: Callable[..., Any] = "".format
    acquire: Callable[..., object] = "entered".format
    """Return something true."""
    release: Callable[..., object] = "".format
    """Do nothing."""
    is_held: Callable[..., object] = "".format
    """Return something false: the tasks of one thread can't interrupt each other."""
    loop: object = ""
    running_loop: Callable[..., object] = "".format
    """Return the empty string, as ``loop`` is: the loop of the caller is not known."""
    has_loop_ended: Callable[..., object] = "".format
    """Return something false: no loop is known."""
