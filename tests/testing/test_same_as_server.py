"""A program has the same result with a stub and with a server that does the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Buffer,
    Close,
    DataFrame,
    Ping,
    Text,
    UnexpectedFrame,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    polymorphic,
)
from polysocket.frames import join_fragments
from polysocket.testing import BackendStub, EchoServer, Incoming, WebSocketStub
from tests.backends.flavours import Flavour


def echo(fragments: tuple[DataFrame, ...], frame: DataFrame) -> tuple[tuple[DataFrame, ...], Iterable[Incoming]]:
    """Answer as :class:`EchoServer` does: with whole messages."""
    fragments = (*fragments, frame)
    if not frame.final:
        return fragments, []
    message = join_fragments(fragments)
    return (), [Text(message) if isinstance(message, str) else Binary(message)]


nothing: tuple[DataFrame, ...] = ()
echoing = WebSocketStub().then_respond_with_state(nothing, echo)


@polymorphic
async def messages(ws: WebSocket[Async]) -> list[object]:
    await ws.send_text("Grüße")
    await ws.send(Text("a", final=False))
    await ws.send(Text("", final=False), is_continuation=True)
    await ws.send(Text("b"), is_continuation=True)
    await ws.send_binary(bytes(70_000))
    return [await ws.receive_text(), await ws.receive(), await ws.receive_binary()]


@polymorphic
async def control_frames(ws: WebSocket[Async]) -> list[object]:
    await ws.send(Text("a", final=False))
    await ws.send(Ping(b"between"))
    await ws.send(Text("b"), is_continuation=True)
    await ws.pong(b"unasked")
    return [await ws.receive(), await ws.receive()]


@polymorphic
async def wrong_kind(ws: WebSocket[Async]) -> list[object]:
    await ws.send_binary(b"a")
    try:
        await ws.receive_text()
    except UnexpectedFrame as error:
        return [str(error), await ws.receive()]
    return []


@polymorphic
async def pinging(ws: WebSocket[Async]) -> list[object]:
    seconds = await ws.ping(b"payload", timeout=5)
    await ws.send_text("after the Pong")
    return [seconds >= 0, await ws.receive_data_frame(pong_on_ping=False), ws.is_open]


@polymorphic
async def closing(ws: WebSocket[Async]) -> list[object]:
    await ws.send_text("answered before the closing")
    received = [await ws.receive()]
    await ws.close(4000, "enough")
    await ws.close()
    seen: list[object] = [*received, ws.is_open, ws.close_info]
    for call in (ws.receive_text, lambda: ws.send_text("late"), ws.ping):
        try:
            await call()
        except WebSocketClosed as error:
            seen.append((type(error), error.close_info))
    return seen


@polymorphic
async def sending_the_close(ws: WebSocket[Async]) -> list[object]:
    await ws.send(Close(4001, "by hand"))
    seen = [ws.is_open, await ws.receive(), await ws.either_close(ws.receive_text), await ws.either(ws.receive_text)]
    await ws.close()
    return [*seen, ws.close_info]


@polymorphic
async def iterating(ws: WebSocket[Async]) -> list[object]:
    seen: list[object] = []
    for text in ("a", "b", "c"):
        await ws.send_text(text)
    async for message in ws:
        seen.append(message)
        if message == "c":
            await ws.send(Close())
    return [*seen, repr(ws)]


PROGRAMS = [messages, wrong_kind, pinging, closing, sending_the_close, iterating]
BUFFERS = [None, Buffer.unbounded(), Buffer.bounded(100, overflow="wait")]


@pytest.mark.parametrize(
    ("program", "buffer"),
    # A websocket that reads ahead receives no control frames.
    [(control_frames, None), *itertools.product(PROGRAMS, BUFFERS)],
    ids=lambda value: value.__wrapped__.__name__ if isinstance(value, polymorphic) else value and value.overflow,
)
async def test_the_same_program_has_the_same_result(
    flavour: Flavour, tag: type[Any], program: Any, buffer: Buffer | None
) -> None:
    request = basic_request.compress(None).answer_pings(False).subprotocol("echo")
    stub = BackendStub.of(tag).when_any_request().then_respond_web_socket(echoing, subprotocol="echo")
    results = []
    with EchoServer(limits=request.limit_message_size(None)) as server:
        for backend in (flavour.backend(), stub):
            async with flavour.entered(backend):
                opening = backend.open_websocket(request.get(server.url), WebSocketHandler(buffer))
                response = await flavour.value(opening)
                result = await flavour.value(program(response.result))
                await flavour.value(response.result.close())
                answered = response.status, response.reason, response.subprotocol, [*response.headers]
                results.append((answered, result))
    assert results[0] == results[1]
    assert results[0][1]
