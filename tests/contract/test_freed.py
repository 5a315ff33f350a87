"""Stubs, pairs in memory and multiplexers are freed by reference count, as the contract demands of real websockets."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import pytest

from polysocket import (
    Async,
    Buffer,
    MultiplexerFailed,
    PipeHandler,
    ReceiveTimeout,
    SubscriptionFull,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    from_text_pipe,
)
from polysocket.testing import BackendStub, NothingPrepared, WebSocketStub, memory_pair
from polysocket.testing.contract import Flavour, promise, waiting
from polysocket.testing.contract.flavour import connected
from polysocket.testing.contract.freeing import check_freed
from polysocket.testing.contract.lifetimes import fails
from polysocket.testing.contract.multiplexing import Client, Wrong, fail
from polysocket.testing.contract.places import Echo, Place
from polysocket.testing.memory import Faults


def stub(flavour: Flavour) -> BackendStub[Any]:
    return BackendStub.of(Async, effect=flavour.effect())


async def stubbed(flavour: Flavour, _: Place) -> None:
    unlift = flavour.effect().unlift
    peer = WebSocketStub.with_initial_incoming([Text("hi"), ConnectionResetError("cut")])
    backend = stub(flavour).when_any_request().then_respond_web_socket(peer)
    for handler in (WebSocketHandler(), WebSocketHandler(Buffer.bounded(4))):
        ws = await flavour.seen((await unlift(backend.open_websocket("ws://localhost/", handler))).result)
        assert await ws.receive_text() == "hi"
        await fails(WebSocketClosed, ws.receive_text)
    await unlift(backend.close())


async def failing_stub(flavour: Flavour, _: Place) -> None:
    def fail(_: object) -> list[str]:
        raise ZeroDivisionError

    unlift = flavour.effect().unlift
    backend = stub(flavour).when_any_request().then_respond_web_socket(WebSocketStub().then_respond(fail))
    ws = await flavour.seen((await unlift(backend.open_websocket("ws://localhost/", WebSocketHandler()))).result)
    await fails(NothingPrepared, ws.receive_text)
    await fails(ZeroDivisionError, lambda: ws.send_text("a"))
    with contextlib.suppress(ZeroDivisionError):
        await ws.close()
    await ws.close()
    pipe = PipeHandler(from_text_pipe(str.upper))
    backend = stub(flavour).when_any_request().then_reject(403)
    await fails(UpgradeRejected, lambda: unlift(backend.open_websocket("ws://localhost/", pipe)))


async def paired(flavour: Flavour, _: Place) -> None:
    pair = memory_pair(Async, effect=flavour.effect(), to_server=Faults(cut_after=20))
    client, server = [await flavour.seen(side) for side in pair]
    await server.send_text("a")
    assert await client.receive_text() == "a"
    await client.send_text("a" * 100)
    await fails(WebSocketClosed, client.receive_text)
    await fails(WebSocketClosed, server.receive_text)
    await client.close()
    await server.close()


@pytest.mark.parametrize("scenario", [stubbed, failing_stub, paired])
@promise
async def test_a_websocket_without_a_network_is_freed_with_its_last_reference(
    flavour: Flavour, place: Place, scenario: Any
) -> None:
    await check_freed(flavour, place, scenario)


async def multiplexed(flavour: Flavour, place: Place) -> None:
    """Have answers, subscriptions, errors and timeouts, and an end with a caller that waits."""
    with Echo(place) as echo:
        async with connected(flavour, echo) as ws:
            client = Client(ws)
            assert await client.ask("a") == "a"
            await fails(ReceiveTimeout, lambda: client.subscription([]).receive(timeout=0.01))
            async with client.subscription("abc", buffer=Buffer.bounded(2)) as full:
                assert await client.ask("b") == "b"
                assert [await full.receive() for _ in range(2)] == ["a", "b"]
                await fails(SubscriptionFull, full.receive)
            waiting = flavour.spawn(client.subscription(["d"]).receive)
            assert await waiting.result() == "d"
        await fails(WebSocketClosed, lambda: client.ask("too late"))
        async with connected(flavour, echo) as ws:
            failing = Wrong(ws, fail)
            for _ in range(2):
                await fails(MultiplexerFailed, lambda: failing.ask("a"))


@promise
async def test_a_multiplexer_is_freed_with_its_last_reference(
    flavour: Flavour, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "polysocket")  # A captured record would keep its error's traceback.
    await check_freed(flavour, place, multiplexed)


async def in_the_background(flavour: Flavour, place: Place) -> None:
    with Echo(place) as echo:
        async with connected(flavour, echo) as ws:
            assert await waiting.ask_in_the_background(ws, "a") == ["a", "sent a"]


@promise
async def test_a_background_program_is_freed_with_its_last_reference(flavour: Flavour, place: Place) -> None:
    await check_freed(flavour, place, in_the_background)
