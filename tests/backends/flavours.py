"""The flavours of the backends' tests: a backend, a way to run a test's body, and tasks beside the body.

A body is one ``async def`` for all flavours. asyncio and trio run it in their event loop. The other flavours drive it
in the test's thread. Backends return results in the flavour's own ``F``; :func:`seen` wraps an object so that its
methods are awaited in every flavour. No test sleeps to wait for something.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import queue
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, cast

from polysocket import Async, Backend, ProxySetting, Request, WebSocket, WebSocketHandler
from polysocket.asyncio import AsyncioBackend
from polysocket.blocking import BlockingBackend
from polysocket.effects import run
from polysocket.handlers.handler import Handler
from polysocket.threaded import ThreadedBackend
from tests.contract import flavours

has_trio = importlib.util.find_spec("trio") is not None
has_anyio = importlib.util.find_spec("anyio") is not None
has_uvloop = importlib.util.find_spec("uvloop") is not None
if has_trio:
    import math

    import trio
    import trio.testing

    from polysocket.trio import TrioBackend
T = TypeVar("T")

Body = Callable[[], Coroutine[Any, Any, None]]

PATIENCE = 10  # seconds to wait before a test fails


class Settings(TypedDict, total=False):
    """The arguments of a backend."""

    ssl: ssl.SSLContext | None
    proxy: ProxySetting
    request: Request


class Inbox(Protocol[T]):
    """A queue from callbacks to the body."""

    def put(self, item: T, /) -> object: ...
    async def get(self) -> T: ...


class Task(Protocol):
    """A program that runs beside the body."""

    def cancel(self) -> None: ...
    async def result(self) -> Any: ...


class Flavour(Protocol):
    """One flavour; made anew for each test."""

    is_async: bool

    def run(self, body: Body) -> None:
        """Run a body within a time limit, and check that it leaves no task."""
        ...

    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        """Make the flavour's backend."""
        ...

    async def value(self, given: Any) -> Any:
        """Wait for a result in ``F`` and return its value."""
        ...

    def lifted(self, value: T) -> Any:
        """Wrap a value in ``F``."""
        ...

    def finished(self, given: Any) -> Any:
        """Return the value that a plain callback must return to end no sooner than a result in ``F``."""
        ...

    def entered(self, backend: Backend[Any]) -> AbstractAsyncContextManager[None]:
        """Enter the backend's own ``with`` or ``async with``."""
        ...

    def inbox(self) -> Inbox[Any]: ...

    def spawn(self, program: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Task:
        """Run a program beside the body, in a task or thread."""
        ...

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that blocks, without blocking other tasks."""
        ...

    async def nothing_left_to_do(self) -> None:
        """Wait until all tasks wait, if the flavour can tell."""
        ...


def seen(flavour: Flavour, thing: Any) -> Any:
    """Wrap a websocket or backend so that its methods are awaited in every flavour."""
    return thing if flavour.is_async else _Seen(flavour, thing)


class _Seen:
    def __init__(self, flavour: Flavour, thing: Any) -> None:
        self._flavour = flavour
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._thing, name)
        if not callable(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._flavour.value(attribute(*args, **kwargs))

        return call


@contextlib.asynccontextmanager
async def a_backend(flavour: Flavour, **settings: Unpack[Settings]) -> AsyncIterator[Any]:
    """Enter the flavour's backend, wrapped by :func:`seen`."""
    backend = flavour.backend(**settings)
    async with flavour.entered(backend):
        yield seen(flavour, backend)


async def opened(
    flavour: Flavour, backend: Any, request: str | Request, handler: Handler | None = None
) -> WebSocket[Async]:
    """Open a websocket for a handler, and return the websocket wrapped by :func:`seen`."""
    response = await backend.open_websocket(request, handler or WebSocketHandler())
    return cast("WebSocket[Async]", seen(flavour, response.result))


# Threads


class _ThreadFlavour:
    is_async = False

    def run(self, body: Body) -> None:
        run(body())

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def inbox(self) -> Inbox[Any]:
        return _Queue()

    def spawn(self, program: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Task:
        return _Thread(lambda: run(program(*args)))

    async def nothing_left_to_do(self) -> None:
        """Return at once: threads can't be watched."""

    @contextlib.asynccontextmanager
    async def entered(self, backend: Backend[Any]) -> AsyncIterator[None]:
        with backend:
            yield


class _Queue:
    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.put = self._queue.put

    async def get(self) -> Any:
        return self._queue.get(timeout=PATIENCE)


class _Thread:
    def __init__(self, target: Callable[[], Any]) -> None:
        self._future: Future[Any] = Future()
        self._target = target
        self._thread = threading.Thread(target=self._drive, name="a task of a test's", daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        try:
            self._future.set_result(self._target())
        except BaseException as error:  # noqa: BLE001 - raised by result()
            self._future.set_exception(error)

    def cancel(self) -> None:
        raise NotImplementedError("a thread can't be cancelled")

    async def result(self) -> Any:
        try:
            return self._future.result(PATIENCE)
        finally:
            self._thread.join(PATIENCE)


class BlockingFlavour(_ThreadFlavour):
    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        return BlockingBackend(**settings)

    async def value(self, given: Any) -> Any:
        assert not isinstance(given, Future)
        assert not inspect.isawaitable(given)
        return given

    def lifted(self, value: T) -> Any:
        return value

    def finished(self, given: Any) -> Any:
        return given


class ThreadedFlavour(_ThreadFlavour):
    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        return ThreadedBackend(**settings)

    async def value(self, given: Any) -> Any:
        assert isinstance(given, Future)
        return given.result(PATIENCE)

    def lifted(self, value: T) -> Any:
        future: Future[T] = Future()
        future.set_result(value)
        return future

    def finished(self, given: Any) -> Any:
        return given.result(PATIENCE)


# Tasks


class _AsyncFlavour:
    is_async = True

    async def value(self, given: Any) -> Any:
        assert inspect.iscoroutine(given)
        return await given

    async def lifted(self, value: T) -> T:
        return value

    def finished(self, given: Any) -> Any:
        return given

    @contextlib.asynccontextmanager
    async def entered(self, backend: Backend[Any]) -> AsyncIterator[None]:
        async with backend:
            yield


class AsyncioFlavour(_AsyncFlavour, flavours.AsyncioFlavour):
    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        return AsyncioBackend(**settings)

    def inbox(self) -> Inbox[Any]:
        return _AsyncioQueue()

    def spawn(self, program: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> _AsyncioTask:
        return _AsyncioTask(asyncio.create_task(program(*args)))

    async def nothing_left_to_do(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)


class _AsyncioQueue:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.put = self._queue.put_nowait
        self.get = self._queue.get


class _AsyncioTask(flavours._AsyncioTask[Any]):
    def cancel(self) -> None:
        self._task.cancel()


class UvloopFlavour(AsyncioFlavour, flavours.UvloopFlavour):
    pass


class TrioFlavour(_AsyncFlavour, flavours.TrioFlavour):
    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        return TrioBackend(**settings)

    def inbox(self) -> Inbox[Any]:
        return _TrioQueue()

    def spawn(self, program: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> _TrioTask:
        task = _TrioTask(lambda: program(*args))
        self._nursery.start_soon(task.drive)
        return task

    async def nothing_left_to_do(self) -> None:
        await trio.testing.wait_all_tasks_blocked()


class _TrioQueue:
    def __init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[Any](math.inf)
        self.put = self._in.send_nowait
        self.get = self._out.receive


class _TrioTask(flavours._TrioTask[Any]):
    def __init__(self, program: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(program)
        self._scope = trio.CancelScope()

    async def drive(self) -> None:
        with self._scope:
            await super().drive()

    def cancel(self) -> None:
        self._scope.cancel()


# The anyio backend on asyncio and on trio


class AnyioFlavour:
    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        from polysocket.anyio import AnyioBackend

        return AnyioBackend(**settings)


class AnyioAsyncioFlavour(AnyioFlavour, AsyncioFlavour):
    pass


class AnyioTrioFlavour(AnyioFlavour, TrioFlavour):
    pass


FLAVOURS: dict[str, type[Flavour]] = {
    "blocking": BlockingFlavour,
    "threaded": ThreadedFlavour,
    "asyncio": AsyncioFlavour,
}
if has_anyio:
    FLAVOURS["anyio-asyncio"] = AnyioAsyncioFlavour
if has_uvloop:
    FLAVOURS["uvloop"] = UvloopFlavour
if has_trio:
    FLAVOURS["trio"] = TrioFlavour
if has_anyio and has_trio:
    FLAVOURS["anyio-trio"] = AnyioTrioFlavour

ASYNC = [name for name, flavour in FLAVOURS.items() if flavour.is_async]
ASYNCIO = [name for name, flavour in FLAVOURS.items() if issubclass(flavour, AsyncioFlavour)]
THREADS = [name for name, flavour in FLAVOURS.items() if not flavour.is_async]
