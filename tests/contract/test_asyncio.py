"""The asyncio flavour as its users call it: ``async with``, ``await``, ``async for``; tasks, time limits, TaskGroup."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from polysocket import Asyncio, Buffer, ReceiveTimeout, Text, WebSocket
from polysocket import asyncio as polysocket_asyncio
from polysocket._opening.tls import TLSStream
from polysocket._session.keepalive import Keepalive
from polysocket.effects.asyncio import AsyncioEffect, TransportStream
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.places import Echo, Listener, Peer
from polysocket.testing.contract.wire import Wire

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """A function that runs a coroutine in a new event loop."""
    loop_factory = None
    if request.param == "uvloop":
        if importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is not installed")
        import uvloop

        loop_factory = uvloop.new_event_loop

    def run_in_loop(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(coroutine)

    return run_in_loop


@every_transport
def test_async_with_opens_and_closes_a_websocket(run: Runner, echo: Echo) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(echo.url, **echo.options()) as ws:
            await ws.send_text("a")
            assert await ws.receive_text() == "a"
            assert await ws.ping() > 0
        assert not ws.is_open

    run(main())


def test_a_connect_may_be_a_task(run: Runner, echo: Echo) -> None:
    async def main() -> None:
        opening = asyncio.create_task(polysocket_asyncio.connect(echo.url))
        async with asyncio.TaskGroup() as group:
            other = group.create_task(polysocket_asyncio.connect(echo.url))
        for ws in (await opening, other.result()):
            await ws.send_text("a")
            assert await ws.receive_text() == "a"
            await ws.close()

    run(main())


def test_a_task_of_connect_may_be_cancelled(run: Runner, silent: Listener) -> None:
    async def main() -> None:
        opening = asyncio.create_task(polysocket_asyncio.connect(silent.url))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    run(main())


def test_connect_may_be_awaited_and_the_websocket_iterated(run: Runner, peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_asyncio.connect(peer.url, close_timeout=5)
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close())
        assert [message async for message in ws] == ["a", b"b"]
        peer.hang_up()
        await ws.close()

    run(main())


def test_the_time_limits_of_asyncio_lose_no_frame(run: Runner, peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_asyncio.connect(peer.url, close_timeout=5)
        one, two = wire.fragments(wire.TEXT, b"one ", b"two")
        peer.send(one)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.receive_text(), 0.01)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await ws.receive_text()
            with pytest.raises(ReceiveTimeout):
                async with asyncio.timeout(5):
                    await ws.receive_text(timeout=0.01)
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.01):
                    await ws.receive_text(timeout=5)
            assert not isinstance(caught.value, ReceiveTimeout)
        peer.send(two)
        assert await ws.receive_text() == "one two"
        peer.hang_up()
        await ws.close()

    run(main())


def test_a_failing_task_group_ends_its_websocket(run: Runner, peer: Peer) -> None:
    async def listen() -> None:
        async with polysocket_asyncio.connect(peer.url, close_timeout=None) as ws:
            await ws.receive()

    async def fail() -> None:
        await asyncio.to_thread(lambda: peer.stream)
        raise LookupError

    async def main() -> None:
        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(listen())
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert caught.group_contains(LookupError)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


def test_a_completed_send_is_delivered_even_if_the_block_is_cancelled(run: Runner, peer: Peer) -> None:
    async def main() -> None:
        async def block() -> None:
            async with polysocket_asyncio.connect(peer.url) as ws:
                await ws.send_text("sent")
                task.cancel()
                await asyncio.sleep(0)

        task = asyncio.create_task(block())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert peer.rest() == [Wire(wire.TEXT, b"sent"), Wire(wire.CLOSE, b"\x03\xe9")]


def test_a_sender_that_never_waits_notices_a_lost_connection(run: Runner, peer: Peer) -> None:
    async def send_forever(ws: WebSocket[Asyncio]) -> None:
        for _ in range(1000):
            await ws.send_text("x")
        raise AssertionError("it sends forever")

    async def main() -> None:
        ws = await polysocket_asyncio.connect(peer.url, close_timeout=5)
        peer.reset()
        assert await ws.either(lambda: send_forever(ws)) is None
        await ws.close()

    run(main())


def test_on_done_is_called_even_if_a_background_program_is_cancelled_before_it_starts(run: Runner) -> None:
    done: list[BaseException | None] = []

    async def program() -> None:
        raise AssertionError("it has started")

    async def main() -> None:
        AsyncioEffect().spawn(program, done.append)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    run(main())
    assert [type(error) for error in done] == [asyncio.CancelledError]


def test_a_sender_that_waits_for_its_turn_again_and_again_nests_no_deeper(run: Runner, peer: Peer) -> None:
    senders = 50

    async def send_in_fragments(ws: WebSocket[Asyncio]) -> None:
        await ws.send(Text("a", final=False))
        await asyncio.sleep(0)
        await ws.send(Text("b"), is_continuation=True)

    async def main() -> None:
        ws = await polysocket_asyncio.connect(peer.url)
        tasks = [asyncio.create_task(send_in_fragments(ws)) for _ in range(senders)]
        deepest = 0
        while not all(task.done() for task in tasks):
            deepest = max(deepest, *map(_depth, tasks))
            await asyncio.sleep(0)
        assert await asyncio.to_thread(peer.frames, 2 * senders) == senders * [
            Wire(wire.TEXT, b"a", final=False),
            Wire(wire.CONTINUATION, b"b"),
        ]
        peer.hang_up()
        await ws.close()
        assert deepest <= 6

    run(main())


def _depth(task: asyncio.Task[None]) -> int:
    """Return how many coroutines a task has nested."""
    depth, awaited = 0, cast("Any", task.get_coro())
    while hasattr(awaited, "cr_await"):
        depth, awaited = depth + 1, awaited.cr_await
    return depth


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_exits_a_task_after_a_receive_ends_the_loop(run: Runner, echo: Echo, error: type[BaseException]) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(echo.url) as ws:

            async def leave() -> None:
                await ws.receive_text()
                raise error

            leaving = asyncio.create_task(leave())
            await asyncio.sleep(0)
            await ws.send_text("a")
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
            leaving.cancel()

    with pytest.raises(error):
        run(main())


async def most_in_a_turn(peer: Peer, data: bytes, calls: list[object], **options: Any) -> int:
    """Flood a websocket; return the most calls, of those that are noted in the list, between two turns of this task."""

    def flood() -> None:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            peer.send(data)
        peer.hang_up()

    most = 0
    options = {**peer.options(), "close_timeout": 0.1, **options}
    async with polysocket_asyncio.connect(peer.url, **options):
        flooding = asyncio.create_task(asyncio.to_thread(flood))
        while not flooding.done():
            calls.clear()
            await asyncio.sleep(0)
            most = max(most, len(calls))
        await flooding
    return most


def test_a_flood_that_no_caller_receives_is_looked_at_once_in_a_turn(
    run: Runner, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    call_later = AsyncioEffect.call_later

    def note(effect: AsyncioEffect, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        if seconds == 0:
            looks.append(call)
        return call_later(effect, seconds, call)

    async def main() -> None:
        most = await most_in_a_turn(peer, wire.encode(wire.PING, b"x") * 1_000, looks)
        assert 0 < most <= 2, "the turns of this task may begin before and after a look"

    monkeypatch.setattr(AsyncioEffect, "call_later", note)
    run(main())


def test_a_look_that_a_signal_handler_ended_is_made_up_for(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    look_on = Keepalive._look_on

    def end(keepalive: Keepalive) -> None:
        monkeypatch.setattr(Keepalive, "_look_on", look_on)
        raise RuntimeError("raised by a signal handler")

    def converse() -> None:
        peer.send(wire.encode(wire.PING, b"x") * 40_000)  # in more than one read
        while peer.frame().payload != b"x":
            pass
        while Keepalive._look_on is not look_on:
            pass
        peer.send(wire.encode(wire.PING, b"later"))
        while peer.frame().payload != b"later":
            pass
        peer.hang_up()

    async def main() -> None:
        async with polysocket_asyncio.connect(peer.url):
            await asyncio.to_thread(converse)

    monkeypatch.setattr(Keepalive, "_look_on", end)
    monkeypatch.setattr("polysocket._session.keepalive.LATE", 0.0)
    asyncio.run(main())


def test_a_flood_that_is_read_ahead_is_read_a_few_times_in_a_turn(
    run: Runner, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While each read fills the buffer, uvloop reads up to 32 times in a turn."""
    reads: list[object] = []
    read_view = TransportStream.read_view

    async def note(stream: TransportStream) -> bytes | memoryview:
        data = await read_view(stream)
        reads.append(None)
        return data

    async def main() -> None:
        message = b"".join(wire.fragments(wire.BINARY, *[bytes(60)] * 4_000))
        assert 0 < await most_in_a_turn(peer, message, reads, buffer=Buffer.unbounded()) <= 8

    monkeypatch.setattr(TransportStream, "read_view", note)
    run(main())


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
def test_a_flood_of_records_without_data_is_decrypted_a_few_times_in_a_turn(
    run: Runner, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer's session tickets are such records; here its data is dropped."""
    decrypted: list[object] = []
    decrypt = TLSStream._decrypt

    def drop(stream: TLSStream) -> bytes | None:
        data = decrypt(stream)
        if not data or data.startswith(b"HTTP/"):
            return data
        decrypted.append(None)
        return None

    async def main() -> None:
        flood = wire.encode(wire.BINARY, bytes(1_000_000))
        assert 0 < await most_in_a_turn(peer, flood, decrypted) <= 8

    monkeypatch.setattr(TLSStream, "_decrypt", drop)
    run(main())
