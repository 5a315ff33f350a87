"""Scenarios: websockets from their opening to their end, and openings that fail.

Each scenario holds its websocket in local variables only, and drops the errors that it meets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from polysocket import (
    Async,
    Buffer,
    Close,
    CloseInfo,
    InvalidHandler,
    InvalidRequest,
    Listener,
    ObservedBackend,
    OpeningFailed,
    PipeHandler,
    ReceiveTimeout,
    Text,
    UnexpectedFrame,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.effects import Event
from polysocket.observers import Observation
from polysocket.testing.contract import places, wire
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect
from polysocket.testing.contract.places import DEFLATE, Answer, Echo, Peer, Place, answering, saying, upgrading

__all__ = ["SCENARIOS", "Scenario", "fails"]

LIMITS = basic_request.timeouts(open=5, close=5)

Scenario = Callable[[Flavour, Place], Coroutine[Any, Any, None]]


async def fails(
    kind: type[BaseException] | tuple[type[BaseException], ...], call: Callable[[], Awaitable[object]]
) -> None:
    """Check that a call raises an error of this kind, and drop the error with its traceback."""
    try:
        await call()
    except kind:
        return
    raise AssertionError("nothing was raised")


def deflating(place: Place) -> Peer:
    """Return a peer that agrees on compression."""
    return Peer(place, upgrading(DEFLATE))


def without_tls(place: Place) -> Place:
    """Return a place for a backend, which trusts the system's certificate authorities only."""
    return Place("tcp", place.folder)


async def talk(flavour: Flavour, ws: WebSocket[Async], peer: Peer) -> None:
    """Exchange messages that fill zlib's windows, and control frames, which wsproto decodes."""
    await ws.send_text("sent " * 100)
    await flavour.call(peer.frame)
    peer.send(b"".join(wire.fragments(wire.TEXT, b"a", b"b")) + wire.encode(wire.PING, b"x") + wire.text("c"))
    assert await ws.receive_text() == "ab"
    assert await ws.receive_text() == "c"


# Ends of a websocket


async def closed(flavour: Flavour, place: Place) -> None:
    """Close while the peer answers."""
    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await talk(flavour, ws, peer)
        closing = flavour.spawn(ws.close)
        await flavour.call(peer.finish)
        await closing.result()
        await fails(WebSocketClosed, ws.receive_text)
        await fails(WebSocketClosed, lambda: ws.send_text("late"))


async def closed_by_an_echo_server(flavour: Flavour, place: Place) -> None:
    """Talk with a server of this library."""
    with Echo(place) as echo:
        async with await connect(flavour, echo) as ws:
            for _ in range(3):
                await ws.send_text("echo " * 100)
                await ws.receive_message()
            assert await ws.ping() >= 0


async def closed_by_the_peer(flavour: Flavour, place: Place) -> None:
    """Receive the peer's Close, and end the block."""
    with deflating(place) as peer:
        async with await connect(flavour, peer) as ws:
            await talk(flavour, ws, peer)
            peer.send(wire.close(4000, "enough"))
            await fails(WebSocketClosed, ws.receive_text)
            await fails(WebSocketClosed, ws.ping)
            peer.hang_up()


async def called_in_f(flavour: Flavour, place: Place) -> None:
    """Call the methods of the flavour's own websocket, whose results are in ``F``."""
    unlift = flavour.effect().unlift
    with deflating(place) as peer:
        ws = await flavour.connect(peer.url, **peer.options())
        await unlift(ws.send_text("a"))
        await flavour.call(peer.frame)
        await fails(ReceiveTimeout, lambda: unlift(ws.receive_text(timeout=0.01)))
        peer.send(wire.text("b") + wire.close(4000))
        assert await unlift(ws.either(ws.receive_text)) == "b"
        assert await unlift(ws.either_close(ws.receive_text)) == Close(4000)
        for call in (ws.receive, ws.receive_text, lambda: ws.send_text("late"), lambda: ws.ping(timeout=1)):
            await unlift(ws.either(ws.receive))
            with contextlib.suppress(WebSocketClosed):
                await unlift(call())
        peer.hang_up()
        await unlift(ws.close())


async def iterated(flavour: Flavour, place: Place) -> None:
    """Iterate to the end."""
    with deflating(place) as peer:
        async with await connect(flavour, peer) as ws:
            peer.send(wire.text("a") + wire.close(1000))
            assert [message async for message in ws] == ["a"]
            peer.hang_up()


