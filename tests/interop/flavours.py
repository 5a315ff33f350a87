"""Runs a polymorphic program in each flavour, and checks that no task is leaked.

The tests of this folder and of ``tests/bad_input`` are written once and take a :class:`Flavour`. ``FLAVOURS`` has
those whose library (trio, uvloop) is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, Unpack

from polysocket import Request, blocking, polymorphic, threaded
from polysocket import asyncio as polysocket_asyncio
from polysocket._opening.options import ConnectOptions

if importlib.util.find_spec("trio") is not None:
    import trio
    import trio.testing

    from polysocket import trio as polysocket_trio

T = TypeVar("T")

Target = str | Request


class Flavour(Protocol):
    """One way to wait."""

    def open(self, target: Target, program: polymorphic[..., T], *args: Any, **options: Unpack[ConnectOptions]) -> T:
        """Open a websocket using ``with``, and run the program on it."""
        ...

    def together(
        self, target: Target, programs: Sequence[polymorphic[[], T]], **options: Unpack[ConnectOptions]
    ) -> list[T]:
        """Run many programs on one websocket at the same time, each in its own task or thread."""
        ...


class BlockingFlavour:
    def open(self, target: Target, program: polymorphic[..., T], *args: Any, **options: Unpack[ConnectOptions]) -> T:
        with blocking.connect(target, **options) as ws:
            return program(ws, *args)

    def together(
        self, target: Target, programs: Sequence[polymorphic[[], T]], **options: Unpack[ConnectOptions]
    ) -> list[T]:
        with blocking.connect(target, **options) as ws, ThreadPoolExecutor(len(programs)) as pool:
            return list(pool.map(lambda program: program(ws), programs))


class ThreadedFlavour:
    def open(self, target: Target, program: polymorphic[..., T], *args: Any, **options: Unpack[ConnectOptions]) -> T:
        with threaded.connect(target, **options).result() as ws:
            return program(ws, *args).result()

    def together(
        self, target: Target, programs: Sequence[polymorphic[[], T]], **options: Unpack[ConnectOptions]
    ) -> list[T]:
        with threaded.connect(target, **options).result() as ws:
            return [future.result() for future in [program(ws) for program in programs]]


class AsyncioFlavour:
    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self._loop_factory = loop_factory

    def open(self, target: Target, program: polymorphic[..., T], *args: Any, **options: Unpack[ConnectOptions]) -> T:
        async def main() -> T:
            try:
                async with polysocket_asyncio.connect(target, **options) as ws:
                    return await program(ws, *args)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            return runner.run(main())

    def together(
        self, target: Target, programs: Sequence[polymorphic[[], T]], **options: Unpack[ConnectOptions]
    ) -> list[T]:
        async def main() -> list[T]:
            async with polysocket_asyncio.connect(target, **options) as ws:
                return await asyncio.gather(*(program(ws) for program in programs))

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            return runner.run(main())


class TrioFlavour:
    def open(self, target: Target, program: polymorphic[..., T], *args: Any, **options: Unpack[ConnectOptions]) -> T:
        async def main() -> T:
            living = trio.lowlevel.current_statistics().tasks_living
            try:
                async with polysocket_trio.connect(target, **options) as ws:
                    return await program(ws, *args)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.testing.wait_all_tasks_blocked()
                assert trio.lowlevel.current_statistics().tasks_living == living

        return trio.run(main)

    def together(
        self, target: Target, programs: Sequence[polymorphic[[], T]], **options: Unpack[ConnectOptions]
    ) -> list[T]:
        async def main() -> list[T]:
            results: dict[int, T] = {}
            async with polysocket_trio.connect(target, **options) as ws, trio.open_nursery() as nursery:

                async def run(number: int, program: polymorphic[[], T]) -> None:
                    results[number] = await program(ws)

                for number, program in enumerate(programs):
                    nursery.start_soon(run, number, program)
            return [results[number] for number in range(len(programs))]

        return trio.run(main)


FLAVOURS: dict[str, Flavour] = {
    "blocking": BlockingFlavour(),
    "threaded": ThreadedFlavour(),
    "asyncio": AsyncioFlavour(),
}
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    FLAVOURS["uvloop"] = AsyncioFlavour(uvloop.new_event_loop)
if importlib.util.find_spec("trio") is not None:
    FLAVOURS["trio"] = TrioFlavour()
