"""The event loops of the soak: what its one program needs of asyncio, uvloop and trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

__all__ = ["Runtime", "run"]

T = TypeVar("T")
Start: TypeAlias = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The operations of an event loop."""

    sleep: Callable[[float], Awaitable[object]]
    limit: Callable[[float], AbstractAsyncContextManager[object]]  # TimeoutError or the like after these seconds
    start_tasks: Callable[[], AbstractAsyncContextManager[Start]]  # start(function, *arguments); the end waits for all
    event: Callable[[], Any]
    slots: Callable[[int], AbstractAsyncContextManager[object]]  # a semaphore
    count_tasks: Callable[[], int]


@asynccontextmanager
async def _asyncio_tasks() -> AsyncIterator[Start]:
    async with asyncio.TaskGroup() as group:
        yield lambda function, *arguments: group.create_task(function(*arguments))


def _on_asyncio() -> Runtime:
    return Runtime(
        asyncio.sleep,
        asyncio.timeout,
        _asyncio_tasks,
        asyncio.Event,
        asyncio.Semaphore,
        lambda: len(asyncio.all_tasks()),
    )


def _on_trio() -> Runtime:
    import trio

    @asynccontextmanager
    async def limit(seconds: float) -> AsyncIterator[None]:
        with trio.fail_after(seconds):
            yield

    @asynccontextmanager
    async def tasks() -> AsyncIterator[Start]:
        async with trio.open_nursery() as nursery:
            yield nursery.start_soon

    return Runtime(
        trio.sleep,
        limit,
        tasks,
        trio.Event,
        trio.Semaphore,
        lambda: trio.lowlevel.current_statistics().tasks_living,
    )


def run(flavour: str, program: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
    """Run the program in the flavour's event loop."""
    if flavour == "trio":
        import trio

        return trio.run(program, _on_trio())
    loop_factory = asyncio.new_event_loop
    if flavour == "uvloop":
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(program(_on_asyncio()))
