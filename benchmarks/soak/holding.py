"""Hold connections for one run, in a process of its own: ``python -m benchmarks.soak.holding PLAN`` (as JSON).

All are opened, and idle while memory is measured; then they talk; then they are idle again; then all are closed. While
they talk, a share is closed and opened again all the time, so that a leak grows with the time. The process prints the
result as JSON.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from benchmarks.soak.conversation import MEAN_BURST, Conversation
from benchmarks.soak.libraries import PATIENCE, Library, installed
from benchmarks.soak.result import Plan, Result
from benchmarks.soak.runtimes import Runtime, run
from benchmarks.soak.usage import Usage, memory, usage

__all__ = ["hold"]

T = TypeVar("T")

OPENING_AT_ONCE = 50  # half of asyncio's backlog
WORKERS = 16  # threads that talk on all connections of the flavours of threads
WARMING_UP = 3  # connections that fill the caches before anything is measured
TICK = 0.05  # seconds


@asynccontextmanager
async def _no_limit(_: float) -> Any:
    yield


class Connection:
    """A connection that reports each error to its conversation, and is opened anew after one."""

    def __init__(self, library: Library, url: str, conversation: Conversation, limit: Any = _no_limit) -> None:
        self._library = library
        self._url = url
        self._conversation = conversation
        self._limit = limit
        self._stack = AsyncExitStack()
        self._ws: Any = None

    async def open(self) -> None:
        library, conversation = self._library, self._conversation
        try:
            connecting = library.connect(self._url, conversation.offers_compression)
            self._ws = await self._stack.enter_async_context(connecting)
        except Exception as error:  # noqa: BLE001 - any error of a library is a figure
            self._report("opening", error)
        else:
            conversation.opened += 1
            conversation.saw(self._ws)

    async def talk(self) -> None:
        """Send a burst of messages and check their echoes."""
        library, conversation, ws = self._library, self._conversation, self._ws
        if ws is None:
            return
        try:
            async with self._limit(PATIENCE):
                if conversation.is_pinging():
                    await library.ping(ws)
                    conversation.pings += 1
                messages = conversation.burst()
                for message in messages:
                    conversation.sent += 1
                    await library.send(ws, message)
                for _ in messages:
                    conversation.check(await library.receive(ws))
        except Exception as error:  # noqa: BLE001 - any error of a library is a figure
            self._report("talking", error)
            await self.close()

    async def close(self) -> None:
        self._ws = None
        try:
            await self._stack.aclose()
        except Exception as error:  # noqa: BLE001 - any error of a library is a figure
            self._report("closing", error)

    @property
    def is_due_to_reopen(self) -> bool:
        return self._ws is None or self._conversation.is_reopening()

    def _report(self, step: str, error: Exception) -> None:
        self._conversation.failures.append(f"{step}: {type(error).__name__}: {error}")


class Phase:
    """A step that all tasks begin together; the main task waits until all have done it."""

    def __init__(self, runtime: Runtime, tasks: int) -> None:
        self.begin = runtime.event()
        self._done = runtime.event()
        self._left = tasks

    async def run(self) -> None:
        self.begin.set()
        await self._done.wait()

    def arrive(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()


async def hold_in_loop(plan: Plan, library: Library, runtime: Runtime) -> Result:
    """Hold the connections, each in a task."""
    conversations = [Conversation(number) for number in range(plan.connections)]
    ready, opening, talking = (Phase(runtime, plan.connections) for _ in range(3))
    closing = runtime.event()
    slots = runtime.slots(OPENING_AT_ONCE)
    until = 0.0

    async def keep(conversation: Conversation) -> None:
        connection = Connection(library, plan.url, conversation, runtime.limit)
        ready.arrive()
        await opening.begin.wait()
        async with slots:
            await connection.open()
        opening.arrive()
        await talking.begin.wait()
        pause = conversation.pause(plan.connections * MEAN_BURST / plan.rate)
        while (left := until - time.monotonic()) > 0:
            await runtime.sleep(min(left, pause))
            if left > pause:
                await connection.talk()
                if connection.is_due_to_reopen:
                    async with slots:
                        await connection.close()
                        await connection.open()
            pause = conversation.pause(plan.connections * MEAN_BURST / plan.rate)
        talking.arrive()
        await closing.wait()
        await connection.close()

    for number in range(WARMING_UP):
        await _warm_up(Connection(library, plan.url, Conversation(number), runtime.limit))
    before = usage(runtime.count_tasks())
    async with runtime.start_tasks() as start:
        for conversation in conversations:
            start(keep, conversation)
        await ready.run()
        base = _memory()
        await opening.run()
        await runtime.sleep(TICK)
        idle = _memory()
        until = time.monotonic() + plan.seconds
        await talking.run()
        await runtime.sleep(TICK)
        after = _memory()
        closing.set()
    until = time.monotonic() + plan.settling
    while any(left := usage(runtime.count_tasks()).above(before)) and time.monotonic() < until:
        await runtime.sleep(TICK)
    return _result(plan, conversations, base, idle, after, left)


def hold_in_threads(plan: Plan, library: Library) -> Result:
    """Hold the connections, shared among some threads: one thread for each would cost more than the connections."""
    conversations = [Conversation(number) for number in range(plan.connections)]
    connections = [Connection(library, plan.url, conversation) for conversation in conversations]
    workers = min(WORKERS, plan.connections)
    until = 0.0

    def work(first: int) -> None:
        conversation = Conversation(first)  # for its random pauses only
        while time.monotonic() < until:
            for connection in connections[first::workers]:
                time.sleep(conversation.pause(workers * MEAN_BURST / plan.rate))
                if time.monotonic() > until:
                    break
                _finish(connection.talk())
                if connection.is_due_to_reopen:
                    _finish(connection.close())
                    _finish(connection.open())

    for number in range(WARMING_UP):
        _finish(_warm_up(Connection(library, plan.url, Conversation(number))))
    before = usage(0)
    base = _memory()
    for connection in connections:
        _finish(connection.open())
    time.sleep(TICK)
    idle = _memory()
    until = time.monotonic() + plan.seconds
    threads = [threading.Thread(target=work, args=[first]) for first in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = _memory()
    for connection in connections:
        _finish(connection.close())
    until = time.monotonic() + plan.settling
    while any(left := usage(0).above(before)) and time.monotonic() < until:
        time.sleep(TICK)
    return _result(plan, conversations, base, idle, after, left)


def hold(plan: Plan, library: Library) -> Result:
    """Run the plan with the library."""
    if plan.flavour in ("blocking", "threaded"):
        return hold_in_threads(plan, library)

    async def program(runtime: Runtime) -> Result:
        return await hold_in_loop(plan, library, runtime)

    return run(plan.flavour, program)


async def _warm_up(connection: Connection) -> None:
    await connection.open()
    for _ in range(10):
        await connection.talk()
    await connection.close()


def _finish(program: Coroutine[Any, Any, T]) -> T:
    """Run a program that never suspends."""
    try:
        program.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    program.close()
    raise RuntimeError("a library of a flavour of threads has suspended")


def _memory() -> int | None:
    gc.collect()
    return memory()


def _result(
    plan: Plan,
    conversations: list[Conversation],
    base: int | None,
    idle: int | None,
    after: int | None,
    left: Usage,
) -> Result:
    gc.collect()

    def each(total: int | None) -> float | None:
        return None if base is None or total is None else (total - base) / plan.connections

    return Result(
        flavour=plan.flavour,
        library=plan.library,
        connections=plan.connections,
        opened=sum(each.opened for each in conversations),
        sent=sum(each.sent for each in conversations),
        received=sum(each.received for each in conversations),
        lost=sum(each.lost for each in conversations),
        pings=sum(each.pings for each in conversations),
        failures=[failure for each in conversations for failure in each.failures],
        idle=each(idle),
        after=each(after),
        descriptors=left.descriptors,
        tasks=left.tasks,
        threads=left.threads,
        objects=sum(each.unfreed for each in conversations),
    )


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    (library,) = installed(plan.flavour, [plan.library])
    print(json.dumps(dataclasses.asdict(hold(plan, library))))


if __name__ == "__main__":
    main()
