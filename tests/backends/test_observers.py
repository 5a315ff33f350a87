"""Observers are told of all events of a websocket, and change nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from polysocket import (
    Async,
    Backend,
    Binary,
    Buffer,
    Close,
    CloseCause,
    CloseInfo,
    Frame,
    Listener,
    Observation,
    ObservedBackend,
    Ping,
    PipeHandler,
    Pong,
    ReceiveTimeout,
    Request,
    Response,
    Side,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketHandler,
    basic_request,
)
from polysocket.observers.observation import payload_size
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, answering, upgrading
from polysocket.testing.contract.wire import Wire
from tests.backends.flavours import ASYNC, THREADS, Flavour, opened, seen
from tests.backends.recording import Recording
from tests.backends.servers import Door, Server
from tests.backends.stages import raw_stage

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


class Raising(Observation):
    """An observer, and its own observation, that raises in every method."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once

    def opening(self, request: Request, /) -> Observation:
        if self._at_once:
            raise ZeroDivisionError("an observer's own")
        return self

    def opened(self, response: Response, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def rejected(self, error: BaseException, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def received(self, frame: Frame | Close, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def sent(self, frame: Frame | Close, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def closed(self, info: CloseInfo, /) -> None:
        raise ZeroDivisionError("an observer's own")


class Ending(Listener[Any]):
    """A listener that puts the CloseInfo into an inbox."""

    def __init__(self, flavour: Flavour) -> None:
        self.ended = flavour.inbox()

    def on_close(self, info: CloseInfo) -> object:
        return self.ended.put(info)


HANDLERS: dict[str, Callable[[Flavour], WebSocketHandler | Ending]] = {
    "on demand": lambda _: WebSocketHandler(),
    "buffered": lambda _: WebSocketHandler(Buffer.unbounded()),
    "listener": Ending,
}
every_handler = pytest.mark.parametrize("make_handler", HANDLERS.values(), ids=HANDLERS)


async def to_its_end(ws: WebSocket[Async], handler: WebSocketHandler | Ending) -> None:
    """Wait until the websocket has received the Close."""
    if isinstance(handler, Ending):
        await handler.ended.get()
    else:
        while not isinstance(await ws.receive(), Close):
            pass


@every_handler
async def test_an_observer_is_told_of_each_frame_including_automatic_answers(
    flavour: Flavour, peer: Peer, make_handler: Callable[[Flavour], Any]
) -> None:
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    request = basic_request.get(peer.url)
    handler = make_handler(flavour)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), request, handler)
        await ws.send(Text("é", final=False))
        await ws.send(Text("b"), is_continuation=True)
        assert len(await flavour.call(peer.frames, 2)) == 2
        peer.send(wire.encode(wire.BINARY, b"abc") + wire.encode(wire.PING, b"1"))
        if isinstance(handler, WebSocketHandler) and handler.buffer is None:
            assert [await ws.receive(), await ws.receive()] == [Binary(b"abc"), Ping(b"1")]
        assert await flavour.call(peer.frame) == Wire(wire.PONG, b"1")
        peer.send(wire.close(1001, "bye"))
        peer.hang_up()
        await to_its_end(ws, handler)
    info = CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(1001, "bye"), Close(1001))
    assert observer.events == [
        request,
        101,
        ("sent", Text("é", final=False)),
        ("sent", Text("b")),
        ("received", Binary(b"abc")),
        ("received", Ping(b"1")),
        ("sent", Pong(b"1")),
        ("received", Close(1001, "bye")),
        ("sent", Close(1001)),
        info,
    ]
    assert observer.sizes == [2, 1, 3, 1, 1, 5, 2]


@every_handler
async def test_an_observer_is_told_of_frames_that_arrive_with_the_servers_answer(
    flavour: Flavour, new_peer: Callable[..., Peer], make_handler: Callable[[Flavour], Any]
) -> None:
    peer = new_peer(upgrading(trailing=wire.encode(wire.TEXT, "a") + wire.close(1001)))
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        handler = make_handler(flavour)
        ws = await opened(flavour, seen(flavour, backend), peer.url, handler)
        peer.hang_up()
        await to_its_end(ws, handler)
    assert observer.events[1:-1] == [
        101,
        ("received", Text("a")),
        ("received", Close(1001)),
        ("sent", Close(1001)),
    ]
    assert isinstance(observer.events[-1], CloseInfo)


async def test_an_observer_is_told_of_the_end_once(flavour: Flavour, peer: Peer) -> None:
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url)
        finishing = flavour.spawn(flavour.call, peer.finish)
        await ws.close(4000, "enough")
        await ws.close()
        await finishing.result()
    closed = ("sent", Close(4000, "enough")), ("received", Close(4000, "enough")), ws.close_info
    assert tuple(observer.events[1:]) == (101, *closed)


@in_threads
async def test_an_observer_has_been_told_of_the_end_when_the_with_block_ends(flavour: Flavour, peer: Peer) -> None:
    is_left = threading.Event()
    begun = flavour.inbox()
    too_late: list[bool] = []

    class Slow(Recording):
        def closed(self, info: CloseInfo, /) -> None:
            begun.put(info)
            too_late.append(is_left.wait(0.2))

    backend = ObservedBackend(flavour.backend(), Slow())
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), peer.url, WebSocketHandler(Buffer.unbounded()))
        peer.send(wire.close())
        peer.hang_up()
        await begun.get()
    is_left.set()
    assert too_late == [False]


