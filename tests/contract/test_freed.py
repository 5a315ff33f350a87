"""Stubs and pairs in memory are freed by reference count, as the contract demands of real websockets."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from polysocket import (
    Async,
    Buffer,
    PipeHandler,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    from_text_pipe,
)
from polysocket.testing import BackendStub, NothingPrepared, WebSocketStub, memory_pair
from polysocket.testing.contract import Flavour, promise
from polysocket.testing.contract.freeing import check_freed
from polysocket.testing.contract.lifetimes import fails
from polysocket.testing.contract.places import Place
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