async def raised_in_the_block(flavour: Flavour, place: Place) -> None:
    """End the block with an error."""

    async def block() -> None:
        async with await connect(flavour, peer) as ws:
            await ws.send_text("a")
            raise ZeroDivisionError

    with deflating(place) as peer:
        running = flavour.spawn(flavour.call, peer.finish)
        await fails(ZeroDivisionError, block)
        await running.result()


async def reset(flavour: Flavour, place: Place) -> None:
    """Lose the connection while receiving, then send and ping."""
    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await talk(flavour, ws, peer)
        peer.reset()
        await fails(WebSocketClosed, ws.receive_text)
        for _ in range(3):
            await fails(WebSocketClosed, lambda: ws.send_text("late"))
        await fails(WebSocketClosed, ws.ping)
        await ws.close()


async def reset_while_sending(flavour: Flavour, place: Place) -> None:
    """Lose the connection while sending, without receiving anything."""

    async def send() -> None:
        while True:
            await ws.send_binary(bytes(100_000))

    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await flavour.call(lambda: peer.stream)
        peer.reset()
        await fails(WebSocketClosed, send)
        await fails(WebSocketClosed, send)
        await fails(WebSocketClosed, ws.receive)
        await ws.close()


async def hung_up(flavour: Flavour, place: Place) -> None:
    """Lose the connection without a Close."""
    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await talk(flavour, ws, peer)
        peer.hang_up()
        await fails(WebSocketClosed, ws.receive_text)
        await ws.close()


def breaking(data: bytes) -> Scenario:
    """Return a scenario in which the peer breaks the protocol with these bytes."""

    async def broken(flavour: Flavour, place: Place) -> None:
        with deflating(place) as peer:
            ws = await connect(flavour, peer, max_message_size=1000)
            await talk(flavour, ws, peer)
            peer.send(data)
            await fails(WebSocketClosed, ws.receive_text)
            await fails(WebSocketClosed, ws.receive_text)
            peer.hang_up()
            await ws.close()

    return broken


async def timed_out(flavour: Flavour, place: Place) -> None:
    """Let time limits pass, the close timeout too; receive a frame of another kind."""
    with deflating(place) as peer:
        ws = await connect(flavour, peer, close_timeout=0.05)
        await talk(flavour, ws, peer)
        await fails(ReceiveTimeout, lambda: ws.receive_text(timeout=0.01))
        await fails(ReceiveTimeout, lambda: ws.ping(timeout=0.01))
        peer.send(wire.encode(wire.BINARY, b"a"))
        await fails(UnexpectedFrame, ws.receive_text)
        await ws.close()


async def cancelled(flavour: Flavour, place: Place) -> None:
    """Interrupt what waits, at last the block itself."""

    async def block() -> None:
        async with ws:
            await ws.receive()

    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await talk(flavour, ws, peer)
        for call in (ws.receive_text, ws.ping, lambda: ws.receive(timeout=5)):
            assert await flavour.interrupt(call) is INTERRUPTED
        assert await flavour.interrupt(block) is INTERRUPTED


async def interrupted_while_sending(flavour: Flavour, place: Place) -> None:
    """Interrupt a send that waits for the network."""

    async def block() -> None:
        async with ws:
            await ws.send_binary(bytes(6 * 1024 * 1024))

    with Peer(place, receive_buffer=4096) as peer:
        ws = await connect(flavour, peer)
        assert await flavour.interrupt(block) is INTERRUPTED


async def used_by_several(flavour: Flavour, place: Place) -> None:
    """Receive, ping and send in turn from several tasks, and close while they wait."""
    with deflating(place) as peer:
        ws = await connect(flavour, peer)
        await ws.send(Text("a", final=False))
        waiting = [
            flavour.spawn(fails, WebSocketClosed, call)
            for call in (ws.receive_text, ws.ping, lambda: ws.send_text("b"))
        ]
        for task in waiting:
            await task.waiting()
        closing = flavour.spawn(ws.close)
        await flavour.call(peer.finish)
        await closing.result()
        for task in waiting:
            await task.result()


# Via a backend


class Watch(Observation):
    """An observation that keeps what it sees until it is dropped."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def received(self, frame: object, /) -> None:
        self.seen.append(frame)

    def closed(self, info: CloseInfo, /) -> None:
        self.seen.append(info)


class Watcher:
    """An observer that keeps its observations."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []

    def opening(self, _request: object, /) -> Observation:
        self.watches.append(Watch())
        return self.watches[-1]


