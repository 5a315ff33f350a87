"""Pipes whose websocket ends before their stage: what the stage still receives, and its deadline."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from polysocket import (
    Close,
    CloseCause,
    ConnectionLost,
    DataFrame,
    Frame,
    ObservedBackend,
    PipeHandler,
    ProtocolError,
    Text,
    WebSocketClosed,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, THREADS, Flavour, seen
from tests.backends.peers import read_to_close, text
from tests.backends.recording import EndObserver
from tests.backends.stages import raw_stage, start_pipe, ticks, upper

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)

SOON = 0.1  # seconds; a close timeout that passes during a test


def log_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "polysocket"]


OVERDUE = ["the stage of a pipe has not ended within the close timeout after its websocket, and was ended"]


# What a stage still receives


async def test_a_normal_close_of_the_peer_ends_the_incoming_stream(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    peer.send(wire.close(1001, "bye"))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
    peer.hang_up()
    info = await pipe.result()
    assert (info.received, info.cause) == (Close(1001, "bye"), CloseCause.CLOSE)
    assert ended == [None]


ENDS: dict[str, tuple[Callable[[Peer], object], Any, CloseCause]] = {
    "an error's code": (lambda peer: peer.send(wire.close(1012, "restart")), WebSocketClosed, CloseCause.CLOSE),
    "a broken frame": (lambda peer: peer.send(b"\xf1\x00"), ProtocolError, CloseCause.PROTOCOL_ERROR),
    "a lost connection": (lambda peer: peer.hang_up(), ConnectionLost, CloseCause.NETWORK),
}


@pytest.mark.parametrize(("end", "kind", "cause"), ENDS.values(), ids=ENDS)
async def test_an_abnormal_end_is_raised_in_the_stage_and_by_open_websocket(
    flavour: Flavour, peer: Peer, end: Callable[[Peer], object], kind: type[WebSocketClosed], cause: CloseCause
) -> None:
    ended: list[BaseException | None] = []
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    end(peer)
    peer.hang_up()
    with pytest.raises(WebSocketClosed) as caught:
        await pipe.result()
    assert type(caught.value) is kind
    assert caught.value.close_info.cause is cause
    assert ended == [caught.value]


@pytest.mark.parametrize("code", [1000, 1012])
async def test_a_stage_receives_all_frames_sent_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer], code: int
) -> None:
    # The Close was read before the stage began, so the answers of the stage are dropped.
    incoming: list[DataFrame] = []
    ended: list[BaseException | None] = []

    def function(frame: DataFrame) -> Iterable[Frame]:
        yield Text("an answer")
        yield Text("another", final=False)
        incoming.append(frame)

    peer = new_peer(upgrading(trailing=text("a") + text("b") + text("c") + wire.close(code)))
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    assert [frame.opcode for frame in await flavour.call(read_to_close, peer)] == [wire.CLOSE]
    if code == 1000:
        info = await pipe.result()
        assert ended == [None]
    else:
        with pytest.raises(WebSocketClosed) as caught:
            await pipe.result()
        info = caught.value.close_info
        assert ended == [caught.value]
    assert info.received == Close(code)
    assert incoming == [Text("a"), Text("b"), Text("c")]


@in_async_flavours
@pytest.mark.parametrize("began", [False, True], ids=["before its first frame", "after its first frame"])
async def test_a_slow_stage_receives_all_frames_sent_before_the_close(
    flavour: Flavour, peer: Peer, began: bool
) -> None:
    incoming: list[DataFrame] = []
    go_on = flavour.inbox()

    async def stage(received: AsyncIterator[DataFrame]) -> Any:
        yield Text("begun")
        if began:
            incoming.append(await anext(received))
        await go_on.get()
        incoming.extend([frame async for frame in received])

    pipe = await start_pipe(flavour, peer, stage)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    peer.send(text("a") + text("b") + text("c") + wire.close())
    await flavour.call(read_to_close, peer)
    await flavour.nothing_left_to_do()
    go_on.put(None)
    assert (await pipe.result()).received == Close()
    assert incoming == [Text("a"), Text("b"), Text("c")]


async def test_frames_that_a_stage_yields_after_the_end_are_dropped(flavour: Flavour, peer: Peer) -> None:
    # The stage still runs to its own end.
    ended: list[BaseException | None] = []
    given: list[str] = []

    def last() -> Iterable[Frame]:
        for payload in ("late", "later"):
            given.append(payload)
            yield Text(payload)

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper, last=last(), ended=ended.append))
    peer.send(wire.close())
    assert await flavour.call(read_to_close, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert (await pipe.result()).received == Close()
    assert given == ["late", "later"]
    assert ended == [None]


# The deadline of a stage: the close timeout, after the end of the websocket


@pytest.mark.parametrize("left", [[], [Text("a")]], ids=["nothing left to take", "a frame left to take"])
async def test_a_stage_that_only_yields_is_ended_at_its_deadline(
    flavour: Flavour, peer: Peer, left: list[Text], caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[BaseException | None] = []
    stage = raw_stage(flavour, upper, first=ticks(), ended=ended.append)
    pipe = await start_pipe(flavour, peer, stage, close=SOON)
    await flavour.call(peer.frames, 3)
    peer.send(b"".join(text(frame.payload) for frame in left) + wire.close())
    await flavour.call(read_to_close, peer)
    assert (await pipe.result()).received == Close()
    assert [type(error) for error in ended] == [GeneratorExit]
    assert log_lines(caplog) == OVERDUE


@in_async_flavours
@pytest.mark.parametrize("takes", ["nothing", "the first frame", "all frames"])
@pytest.mark.parametrize("end", ["closed", "lost"])
async def test_an_async_stage_that_waits_for_something_else_is_cancelled_at_its_deadline(
    flavour: Flavour, peer: Peer, takes: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    async def stage(incoming: AsyncIterator[DataFrame]) -> Any:
        try:
            yield Text("begun")
            if takes == "the first frame":
                await anext(incoming)
            elif takes == "all frames":
                with contextlib.suppress(WebSocketClosed):
                    async for _ in incoming:
                        pass
            yield await flavour.inbox().get()
        finally:
            closed.append("closed")

    pipe = await start_pipe(flavour, peer, stage, close=SOON)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    peer.send(text("a"))
    if end == "lost":
        peer.hang_up()
        with pytest.raises(ConnectionLost):
            await pipe.result()
    else:
        peer.send(wire.close())
        await flavour.call(read_to_close, peer)
        assert (await pipe.result()).received == Close()
    assert closed == ["closed"]
    assert log_lines(caplog) == OVERDUE


@in_threads
async def test_a_blocking_stage_that_asks_after_its_deadline_is_ended(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    # Frames that are left to take don't postpone the deadline.
    has_ended = threading.Event()
    taken: list[DataFrame] = []
    raised: list[WebSocketClosed] = []

    def stage(incoming: Iterator[DataFrame]) -> Iterator[Frame]:
        taken.append(next(incoming))
        yield Text("taken")
        assert has_ended.wait(5)
        try:
            taken.append(next(incoming))
        except WebSocketClosed as error:
            raised.append(error)
            raise

    backend = ObservedBackend(
        flavour.backend(request=basic_request.timeouts(open=5, close=1e-9)), EndObserver(lambda _: has_ended.set())
    )
    async with flavour.entered(backend):
        pipe = flavour.spawn(seen(flavour, backend).open_websocket, peer.url, PipeHandler(stage))
        peer.send(text("a"))
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"taken")
        peer.send(text("b") + wire.close())
        await flavour.call(read_to_close, peer)
        info = (await pipe.result()).result
    assert taken == [Text("a")]
    assert [error.close_info for error in raised] == [info]
    assert info.received == Close()
    assert log_lines(caplog) == OVERDUE


@in_async_flavours
async def test_a_stage_has_no_deadline_without_a_close_timeout(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = flavour.inbox()
    ended: list[str] = []

    async def stage(incoming: AsyncIterator[DataFrame]) -> Any:
        async for frame in incoming:
            yield frame
        ended.append(await go_on.get())

    pipe = await start_pipe(flavour, peer, stage, close=None)
    peer.send(wire.close())
    await flavour.call(read_to_close, peer)
    await flavour.nothing_left_to_do()
    go_on.put("by itself")
    assert (await pipe.result()).received == Close()
    assert ended == ["by itself"]
    assert log_lines(caplog) == []


@in_async_flavours
async def test_an_error_that_a_cancelled_stage_raises_is_raised_by_open_websocket(flavour: Flavour, peer: Peer) -> None:
    async def stage(_: AsyncIterator[DataFrame]) -> Any:
        try:
            yield Text("begun")
            await flavour.inbox().get()
        finally:
            raise ZeroDivisionError("mine")

    pipe = await start_pipe(flavour, peer, stage, close=SOON)
    await flavour.call(peer.frame)
    peer.send(wire.close())
    await flavour.call(read_to_close, peer)
    with pytest.raises(ZeroDivisionError, match="mine"):
        await pipe.result()


@in_async_flavours
async def test_closing_the_backend_starts_the_deadline_of_a_stage(flavour: Flavour, peer: Peer) -> None:
    async def stage(_: AsyncIterator[DataFrame]) -> Any:
        yield Text("begun")
        await flavour.inbox().get()

    backend = seen(flavour, flavour.backend(request=basic_request.timeouts(open=5, close=0.5)))
    pipe = flavour.spawn(backend.open_websocket, peer.url, PipeHandler(stage))
    await flavour.call(peer.frame)
    finishing = flavour.spawn(flavour.call, peer.finish)
    await backend.close()
    await finishing.result()
    assert (await pipe.result()).result.sent == Close(1000)
