"""Cancel a conversation at each of its suspensions, in trio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import trio

from polysocket import trio as polysocket_trio
from tests.interruptions.cancelling import CancellingMachine, Cut, Interrupted, interrupt
from tests.interruptions.cases import Cases
from tests.interruptions.conversation import BLOCK_LIMIT

__all__ = ["TrioMachine"]


class TrioMachine(CancellingMachine):
    """The cases of trio. There a scope stays cancelled, so that each case cancels all further waits, too."""

    name = "trio"
    styles = ("cancel", "late", "group", "cancel-shared", "late-shared")

    def run(self, cases: Cases) -> None:
        """Run the cases."""
        trio.run(self.run_all, cases)

    def connect(self, url: str, **options: Any) -> Awaitable[Any]:
        """Call ``connect``."""
        return polysocket_trio.connect(url, **options)

    def tasks(self) -> object:
        """Return the number of tasks."""
        return trio.lowlevel.current_statistics().tasks_living

    def bounded(self) -> Any:
        """Limit the time of a case."""
        return _fail_after()

    async def turn(self) -> None:
        """Let other tasks run."""
        await trio.lowlevel.checkpoint()

    @contextlib.asynccontextmanager
    async def beside(self, program: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
        """Run a task in a nursery."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program)
            yield

    async def make(self, call: Callable[[], Awaitable[Any]], cut: Cut, style: str) -> Any:
        """Make a call in a cancel scope, or in a nursery in which another task fails."""
        result: Any = None
        has_result = False

        async def run(cancel: Callable[[], object]) -> None:
            nonlocal result, has_result
            result = await cut.counted(call(), cancel)
            has_result = True

        if style == "group":
            try:
                async with trio.open_nursery() as nursery:
                    await run(lambda: nursery.start_soon(interrupt))
            except* Interrupted:
                pass
        else:
            with trio.CancelScope() as scope:
                await run(scope.cancel)
        if not has_result:
            raise Interrupted
        return result


@contextlib.asynccontextmanager
async def _fail_after() -> Any:
    with trio.fail_after(2 * BLOCK_LIMIT):
        yield
