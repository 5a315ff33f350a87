"""polysocket's own flavours, as the contract sees them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, Unpack
from unittest import mock

import pytest

from polysocket import Request, WebSocket, blocking, threaded, threads
from polysocket import asyncio as polysocket_asyncio
from polysocket.effect import Event, run
from polysocket.opening import ConnectOptions
from polysocket.sockets import wait_until_connected, wait_until_ready
from polysocket.testing.contract import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task

if importlib.util.find_spec("trio") is not None:
    import trio
    import trio.testing

    from polysocket import trio as polysocket_trio

T = TypeVar("T")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)

PATIENCE = 10  # seconds after which a body that should have ended hangs


class BlockingFlavour(Flavour):
    """Threads; what they wait in is watched, bounded in time, and interrupted where a test wants it."""

    def __init__(self) -> None:
        self._threads: list[_Thread[Any]] = []

    def run(self, body: Body) -> None:
        with _watched_waits():
            main = _Thread(body, self._drive)
            main.drive()
            for thread in self._threads:
                thread.join()
        main.future.result()

    def _drive(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run(program())

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return blocking.connect(url_or_request, **options)

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        thread = _Thread(lambda: program(*args), self._drive)
        self._threads.append(thread)
        thread.start()
        return thread

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        thread = _current.get()
        assert thread is not None
        thread.turns_left = turns
        try:
            return await program()
        except _Interruption:
            return INTERRUPTED
        finally:
            thread.turns_left = None

    def event(self) -> Event:
        return blocking.BlockingEffect().event()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


class ThreadedFlavour(BlockingFlavour):
    """Threads that are changed where a program has to wait."""

    def _drive(self, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def driven() -> T:
            return await program()

        return threaded.ThreadedEffect().lift(driven)().result()

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return threaded.connect(url_or_request, **options).result()

    def event(self) -> Event:
        return threaded.ThreadedEffect().event()


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
    return any(result) if isinstance(result, tuple) else bool(result)


_current: ContextVar[_Thread[Any] | None] = ContextVar("_current", default=None)
"""The task that is run in this context; None in the threads of servers."""


@contextlib.contextmanager
def _watched_waits() -> Iterator[None]:
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
            seconds = threads._remaining()
            done = (
                wait_for_event(self._event, seconds)
                if thread is None
                else thread.wait(lambda limit: wait_for_event(self._event, limit), seconds)
            )

    with (
        mock.patch.object(threads, "wait_until_ready", socket_wait),
        mock.patch.object(threads, "wait_until_connected", connect_wait),
        mock.patch.object(threads.ThreadEvent, "wait", event_wait),
    ):
        yield


class AsyncioFlavour(Flavour):
    """Tasks of asyncio, on its own loop."""

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def run(self, body: Body) -> None:
        complaints: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(PATIENCE):
                await body()
            left_behind = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left_behind, f"tasks are left behind: {left_behind}"

        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(main())
        assert not complaints, f"the loop was told of errors: {complaints}"

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return await polysocket_asyncio.connect(url_or_request, **options)

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        return _AsyncioTask(asyncio.create_task(program(*args)))

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        task = asyncio.create_task(program())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED

    def event(self) -> Event:
        return asyncio.Event()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(function, *args)


class _AsyncioTask(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self._task = task

    async def result(self) -> T:
        return await self._task

    async def waiting(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)


class UvloopFlavour(AsyncioFlavour):
    """Tasks of asyncio, on uvloop's loop."""

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        import uvloop

        return uvloop.new_event_loop()


class TrioFlavour(Flavour):
    """Tasks of trio."""

    def run(self, body: Body) -> None:
        trio.run(self._main, body)

    async def _main(self, body: Body) -> None:
        living = trio.lowlevel.current_statistics().tasks_living
        failure: BaseException | None = None
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as self._nursery:
                try:
                    await body()
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - raised again, but in no group
                    failure = error
                    self._nursery.cancel_scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
        if failure is not None:
            raise failure
        assert trio.lowlevel.current_statistics().tasks_living == living, "tasks are left behind"

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return await polysocket_trio.connect(url_or_request, **options)

    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        task: _TrioTask[T] = _TrioTask(lambda: program(*args))
        self._nursery.start_soon(task.drive)
        return task

    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        task: _TrioTask[T] = _TrioTask(program)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.drive)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        try:
            return await task.result()
        except trio.Cancelled:
            return INTERRUPTED

    def event(self) -> Event:
        return trio.Event()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)


class _TrioTask(Generic[T]):
    def __init__(self, program: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._program = program
        self._future: Future[T] = Future()
        self._ended = trio.Event()

    async def drive(self) -> None:
        try:
            self._future.set_result(await self._program())
        except trio.Cancelled as error:
            self._future.set_exception(error)
            raise
        except BaseException as error:  # noqa: BLE001 - raised by result()
            self._future.set_exception(error)
        finally:
            self._ended.set()

    async def result(self) -> T:
        await self._ended.wait()
        return self._future.result()

    async def waiting(self) -> None:
        for _ in range(TURNS):
            await trio.lowlevel.checkpoint()


FLAVOURS: dict[str, type[Flavour]] = {
    "blocking": BlockingFlavour,
    "threaded": ThreadedFlavour,
    "asyncio": AsyncioFlavour,
}
if importlib.util.find_spec("uvloop") is not None:
    FLAVOURS["uvloop"] = UvloopFlavour
if importlib.util.find_spec("trio") is not None:
    FLAVOURS["trio"] = TrioFlavour
