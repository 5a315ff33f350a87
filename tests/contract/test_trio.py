"""The trio flavour as its users call it: ``async with``, ``await``, ``async for``; nurseries and cancel scopes."""

from __future__ import annotations

import gc
import os
import pathlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from polysocket import Close, Ping, ReceiveTimeout, Text
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.forking import clear_in_a_child
from polysocket.testing.contract.multiplexing import Client
from polysocket.testing.contract.places import Echo, Peer
from polysocket.testing.contract.wire import Wire

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")

from polysocket import trio as polysocket_trio  # noqa: E402

TEXT, BINARY = wire.text("1"), wire.encode(wire.BINARY, b"2")
TIMEOUTS = [{}, {"timeout": 5}]

RECEIVES = {
    "receive": TEXT,
    "receive_data_frame": TEXT,
    "receive_text_frame": TEXT,
    "receive_binary_frame": BINARY,
    "receive_text": TEXT,
    "receive_binary": BINARY,
    "receive_message": TEXT,
    "receive_json": TEXT,
    "receive_many": TEXT,
    "messages": TEXT,
    "receive_fragments": TEXT,
}


async def no_parts() -> AsyncIterator[str]:
    for part in list[str]():
        yield part


SENDS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "send": lambda ws: ws.send(Text("a")),
    "a Ping": lambda ws: ws.send(Ping()),
    "a Close": lambda ws: ws.send(Close()),
    "send_text": lambda ws: ws.send_text("a"),
    "send_text in time": lambda ws: ws.send_text("a", timeout=5),
    "send_binary": lambda ws: ws.send_binary(b"a"),
    "send_json": lambda ws: ws.send_json("a"),
    "send_many": lambda ws: ws.send_many(["a", "b"]),
    "send_many in time": lambda ws: ws.send_many(["a", "b"], timeout=5),
    "send_many of none": lambda ws: ws.send_many([]),
    "send_fragments": lambda ws: ws.send_fragments(["a", "b"]),
    "send_fragments of none": lambda ws: ws.send_fragments([]),
    "send_fragments of none, awaited": lambda ws: ws.send_fragments(no_parts()),
    "pong": lambda ws: ws.pong(),
}


def receiving(ws: Any, name: str, options: dict[str, float]) -> Callable[[], Awaitable[object]]:
    """Return the function with which a program receives once."""
    if name not in ("messages", "receive_fragments"):
        return lambda: getattr(ws, name)(**options)
    return lambda: anext(getattr(ws, name)(**options))


@pytest.mark.parametrize("options", TIMEOUTS, ids=str)
@pytest.mark.parametrize("name", RECEIVES)
def test_each_receive_is_a_checkpoint_whether_or_not_it_waits(peer: Peer, name: str, options: dict[str, float]) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=5) as ws:
            receive = receiving(ws, name, options)
            peer.send(RECEIVES[name] * 2)
            for _ in range(2):  # The first waits; the second message is here.
                with trio.testing.assert_checkpoints():
                    await (ws.receive_many(max=1) if name == "receive_many" else receive())
            peer.hang_up()

    trio.run(main)


@pytest.mark.parametrize("options", TIMEOUTS, ids=str)
@pytest.mark.parametrize("name", RECEIVES)
def test_a_receive_in_a_cancelled_scope_is_cancelled_and_loses_nothing(
    peer: Peer, name: str, options: dict[str, float]
) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=5) as ws:
            receive = receiving(ws, name, options)
            peer.send(TEXT + RECEIVES[name] + TEXT)
            await ws.receive_message()
            for _ in range(3):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await receive()
                assert scope.cancelled_caught
            await receive()
            if name != "receive_many":  # It has taken the last one, too.
                assert await ws.receive_text() == "1"
            peer.hang_up()

    trio.run(main)


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_each_send_is_a_checkpoint(peer: Peer, send: Callable[[Any], Awaitable[object]]) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=0.1) as ws:
            with trio.testing.assert_checkpoints():
                await send(ws)
            peer.hang_up()

    trio.run(main)


def test_each_answer_of_a_multiplexer_is_received_with_a_checkpoint(peer: Peer) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=5) as ws, Client(ws).subscription(["x"]) as answers:
            peer.send(b"".join(map(wire.text, ("1:a", "1:b", "1:end"))))
            for answer in "ab":  # The first is waited for; the second is here.
                with trio.testing.assert_checkpoints():
                    assert await answers.receive(timeout=5) == answer
            with trio.testing.assert_checkpoints():
                assert [answer async for answer in answers] == []
            peer.hang_up()

    trio.run(main)


