"""Pipes: a stage from the incoming to the outgoing stream, and how the end of either is the end of both."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from polysocket import (
    Binary,
    Close,
    CloseCause,
    ConnectionLost,
    DataFrame,
    Frame,
    InvalidFrame,
    Ping,
    PipeHandler,
    Pong,
    ProtocolError,
    Text,
    UnexpectedFrame,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    from_message_pipe,
    from_text_pipe,
)
from polysocket._lifting import wait_for_result
from polysocket.handlers.pipe import MessageStage
from polysocket.testing import BackendStub, WebSocketStub
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, Flavour, Task, a_backend, opened, seen
from tests.backends.servers import Server
from tests.backends.stages import raw_stage

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
lifts = pytest.mark.parametrize(
    "lift", [from_text_pipe, from_message_pipe], ids=["from_text_pipe", "from_message_pipe"]
)
Lift = Callable[[Any], MessageStage]


def text(payload: str, *, final: bool = True) -> bytes:
    return wire.encode(wire.TEXT, payload, final=final)


def upper(frame: DataFrame) -> Iterable[Frame]:
    assert isinstance(frame, Text)
    return [Text(frame.payload.upper(), frame.final)]


async def piped(flavour: Flavour, peer: Peer, stage: Any, close: float = 5) -> Any:
    """Open a websocket for a pipe; gives its result, or raises its error."""
    async with a_backend(flavour, request=basic_request.timeouts(open=5, close=close)) as backend:
        return (await backend.open_websocket(peer.url, PipeHandler(stage))).result


async def piping(flavour: Flavour, peer: Peer, stage: Any, close: float = 5) -> Task:
    """The same, beside the body, once it is open."""
    task = flavour.spawn(piped, flavour, peer, stage, close)
    await flavour.call(lambda: peer.stream)
    return task


def ended_by(peer: Peer) -> list[Wire]:
    """What the client sends up to its answer to the Close, behind which the server ends the connection."""
    frames = [peer.frame()]
    while frames[-1].opcode != wire.CLOSE:
        frames.append(peer.frame())
    peer.hang_up()
    return frames


# Raw stages


async def test_frames_are_given_to_the_stage_as_they_come_and_sent_as_it_gives_them(
    flavour: Flavour, peer: Peer
) -> None:
    incoming: list[DataFrame] = []

    def function(frame: DataFrame) -> Iterable[Frame]:
        incoming.append(frame)
        yield Text(f"{len(incoming)}")
        yield Binary(b"b")
        yield Ping(b"c")
        yield Pong(b"d")

    pipe = await piping(flavour, peer, raw_stage(flavour, function, first=[Text("first")]))
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


async def test_pings_are_answered_and_given_to_no_stage(flavour: Flavour, peer: Peer) -> None:
    pipe = await piping(flavour, peer, raw_stage(flavour, upper))
    peer.send(wire.encode(wire.PING, b"1") + wire.encode(wire.PONG, b"2") + text("a"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.PONG, b"1"), Wire(wire.TEXT, b"A")]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


async def test_fragments_are_continued_by_themselves(flavour: Flavour, peer: Peer) -> None:
    """A control frame between them is none of them (RFC 6455 §5.4)."""
    first: list[Frame] = [Text("a", final=False), Ping(b"p"), Text("b", final=False), Text("c")]
    first += [Binary(b"d", final=False), Binary(b"e"), Text("f")]
    pipe = await piping(flavour, peer, raw_stage(flavour, upper, first=first))
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


# How it ends


async def test_the_end_of_the_stage_closes_with_1000(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []

    def function(_: DataFrame) -> None:
        return None

    pipe = await piping(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8")]
    info = await pipe.result()
    assert info.sent == info.received == Close(1000)
    assert ended == [None]


async def test_the_error_of_the_stage_closes_with_1011_and_is_raised(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []
    error = ZeroDivisionError("mine")

    def function(_: DataFrame) -> Iterable[Frame]:
        raise error

    pipe = await piping(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(ZeroDivisionError) as caught:
        await pipe.result()
    assert caught.value is error
    assert ended == [error]


async def test_the_error_of_another_websocket_is_the_stages_own(flavour: Flavour, server: Server, peer: Peer) -> None:
    """A stage may hand on to another websocket, whose end is none of this one's."""
    async with a_backend(flavour) as backend:
        another = await opened(flavour, backend, server.url(), WebSocketHandler())
        await another.close()
        with pytest.raises(WebSocketClosed) as closed:
            await another.send_text("a")
        error = closed.value

        def function(_: DataFrame) -> Iterable[Frame]:
            raise error

        pipe = await piping(flavour, peer, raw_stage(flavour, function))
        peer.send(text("a"))
        assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
        with pytest.raises(WebSocketClosed) as caught:
            await pipe.result()
        assert caught.value is error


