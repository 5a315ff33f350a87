"""The WebSocket tests of sttp, translated, against a server made with the ``websockets`` library.

The sections have the names of sttp's suites: WebSocketTest, WebSocketConcurrentTest, WebSocketBufferOverflowTest and
WebSocketStreamingTest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Buffer,
    BufferFull,
    Close,
    CloseInfo,
    DataFrame,
    Frame,
    PipeHandler,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketHandler,
    basic_request,
    from_message_pipe,
    from_text_pipe,
)
from polysocket.handlers.pipe import MessageStage
from tests.backends.flavours import Flavour, a_backend, opened
from tests.backends.servers import Server
from tests.backends.stages import raw_stage

UNBUFFERED_AND_BUFFERED = [WebSocketHandler(), WebSocketHandler(Buffer.unbounded())]
handlers = pytest.mark.parametrize("handler", UNBUFFERED_AND_BUFFERED, ids=["on demand", "buffered"])


# WebSocketTest


async def send_texts(ws: WebSocket[Async], count: int) -> None:
    for number in range(count):
        await ws.send_text(f"test{number}")


async def receive_echoed_texts(ws: WebSocket[Async], count: int) -> None:
    for number in range(count):
        assert await ws.receive_text() == f"echo: test{number}"


@handlers
async def test_send_and_receive_three_messages(flavour: Flavour, server: Server, handler: WebSocketHandler) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url(), handler)
        await send_texts(ws, 3)
        await receive_echoed_texts(ws, 3)
        await ws.close()
        assert ws.close_info is not None
        assert ws.close_info.is_normal


@handlers
async def test_send_and_receive_binary_messages(flavour: Flavour, server: Server, handler: WebSocketHandler) -> None:
    async with a_backend(flavour) as backend:
        request = basic_request.answer_pings(False).get(server.url())
        ws = await opened(flavour, backend, request, handler)
        for number in range(3):
            await ws.send_binary(bytes([number]))
        for number in range(3):
            assert await ws.receive_binary(pong_on_ping=False) == bytes([number])
        await ws.close()


@handlers
async def test_send_and_receive_1000_messages(flavour: Flavour, server: Server, handler: WebSocketHandler) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url(), handler)
        await send_texts(ws, 1000)
        await receive_echoed_texts(ws, 1000)
        await ws.close()


@handlers
async def test_receive_two_messages(flavour: Flavour, server: Server, handler: WebSocketHandler) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url("/ws/send_and_wait"), handler)
        assert await ws.receive() == Text("test10")
        assert await ws.receive() == Text("test20")
        await ws.close()


async def test_fail_if_the_websocket_can_not_be_opened(flavour: Flavour, server: Server) -> None:
    async with a_backend(flavour) as backend:
        with pytest.raises(UpgradeRejected, match="404 Not Found") as caught:
            await backend.open_websocket(server.url("/ws/404"), WebSocketHandler())
    assert caught.value.response.status == 404
    assert caught.value.response.body == b"there is nothing here\n"


async def test_fail_if_the_websocket_can_not_be_opened_for_a_handler_made_by_an_effect(
    flavour: Flavour, server: Server
) -> None:
    made: list[WebSocketHandler] = []

    def make_handler() -> Any:
        made.append(WebSocketHandler())
        return flavour.lifted(made[0])

    async with a_backend(flavour) as backend:
        with pytest.raises(UpgradeRejected) as caught:
            await backend.open_websocket_f(server.url("/ws/404"), make_handler)
    assert caught.value.response.status == 404
    assert len(made) == 1


async def test_send_extra_headers(flavour: Flavour, server: Server) -> None:
    request = basic_request.get(server.url()).header("X-Sent", "one").header("x-sent", "two").bearer_auth("token")
    async with a_backend(flavour) as backend:
        await backend.open_websocket(request, WebSocketHandler())
    assert server.requests[0].get_all("X-Sent") == ["one", "two"]
    assert server.requests[0]["Authorization"] == "Bearer token"


async def test_send_the_subprotocol_header(flavour: Flavour, server: Server) -> None:
    request = basic_request.get(server.url()).subprotocol("news", "chat")
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(request, WebSocketHandler())
        assert response.status == 101
        assert response.subprotocol == response.result.subprotocol == "chat"
        assert response.headers["Sec-WebSocket-Protocol"] == "chat"
    assert server.requests[0]["Sec-WebSocket-Protocol"] == "news, chat"


# WebSocketConcurrentTest


@handlers
async def test_send_and_receive_messages_concurrently(
    flavour: Flavour, server: Server, handler: WebSocketHandler
) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url(), handler)
        tasks = [flavour.spawn(ws.send_text, "test") for _ in range(32)]
        for task in tasks:
            await task.result()
        assert [await ws.receive_text() for _ in range(32)] == ["echo: test"] * 32
        await ws.close()


# WebSocketBufferOverflowTest


async def test_error_if_incoming_messages_overflow_the_buffer(flavour: Flavour, server: Server) -> None:
    async def ping_until_it_ends() -> None:  # sttp's "eventually": the echoes are on their way
        while True:
            await ws.ping()

    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url(), WebSocketHandler(Buffer.bounded(8)))
        await send_texts(ws, 8 + 1)
        with pytest.raises(BufferFull):
            await ping_until_it_ends()
        assert not ws.is_open
        await receive_echoed_texts(ws, 8)
        with pytest.raises(BufferFull):
            await ws.receive()


# WebSocketStreamingTest


def echoing(received: list[str]) -> Callable[[DataFrame], Iterable[Frame]]:
    """Make a function that answers each message, with its fragments joined."""
    parts: list[str] = []

    def function(frame: DataFrame) -> Iterable[Frame]:
        assert isinstance(frame, Text)
        parts.append(frame.payload)
        if frame.final:
            received.append("".join(parts))
            parts.clear()
            yield Text(f"{received[-1]}-echo")

    return function


async def test_a_pipe_processes_messages_server_terminated_raw(flavour: Flavour, server: Server) -> None:
    received: list[str] = []
    handler = PipeHandler(raw_stage(flavour, echoing(received)))
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url("/ws/send_and_expect_echo"), handler)
    assert received == ["test1", "test2", "test3"]
    assert isinstance(response.result, CloseInfo)
    assert response.result.received == Close(1000)


@pytest.mark.parametrize("lift", [from_text_pipe, from_message_pipe], ids=["from_text_pipe", "from_message_pipe"])
async def test_a_pipe_processes_messages_server_terminated(
    flavour: Flavour, server: Server, lift: Callable[[Any], MessageStage]
) -> None:
    received: list[str] = []

    def function(message: str) -> str:
        received.append(message)
        return f"{message}-echo"

    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url("/ws/send_and_expect_echo"), PipeHandler(lift(function)))
    assert received == ["test1", "test2", "test3"]
    assert response.result.received == Close(1000)


def counting(received: list[str]) -> Callable[[str], Text | Close]:
    def function(message: str) -> Text | Close:
        received.append(message)
        return Close() if message == "echo: 5" else Text(str(int(message[6:]) + 1))

    return function


ECHOES = [f"echo: {number}" for number in range(1, 6)]


async def test_a_pipe_processes_messages_client_terminated_raw(flavour: Flavour, server: Server) -> None:
    received: list[str] = []
    count = counting(received)

    def function(frame: DataFrame) -> Iterable[Any]:
        assert isinstance(frame, Text)
        yield count(frame.payload)

    handler = PipeHandler(raw_stage(flavour, function, first=[Text("1")]))
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url(), handler)
    assert received == ECHOES
    assert response.result.sent == response.result.received == Close(1000)


async def test_a_pipe_processes_messages_client_terminated_by_its_end(flavour: Flavour, server: Server) -> None:
    received: list[str] = []
    count = counting(received)

    def function(frame: DataFrame) -> Iterable[Frame] | None:
        assert isinstance(frame, Text)
        answer = count(frame.payload)
        return None if isinstance(answer, Close) else [answer]

    handler = PipeHandler(raw_stage(flavour, function, first=[Text("1")]))
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url(), handler)
    assert received == ECHOES
    assert response.result.sent == response.result.received == Close(1000)


@pytest.mark.parametrize("lift", [from_text_pipe, from_message_pipe], ids=["from_text_pipe", "from_message_pipe"])
async def test_a_pipe_processes_messages_client_terminated(
    flavour: Flavour, server: Server, lift: Callable[[Any], MessageStage]
) -> None:
    received: list[str] = []
    pipe = lift(counting(received))
    handler = PipeHandler(prepended(flavour, Text("1"), pipe))
    async with a_backend(flavour) as backend:
        response = await backend.open_websocket(server.url(), handler)
    assert received == ECHOES
    assert response.result.sent == response.result.received == Close(1000)


def prepended(flavour: Flavour, first: Frame, pipe: MessageStage) -> Any:
    """Make a stage that yields one frame before those of a pipe."""

    def stage(incoming: Any) -> Any:
        yield first
        yield from pipe.over(incoming)

    async def async_stage(incoming: Any) -> Any:
        yield first
        async for frame in pipe.over_async(incoming):
            yield frame

    return async_stage if flavour.is_async else stage


@handlers
async def test_fragments_are_received_as_they_were_sent(
    flavour: Flavour, server: Server, handler: WebSocketHandler
) -> None:
    async with a_backend(flavour) as backend:
        ws = await opened(flavour, backend, server.url("/ws/send_fragments"), handler)
        frames = [await ws.receive_data_frame() for _ in range(3)]
        assert "".join(str(frame.payload) for frame in frames) == "abc"
        while not frames[-1].final:
            frames.append(await ws.receive_data_frame())
        assert isinstance(await ws.receive_binary_frame(), Binary)
