"""Pipes: what a stage receives and sends, and how its own end closes the websocket."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from polysocket import (
    Binary,
    Close,
    ConnectionLost,
    DataFrame,
    Frame,
    InvalidFrame,
    Ping,
    PipeHandler,
    Pong,
    Text,
    WebSocketClosed,
    WebSocketHandler,
    from_text_pipe,
)
from polysocket._lifting import wait_for_result
from polysocket.testing import BackendStub, WebSocketStub
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, Flavour, a_backend, opened, seen
from tests.backends.peers import text
from tests.backends.servers import Server
from tests.backends.stages import raw_stage, start_pipe, stop, ticks, upper

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)


# What a stage receives and sends


async def test_a_stage_receives_each_data_frame_and_its_frames_are_sent(flavour: Flavour, peer: Peer) -> None:
    incoming: list[DataFrame] = []

    def function(frame: DataFrame) -> Iterable[Frame]:
        incoming.append(frame)
        yield Text(f"{len(incoming)}")
        yield Binary(b"b")
        yield Ping(b"c")
        yield Pong(b"d")

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, function, first=[Text("first")]))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"first")
    for number, frame in enumerate([text("x", final=False), wire.encode(wire.CONTINUATION, "y")], 1):
        peer.send(frame)
        assert await flavour.call(peer.frames, 4) == [
            Wire(wire.TEXT, str(number).encode()),
            Wire(wire.BINARY, b"b"),
            Wire(wire.PING, b"c"),
            Wire(wire.PONG, b"d"),
        ]
    peer.send(wire.close())
    peer.hang_up()
    assert (await pipe.result()).received == Close()
    assert incoming == [Text("x", final=False), Text("y")]


async def test_pings_are_answered_and_not_passed_to_the_stage(flavour: Flavour, peer: Peer) -> None:
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper))
    peer.send(wire.encode(wire.PING, b"1") + wire.encode(wire.PONG, b"2") + text("a"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.TEXT, b"A")]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


async def test_pings_are_answered_while_the_stage_takes_nothing(flavour: Flavour, peer: Peer) -> None:
    def read_to_pong() -> bool:
        return any(peer.frame() == Wire(wire.PONG, b"1") for _ in range(500_000))

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper, first=ticks()))
    peer.send(wire.encode(wire.PING, b"1"))
    reading = flavour.spawn(flavour.call, read_to_pong)
    answered = await reading.result()
    peer.hang_up()
    with pytest.raises(WebSocketClosed):
        await pipe.result()
    assert answered


async def test_the_frame_after_a_fragment_is_sent_as_its_continuation(flavour: Flavour, peer: Peer) -> None:
    # Control frames may be injected between fragments (RFC 6455 §5.4).
    first: list[Frame] = [Text("a", final=False), Ping(b"p"), Text("b", final=False), Text("c")]
    first += [Binary(b"d", final=False), Binary(b"e"), Text("f")]
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, upper, first=first))
    assert await flavour.call(peer.frames, 7) == [
        Wire(wire.TEXT, b"a", final=False),
        Wire(wire.PING, b"p"),
        Wire(wire.CONTINUATION, b"b", final=False),
        Wire(wire.CONTINUATION, b"c"),
        Wire(wire.BINARY, b"d", final=False),
        Wire(wire.CONTINUATION, b"e"),
        Wire(wire.TEXT, b"f"),
    ]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


async def test_one_handler_may_run_many_pipes(flavour: Flavour, server: Server) -> None:
    handler = PipeHandler(from_text_pipe(lambda message: f"{message}-echo"))
    async with a_backend(flavour) as backend:
        for _ in range(2):
            response = await backend.open_websocket(server.url("/ws/send_and_expect_echo"), handler)
            assert response.result.received == Close()


async def test_a_pipe_may_be_made_by_an_effect(flavour: Flavour, server: Server) -> None:
    handler = PipeHandler(raw_stage(flavour, lambda frame: [Text(f"{frame.payload!s}-echo")]))
    backend = flavour.backend()
    async with flavour.entered(backend):
        url = server.url("/ws/send_and_expect_echo")
        response = await seen(flavour, backend).open_websocket_f(url, lambda: flavour.lifted(handler))
    assert response.result.received == Close()


@pytest.mark.parametrize("flavour", ["threaded"], indirect=True)
async def test_a_stage_over_a_stub_does_not_block_the_caller(flavour: Flavour) -> None:
    threads: list[int] = []

    def stage(_: Iterator[DataFrame]) -> Iterator[Frame]:
        threads.append(threading.get_ident())
        yield Text("a")

    stub = BackendStub.threaded().when_any_request().then_respond_web_socket(WebSocketStub().then_wait())
    info = await flavour.value(stub.open_websocket("ws://example.com/", PipeHandler(stage)))
    assert info.result.sent == Close(1000)
    assert threads != [threading.get_ident()]


# How the end of a stage closes


async def test_the_end_of_the_stage_closes_with_1000(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, stop, ended=ended.append))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
    info = await pipe.result()
    assert info.sent == info.received == Close(1000)
    assert ended == [None]


async def test_a_stage_that_yields_a_close_chooses_the_code(flavour: Flavour, peer: Peer) -> None:
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, stop, first=[Text("a"), Close(4000, "enough")]))
    peer.send(text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.TEXT, b"a"), Wire(wire.CLOSE, b"\x0f\xa0enough")]
    info = await pipe.result()
    assert info.sent == info.received == Close(4000, "enough")


async def test_frames_that_a_stage_yields_after_its_own_close_are_dropped(flavour: Flavour, peer: Peer) -> None:
    answers: list[Any] = [Close(1000, "enough"), "late"]
    pipe = await start_pipe(flavour, peer, from_text_pipe(lambda _: answers.pop(0)))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8enough")]
    info = await pipe.result()
    assert info.received == Close(1000, "enough")


async def test_the_error_of_the_stage_closes_with_1011_and_is_raised(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []
    error = ZeroDivisionError("mine")

    def function(_: DataFrame) -> Iterable[Frame]:
        raise error

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(ZeroDivisionError) as caught:
        await pipe.result()
    assert caught.value is error
    assert ended == [error]


async def test_a_stage_that_ends_within_a_message_closes_with_1011(flavour: Flavour, peer: Peer) -> None:
    pipe = await start_pipe(flavour, peer, raw_stage(flavour, stop, first=[Text("a", final=False), Ping()]))
    peer.send(text("b"))
    assert await flavour.call(peer.finish) == [
        Wire(wire.TEXT, b"a", final=False),
        Wire(wire.PING),
        Wire(wire.CLOSE, b"\x03\xf3"),
    ]
    with pytest.raises(InvalidFrame, match="the stage has ended within a message"):
        await pipe.result()


async def test_a_stage_that_yields_something_other_than_a_frame_is_closed(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []

    def function(_: DataFrame) -> Iterable[Any]:
        yield "no frame"

    pipe = await start_pipe(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(InvalidFrame, match="str is not a frame"):
        await pipe.result()
    assert [type(error) for error in ended] == [GeneratorExit]


async def test_the_error_of_another_websocket_is_the_stages_error(flavour: Flavour, server: Server, peer: Peer) -> None:
    # A stage may forward frames to another websocket, whose end doesn't end this websocket.
    async with a_backend(flavour) as backend:
        another = await opened(flavour, backend, server.url(), WebSocketHandler())
        await another.close()
        with pytest.raises(WebSocketClosed) as closed:
            await another.send_text("a")
        error = closed.value

        def function(_: DataFrame) -> Iterable[Frame]:
            raise error

        pipe = await start_pipe(flavour, peer, raw_stage(flavour, function))
        peer.send(text("a"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
        with pytest.raises(WebSocketClosed) as caught:
            await pipe.result()
        assert caught.value is error


async def test_the_error_of_another_websocket_is_raised_after_the_end_of_this_one(
    flavour: Flavour, peer: Peer, new_peer: Callable[..., Peer]
) -> None:
    another_peer = new_peer()

    async with a_backend(flavour) as backend:
        another = (await backend.open_websocket(another_peer.url, WebSocketHandler())).result
        await flavour.call(lambda: another_peer.stream)
        another_peer.hang_up()

        def stage(incoming: Iterator[Any]) -> Iterator[Frame]:
            yield from ()
            for _ in incoming:
                pass
            wait_for_result(another.receive_text())

        async def async_stage(incoming: AsyncIterator[Any]) -> AsyncIterator[Frame]:
            async for _ in incoming:
                pass
            await another.receive_text()
            yield Text("never")

        pipe = await start_pipe(flavour, peer, async_stage if flavour.is_async else stage)
        peer.send(wire.close())
        assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
        peer.hang_up()
        with pytest.raises(ConnectionLost):
            await pipe.result()


@in_async_flavours
@pytest.mark.parametrize("waits", ["for the server", "for something else"])
async def test_a_cancelled_pipe_closes_its_stage_and_the_connection(flavour: Flavour, peer: Peer, waits: str) -> None:
    closed: list[str] = []

    async def stage(incoming: AsyncIterator[DataFrame]) -> Any:
        try:
            yield Text("begun")
            if waits == "for the server":
                async for _ in incoming:
                    pass
            else:
                await flavour.inbox().get()
        finally:
            closed.append("closed")

    pipe = await start_pipe(flavour, peer, stage)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    await flavour.nothing_left_to_do()
    pipe.cancel()
    assert [frame.opcode for frame in await flavour.call(peer.rest)] == [wire.CLOSE]
    await flavour.nothing_left_to_do()
    assert closed == ["closed"]
