"""polysocket's own flavours for the contract."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, Unpack

import pytest

from polysocket import Backend, ConnectOptions, Request, WebSocket, blocking, threaded
from polysocket import asyncio as polysocket_asyncio
from polysocket.effects import Effect
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.threaded import ThreadedEffect
from polysocket.testing.contract import INTERRUPTED, TURNS, Body, Flavour, Interrupted, Task
from polysocket.testing.contract.threads import ThreadFlavour

if importlib.util.find_spec("trio") is not None:
    import trio
    import trio.testing

    from polysocket import trio as polysocket_trio
    from polysocket.effects.trio import TrioEffect

T = TypeVar("T")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)

PATIENCE = 10  # seconds to wait before a test fails


class BlockingFlavour(ThreadFlavour):
    """Plain values."""

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return blocking.connect(url_or_request, **options)

    def backend(self, *, request: Request) -> Backend[Any]:
        return blocking.BlockingBackend(request=request)

    def effect(self) -> Effect:
        return BlockingEffect()


class ThreadedFlavour(ThreadFlavour):
    """Futures, completed by background threads."""

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return threaded.connect(url_or_request, **options).result()

    def backend(self, *, request: Request) -> Backend[Any]:
        return threaded.ThreadedBackend(request=request)

    def effect(self) -> Effect:
        return ThreadedEffect()


class AsyncioFlavour(Flavour):
    """Tasks of asyncio, on its own event loop."""

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

    def backend(self, *, request: Request) -> Backend[Any]:
        return polysocket_asyncio.AsyncioBackend(request=request)

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

    def effect(self) -> Effect:
        return AsyncioEffect()

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
    """Tasks of asyncio, on uvloop's event loop."""

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
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - raised again without a group
                    failure = error
                    self._nursery.cancel_scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
        if failure is not None:
            raise failure
        assert trio.lowlevel.current_statistics().tasks_living == living, "tasks are left behind"

    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        return await polysocket_trio.connect(url_or_request, **options)

    def backend(self, *, request: Request) -> Backend[Any]:
        return polysocket_trio.TrioBackend(request=request)

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
        finally:
            del task  # It keeps the error, whose traceback has this frame; so in the methods below.

    def effect(self) -> Effect:
        return TrioEffect()

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
            del self

    async def result(self) -> T:
        await self._ended.wait()
        try:
            return self._future.result()
        finally:
            del self

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
