"""Conversations with the flavour of ``docs/examples/twisted_effect.py``, in a process with its own reactor.

Run as ``python -m tests.effects.twisted_conversations NAMES URL``; an error ends the process with 1.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater, react

from docs.examples.twisted_effect import TwistedBackend, connect
from polysocket import (
    Async,
    BackendClosed,
    Binary,
    Buffer,
    Close,
    CloseInfo,
    DataFrame,
    Frame,
    Listener,
    PipeHandler,
    Text,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
    polymorphic,
)
from polysocket.polymorphic import PolymorphicClient

F = TypeVar("F")

Conversation = Callable[[str], Coroutine[Any, Any, None]]


@polymorphic
async def ask(ws: WebSocket[Async], question: str) -> str:
    await ws.send_text(question)
    return await ws.receive_text(timeout=5)


class Pupil(PolymorphicClient[F]):
    @polymorphic
    async def answer_all(self: Pupil[Async], *questions: str) -> list[str]:
        return [await ask(self.websocket, question) for question in questions]


async def error_of(awaited: Awaitable[Any], kind: type[Exception]) -> Exception:
    try:
        await awaited
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


async def messages(url: str) -> None:
    ws = await connect(url)
    given: Any = ws.receive_text()
    receiving = ensureDeferred(given)
    assert receiving is given
    assert not receiving.called
    await ws.send_text("Hello!")
    assert await receiving == "Hello!"
    await ws.send_binary(bytes(1_000_000))  # more than the socket buffers hold
    assert await ws.receive_binary() == bytes(1_000_000)
    assert await ws.ping(timeout=5) < 5
    await ws.close()
    assert ws.close_info is not None
    assert ws.close_info.is_normal
    await error_of(ws.receive_text(), WebSocketClosed)
    await error_of(ws.send_text("too late"), WebSocketClosed)


async def proxied(url: str) -> None:
    """Connect via the proxy that is the argument after the URL."""
    async with await connect(url, proxy=sys.argv[3]) as ws:
        assert await ask(ws, "a") == "a"
    async with TwistedBackend(proxy=sys.argv[3]) as backend:
        response = await backend.open_websocket(url, WebSocketHandler())
        assert await ask(response.result, "b") == "b"


async def concurrent_sends(url: str) -> None:
    ws = await connect(url)
    begun = ensureDeferred(ws.send(Text("a", final=False)))
    others = [ensureDeferred(ws.send_text(f"{number}" * 100_000)) for number in range(8)]
    assert not any(other.called for other in others)
    await ws.send(Text("b"), is_continuation=True)
    received = [await ws.receive_text() for _ in range(9)]
    await gatherResults([begun, *others])
    assert received == ["ab", *(f"{number}" * 100_000 for number in range(8))]
    await ws.close()


async def backend(url: str) -> None:
    ended: Deferred[CloseInfo] = Deferred()
    heard: Deferred[str] = Deferred()

    class Hears(Listener[Any]):
        async def on_text(self, frame: Text) -> None:
            heard.callback(frame.payload)

        def on_close(self, info: CloseInfo) -> None:
            ended.callback(info)

    async def program() -> WebSocketHandler:
        return WebSocketHandler(Buffer.bounded(4))

    async with TwistedBackend() as backend:
        ws = (await backend.open_websocket_f(url, lambda: Deferred.fromCoroutine(program()))).result
        await ws.send(Binary(b"a"))
        assert await ws.receive_binary() == b"a"
        listened = (await backend.open_websocket(url, Hears())).result
        await listened.send_text("b")
        assert await heard == "b"
    assert (await ended).is_normal
    assert not ws.is_open
    await error_of(backend.open_websocket(url, WebSocketHandler()), BackendClosed)


async def pipe(url: str) -> None:
    """Run a pipe: the server sends a text, reads the answer, and closes."""

    async def shout(text: str) -> str:
        return text.upper()

    piping = TwistedBackend().open_websocket(url, PipeHandler(from_text_pipe(shout)))
    assert isinstance(piping, Deferred)
    assert (await piping).result.is_normal


async def idle_pipe(url: str) -> None:
    """Run a stage that waits for something else when the server closes, until its deadline."""
    ended: list[str] = []

    async def stage(_: AsyncIterator[DataFrame]) -> AsyncIterator[Frame]:
        try:
            yield Text("A")
            await Deferred()
        finally:
            ended.append("ended")

    logging.getLogger("polysocket").addHandler(logging.NullHandler())  # A warning says that the stage was ended.
    request = basic_request.timeouts(close=0.2).get(url)
    assert (await TwistedBackend().open_websocket(request, PipeHandler(stage))).result.is_normal
    assert ended == ["ended"]


async def programs(url: str) -> None:
    websockets = await gatherResults([connect(url) for _ in range(4)])
    answers = [ensureDeferred(Pupil(ws).answer_all("a", "b")) for ws in websockets]
    assert await gatherResults(answers) == [["a", "b"]] * 4
    for ws in websockets:
        async with ws:
            await ws.send_text("last")
            await ws.ping(timeout=5)  # Now the echo has arrived. The server may answer a Close before it echoes.
            await ws.send(Close())
            assert [message async for message in ws] == ["last"]


CONVERSATIONS: dict[str, Conversation] = {
    conversation.__name__: conversation
    for conversation in (
        messages,
        proxied,
        concurrent_sends,
        backend,
        pipe,
        idle_pipe,
        programs,
    )
}


def main(reactor: Any) -> Deferred[None]:
    async def run() -> None:
        await deferLater(reactor, 0)  # The reactor adds its own readers when it starts.
        readers = set(reactor.getReaders())
        for name in sys.argv[1].split(","):
            await Deferred.fromCoroutine(CONVERSATIONS[name](sys.argv[2])).addTimeout(10, reactor)
        for _ in range(3):  # the reactor closes aborted connections meanwhile
            await deferLater(reactor, 0)
        assert set(reactor.getReaders()) == readers, "connections are leaked"
        assert not reactor.getDelayedCalls(), "delayed calls are leaked"

    return Deferred.fromCoroutine(run())


if __name__ == "__main__":
    react(main)