@in_threads
async def test_a_peer_that_is_faster_than_an_observer_is_held_back(flavour: Flavour, peer: Peer) -> None:
    # While no caller receives, a thread of its own calls the observer.
    begun, goes_on = flavour.inbox(), threading.Event()

    class Slow(Recording):
        def received(self, frame: Frame | Close, /) -> None:
            begun.put(frame)
            goes_on.wait(10)

    backend = ObservedBackend(flavour.backend(), Slow())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url, WebSocketHandler())
        peer.send(wire.encode(wire.PING))
        await begun.get()
        try:
            peer.send(wire.encode(wire.PING) * 5000 + wire.encode(wire.TEXT, "the end"))
            with pytest.raises(ReceiveTimeout):
                await ws.receive_text(timeout=1)
        finally:
            goes_on.set()
        assert await ws.receive_text(timeout=10) == "the end"
        peer.hang_up()


async def test_an_observer_is_told_of_the_frames_of_a_pipe(flavour: Flavour, server: Server) -> None:
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)

    def function(frame: Any) -> Iterable[Frame]:
        yield Text(f"{frame.payload}-echo")

    async with flavour.entered(backend):
        url = server.url("/ws/send_and_expect_echo")
        await seen(flavour, backend).open_websocket(url, PipeHandler(raw_stage(flavour, function)))
    frames = [
        event
        for number in range(1, 4)
        for event in (
            ("received", Text(f"test{number}")),
            ("sent", Text(f"test{number}-echo")),
        )
    ]
    assert observer.events[1:-1] == [101, *frames, ("received", Close()), ("sent", Close())]


async def test_an_observer_is_told_of_a_rejection_only(flavour: Flavour, new_peer: Callable[..., Peer]) -> None:
    peer = new_peer(answering("404 Not Found"))
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected) as caught:
            await seen(flavour, backend).open_websocket(peer.url, WebSocketHandler())
    assert observer.events == [basic_request.get(peer.url), caught.value]


@in_async_flavours
async def test_an_observer_is_told_of_a_cancelled_opening(flavour: Flavour, door: Door) -> None:
    # Otherwise a span that the observer has started would never end.
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        opening = flavour.spawn(backend.open_websocket, door.url, WebSocketHandler())
        await flavour.nothing_left_to_do()
        opening.cancel()
        await flavour.nothing_left_to_do()
    assert len(observer.events) == 2


async def test_an_observer_is_not_told_of_an_invalid_handler(flavour: Flavour, door: Door) -> None:
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(TypeError):
            await seen(flavour, backend).open_websocket(door.url, None)
    assert observer.events == []


@pytest.mark.parametrize("count", [2, 3])
async def test_every_observer_is_told_of_all_events(flavour: Flavour, peer: Peer, count: int) -> None:
    observers = [Recording() for _ in range(count)]
    backend: Backend[Any] = flavour.backend()
    for observer in observers:
        backend = ObservedBackend(backend, observer)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url)
        await ws.send_text("a")
        peer.send(wire.close())
        assert await ws.receive() == Close()
        peer.hang_up()
    assert len(observers[0].events) == 6
    assert all(observer.events == observers[0].events for observer in observers)


@pytest.mark.parametrize("given", [None, object(), Recording], ids=["None", "another object", "a class"])
async def test_an_observer_that_does_not_return_an_observation_is_logged_and_ignored(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture, given: Any
) -> None:
    class Careless:
        def opening(self, request: Request, /) -> Any:
            return given

    observer = Recording()
    backend = ObservedBackend(ObservedBackend(flavour.backend(), Careless()), observer)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url)
        peer.send(wire.close())
        assert await ws.receive() == Close()
        peer.hang_up()
    assert len(observer.events) == 5
    [record] = caplog.records
    assert record.getMessage() == "an observer failed"
    assert (
        str(record.exc_info and record.exc_info[1]) == f"Careless.opening() must return an Observation, not {given!r}"
    )


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
async def test_an_observer_that_raises_is_logged_and_ignored(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture, at_once: bool
) -> None:
    observer = Recording()
    backend = ObservedBackend(ObservedBackend(flavour.backend(), Raising(at_once=at_once)), observer)
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url)
        await ws.send_text("a")
        assert await flavour.call(peer.frame) == Wire(wire.TEXT, b"a")
        peer.send(wire.encode(wire.TEXT, "b") + wire.close())
        assert [await ws.receive(), await ws.receive()] == [Text("b"), Close()]
        peer.hang_up()
    assert len(observer.events) == 7
    assert {record.getMessage() for record in caplog.records} == {"an observer failed"}
    assert {str(record.exc_info and record.exc_info[1]) for record in caplog.records} == {"an observer's own"}


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
async def test_an_observer_that_raises_does_not_hide_a_rejection(
    flavour: Flavour, server: Server, at_once: bool
) -> None:
    backend = ObservedBackend(flavour.backend(), Raising(at_once=at_once))
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected):
            await seen(flavour, backend).open_websocket(server.url("/ws/404"), WebSocketHandler())


async def test_websockets_that_the_wrapped_backend_opens_are_not_observed(flavour: Flavour, server: Server) -> None:
    observer = Recording()
    inner = flavour.backend()
    backend = ObservedBackend(inner, observer)
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, inner), server.url())
    assert observer.events == []


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (Text("é"), 2),
        (Binary(b"abc"), 3),
        (Ping(), 0),
        (Pong(b"a"), 1),
        (Close(1000), 2),
        (Close(1000, "é"), 4),
        (Close(1005), 0),
    ],
    ids=repr,
)
def test_a_payload_is_measured_in_bytes_on_the_wire(frame: Frame | Close, size: int) -> None:
    assert payload_size(frame) == size
