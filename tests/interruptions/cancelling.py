"""Cancel a conversation at each of its suspensions, in any runtime; the machines of asyncio and uvloop.

Each call of the conversation is driven through a coroutine that counts how often the call suspends. At the n-th
suspension the call is cancelled, in one of the machine's *styles*.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
import time
import types
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, ClassVar

from polysocket import Binary, WebSocketClosed
from polysocket import asyncio as polysocket_asyncio
from tests.interruptions.cases import Case, Cases, drive, open_sockets
from tests.interruptions.conversation import (
    BLOCK_LIMIT,
    VARIANTS,
    Exchange,
    Fault,
    Variant,
    conversation,
    options,
    recovery,
)
from tests.interruptions.peer import Peer

__all__ = ["AsyncioMachine", "CancellingMachine", "Cut", "Interrupted", "UvloopMachine", "interrupt"]

Call = Callable[[], Awaitable[Any]]


class Interrupted(Exception):
    """The end of a call that has raised its cancellation."""


class Cut:
    """The suspension at which a conversation is cancelled, counted over all its calls."""

    def __init__(self, at: int, style: str) -> None:
        self.count = 0
        self.has_cut = False
        self._at = at
        self._is_late = style.startswith("late")
        self._is_twice = style == "twice"

    @types.coroutine
    def counted(self, call: Awaitable[Any], cancel: Callable[[], object]) -> Generator[Any, Any, Any]:
        """Make a call, and cancel it when its turn comes: at once, or in the turn in which it would go on."""
        steps: Any = call.__await__()
        resume = functools.partial(next, steps)
        is_late = False
        cuts = 0
        while True:
            try:
                waits_for = resume()
            except StopIteration as stop:
                return stop.value
            self.count += 1
            if (self.count == self._at and not self.has_cut) or (cuts == 1 and self._is_twice):
                self.has_cut = True
                cuts += 1
                is_late = self._is_late
                if not is_late:
                    cancel()
                elif asyncio.isfuture(waits_for):
                    is_late = False
                    waits_for.add_done_callback(lambda _: cancel())  # before the task's own callback
            try:
                value = yield waits_for
                if is_late:
                    cancel()
                    is_late = False
            except BaseException as error:  # noqa: BLE001 - handed to the call
                resume = functools.partial(steps.throw, error)
            else:
                resume = functools.partial(steps.send, value)


class CancellingMachine(ABC):
    """The cases of one runtime."""

    name: ClassVar[str]
    styles: ClassVar[tuple[str, ...]]

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @abstractmethod
    def run(self, cases: Cases) -> None:
        """Run the cases in one event loop."""

    @abstractmethod
    def connect(self, url: str, **options: Any) -> Awaitable[Any]:
        """Call the flavour's ``connect``."""

    @abstractmethod
    async def make(self, call: Call, cut: Cut, style: str) -> Any:
        """Make a call that may be cancelled. Raises Interrupted if it was, and raised its cancellation."""

    @abstractmethod
    def tasks(self) -> object:
        """Return something that tells which tasks there are."""

    @abstractmethod
    def bounded(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Limit the time of a case."""

    @abstractmethod
    async def turn(self) -> None:
        """Let other tasks run."""

    @abstractmethod
    def beside(self, program: Callable[[], Coroutine[Any, Any, None]]) -> contextlib.AbstractAsyncContextManager[None]:
        """Run a program beside the block, and wait for its end; cancel it if the block raises."""

    async def report(self, path: str) -> Any:
        """Wait for the peer's report in the loop's own thread: nothing else runs."""
        return self._peer.report(path)

    async def run_all(self, cases: Cases) -> None:
        """Run the cases, one after the other."""
        for variant in VARIANTS:
            for style in self.styles:
                for case in cases.of(variant, style):
                    with case:
                        await self._run(case, variant, style)
                    if case.position % 50 == 0:
                        gc.collect()

    async def _run(self, case: Case, variant: Variant, style: str) -> None:
        sockets, tasks = open_sockets(), self.tasks()
        cut = Cut(case.position, style)
        try:
            async with self.bounded():
                await self._converse(case, variant, style, cut)
        finally:
            case.count = cut.count
        for _ in range(10):
            await self.turn()
        if self.tasks() != tasks:
            raise Fault(f"there are tasks left: {self.tasks()}; before: {tasks}")
        if left := open_sockets() - sockets:
            raise Fault(f"sockets are left open: {left}")

    async def _converse(self, case: Case, variant: Variant, style: str, cut: Cut) -> None:
        def make(call: Call) -> Awaitable[Any]:
            return self.make(call, cut, style)

        url = self._peer.url(variant.transport, case.path)
        settings = options(variant, self._peer.client_context)
        exchange = Exchange("give pause ")
        try:
            exchange.ws = await make(lambda: self.connect(url, **settings))
        except Interrupted:
            case.notes.append("in connect")
            return
        is_whole = True

        async def ping() -> None:
            with contextlib.suppress(WebSocketClosed):
                while True:
                    await exchange.ws.ping(timeout=BLOCK_LIMIT)

        async with self.beside(ping) if "shared" in style else contextlib.nullcontext(), self._leaving(exchange.ws):
            try:
                await drive(conversation(exchange, variant), make)
                if not variant.ends_with_close:
                    exchange.is_closing = True
                    await make(lambda: exchange.ws.__aexit__(None, None, None))
            except Interrupted:
                case.notes.append(f"after message {exchange.number}, closing: {exchange.is_closing}")
                is_whole = not exchange.is_closing
                if is_whole:
                    await drive(recovery(exchange), lambda call: call())
                else:
                    await self._check_end(exchange.ws)
        exchange.check(await self.report(case.path), must_be_whole=is_whole)

    @contextlib.asynccontextmanager
    async def _leaving(self, ws: Any) -> Any:
        try:
            yield
        finally:
            began = time.monotonic()
            await ws.__aexit__(*sys.exc_info())
            if time.monotonic() - began > BLOCK_LIMIT:
                raise Fault("the end of the block took too long")
            await self._check_end(ws)

    async def _check_end(self, ws: Any) -> None:
        if ws.is_open or ws.close_info is None:
            raise Fault("the websocket is still open")
        try:
            await ws.send(Binary(b""))
        except WebSocketClosed:
            return
        raise Fault("a message was sent after the end")


class AsyncioMachine(CancellingMachine):
    """The cases of asyncio's own event loop."""

    name = "asyncio"
    styles = ("cancel", "late", "twice", "timeout", "wait_for", "group", "cancel-shared", "late-shared")

    def run(self, cases: Cases) -> None:
        """Run the cases in one event loop, which must not be told of an error."""
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            runner.run(self._main(cases))

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Make the event loop."""
        return asyncio.new_event_loop()

    async def _main(self, cases: Cases) -> None:
        def fail(_: object, context: dict[str, Any]) -> None:
            hook: Any = sys.unraisablehook
            hook(_Unraisable(context))

        asyncio.get_running_loop().set_exception_handler(fail)
        await asyncio.to_thread(int)  # The loop keeps this thread for the names that are looked up.
        await self.run_all(cases)

    def connect(self, url: str, **options: Any) -> Awaitable[Any]:
        """Call ``connect``."""
        return polysocket_asyncio.connect(url, **options)

    def tasks(self) -> object:
        """Return all tasks."""
        return asyncio.all_tasks()

    def bounded(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Limit the time of a case."""
        return asyncio.timeout(2 * BLOCK_LIMIT)

    async def turn(self) -> None:
        """Sleep for one turn."""
        await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def beside(self, program: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
        """Run a task."""
        task = asyncio.create_task(program())
        try:
            yield
        except BaseException:
            task.cancel()
            raise
        await task

    async def make(self, call: Call, cut: Cut, style: str) -> Any:
        """Make a call in the way of the style."""
        makers: dict[str, Callable[[Call, Cut], Coroutine[Any, Any, Any]]] = {
            "timeout": self._within_a_timeout,
            "wait_for": self._in_wait_for,
            "group": self._in_a_group,
        }
        return await makers.get(style, self._cancelled)(call, cut)

    async def _cancelled(self, call: Call, cut: Cut) -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            result = await cut.counted(call(), task.cancel)
        except asyncio.CancelledError:
            if not task.cancelling():
                raise Fault("a cancellation came that was not this one's") from None
            while task.cancelling():
                task.uncancel()
            raise Interrupted from None
        if task.cancelling():  # It came in the call's last step, and is raised by what the task awaits next.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
                raise Fault("the cancellation was swallowed")
            while task.cancelling():
                task.uncancel()
        return result

    async def _within_a_timeout(self, call: Call, cut: Cut) -> Any:
        has_result = False
        result: Any = None
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                result = await cut.counted(call(), lambda: timeout.reschedule(0))
                has_result = True
        except TimeoutError:
            if not timeout.expired():
                raise
            if not has_result:
                raise Interrupted from None
        return result

    async def _in_wait_for(self, call: Call, cut: Cut) -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            return await asyncio.wait_for(cut.counted(call(), task.cancel), 2 * BLOCK_LIMIT)
        except asyncio.CancelledError:
            task.uncancel()
            raise Interrupted from None
        finally:
            if task.cancelling():
                task.uncancel()

    async def _in_a_group(self, call: Call, cut: Cut) -> Any:
        tasks = list[asyncio.Task[Any]]()
        try:
            async with asyncio.TaskGroup() as group:
                coroutine = cut.counted(call(), lambda: group.create_task(interrupt()))
                tasks.append(group.create_task(_awaited(coroutine)))
        except* Interrupted:
            pass
        parent = asyncio.current_task()
        while parent is not None and parent.cancelling():  # Python 3.11 does not always take the group's own back.
            parent.uncancel()
        if tasks[0].cancelled():
            raise Interrupted
        return tasks[0].result()


class _Unraisable:
    """An error that an event loop was told of, in the form of those that Python itself reports."""

    def __init__(self, context: dict[str, Any]) -> None:
        self.exc_value = context.get("exception")
        self.err_msg = str(context.get("message"))
        self.object = context
        self.exc_type = type(self.exc_value)
        self.exc_traceback = getattr(self.exc_value, "__traceback__", None)


async def _awaited(call: Awaitable[Any]) -> Any:
    return await call


async def interrupt() -> None:
    """Fail, as a task beside the call does."""
    raise Interrupted


class UvloopMachine(AsyncioMachine):
    """The cases of uvloop's event loop."""

    name = "uvloop"

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Make the event loop."""
        import uvloop

        return uvloop.new_event_loop()