def test_a_loop_over_messages_is_a_checkpoint_at_its_end_too(peer: Peer) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=5) as ws:
            peer.send(TEXT + wire.close())
            assert await ws.receive_text() == "1"
            for _ in range(2):  # The Close is here; then the websocket has ended.
                with trio.testing.assert_checkpoints():
                    assert [message async for message in ws] == []
            peer.hang_up()

    trio.run(main)


@every_transport
def test_async_with_opens_and_closes_a_websocket(echo: Echo) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(echo.url, **echo.options()) as ws:
            await ws.send_text("a")
            assert await ws.receive_text() == "a"
            assert await ws.ping() > 0
        assert not ws.is_open

    trio.run(main)


def test_connect_may_be_awaited_and_the_websocket_iterated(peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_trio.connect(peer.url, close_timeout=5)
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close())
        assert [message async for message in ws] == ["a", b"b"]
        peer.hang_up()
        await ws.close()

    trio.run(main)


def test_the_time_limits_of_trio_lose_no_frame(peer: Peer) -> None:
    async def main() -> None:
        ws = await polysocket_trio.connect(peer.url, close_timeout=5)
        one, two = wire.fragments(wire.TEXT, b"one ", b"two")
        peer.send(one)
        for _ in range(3):
            with trio.move_on_after(0.01) as scope:
                await ws.receive_text()
            assert scope.cancelled_caught
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.01):
                await ws.receive_text(timeout=5)
            with pytest.raises(ReceiveTimeout), trio.fail_after(5):
                await ws.receive_text(timeout=0.01)
        peer.send(two)
        assert await ws.receive_text() == "one two"
        peer.hang_up()
        await ws.close()

    trio.run(main)


def test_a_failing_nursery_ends_its_websocket(peer: Peer) -> None:
    async def listen() -> None:
        async with polysocket_trio.connect(peer.url, close_timeout=None) as ws:
            await ws.receive()

    async def fail() -> None:
        await trio.to_thread.run_sync(lambda: peer.stream)
        raise LookupError

    async def main() -> None:
        async def both() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                nursery.start_soon(fail)

        with pytest.raises(ExceptionGroup) as caught:
            await both()
        assert caught.group_contains(LookupError)

    trio.run(main)
    assert peer.rest() == [Wire(wire.CLOSE, b"\x03\xe9")]


def test_close_in_a_cancelled_scope_sends_the_close_and_does_not_wait(peer: Peer) -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            async with polysocket_trio.connect(peer.url, close_timeout=None) as ws:
                await ws.send_text("sent")
                scope.cancel()
        assert scope.cancelled_caught
        assert not ws.is_open

    trio.run(main)
    assert peer.rest() == [Wire(wire.TEXT, b"sent"), Wire(wire.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("size", [1, 6 * 1024 * 1024])
def test_a_block_that_is_cancelled_just_before_a_send_ends(peer: Peer, size: int) -> None:
    """The order in which trio runs the sender and the cancelled block is random, so the contract runs this often."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with polysocket_trio.connect(peer.url) as ws:
                scope.cancel()
                await ws.send_binary(bytes(size))
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)


def test_a_forked_process_frees_a_websocket_while_threads_post_to_the_loop(echo: Echo) -> None:
    """The fork copies the lock of trio's queue, which a thread may hold that the child does not have."""

    async def main() -> None:
        token, has_ended = trio.lowlevel.current_trio_token(), threading.Event()

        def post() -> None:
            while not has_ended.is_set():
                token.run_sync_soon(int)

        held = [await polysocket_trio.connect(echo.url)]
        thread = threading.Thread(target=post)
        thread.start()
        try:
            for _ in range(10):
                clear_in_a_child(held)
                await trio.lowlevel.checkpoint()
        finally:
            has_ended.set()
            thread.join()
        await held[0].close()

    trio.run(main)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not list the files of a process")
def test_runs_leave_no_file_open_until_garbage_is_collected(echo: Echo) -> None:
    async def main() -> None:
        async with polysocket_trio.connect(echo.url, open_timeout=10) as ws:
            await ws.send_text("a")
            await ws.receive()

    gc.disable()
    try:
        trio.run(main)
        before = len(list(pathlib.Path("/dev/fd").iterdir()))
        for _ in range(5):
            trio.run(main)
        assert len(list(pathlib.Path("/dev/fd").iterdir())) <= before
    finally:
        gc.enable()
