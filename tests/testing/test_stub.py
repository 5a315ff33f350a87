"""A websocket with a stub as its peer: a real one, which receives the prepared frames and never waits forever."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Close,
    CloseCause,
    ConnectionLost,
    DataFrame,
    Frame,
    InvalidFrame,
    MessageTooBig,
    Ping,
    Pong,
    ReceiveTimeout,
    Text,
    UnexpectedFrame,
    WebSocket,
    WebSocketClosed,
    basic_request,
)
from polysocket.testing import Incoming, NothingPrepared, StubError, WebSocketStub
from tests.backends.flavours import Flavour, seen


def built(flavour: Flavour, tag: type[Any], stub: WebSocketStub, **options: Any) -> WebSocket[Async]:
    """Build a websocket of the stub, whose methods are awaited in every flavour."""
    websocket: WebSocket[Async] = seen(flavour, stub.build(tag, **options))
    return websocket


def echoing(frame: DataFrame) -> list[Frame]:
    return [frame]


async def test_initial_frames_are_received_in_their_order(flavour: Flavour, tag: type[Any]) -> None:
    frames: list[Frame | Close] = [Text("a"), Binary(b"b"), Ping(b"c"), Pong(b"d"), Text("e", final=False), Text("f")]
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([*frames, Close(4000, "enough")]))
    assert [await ws.receive() for _ in frames] == frames
    assert await ws.receive() == Close(4000, "enough")
    assert not ws.is_open
    with pytest.raises(WebSocketClosed) as caught:
        await ws.receive()
    assert caught.value.close == Close(4000, "enough")
    await ws.close()


async def test_each_method_receives_its_kind_of_frames(flavour: Flavour, tag: type[Any]) -> None:
    frames: list[Incoming] = [Text("a", final=False), Ping(b""), Text("b"), Binary(b"c"), Text("d"), Close()]
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming(frames))
    assert await ws.receive_text() == "ab"
    with pytest.raises(UnexpectedFrame):
        await ws.receive_text()
    assert await ws.receive_binary() == b"c"
    assert await ws.receive_message() == "d"
    with pytest.raises(WebSocketClosed):
        await ws.receive_data_frame()


async def test_either_returns_the_close(flavour: Flavour, tag: type[Any]) -> None:
    stub = WebSocketStub.with_initial_incoming([Text("a"), Close(1001)])
    ws = stub.build(tag)
    assert await flavour.value(ws.either_close(ws.receive_text)) == "a"
    assert await flavour.value(ws.either_close(ws.receive_text)) == Close(1001)
    assert await flavour.value(ws.either(ws.receive_text)) == Close(1001)


async def test_each_data_frame_is_answered_by_the_function(flavour: Flavour, tag: type[Any]) -> None:
    received: list[DataFrame] = []

    def respond(frame: DataFrame) -> list[Frame]:
        received.append(frame)
        return [Text(f"{len(received)}"), frame] if frame.final else []

    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("hello")]).then_respond(respond))
    assert await ws.receive_text() == "hello"
    await ws.send(Text("a", final=False))
    await ws.send(Text("b"), is_continuation=True)
    await ws.send_binary(b"c")
    await ws.pong(b"is not answered")
    assert received == [Text("a", final=False), Text("b"), Binary(b"c")]
    assert [await ws.receive() for _ in range(4)] == [Text("2"), Text("b"), Text("3"), Binary(b"c")]


async def test_fragments_in_an_answer_are_sent_as_continuations(flavour: Flavour, tag: type[Any]) -> None:
    fragments: list[Frame] = [Binary(b"a", final=False), Ping(b"between"), Binary(b"b", final=False), Binary(b"c")]
    ws = built(flavour, tag, WebSocketStub().then_respond(lambda _: fragments))
    await ws.send_text("go")
    assert await ws.receive_binary() == b"abc"


async def test_a_state_is_passed_from_answer_to_answer(flavour: Flavour, tag: type[Any]) -> None:
    def count(total: int, frame: DataFrame) -> tuple[int, Iterable[Incoming]]:
        total += len(frame.payload)
        return total, [Text(str(total))]

    stub = WebSocketStub().then_respond_with_state(0, count)
    for _ in range(2):  # Each websocket begins with the initial state.
        ws = built(flavour, tag, stub)
        for text in ("abc", "de", ""):
            await ws.send_text(text)
        assert [await ws.receive_text() for _ in range(3)] == ["3", "5", "5"]


async def test_a_stub_is_immutable_and_can_be_used_again(flavour: Flavour, tag: type[Any]) -> None:
    frames = [Text("first")]
    silent = WebSocketStub.with_initial_incoming(frames)
    answering = silent.then_respond(echoing)
    frames.clear()
    for stub, answers in ((silent, []), (answering, [Text("echo")])):
        ws = built(flavour, tag, stub)
        assert await ws.receive_text() == "first"
        await ws.send_text("echo")
        for answer in answers:
            assert await ws.receive() == answer
        with pytest.raises(NothingPrepared):
            await ws.receive()


@pytest.mark.parametrize(
    ("method", "awaited"),
    [
        ("receive", "frame"),
        ("receive_text", "text message"),
        ("receive_data_frame", "data frame"),
        ("receive_message", "message"),
    ],
)
async def test_receive_raises_nothing_prepared_at_once(
    flavour: Flavour, tag: type[Any], method: str, awaited: str
) -> None:
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("a", final=False)]))
    assert await ws.receive() == Text("a", final=False)
    with pytest.raises(NothingPrepared, match=r"with_initial_incoming\(\)") as caught:
        await getattr(ws, method)(timeout=1000)
    assert str(caught.value).startswith(f"no {awaited} is left to be received")
    assert pickle.loads(pickle.dumps(caught.value)).awaited == awaited
    assert ws.is_open


async def test_the_fragments_of_an_incomplete_message_can_be_received(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("a", final=False)]))
    with pytest.raises(NothingPrepared):
        await ws.receive_text()
    assert await ws.receive() == Text("a", final=False)


async def test_an_exception_among_the_frames_is_raised_by_receive(flavour: Flavour, tag: type[Any]) -> None:
    prepared: list[Incoming] = [Text("a"), ReceiveTimeout("slow"), KeyError("b"), Text("c")]
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming(prepared))
    assert await ws.receive_text() == "a"
    with pytest.raises(ReceiveTimeout, match="slow"):
        await ws.receive_text(timeout=1000)
    with pytest.raises(KeyError, match="b"):
        await ws.receive_text()
    assert ws.is_open
    assert await ws.receive_text() == "c"


async def test_an_answer_may_be_an_exception(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub().then_respond(lambda frame: [ReceiveTimeout("slow"), frame]))
    await ws.send_text("a")
    with pytest.raises(ReceiveTimeout):
        await ws.receive()
    assert await ws.receive() == Text("a")


async def test_pings_and_the_close_are_answered_before_an_exception_is_received(
    flavour: Flavour, tag: type[Any]
) -> None:
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([ReceiveTimeout("slow"), Text("never received")]))
    assert await ws.ping(timeout=1000) >= 0
    await ws.close()
    assert ws.close_info is not None
    assert ws.close_info.is_normal


async def test_an_error_of_the_network_loses_the_connection(flavour: Flavour, tag: type[Any]) -> None:
    reset = ConnectionResetError("reset by peer")
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("a"), reset, Text("never comes")]))
    assert await ws.receive_text() == "a"
    with pytest.raises(ConnectionLost, match="reset by peer") as caught:
        await ws.receive_text()
    assert caught.value.__cause__ is reset
    assert not ws.is_open
    with pytest.raises(ConnectionLost):
        await ws.send_text("too late")
    await ws.close()


async def test_send_raises_the_error_of_the_function(flavour: Flavour, tag: type[Any]) -> None:
    def check(frame: DataFrame) -> list[Frame]:
        assert frame == Text("expected")
        return [Text("thanks")]

    ws = built(flavour, tag, WebSocketStub().then_respond(check))
    with pytest.raises(AssertionError):
        await ws.send_text("something else")
    await ws.send_text("expected")
    assert await ws.receive_text() == "thanks"


@pytest.mark.parametrize("answer", [None, Text("not in a list"), "text", 1])
async def test_an_answer_that_is_not_a_list_is_refused(flavour: Flavour, tag: type[Any], answer: Any) -> None:
    ws = built(flavour, tag, WebSocketStub().then_respond(lambda _: answer))
    with pytest.raises(TypeError, match="a list of frames"):
        await ws.send_text("go")


async def test_a_frame_that_can_not_be_sent_is_refused(flavour: Flavour, tag: type[Any]) -> None:
    with pytest.raises(InvalidFrame):
        WebSocketStub.with_initial_incoming([Ping(bytes(126))]).build(tag)


async def test_pings_are_answered(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub())
    assert await ws.ping() >= 0
    await ws.send(Ping(b"by hand"))
    assert Pong(b"by hand") in [await ws.receive(), await ws.receive()]


async def test_a_close_is_answered(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("a"), Text("b")]))
    assert await ws.receive() == Text("a")
    await ws.close(4001, "bye")
    assert not ws.is_open
    assert ws.close_info is not None
    assert ws.close_info.received == Close(4001)
    assert await ws.receive() == Text("b")  # Frames that were received before the close are kept.


async def test_the_answer_to_a_close_that_was_sent_can_be_received(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub())
    await ws.send(Close(4002))
    assert await ws.receive() == Close(4002)
    await ws.close()
    assert ws.close_info is not None
    assert ws.close_info.cause is CloseCause.CLOSE


async def test_the_limits_of_the_request_hold(flavour: Flavour, tag: type[Any]) -> None:
    request = basic_request.get("ws://stub/").limit_message_size(3)
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([Text("abcd")]), request=request)
    with pytest.raises(MessageTooBig):
        await ws.receive()


async def test_a_patient_stub_lets_receive_wait(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub().then_respond(echoing).then_wait())
    receiving = flavour.spawn(ws.receive_text)
    await flavour.nothing_left_to_do()
    await ws.send_text("later")
    assert await receiving.result() == "later"


async def test_a_patient_stub_raises_a_prepared_exception(flavour: Flavour, tag: type[Any]) -> None:
    ws = built(flavour, tag, WebSocketStub.with_initial_incoming([ReceiveTimeout("slow")]).then_wait())
    with pytest.raises(ReceiveTimeout, match="slow"):
        await ws.receive()
    with pytest.raises(ReceiveTimeout, match="within"):
        await ws.receive(timeout=0.001)


def test_a_request_that_a_server_can_not_accept_raises_stub_error(tag: type[Any]) -> None:
    with pytest.raises(StubError, match="400"):
        WebSocketStub().build(tag, request=basic_request.get("ws://stub/").header("Host", "two hosts"))


async def test_a_whole_message_stands_for_its_frame(flavour: Flavour, tag: type[Any]) -> None:
    stub = WebSocketStub.with_initial_incoming(["a", b"b", Close()])
    ws = seen(flavour, stub.build(tag))
    assert [await ws.receive(), await ws.receive(), await ws.receive()] == [Text("a"), Binary(b"b"), Close()]
    answering = WebSocketStub().then_respond(lambda frame: [frame.payload, b"and more"])
    ws = seen(flavour, answering.build(tag))
    await ws.send_text("c")
    assert [await ws.receive_message(), await ws.receive_message()] == ["c", b"and more"]


def test_a_message_is_not_a_list_of_messages() -> None:
    with pytest.raises(TypeError, match="a list of frames or messages, not 'abc'"):
        WebSocketStub.with_initial_incoming("abc")
