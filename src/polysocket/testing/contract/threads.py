"""The contract in threads: for effects over the blocking sockets of ``polysocket.effects``.

What they wait in is watched: it is bounded in time, and interrupted where a test wants it, as Ctrl-C would.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Generic, TypeVar
from unittest import mock

from polysocket._lifting import wait_for_result
from polysocket.effects import sockets
from polysocket.effects.polling import wait_until_connected, wait_until_ready
from polysocket.testing.contract.flavour import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task

__all__ = ["ThreadFlavour"]

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 10  # seconds after which a body that should have ended hangs


class ThreadFlavour(Flavour):
    """A flavour whose tasks are threads: only ``connect`` and ``effect`` are its author's."""

    def __init__(self) -> None:
        self._threads: list[_Thread[Any]] = []

    def run(self, body: Body) -> None:
        """Drive the body in this thread, and wait for those that it has begun."""
        with _watched_waits():
            main = _Thread(body, self._drive)
            main.drive()
            for thread in self._threads:
                thread.join()
        main.future.result()

    def _drive(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def driven() -> T:
            return await program()

        result: T = wait_for_result(self.effect().lift(driven)())
        return result

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        """Drive a program in a thread."""
        thread = _Thread(lambda: program(*args), self._drive)
        self._threads.append(thread)
        thread.start()
        return thread

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        """Run a program, out of whose wait an exception comes after so many turns."""
        thread = _current.get()
        assert thread is not None
        thread.turns_left = turns
        try:
            return await program()
        except _Interruption:
            return INTERRUPTED
        finally:
            thread.turns_left = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call the function."""
        return function(*args)


class _Interruption(BaseException):
    """What comes out of a wait, as KeyboardInterrupt would."""


class _Thread(Generic[T]):
    """A thread that drives a program, and watches over what it waits in."""

    def __init__(
        self,
        program: Callable[[], Coroutine[Any, Any, T]],
        drive: Callable[[Callable[[], Coroutine[Any, Any, T]]], T],
    ) -> None:
        self.future: Future[T] = Future()
        self.turns_left: int | None = None
        self._program = program
        self._drive = drive
        self._deadline = time.monotonic() + PATIENCE
        self._waits = threading.Event()
        self._thread = threading.Thread(target=self.drive, name="a task of the contract's")

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def drive(self) -> None:
        token = _current.set(self)
        try:
            self.future.set_result(self._drive(self._program))
        except BaseException as error:  # noqa: BLE001 - raised by result()
            self.future.set_exception(error)
        finally:
            _current.reset(token)
            self._waits.set()

    async def result(self) -> T:
        return self.future.result(PATIENCE)

    async def waiting(self) -> None:
        assert self._waits.wait(PATIENCE), "the program neither waits nor ends"

    def wait(self, attempt: Callable[[float], R], seconds: float | None) -> R:
        """One wait of the thread's: ``attempt`` waits for so many seconds, and tells whether that was enough."""
        if self.turns_left is not None:
            ready = attempt(0)
            if not self.turns_left or not _is_ready(ready):
                raise _Interruption
            self.turns_left -= 1
            return ready
        self._waits.set()
        try:
            left = self._deadline - time.monotonic()
            ready = attempt(max(left if seconds is None else min(seconds, left), 0))
        finally:
            self._waits.clear()
        if seconds is None and not _is_ready(ready):
            raise AssertionError(f"hangs: it waited for {PATIENCE} seconds")
        return ready


def _is_ready(result: object) -> bool:
    return bool(result) and result != (False, False)


_current: ContextVar[_Thread[Any] | None] = ContextVar("_current", default=None)
"""The task that is run in this context; None in the threads of servers."""


@contextlib.contextmanager
def _watched_waits() -> Generator[None]:
    """Let the blocking flavour's waits, for sockets and for another thread, go through :meth:`_Thread.wait`."""
    wait_for_event = threading.Event.wait

    def socket_wait(fd: int, readable: bool, writable: bool, seconds: float | None) -> tuple[bool, bool]:
        thread = _current.get()
        if thread is None:
            return wait_until_ready(fd, readable, writable, seconds)
        return thread.wait(lambda limit: wait_until_ready(fd, readable, writable, limit), seconds)

    def connect_wait(sockets: Sequence[socket.socket], seconds: float | None) -> socket.socket | None:
        thread = _current.get()
        if thread is None:
            return wait_until_connected(sockets, seconds)
        return thread.wait(lambda limit: wait_until_connected(sockets, limit), seconds)

    async def event_wait(self: Any) -> None:
        thread = _current.get()
        done = False
        while not done:
            seconds = sockets._remaining()
            done = (
                wait_for_event(self._event, seconds)
                if thread is None
                else thread.wait(lambda limit: wait_for_event(self._event, limit), seconds)
            )

    with (
        mock.patch.object(sockets, "wait_until_ready", socket_wait),
        mock.patch.object(sockets, "wait_until_connected", connect_wait),
        mock.patch.object(sockets.ThreadEvent, "wait", event_wait),
    ):
        yield
