"""The flavours, as the tests of backends see them: a backend, a way to run a test's body, and what goes on beside it.

A body is an ``async def`` that is written once; asyncio and trio run it in their loop, in the other flavours it is
driven to its end in the test's thread. It opens by the real backend, whose results come in the flavour's own ``F``;
:meth:`Flavour.seen` gives an object whose methods are awaited in every flavour. No test waits by sleeping.
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
if has_uvloop:
    pass

T = TypeVar("T")

Body = Callable[[], Coroutine[Any, Any, None]]

PATIENCE = 10  # seconds after which what should have happened will not


class Settings(TypedDict, total=False):
    """What a backend takes."""

    ssl: ssl.SSLContext | None
    proxy: ProxySetting
    request: Request


class Inbox(Protocol[T]):
    """Where callbacks put what they were given, and a body takes it from."""

    def put(self, item: T, /) -> object: ...
    async def get(self) -> T: ...


class Task(Protocol):
    """A program that runs beside the body."""

    def cancel(self) -> None: ...
    async def result(self) -> Any: ...


class Flavour(Protocol):
    """One way to wait; made anew for each test."""

    is_async: bool

    def run(self, body: Body) -> None:
        """Run a body to its end, bounded in time, and look that it leaves no task."""
        ...

    def backend(self, **settings: Unpack[Settings]) -> Backend[Any]:
        """The flavour's backend."""
        ...

    async def value(self, given: Any) -> Any:
        """What is in ``F``."""
        ...

    def lifted(self, value: T) -> Any:
        """A value as an effect of ``F``."""
        ...

    def finished(self, given: Any) -> Any:
        """What a plain callback returns, so that it is over when what is in ``F`` is."""
        ...

    def entered(self, backend: Backend[Any]) -> AbstractAsyncContextManager[None]:
        """The backend's own ``with`` or ``async with``."""
        ...

    def inbox(self) -> Inbox[Any]: ...

    def spawn(self, program: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Task:
        """Run a program beside the body, in a task or thread."""
        ...

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that blocks beside what is going on."""
        ...

    async def nothing_left_to_do(self) -> None:
        """Go on when every task waits for the outside, where that can be told."""
        ...


def seen(flavour: Flavour, thing: Any) -> Any:
    """The same websocket or backend, whose methods are awaited in every flavour."""
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
    """The flavour's backend in its ``with``, as it is seen by a body."""
    backend = flavour.backend(**settings)
    async with flavour.entered(backend):
        yield seen(flavour, backend)


async def opened(
    flavour: Flavour, backend: Any, request: str | Request, handler: Handler | None = None
) -> WebSocket[Async]:
    """The websocket that a backend opens for a handler, as it is seen by a body."""
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
        """Nothing: of threads it can't be told."""

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


# anyio's backend, on each library that it finds


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
