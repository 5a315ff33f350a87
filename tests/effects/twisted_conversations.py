"""Conversations over the effect of ``docs/examples/twisted_effect.py``, each in a process of its own with its reactor.

Run as ``python -m tests.effects.twisted_conversations NAME URL [CERTIFICATE]``; what fails ends the process with 1.
"""

from __future__ import annotations

import functools
import pathlib
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import react

from docs.examples.twisted_effect import TwistedBackend, TwistedEffect, connect
from polysocket import (
    Async,
    Binary,
    Buffer,
    CloseInfo,
    ConcurrentReceive,
    ConnectFailed,
    Listener,
    OpenTimeout,
    PipeHandler,
    ReceiveTimeout,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    from_text_pipe,
    polymorphic,
)

Conversation = Callable[[str], Coroutine[Any, Any, None]]


@polymorphic
async def ask(ws: WebSocket[Async], question: str) -> str:
    await ws.send_text(question)
    return await ws.receive_text(timeout=5)


@polymorphic
async def wait_twice_then_ask(ws: WebSocket[Async]) -> str:
    for _ in range(2):
        try:
            await ws.receive(timeout=0.01)
        except ReceiveTimeout:
            continue
        raise AssertionError("nothing was to come")
    return await ask(ws, "still there?")


async def error_of(deferred: Deferred[Any], kind: type[Exception]) -> Exception:
    try:
        await deferred
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} came")


async def messages(url: str) -> None:
    ws = await connect(url)
    receiving = ws.receive_text()
    assert isinstance(receiving, Deferred)
    assert not receiving.called
    await ws.send_text("Hello!")
    assert await receiving == "Hello!"
    await ws.send_binary(bytes(1_000_000))  # more than the network takes at once
    assert await ws.receive_binary() == bytes(1_000_000)
    assert await ws.ping(timeout=5) < 5
    await ws.close()
    assert ws.close_info.is_normal
    await error_of(ws.receive_text(), WebSocketClosed)
    await error_of(ws.send_text("too late"), WebSocketClosed)


async def tls(url: str) -> None:
    context = ssl.create_default_context(cafile=sys.argv[3])
    ws = await connect(url, ssl=context)
    await ws.send_binary(bytes(1_000_000))
    assert await ws.receive_binary() == bytes(1_000_000)
    await ws.close()
    await error_of(connect(url), ConnectFailed)


async def unix(url: str) -> None:
    ws = await connect("ws://localhost/", unix_path=sys.argv[3])
    assert await ask(ws, "Hello!") == "Hello!"
    await ws.close()
    await error_of(connect("ws://localhost/", unix_path=sys.argv[3] + "nowhere"), ConnectFailed)


async def given_socket(url: str) -> None:
    port = int(url.rsplit(":", 1)[1].strip("/"))
    ws = await connect(url, sock=socket.create_connection(("127.0.0.1", port)))
    assert await ask(ws, "Hello!") == "Hello!"
    await ws.close()


async def time_limits(url: str) -> None:
    ws = await connect(url)
    error = await error_of(ws.receive_text(timeout=0.01), ReceiveTimeout)
    assert "within 0.01 seconds" in str(error)
    assert await wait_twice_then_ask(ws) == "still there?"
    await ws.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
        await error_of(connect(nobody, open_timeout=0.01), OpenTimeout)
    await error_of(connect(nobody), ConnectFailed)


async def cancelled_receive(url: str) -> None:
    ws = await connect(url)
    receiving = ws.receive_text()
    await error_of(ws.receive_text(), ConcurrentReceive)
    receiving.cancel()
    await error_of(receiving, CancelledError)
    assert await ask(ws, "nothing is lost") == "nothing is lost"
    await ws.close()


async def concurrent_sends(url: str) -> None:
    ws = await connect(url)
    begun = ws.send(Text("a", final=False))
    others = [ws.send_text(f"{number}" * 100_000) for number in range(8)]
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
        def on_text(self, frame: Text) -> None:
            heard.callback(frame.payload)

        def on_close(self, info: CloseInfo) -> None:
            ended.callback(info)

    async def program() -> WebSocketHandler:
        return WebSocketHandler(Buffer.bounded(4))

    backend = TwistedBackend()
    ws = (await backend.open_websocket_f(url, lambda: Deferred.fromCoroutine(program()))).result
    await ws.send(Binary(b"a"))
    assert await ws.receive_binary() == b"a"
    listened = (await backend.open_websocket(url, Hears())).result
    await listened.send_text("b")
    assert await heard == "b"
    piping = backend.open_websocket(url, PipeHandler(from_text_pipe(str.upper)))
    assert isinstance(piping, Deferred)
    await backend.close()
    assert (await ended).is_normal
    assert not ws.is_open
    await error_of(piping, Exception)


async def lost(url: str) -> None:
    """The server hangs up in the middle."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opening = connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        sock = listener.accept()[0]
        sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await error_of(opening, UpgradeRejected)
        sock.close()


async def many_programs(url: str) -> None:
    """A program of the user's, typed exactly: over the websocket as programs see it."""
    websockets = await gatherResults([connect(url) for _ in range(4)])

    async def twice(ws: WebSocket[Async], text: str) -> list[str]:
        return [await ask(ws, text), await ask(ws, text)]

    lifted = TwistedEffect().lift(polymorphic(twice).__wrapped__)
    answers: list[Deferred[list[str]]] = [polymorphic(twice)(ws, str(n)) for n, ws in enumerate(websockets)]
    assert callable(lifted)
    assert await gatherResults(answers) == [[str(n), str(n)] for n in range(4)]
    await gatherResults([ws.close() for ws in websockets])


CONVERSATIONS: dict[str, Conversation] = {
    conversation.__name__: conversation
    for conversation in (
        messages,
        tls,
        unix,
        given_socket,
        time_limits,
        cancelled_receive,
        concurrent_sends,
        backend,
        lost,
        many_programs,
    )
}


def main() -> None:
    react(functools.partial(_main, CONVERSATIONS[sys.argv[1]], sys.argv[2]))


def _main(conversation: Conversation, url: str, reactor: Any) -> Deferred[None]:
    async def run() -> None:
        await Deferred.fromCoroutine(conversation(url)).addTimeout(10, reactor)
        assert not reactor.getDelayedCalls(), reactor.getDelayedCalls()

    return Deferred.fromCoroutine(run())


if __name__ == "__main__":
    main()
