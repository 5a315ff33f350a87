"""The future of asyncio whose task goes on at once."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

from polysocket.effects.direct_future import DirectFuture

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="")


def test_the_task_goes_on_within_the_callback_in_its_own_context() -> None:
    async def main() -> list[str]:
        loop, happened = asyncio.get_running_loop(), list[str]()
        future = DirectFuture(loop=loop)

        async def wait() -> None:
            name.set("the task")
            await future
            happened.append(f"{name.get()} went on, {asyncio.current_task() is task}")

        def call_back() -> None:
            future.set_directly()
            happened.append(f"the callback ended{name.get()}")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        loop.call_soon(call_back)
        await task
        return happened

    assert asyncio.run(main()) == ["the task went on, True", "the callback ended"]


def test_a_task_that_sets_it_is_not_interrupted() -> None:
    async def main() -> list[str]:
        happened = list[str]()
        future = DirectFuture(loop=asyncio.get_running_loop())

        async def wait() -> None:
            await future
            happened.append("went on")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        future.set_directly()
        happened.append("set")
        await task
        return happened

    assert asyncio.run(main()) == ["set", "went on"]


@pytest.mark.parametrize("set_it", [DirectFuture.set_directly, lambda future: future.set_result(None)])
def test_it_can_be_set_before_it_is_awaited(set_it: object) -> None:
    async def main() -> None:
        future = DirectFuture(loop=asyncio.get_running_loop())
        assert callable(set_it)
        set_it(future)
        async with asyncio.timeout(10):
            await future

    asyncio.run(main())


def test_a_cancelled_task_raises_in_the_next_turn_and_a_later_result_changes_nothing() -> None:
    async def main() -> None:
        future = DirectFuture(loop=asyncio.get_running_loop())

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel("why")
        assert future.cancelled()
        assert not future.cancel()
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task

    asyncio.run(main())


def test_the_error_of_a_task_stays_its_own() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = DirectFuture(loop=loop)

        async def fail() -> None:
            await future
            raise ZeroDivisionError

        def call_back() -> None:
            future.set_directly()

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        loop.call_soon(call_back)
        with pytest.raises(ZeroDivisionError):
            await task

    asyncio.run(main())


def test_a_task_that_has_gone_on_is_not_kept() -> None:
    class Result:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        futures = [DirectFuture(loop=loop) for _ in range(3)]

        async def wait(future: DirectFuture) -> Result:
            await future
            return Result()

        tasks = [asyncio.create_task(wait(future)) for future in futures]
        await asyncio.sleep(0)
        loop.call_soon(futures[0].set_directly)
        futures[1].set_result(None)
        tasks[2].cancel()
        await asyncio.wait(tasks)
        left = [weakref.ref(task) for task in tasks]
        del tasks
        await asyncio.sleep(0)
        assert [reference() for reference in left] == [None, None, None]

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