class Answering(Listener[Any]):
    """A listener that keeps its websocket, and fails at the text ``"fail"``."""

    def __init__(self, has_ended: Event) -> None:
        self.has_ended = has_ended
        self.errors: list[Exception] = []

    def on_open(self, ws: WebSocket[Any]) -> None:
        self.websocket = ws

    def on_text(self, frame: Text) -> None:
        if frame.payload == "fail":
            raise ZeroDivisionError

    def on_error(self, error: Exception) -> None:
        """Drop the error."""

    def on_close(self, info: CloseInfo) -> None:
        self.has_ended.set()


async def buffered(flavour: Flavour, place: Place) -> None:
    """Read ahead into a buffer, observed; close the websocket, then the backend."""
    with deflating(without_tls(place)) as peer:
        backend = ObservedBackend(flavour.backend(request=LIMITS), Watcher())
        unlift = flavour.effect().unlift
        request = basic_request.get(peer.url).timeouts(open=5, close=5)
        ws = await flavour.seen(
            (await unlift(backend.open_websocket(request, WebSocketHandler(Buffer.bounded(8))))).result
        )
        await talk(flavour, ws, peer)
        closing = flavour.spawn(ws.close)
        await flavour.call(peer.finish)
        await closing.result()
        await fails(WebSocketClosed, ws.receive_text)
        await unlift(backend.close())


async def buffer_overflowed(flavour: Flavour, place: Place) -> None:
    """Let a buffer overflow; only the backend is closed."""
    with deflating(without_tls(place)) as peer:
        backend = flavour.backend(request=LIMITS)
        unlift = flavour.effect().unlift
        ws = await flavour.seen(
            (await unlift(backend.open_websocket(peer.url, WebSocketHandler(Buffer.bounded(1))))).result
        )
        peer.send(wire.text("a") * 3)
        await flavour.call(peer.frame)
        await ws.receive()
        await fails(WebSocketClosed, ws.receive)
        peer.hang_up()
        await unlift(backend.close())


def listening(*pieces: bytes) -> Scenario:
    """Return a scenario with a listener to which the peer sends these frames; it ends the connection afterwards."""

    async def listened(flavour: Flavour, place: Place) -> None:
        with deflating(without_tls(place)) as peer:
            backend = ObservedBackend(flavour.backend(request=LIMITS), Watcher())
            unlift = flavour.effect().unlift
            listener = Answering(flavour.event())
            await unlift(backend.open_websocket(peer.url, listener))
            for piece in pieces:
                peer.send(piece)
            if pieces and pieces[-1].startswith(wire.text("fail")):
                await flavour.call(peer.finish)
            peer.hang_up()
            await listener.has_ended.wait()
            await unlift(backend.close())

    return listened


def piped(text: str) -> Scenario:
    """Return a scenario with a pipe that answers this text, and fails if it is empty."""

    async def run(flavour: Flavour, place: Place) -> None:
        with deflating(without_tls(place)) as peer:
            backend = flavour.backend(request=LIMITS)
            unlift = flavour.effect().unlift

            async def pipe() -> None:
                handler = PipeHandler(from_text_pipe(lambda message: str(1 / len(message))))
                opening = partial(backend.open_websocket, peer.url, handler)
                if text:
                    await unlift(opening())
                else:
                    await fails(ZeroDivisionError, lambda: unlift(opening()))

            running = flavour.spawn(pipe)
            await flavour.call(lambda: peer.stream)
            peer.send(wire.text(text))
            if text:
                await flavour.call(peer.frame)
                peer.send(wire.close())
                await flavour.call(peer.frame)
                peer.hang_up()
            else:
                await flavour.call(peer.finish)
            await running.result()
            await unlift(backend.close())

    return run


# Not opened


def refusing(answer: Answer, kind: type[Exception] = OpeningFailed) -> Scenario:
    """Return a scenario with a peer that answers an opening handshake so."""

    async def refused(flavour: Flavour, place: Place) -> None:
        with Peer(place, answer) as peer:
            await fails(kind, lambda: connect(flavour, peer, open_timeout=0.3))

    return refused


