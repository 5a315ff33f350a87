"""``connect`` of a backend and of a stub: the flavour's ``connect``, with the settings of the backend."""

from __future__ import annotations

from typing import Any, Unpack

import pytest

from polysocket import (
    Async,
    Backend,
    BackendClosed,
    Blocking,
    Buffer,
    BufferFull,
    CloseInfo,
    ConnectOptions,
    Frame,
    InvalidRequest,
    Observation,
    ObservedBackend,
    Request,
    Response,
    UpgradeRejected,
    WebSocket,
    basic_request,
)
from polysocket.frames import Close
from polysocket.testing import BackendStub, WebSocketStub
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire

URL = "wss://stub.example/chat"


class Noting(Observation):
    """An observer that notes what it is told, also as the observation of its only websocket."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def opening(self, request: Request, /) -> Noting:
        self.noted.append(f"opening {request.url}")
        return self

    def opened(self, response: Response, /) -> None:
        self.noted.append(f"opened {response.status}")

    def rejected(self, error: BaseException, /) -> None:
        self.noted.append(f"rejected {type(error).__name__}")

    def received(self, frame: Frame | Close, /) -> None:
        self.noted.append(f"received {type(frame).__name__}")

    def sent(self, frame: Frame | Close, /) -> None:
        self.noted.append(f"sent {type(frame).__name__}")

    def closed(self, info: CloseInfo, /) -> None:
        self.noted.append(f"closed {info.code}")


async def opened(
    flavour: Flavour, backend: Backend[Any], url_or_request: str | Request, **options: Unpack[ConnectOptions]
) -> WebSocket[Async]:
    """Connect via the backend, and return the websocket with methods that a program can await."""
    ws: WebSocket[Any] = await flavour.effect().unlift(backend.connect(url_or_request, **options))
    return await flavour.seen(ws)


async def closed(flavour: Flavour, backend: Backend[Any], peer: Peer) -> list[Wire]:
    """Close the backend; return the frames that the peer receives."""

    async def close() -> None:
        await flavour.effect().unlift(backend.close())

    closing = flavour.spawn(close)
    frames = await flavour.call(peer.finish)
    await closing.result()
    return frames


def stubbed(flavour: Flavour) -> BackendStub[Any]:
    """Make a stub of the flavour."""
    return BackendStub.of(Blocking, effect=flavour.effect())


@every_transport
@promise
async def test_a_backend_connects_and_its_end_closes_the_websocket(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=basic_request.header("X-A", "1").header("X-B", "1"))
    options: ConnectOptions = {**peer.options(), "headers": {"X-B": "2"}}
    ws = await opened(flavour, backend, peer.url, **options)
    assert b"X-A: 1\r\nX-B: 2\r\n" in peer.requests[0]
    peer.send(wire.encode(wire.TEXT, "a"))
    assert await ws.receive_text() == "a"
    assert await closed(flavour, backend, peer) == [Wire(wire.CLOSE, b"\x03\xe8")]
    assert not ws.is_open


@promise
async def test_a_backend_connects_with_a_buffer(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=basic_request)
    options: ConnectOptions = {**peer.options(), "buffer": Buffer.bounded(1)}
    ws = await opened(flavour, backend, peer.url, **options)
    peer.send(wire.text("a") + wire.text("b"))
    assert (await flavour.call(peer.frame)).opcode == wire.CLOSE
    peer.hang_up()
    assert await ws.receive_text() == "a"
    with pytest.raises(BufferFull):
        await ws.receive_text()
    await flavour.effect().unlift(backend.close())


@promise
async def test_a_request_replaces_the_request_of_the_backend(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=basic_request.header("X-A", "1"))
    await opened(flavour, backend, basic_request.header("X-B", "1").get(peer.url))
    assert b"X-A" not in peer.requests[0]
    assert b"X-B" in peer.requests[0]
    await closed(flavour, backend, peer)


@promise
async def test_observers_are_told_about_a_websocket_that_a_backend_connects(flavour: Flavour, peer: Peer) -> None:
    observer = Noting()
    backend = ObservedBackend(flavour.backend(request=basic_request), observer)
    ws = await opened(flavour, backend, peer.url)
    await ws.send_text("a")
    await closed(flavour, backend, peer)
    assert observer.noted[:3] == [f"opening {peer.url}", "opened 101", "sent Text"]
    assert observer.noted[-1] == "closed 1000"


@promise
async def test_a_closed_backend_connects_no_more(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=basic_request)
    await flavour.effect().unlift(backend.close())
    with pytest.raises(BackendClosed):
        await opened(flavour, backend, peer.url)


@promise
async def test_the_options_of_a_backend_are_checked_as_those_of_connect(flavour: Flavour) -> None:
    backend, wrong = flavour.backend(request=basic_request), {"max_size": 5}
    for each in (backend, stubbed(flavour).when_any_request().then_respond_web_socket()):
        with pytest.raises(TypeError, match=r"connect\(\) got .* 'max_size'; for that there is max_message_size"):
            await opened(flavour, each, URL, **wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidRequest, match="port is a number from 1 to 65535"):
            await opened(flavour, each, URL, port=0)


@promise
async def test_a_stub_connects_according_to_its_rules(flavour: Flavour) -> None:
    greeting = WebSocketStub.with_initial_incoming(["hello"])
    stub = stubbed(flavour).when_request_matches(lambda request: request.headers.get("X-A") == "1")
    backend = stub.then_respond_web_socket(greeting, subprotocol="chat").when_any_request().then_reject(403)
    observer = Noting()
    observed = ObservedBackend(backend, observer)
    ws = await opened(flavour, observed, URL, headers={"X-A": "1"}, subprotocols=["chat"])
    assert await ws.receive_text() == "hello"
    assert ws.subprotocol == "chat"
    with pytest.raises(UpgradeRejected):
        await opened(flavour, observed, URL)
    await flavour.effect().unlift(observed.close())
    assert not ws.is_open
    assert {f"opening {URL}", "opened 101", "received Text", "rejected UpgradeRejected"} <= {*observer.noted}
    with pytest.raises(BackendClosed):
        await opened(flavour, observed, URL)


@promise
async def test_a_stub_calls_the_function_for_credentials(flavour: Flavour) -> None:
    calls: list[str] = []
    stub = stubbed(flavour).when_any_request().then_respond_web_socket()

    def auth() -> dict[str, str]:
        calls.append("called")
        return {"Authorization": "Bearer secret"}

    ws = await opened(flavour, stub, URL, auth=auth)
    assert calls == ["called"]
    await ws.close()


@promise
async def test_a_fallback_connects_with_the_same_options(flavour: Flavour, peer: Peer) -> None:
    backend = flavour.backend(request=basic_request)
    stub = stubbed(flavour).when_request_matches(lambda request: False).then_reject(500).with_fallback(backend)
    await opened(flavour, stub, peer.url, headers={"X-A": "1"}, cookies={"a": "1"}, user_agent="test/1")
    assert peer.requests[0].count(b"X-A: 1\r\n") == 1
    assert b"Cookie: a=1\r\n" in peer.requests[0]
    assert b"User-Agent: test/1\r\n" in peer.requests[0]
    await closed(flavour, backend, peer)
