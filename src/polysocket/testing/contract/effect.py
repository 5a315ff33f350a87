"""The effect itself: background programs, time limits, interruptible blocks, the mutex, streams."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from polysocket.effects import Effect
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, promise

_setting: ContextVar[str] = ContextVar("_setting", default="none")


def spawn(flavour: Flavour, program: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Run a program in the background; return a coroutine function that waits for its end and returns its error."""
    ended: list[BaseException | None] = []
    has_ended = flavour.event()

    def on_done(error: BaseException | None) -> None:
        ended.append(error)
        has_ended.set()

    async def end() -> BaseException | None:
        await has_ended.wait()
        [error] = ended  # on_done was called exactly once.
        return error

    flavour.effect().spawn(program, on_done)
    return end


@promise
async def test_a_background_program_starts_after_spawn_and_its_end_is_reported(flavour: Flavour) -> None:
    steps: list[str] = []
    begin = flavour.event()

    async def program() -> None:
        await begin.wait()
        steps.append("program")

    end = spawn(flavour, program)
    steps.append("caller")
    begin.set()
    assert await end() is None
    assert steps == ["caller", "program"]


@promise
async def test_a_background_program_may_take_a_mutex_that_its_caller_holds(flavour: Flavour) -> None:
    mutex = flavour.effect().mutex()
    steps: list[str] = []

    async def program() -> None:
        with mutex:
            steps.append("program")

    with mutex:
        end = spawn(flavour, program)
        steps.append("caller")
    assert await end() is None
    assert steps == ["caller", "program"]


@promise
async def test_a_background_program_sees_the_context_variables_of_its_caller(flavour: Flavour) -> None:
    seen: list[str] = []

    async def program() -> None:
        seen.append(_setting.get())
        _setting.set("the program's own")

    token = _setting.set("the caller's")
    try:
        assert await spawn(flavour, program)() is None
        assert _setting.get() == "the caller's"
    finally:
        _setting.reset(token)
    assert seen == ["the caller's"]


@promise
async def test_a_background_program_has_no_time_limit_of_its_caller(flavour: Flavour) -> None:
    go_on, steps = flavour.event(), list[str]()

    async def program() -> None:
        await go_on.wait()
        steps.append("program")

    async def begin_and_wait() -> Callable[[], Coroutine[Any, Any, Any]]:
        end = spawn(flavour, program)
        with contextlib.suppress(TimeoutError):
            async with flavour.effect().time_limit(0.01):
                await flavour.event().wait()
        return end

    async with flavour.effect().time_limit(5):
        end = await begin_and_wait()
        go_on.set()
        assert await end() is None
    assert steps == ["program"]


@pytest.mark.parametrize("seconds", [0, 0.01])
@promise
async def test_a_time_limit_ends_what_is_awaited_inside(flavour: Flavour, seconds: float) -> None:
    effect = flavour.effect()
    began = effect.now()
    with pytest.raises(TimeoutError):
        async with effect.time_limit(seconds):
            await effect.event().wait()
    assert effect.now() - began >= seconds - 0.001  # uvloop rounds time to milliseconds


@promise
async def test_nested_time_limits_each_end_their_own_block(flavour: Flavour) -> None:
    effect = flavour.effect()
    async with effect.time_limit(5), effect.time_limit(None):
        with pytest.raises(TimeoutError):
            async with effect.time_limit(0.01), effect.time_limit(5):
                await effect.event().wait()


@promise
async def test_a_cancellation_passes_through_a_time_limit(flavour: Flavour) -> None:
    async def wait() -> None:
        async with flavour.effect().time_limit(5):
            await flavour.event().wait()

    assert await flavour.interrupt(wait) is INTERRUPTED


@promise
async def test_an_interruptible_block_ends_when_it_is_interrupted(flavour: Flavour) -> None:
    effect = flavour.effect()
    begun = flavour.event()
    interrupts: list[Callable[[], None]] = []

    async def wait() -> str:
        async with effect.interruptible() as interrupt:
            interrupts.append(interrupt)
            begun.set()
            if effect.is_async:  # A thread can't be interrupted.
                await effect.event().wait()
        return "went on"

    waiting = flavour.spawn(wait)
    await begun.wait()
    if effect.is_async:
        interrupts[0]()
    assert await waiting.result() == "went on"


@promise
async def test_an_event_wakes_all_that_wait_and_stays_set(flavour: Flavour) -> None:
    event = flavour.event()

    async def wait() -> bool:
        await event.wait()
        return True

    waiting = [flavour.spawn(wait) for _ in range(3)]
    for task in waiting:
        await task.waiting()
    event.set()
    event.set()
    assert [await task.result() for task in waiting] == [True] * 3
    await event.wait()


@promise
async def test_an_effect_has_a_name_for_error_texts(flavour: Flavour) -> None:
    assert flavour.effect().name.strip()


@promise
async def test_a_function_that_blocks_runs_outside_of_an_event_loop(flavour: Flavour) -> None:
    effect = flavour.effect()
    thread = await effect.run_blocking(threading.current_thread)
    assert not effect.is_async or thread is not threading.current_thread()


@promise
async def test_an_error_of_a_function_that_blocks_is_raised(flavour: Flavour) -> None:
    with pytest.raises(ZeroDivisionError):
        await flavour.effect().run_blocking(lambda: 1 / 0)


@promise
async def test_a_cancellation_does_not_wait_for_a_function_that_blocks(flavour: Flavour) -> None:
    effect, go_on = flavour.effect(), threading.Event()
    if effect.is_async:
        try:
            assert await flavour.interrupt(lambda: effect.run_blocking(go_on.wait)) is INTERRUPTED
        finally:
            go_on.set()


# Streams


async def stream_and_socket(effect: Effect) -> tuple[Any, socket.socket]:
    """Return a stream, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.settimeout(5)
    return await effect.adopt(sock), peer


@promise
async def test_a_stream_carries_bytes_in_both_directions_and_reports_eof(flavour: Flavour) -> None:
    stream, peer = await stream_and_socket(flavour.effect())
    with peer:
        stream.write(b"ab")
        stream.write(b"c")
        await stream.drain()
        assert stream.pending == 0
        received = b""
        while len(received) < 3:
            received += await flavour.call(peer.recv, 10)
        assert received == b"abc"
        peer.sendall(b"xyz")
        assert await stream.read() == b"xyz"
        peer.shutdown(socket.SHUT_WR)
        assert await stream.read() == b""
        await stream.close()
        assert await flavour.call(peer.recv, 10) == b""


@promise
async def test_a_stream_reports_what_is_pending_until_it_is_drained(flavour: Flavour) -> None:
    stream, peer = await stream_and_socket(flavour.effect())
    size = 16 * 1024 * 1024

    def receive_all() -> int:
        received = 0
        while received < size:
            received += len(peer.recv(1 << 20))
        return received

    with peer:
        stream.write(bytes(size))
        assert stream.pending > 0
        receiving = flavour.spawn(flavour.call, receive_all)
        await stream.drain()
        await stream.close()
        assert await receiving.result() == size


@promise
async def test_an_aborted_stream_wakes_its_reader_and_refuses_writes(flavour: Flavour) -> None:
    stream, peer = await stream_and_socket(flavour.effect())

    async def read() -> bytes:
        data: bytes = await stream.read()
        return data

    with peer:
        reading = flavour.spawn(read)
        await reading.waiting()
        stream.abort()
        stream.abort()
        assert await reading.result() == b""
        with pytest.raises(OSError):  # noqa: PT011 - the runtime chooses the subclass
            stream.write(b"a")