async def test_the_end_of_the_server_ends_the_incoming_stream(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []
    pipe = await piping(flavour, peer, raw_stage(flavour, upper, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    peer.send(wire.close(1001, "bye"))
    assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe9")
    peer.hang_up()
    info = await pipe.result()
    assert (info.received, info.cause) == (Close(1001, "bye"), CloseCause.CLOSE)
    assert ended == [None]


async def test_what_a_stage_gives_behind_the_end_is_dropped(flavour: Flavour, peer: Peer) -> None:
    """And it is heard to its own end."""
    ended: list[BaseException | None] = []
    given: list[str] = []

    def last() -> Iterable[Frame]:
        for payload in ("late", "later"):
            given.append(payload)
            yield Text(payload)

    pipe = await piping(flavour, peer, raw_stage(flavour, upper, last=last(), ended=ended.append))
    peer.send(wire.close())
    assert await flavour.call(ended_by, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert (await pipe.result()).received == Close()
    assert given == ["late", "later"]
    assert ended == [None]


@pytest.mark.parametrize("code", [1000, 1012])
async def test_a_stage_that_answers_sees_all_that_came_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer], code: int
) -> None:
    """The Close was taken in before the stage has begun, and what it answers goes nowhere."""
    incoming: list[DataFrame] = []
    ended: list[BaseException | None] = []

    def function(frame: DataFrame) -> Iterable[Frame]:
        yield Text("an answer")
        yield Text("another", final=False)
        incoming.append(frame)

    peer = new_peer(upgrading(behind=text("a") + text("b") + text("c") + wire.close(code)))
    pipe = await piping(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    assert [frame.opcode for frame in await flavour.call(ended_by, peer)] == [wire.CLOSE]
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


@lifts
async def test_a_function_that_answers_sees_all_that_came_before_the_close(
    flavour: Flavour, new_peer: Callable[..., Peer], lift: Lift
) -> None:
    messages: list[str] = []

    def function(message: str) -> str:
        messages.append(message)
        return message

    peer = new_peer(upgrading(behind=text("a") + text("b") + text("c") + wire.close()))
    pipe = await piping(flavour, peer, lift(function))
    assert await flavour.call(ended_by, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert (await pipe.result()).received == Close()
    assert messages == ["a", "b", "c"]


@in_async_flavours
@pytest.mark.parametrize("began", [False, True], ids=["before it began to take", "while it works on one"])
async def test_a_stage_that_is_late_sees_all_that_came_before_the_end(
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

    pipe = await piping(flavour, peer, stage)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    peer.send(text("a") + text("b") + text("c") + wire.close())
    await flavour.call(ended_by, peer)
    await flavour.nothing_left_to_do()
    go_on.put(None)
    assert (await pipe.result()).received == Close()
    assert incoming == [Text("a"), Text("b"), Text("c")]


ENDS: dict[str, tuple[Callable[[Peer], object], Any, CloseCause]] = {
    "an error's code": (lambda peer: peer.send(wire.close(1012, "restart")), WebSocketClosed, CloseCause.CLOSE),
    "a broken frame": (lambda peer: peer.send(b"\xf1\x00"), ProtocolError, CloseCause.PROTOCOL_ERROR),
    "a lost connection": (lambda peer: peer.hang_up(), ConnectionLost, CloseCause.NETWORK),
}


@pytest.mark.parametrize(("end", "kind", "cause"), ENDS.values(), ids=ENDS)
async def test_an_abnormal_end_is_raised_in_the_stage_and_by_the_pipe(
    flavour: Flavour, peer: Peer, end: Callable[[Peer], object], kind: type[WebSocketClosed], cause: CloseCause
) -> None:
    ended: list[BaseException | None] = []
    pipe = await piping(flavour, peer, raw_stage(flavour, upper, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    end(peer)
    peer.hang_up()
    with pytest.raises(WebSocketClosed) as caught:
        await pipe.result()
    assert type(caught.value) is kind
    assert caught.value.close_info.cause is cause
    assert ended == [caught.value]


async def test_a_stage_that_takes_nothing_ends_when_the_server_does(flavour: Flavour, peer: Peer) -> None:
    """Nor does it keep the server waiting for an answer to its Close."""

    def forever() -> Iterable[Frame]:
        while True:
            yield Text("tick")

    def read_to_the_answer() -> None:
        while peer.frame().opcode != wire.CLOSE:
            pass

    pipe = await piping(flavour, peer, raw_stage(flavour, upper, first=forever()))
    await flavour.call(peer.frames, 3)
    peer.send(wire.close())
    reading = flavour.spawn(flavour.call, read_to_the_answer)
    try:
        await reading.result()
    finally:
        peer.hang_up()
        try:
            info = await pipe.result()
        except WebSocketClosed as error:
            info = error.close_info
    assert info.received == Close()


async def test_a_stage_that_leaves_frames_ends_in_the_time_of_a_closing(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[BaseException | None] = []

    def forever() -> Iterable[Frame]:
        while True:
            yield Text("tick")

    stage = raw_stage(flavour, upper, first=forever(), ended=ended.append)
    pipe = await piping(flavour, peer, stage, close=0.2)
    peer.send(text("a") + wire.close())
    await flavour.call(ended_by, peer)
    assert (await pipe.result()).received == Close()
    assert [type(error) for error in ended] == [GeneratorExit]
    assert [record.levelname for record in caplog.records if record.name == "polysocket"] == ["WARNING"]


@in_async_flavours
@pytest.mark.parametrize("takes", ["nothing", "the first", "all"])
@pytest.mark.parametrize("is_lost", [False, True], ids=["closed", "lost"])
async def test_a_stage_that_waits_for_something_else_ends_when_the_server_does(
    flavour: Flavour, peer: Peer, takes: str, is_lost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """At once where it has shown no interest in what comes; else it has the time of a closing to go on."""
    idle = flavour.inbox()
    closed: list[str] = []

    async def stage(incoming: AsyncIterator[DataFrame]) -> Any:
        try:
            yield Text("begun")
            if takes == "the first":
                await anext(incoming)
            elif takes == "all":
                with contextlib.suppress(WebSocketClosed):
                    async for _ in incoming:
                        pass
            yield await idle.get()
        finally:
            closed.append("closed")

    pipe = await piping(flavour, peer, stage, close=5 if takes == "nothing" else 0.2)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    if takes != "nothing":
        peer.send(text("a"))
    if is_lost:
        peer.hang_up()
        with pytest.raises(ConnectionLost):
            await pipe.result()
    else:
        peer.send(wire.close())
        await flavour.call(ended_by, peer)
        assert (await pipe.result()).received == Close()
    assert closed == ["closed"]
    count = sum(record.name == "polysocket" for record in caplog.records)
    assert count == (0 if takes == "nothing" else 1)


@in_async_flavours
async def test_an_error_of_a_stage_that_was_ended_is_raised(flavour: Flavour, peer: Peer) -> None:
    async def stage(_: AsyncIterator[DataFrame]) -> Any:
        try:
            yield Text("begun")
            await flavour.inbox().get()
        finally:
            raise ZeroDivisionError("mine")

    pipe = await piping(flavour, peer, stage)
    await flavour.call(peer.frame)
    peer.send(wire.close())
    await flavour.call(ended_by, peer)
    with pytest.raises(ZeroDivisionError, match="mine"):
        await pipe.result()


@in_async_flavours
async def test_a_backend_that_is_closed_ends_a_stage_that_waits_for_something_else(
    flavour: Flavour, peer: Peer
) -> None:
    async def stage(_: AsyncIterator[DataFrame]) -> Any:
        yield Text("begun")
        await flavour.inbox().get()

    backend = seen(flavour, flavour.backend())
    pipe = flavour.spawn(backend.open_websocket, peer.url, PipeHandler(stage))
    await flavour.call(peer.frame)
    finishing = flavour.spawn(flavour.call, peer.finish)
    await backend.close()
    await finishing.result()
    assert (await pipe.result()).result.sent == Close(1000)


async def test_a_stage_that_ends_within_a_message_closes_with_1011(flavour: Flavour, peer: Peer) -> None:
    def function(_: DataFrame) -> None:
        return None

    pipe = await piping(flavour, peer, raw_stage(flavour, function, first=[Text("a", final=False), Ping()]))
    peer.send(text("b"))
    assert await flavour.call(peer.finish) == [
        Wire(wire.TEXT, b"a", final=False),
        Wire(wire.PING),
        Wire(wire.CLOSE, b"\x03\xf3"),
    ]
    with pytest.raises(InvalidFrame, match="the stage has ended within a message"):
        await pipe.result()


@pytest.mark.parametrize("flavour", ["threaded"], indirect=True)
async def test_a_stage_over_a_stub_does_not_block_who_opens(flavour: Flavour) -> None:
    threads: list[int] = []

    def stage(_: Iterator[DataFrame]) -> Iterator[Frame]:
        threads.append(threading.get_ident())
        yield Text("a")

    stub = BackendStub.threaded().when_any_request().then_respond_web_socket(WebSocketStub().then_wait())
    info = await flavour.value(stub.open_websocket("ws://example.com/", PipeHandler(stage)))
    assert info.result.sent == Close(1000)
    assert threads != [threading.get_ident()]


async def test_pings_are_answered_while_the_stage_takes_nothing(flavour: Flavour, peer: Peer) -> None:
    def forever() -> Iterable[Frame]:
        while True:
            yield Text("tick")

    def read_to_the_answer() -> bool:
        return any(peer.frame() == Wire(wire.PONG, b"1") for _ in range(20_000))

    pipe = await piping(flavour, peer, raw_stage(flavour, upper, first=forever()))
    peer.send(wire.encode(wire.PING, b"1"))
    reading = flavour.spawn(flavour.call, read_to_the_answer)
    answered = await reading.result()
    peer.hang_up()
    with pytest.raises(WebSocketClosed):
        await pipe.result()
    assert answered


async def test_a_stage_is_closed_where_what_it_gives_can_not_be_sent(flavour: Flavour, peer: Peer) -> None:
    ended: list[BaseException | None] = []

    def function(_: DataFrame) -> Iterable[Any]:
        yield "no frame"

    pipe = await piping(flavour, peer, raw_stage(flavour, function, ended=ended.append))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(InvalidFrame, match="str is no frame"):
        await pipe.result()
    assert [type(error) for error in ended] == [GeneratorExit]


async def test_a_stage_may_give_a_close_with_a_code_of_its_own(flavour: Flavour, peer: Peer) -> None:
    def function(_: DataFrame) -> None:
        return None

    pipe = await piping(flavour, peer, raw_stage(flavour, function, first=[Text("a"), Close(4000, "enough")]))
    peer.send(text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.TEXT, b"a"), Wire(wire.CLOSE, b"\x0f\xa0enough")]
    info = await pipe.result()
    assert info.sent == info.received == Close(4000, "enough")


async def test_a_stage_that_has_sent_a_close_may_be_late_with_more(flavour: Flavour, peer: Peer) -> None:
    """What is sent behind a Close goes nowhere, and the pipe has ended as well as the closing has."""
    answers: list[Any] = [Close(1000, "enough"), "late"]
    pipe = await piping(flavour, peer, from_text_pipe(lambda _: answers.pop(0)))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xe8enough")]
    info = await pipe.result()
    assert info.received == Close(1000, "enough")


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

    pipe = await piping(flavour, peer, stage)
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"begun")
    await flavour.nothing_left_to_do()
    pipe.cancel()
    assert [frame.opcode for frame in await flavour.call(peer.rest)] == [wire.CLOSE]
    await flavour.nothing_left_to_do()
    assert closed == ["closed"]


# Functions on messages


async def test_a_function_is_given_whole_messages(flavour: Flavour, peer: Peer) -> None:
    received: list[str | bytes] = []

    def function(message: str | bytes) -> Any:
        received.append(message)
        return [None, "text", b"binary", Text("frame", final=True), Pong(b"pong")][len(received) - 1]

    pipe = await piping(flavour, peer, from_message_pipe(function))
    peer.send(text("a", final=False) + wire.encode(wire.PING) + wire.encode(wire.CONTINUATION, "b"))
    assert await flavour.call(peer.frame) == Wire(wire.PONG)
    for frame in (wire.encode(wire.BINARY, b"c"), text("d"), text("e"), text("")):
        peer.send(frame)
    assert await flavour.call(peer.frames, 4) == [
        Wire(wire.TEXT, b"text"),
        Wire(wire.BINARY, b"binary"),
        Wire(wire.TEXT, b"frame"),
        Wire(wire.PONG, b"pong"),
    ]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()
    assert received == ["ab", b"c", "d", "e", ""]


@lifts
async def test_the_error_of_a_function_closes_with_1011_and_is_raised(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    def function(_: str) -> str:
        raise ZeroDivisionError

    pipe = await piping(flavour, peer, lift(function))
    peer.send(text("a"))
    assert await flavour.call(peer.finish) == [Wire(wire.CLOSE, b"\x03\xf3")]
    with pytest.raises(ZeroDivisionError):
        await pipe.result()


async def test_binary_in_a_pipe_of_text_closes_with_1003_and_is_raised(flavour: Flavour, peer: Peer) -> None:
    pipe = await piping(flavour, peer, from_text_pipe(str.upper))
    peer.send(text("a") + wire.encode(wire.BINARY, b"b"))
    assert await flavour.call(peer.finish) == [Wire(wire.TEXT, b"A"), Wire(wire.CLOSE, b"\x03\xeb")]
    with pytest.raises(UnexpectedFrame, match="a Binary frame came into a pipe of text"):
        await pipe.result()


@in_async_flavours
@lifts
async def test_a_function_may_be_async(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    async def function(message: str) -> str:
        await flavour.nothing_left_to_do()
        return message.upper()

    pipe = await piping(flavour, peer, lift(function))
    peer.send(text("a") + text("b"))
    assert await flavour.call(peer.frames, 2) == [Wire(wire.TEXT, b"A"), Wire(wire.TEXT, b"B")]
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


@in_async_flavours
@lifts
async def test_what_a_plain_function_gives_is_awaited(flavour: Flavour, peer: Peer, lift: Lift) -> None:
    async def later(message: str) -> str:
        return message.upper()

    def function(message: str) -> Awaitable[str]:
        return later(message)

    pipe = await piping(flavour, peer, lift(function))
    peer.send(text("a"))
    assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"A")
    peer.send(wire.close())
    peer.hang_up()
    await pipe.result()


async def test_a_pipe_may_be_used_again(flavour: Flavour, server: Server) -> None:
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


async def test_the_error_of_another_websocket_is_not_lost_behind_the_end_of_this_one(
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

        pipe = await piping(flavour, peer, async_stage if flavour.is_async else stage)
        peer.send(wire.close())
        assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
        peer.hang_up()
        with pytest.raises(ConnectionLost):
            await pipe.result()
