"""The contract in threads: for effects over the plain sockets of ``polysocket.effects``.

Each wait, which blocks a thread or suspends a program, goes through the contract, which bounds it in time, and can
interrupt it as Ctrl-C does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, cast
from unittest import mock

from polysocket.effects import polling
from polysocket.effects.readiness import READ, WRITE, Wait
from polysocket.testing.contract.flavour import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task

__all__ = ["ThreadFlavour"]

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 10  # seconds until a wait fails: far more than a slow machine needs

UNTIL_READY = polling.wait_until_ready  # the original, while the contract replaces it


class ThreadFlavour(Flavour):
    """A flavour whose tasks are threads. The author adds ``connect``, ``backend`` and ``effect``."""

    def __init__(self) -> None:
        self._threads: list[_Thread[Any]] = []

    def run(self, body: Body) -> None:
        """Drive the body in this thread, and wait for the threads that it has started."""
        with _watched_waits():
            main = _Thread(body, self._drive)
            main.drive()
            for thread in self._threads:
                thread.join()
        main.future.result()

    def _drive(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def driven() -> T:
            return await program()

        result: T | Future[T] = self.effect().lift(driven)()
        return cast("Future[T]", result).result() if isinstance(result, Future) else result

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        """Drive a program in a thread."""
        thread = _Thread(lambda: program(*args), self._drive)
        self._threads.append(thread)
        thread.start()
        return thread

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        """Run a program, and raise an exception from its next wait after this number of turns."""
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
    """The exception that interrupts a wait, as KeyboardInterrupt would."""


class _Thread(Generic[T]):
    """A thread that drives a program, and bounds or interrupts its waits."""

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
        self._thread = threading.Thread(target=self.drive, name="a task of the contract")

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
            del self._program, self._drive  # They may hold a websocket.

    async def result(self) -> T:
        return self.future.result(PATIENCE)

    async def waiting(self) -> None:
        assert self._waits.wait(PATIENCE), "the program neither waits nor ends"

    def wait(self, attempt: Callable[[float], R], seconds: float) -> R:
        """Wait once. ``attempt`` takes the seconds to wait, and returns a true value if it is ready."""
        if self.turns_left is not None:
            ready = attempt(0)
            if not self.turns_left or not _is_ready(ready):
                raise _Interruption
            self.turns_left -= 1
            return ready
        self._waits.set()
        try:
            left = self._deadline - time.monotonic()
            ready = attempt(max(min(seconds, left), 0))
        finally:
            self._waits.clear()
        if seconds > left and not _is_ready(ready) and time.monotonic() >= self._deadline:
            raise AssertionError(f"the program hangs: it has waited for {PATIENCE} seconds")
        return ready

    def suspend(self, wait: Wait) -> Awaitable[object]:
        """Return what a program awaits that suspends."""
        if self.turns_left is not None:
            if not self.turns_left or not _is_over(wait):
                raise _Interruption
            self.turns_left -= 1
            return wait
        return _Suspension(self, wait)

    @contextlib.contextmanager
    def suspended(self, wait: Wait) -> Generator[None]:
        """Note that the program waits, and bound the wait."""
        deadline = wait.deadline
        wait.deadline = min(deadline, self._deadline)
        self._waits.set()
        try:
            yield
        finally:
            self._waits.clear()
        if wait.deadline != deadline and not (wait.ready or wait.is_woken):
            raise AssertionError(f"the program hangs: it has waited for {PATIENCE} seconds")


class _Suspension:
    """A wait of a program that suspends."""

    def __init__(self, thread: _Thread[Any], wait: Wait) -> None:
        self._thread = thread
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        with self._thread.suspended(self._wait):
            yield self._wait


def _is_over(wait: Wait) -> bool:
    """Return whether a program that suspends would go on at once."""
    return wait.is_woken or any(
        any(UNTIL_READY(fd, bool(events & READ), bool(events & WRITE), 0)) for fd, events in wait.interests.items()
    )


def _is_ready(result: object) -> bool:
    return bool(result) and result != (False, False)


_current: ContextVar[_Thread[Any] | None] = ContextVar("_current", default=None)
"""The task that runs here; None in the threads of servers."""


@contextlib.contextmanager
def _watched_waits() -> Generator[None]:
    """Route all blocking waits of the flavours of threads through :meth:`_Thread.wait`."""
    until_ready, until_connected, until_rung = (
        polling.wait_until_ready,
        polling.wait_until_connected,
        polling.wait_until_rung,
    )

    def wait_until_ready(fd: int, readable: bool, writable: bool, seconds: float) -> tuple[bool, bool]:
        return _watched(lambda limit: until_ready(fd, readable, writable, limit), seconds)

    def wait_until_connected(sockets: Sequence[socket.socket], seconds: float) -> socket.socket | None:
        return _watched(lambda limit: until_connected(sockets, limit), seconds)

    def wait_until_rung(bell: threading.Lock, seconds: float) -> bool:
        return _watched(lambda limit: until_rung(bell, limit), seconds)

    def until_over(wait: Wait) -> Awaitable[object]:
        thread = _current.get()
        return wait if thread is None else thread.suspend(wait)

    with mock.patch.multiple(
        polling,
        until_over=until_over,
        wait_until_ready=wait_until_ready,
        wait_until_connected=wait_until_connected,
        wait_until_rung=wait_until_rung,
    ):
        yield


def _watched(attempt: Callable[[float], R], seconds: float) -> R:
    thread = _current.get()
    return attempt(seconds) if thread is None else thread.wait(attempt, seconds)
