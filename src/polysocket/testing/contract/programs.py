"""Polymorphic programs, ``either`` and ``either_close``: written once, the same result in every flavour."""

from __future__ import annotations

import pytest

from polysocket import Async, Binary, Close, ConnectionLost, Text, WebSocket, polymorphic
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connected, promise
from polysocket.testing.contract.places import Echo, Peer


@polymorphic
async def greet(ws: WebSocket[Async], name: str, *, greeting: str = "Hello") -> str:
    """Greet, and return the answer."""
    await ws.send_text(f"{greeting}, {name}!")
    return await ws.receive_text()


@polymorphic
async def greet_all(ws: WebSocket[Async], *names: str) -> list[str]:
    return [await greet(ws, name, greeting="Hi") for name in names]


@polymorphic
async def fail(ws: WebSocket[Async]) -> None:
    await ws.send_text("before")
    raise LookupError("on purpose")


@polymorphic
async def receive_until_close(ws: WebSocket[Async]) -> list[object]:
    received: list[object] = []
    while not isinstance(frame := await ws.receive(), Close):
        match frame:
            case Text(payload):
                received.append(payload)
            case Binary(payload):
                received.append(payload)
            case _:
                received.append(frame)
    return received


@polymorphic
async def send_often(ws: WebSocket[Async], seconds: float) -> None:
    async with ws.effect.time_limit(seconds):
        for _ in range(100_000):  # A second at least. The system takes them, though the peer reads nothing.
            await ws.send_text("")


@promise
async def test_a_time_limit_ends_a_program_that_only_sends(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, close_timeout=0.1) as ws:
        with pytest.raises(TimeoutError):
            await send_often(ws, 0.05)
        assert ws.is_open


@promise
async def test_a_program_returns_its_value(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        assert await greet(ws, "you") == "Hello, you!"
        assert await greet_all(ws, "a", "b") == ["Hi, a!", "Hi, b!"]
    assert greet.__doc__ == "Greet, and return the answer."


@promise
async def test_a_program_raises_its_error(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        with pytest.raises(LookupError, match="on purpose"):
            await fail(ws)
        assert await ws.receive_text() == "before"


@promise
async def test_a_program_may_match_on_frames(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.TEXT, "a") + wire.encode(wire.BINARY, b"b") + wire.close())
        assert await receive_until_close(ws) == ["a", b"b"]


@promise
async def test_a_program_needs_a_websocket(flavour: Flavour) -> None:
    with pytest.raises(TypeError, match=r"greet\(\) takes a WebSocket first, not str"):
        greet("ws", "you")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.parametrize("code", [1000, 4000])
@promise
async def test_either_close_returns_the_result_or_the_close(flavour: Flavour, peer: Peer, code: int) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.TEXT, "a") + wire.close(code, "x"))
        assert await ws.either_close(ws.receive_text) == "a"
        for _ in range(2):
            assert await ws.either_close(ws.receive_text) == Close(code, "x")
        assert await ws.either(ws.receive_text) == Close(code, "x")
        assert await ws.either(lambda: ws.send_text("too late")) == Close(code, "x")


@promise
async def test_either_returns_none_and_either_close_raises_if_no_close_was_received(
    flavour: Flavour, peer: Peer
) -> None:
    async with connected(flavour, peer) as ws:
        peer.send(wire.encode(wire.TEXT, "a"))
        peer.hang_up()
        assert await ws.either(ws.receive_text) == "a"
        assert await ws.either(ws.receive_text) is None
        with pytest.raises(ConnectionLost):
            await ws.either_close(ws.receive_text)


@promise
async def test_either_raises_other_errors(flavour: Flavour, echo: Echo) -> None:
    async with connected(flavour, echo) as ws:
        for either in (ws.either, ws.either_close):
            with pytest.raises(LookupError):
                await either(lambda: fail(ws))
