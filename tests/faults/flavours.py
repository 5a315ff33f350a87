"""Runs many cases at the same time in each flavour, in tasks or threads."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from polysocket import asyncio as polysocket_asyncio
from polysocket import blocking, threaded
from tests.faults.conversation import Case, Maker, converse
from tests.faults.proxy import PATIENCE

if importlib.util.find_spec("trio") is not None:
    import trio
    import trio.testing

    from polysocket import trio as polysocket_trio

THREADS = 40
TASKS = 48
HANGS = 2 * PATIENCE  # seconds after which a case hangs although the proxy has ended it

NewCase = Callable[[], Case]


class Run(Protocol):
    """The flavour's way to run cases, and to sleep in them."""

    def __call__(self, maker: Maker, new_cases: Sequence[NewCase]) -> list[Case]: ...

    async def sleep(self, seconds: float) -> None: ...


class ThreadsRun(ABC):
    """The common part of the flavours of threads."""

    @abstractmethod
    def _converse(self, case: Case) -> None:
        """Open a websocket, and hold the conversation."""

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - a thread may block

    def __call__(self, maker: Maker, new_cases: Sequence[NewCase]) -> list[Case]:
        def run(new_case: NewCase) -> Case:
            case, started, error = new_case(), time.monotonic(), None
            try:
                self._converse(case)
            except BaseException as raised:  # noqa: BLE001 - judged later
                error = raised
            maker.end(case, started, error)
            return case

        complaints: list[Any] = []
        before, threading.excepthook = threading.excepthook, complaints.append
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                cases = list(pool.map(run, new_cases))
        finally:
            threading.excepthook = before
        assert not complaints, f"threads have failed: {complaints}"
        return cases


class BlockingRun(ThreadsRun):
    def _converse(self, case: Case) -> None:
        with blocking.connect(case.url, **case.options) as ws:
            converse(ws, case)
        case.close_info = ws.close_info


class ThreadedRun(ThreadsRun):
    def _converse(self, case: Case) -> None:
        with threaded.connect(case.url, **case.options).result(HANGS) as ws:
            converse(ws, case).result(HANGS)
        case.close_info = ws.close_info


class AsyncioRun:
    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self._loop_factory = loop_factory

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def __call__(self, maker: Maker, new_cases: Sequence[NewCase]) -> list[Case]:
        complaints: list[dict[str, Any]] = []
        rest = iter(new_cases)

        async def main() -> list[Case]:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            cases = list[Case]()
            await asyncio.gather(*(self._run(maker, rest, cases) for _ in range(TASKS)))
            assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks are left behind"
            return cases

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            cases = runner.run(main())
        assert not complaints, f"the loop was told of errors: {complaints}"
        return cases

    async def _run(self, maker: Maker, rest: Iterator[NewCase], cases: list[Case]) -> None:
        for new_case in rest:
            case, started, error = new_case(), time.monotonic(), None
            try:
                async with asyncio.timeout(HANGS):
                    async with polysocket_asyncio.connect(case.url, **case.options) as ws:
                        await converse(ws, case)
                    case.close_info = ws.close_info
            except Exception as raised:  # noqa: BLE001 - judged later
                error = raised
            maker.end(case, started, error)
            cases.append(case)


class TrioRun:
    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def __call__(self, maker: Maker, new_cases: Sequence[NewCase]) -> list[Case]:
        rest = iter(new_cases)
        cases = list[Case]()

        async def main() -> None:
            living = trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as nursery:
                for _ in range(TASKS):
                    nursery.start_soon(self._run, maker, rest, cases)
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == living, "tasks are left behind"

        trio.run(main)
        return cases

    async def _run(self, maker: Maker, rest: Iterator[NewCase], cases: list[Case]) -> None:
        for new_case in rest:
            case, started, error = new_case(), time.monotonic(), None
            try:
                with trio.fail_after(HANGS):
                    async with polysocket_trio.connect(case.url, **case.options) as ws:
                        await converse(ws, case)
                    case.close_info = ws.close_info
            except Exception as raised:  # noqa: BLE001 - judged later
                error = raised
            maker.end(case, started, error)
            cases.append(case)


FLAVOURS: dict[str, Run] = {"blocking": BlockingRun(), "threaded": ThreadedRun(), "asyncio": AsyncioRun()}
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    FLAVOURS["uvloop"] = AsyncioRun(uvloop.new_event_loop)
if importlib.util.find_spec("trio") is not None:
    FLAVOURS["trio"] = TrioRun()