async def unreachable(flavour: Flavour, place: Place) -> None:
    """Connect to a port on which nothing listens, via a backend too."""
    listener = places.Listener(Place("tcp", place.folder))
    listener.hang_up()
    await fails(OpeningFailed, lambda: flavour.open(listener.url))
    backend = ObservedBackend(flavour.backend(request=LIMITS), Watcher())
    await fails(
        OpeningFailed, lambda: flavour.effect().unlift(backend.open_websocket(listener.url, WebSocketHandler()))
    )
    await fails(InvalidRequest, lambda: flavour.open(basic_request))
    await flavour.effect().unlift(backend.close())


async def silent(flavour: Flavour, place: Place) -> None:
    """Let the time limit pass, and interrupt the opening."""
    listener = places.Listener(place)
    try:
        await fails(OpeningFailed, lambda: connect(flavour, listener, open_timeout=0.05))
        for turns in (0, 1, 2, 4, 30):
            assert await flavour.interrupt(lambda: connect(flavour, listener), turns) is INTERRUPTED
    finally:
        listener.hang_up()


async def not_made(flavour: Flavour, place: Place) -> None:
    """Fail to make a handler."""

    async def broken() -> WebSocketHandler:
        raise ZeroDivisionError

    async def wrong() -> WebSocketHandler:
        return "no handler"  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    effect = flavour.effect()
    backend = flavour.backend(request=LIMITS)
    for make_handler, kind in ((effect.lift(broken), ZeroDivisionError), (effect.lift(wrong), InvalidHandler)):
        opening = partial(backend.open_websocket_f, "ws://localhost/", make_handler)
        await fails(kind, lambda: effect.unlift(opening()))  # noqa: B023 - called at once
    await effect.unlift(backend.close())


def proxied(scheme: str, answer: bytes) -> Scenario:
    """Return a scenario with a proxy that answers so, and opens no tunnel."""

    async def refused(flavour: Flavour, place: Place) -> None:
        listener = places.Listener(without_tls(place))
        proxy = listener.url.replace("ws:", f"{scheme}:")
        try:
            opening = partial(flavour.open, "ws://example.com/", proxy=proxy, open_timeout=0.3)
            if answer:
                answering_once = flavour.spawn(flavour.call, listener.answer_once, answer)
                await fails(OpeningFailed, opening)
                await answering_once.result()
            else:
                await fails(OpeningFailed, opening)
        finally:
            listener.hang_up()

    return refused


async def without_trust(flavour: Flavour, place: Place) -> None:
    """Refuse a certificate."""
    with Peer(Place("tls", place.folder)) as peer:
        await fails(OpeningFailed, lambda: flavour.open(peer.url))


SCENARIOS: Final[dict[str, Scenario]] = {
    "closed": closed,
    "closed by an echo server": closed_by_an_echo_server,
    "closed by the peer": closed_by_the_peer,
    "called in F": called_in_f,
    "iterated": iterated,
    "an error in the block": raised_in_the_block,
    "reset": reset,
    "reset while sending": reset_while_sending,
    "hung up": hung_up,
    "a bad frame": breaking(b"\xff\x00"),
    "bad deflate data": breaking(wire.encode(wire.TEXT, b"\xff\xff", compressed=True)),
    "bad text": breaking(wire.encode(wire.TEXT, b"\xff\xff")),
    "a bad Close": breaking(wire.encode(wire.CLOSE, b"\x00")),
    "a large message": breaking(wire.encode(wire.BINARY, bytes(1001))),
    "timed out": timed_out,
    "cancelled": cancelled,
    "interrupted while sending": interrupted_while_sending,
    "used by several": used_by_several,
    "buffered": buffered,
    "a buffer that overflows": buffer_overflowed,
    "a listener": listening(wire.text("a"), wire.close()),
    "a listener that fails": listening(wire.text("fail")),
    "a listener that loses the connection": listening(wire.text("a")),
    "a pipe": piped("text"),
    "a pipe that fails": piped(""),
    "rejected": refusing(answering("403 Forbidden", body=b"no")),
    "redirected without end": refusing(answering("302 Found")),
    "no HTTP": refusing(saying(b"SSH-2.0\r\n\r\n")),
    "hung up in the handshake": refusing(saying(b"HTTP/1.1 101")),
    "silent": silent,
    "unreachable": unreachable,
    "no handler": not_made,
    "a silent proxy": proxied("http", b""),
    "a proxy that rejects": proxied("http", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    "a silent SOCKS proxy": proxied("socks5", b""),
    "a SOCKS proxy that rejects": proxied("socks5", b"\x05\xff"),
    "without trust": without_trust,
}
