"""Observers and logs: what they are told of a conversation, that they change nothing, and that no secret is in a log."""

from __future__ import annotations

import logging
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
    ConnectFailed,
    Frame,
    Listener,
    LoggingBackend,
    ObservedBackend,
    Observation,
    OpenTimeout,
    Ping,
    PipeHandler,
    Pong,
    RedirectRefused,
    Request,
    Response,
    Side,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
)
from polysocket.observing import payload_size
from tests.backends.flavours import ASYNC, Flavour, opened, seen
from tests.backends.servers import Door, Server
from tests.backends.stages import raw_stage
from tests.contract import wire
from tests.contract.places import Peer, answering, upgrading
from tests.contract.wire import Wire

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)


class Recording(Observation):
    """An observer and its observation in one; keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.sizes: list[int] = []

    def opening(self, request: Request, /) -> Observation:
        self.events.append(request)
        return self

    def opened(self, response: Response, /) -> None:
        self.events.append(response.status)

    def rejected(self, error: Exception, /) -> None:
        self.events.append(error)

    def received(self, frame: Frame | Close, /) -> None:
        self.events.append(("received", frame))
        self.sizes.append(payload_size(frame))

    def sent(self, frame: Frame | Close, /) -> None:
        self.events.append(("sent", frame))
        self.sizes.append(payload_size(frame))

    def closed(self, info: CloseInfo, /) -> None:
        self.events.append(info)


class Raising(Observation):
    """Raises wherever it is told something, and before."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once

    def opening(self, request: Request, /) -> Observation:
        if self._at_once:
            raise ZeroDivisionError("an observer's own")
        return self

    def opened(self, response: Response, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def rejected(self, error: Exception, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def received(self, frame: Frame | Close, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def sent(self, frame: Frame | Close, /) -> None:
        raise ZeroDivisionError("an observer's own")

    def closed(self, info: CloseInfo, /) -> None:
        raise ZeroDivisionError("an observer's own")


# What an observer is told


class Ending(Listener[Any]):
    """Tells of the end."""

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
    """Go on when the websocket has received the Close."""
    if isinstance(handler, Ending):
        await handler.ended.get()
    else:
        while not isinstance(await ws.receive(), Close):
            pass


@every_handler
async def test_an_observer_is_told_of_each_frame_those_sent_by_themselves_too(
    flavour: Flavour, peer: Peer, make_handler: Callable[[], Any]
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
async def test_an_observer_is_told_of_frames_that_come_with_the_answer(
    flavour: Flavour, new_peer: Callable[..., Peer], make_handler: Callable[[], Any]
) -> None:
    peer = new_peer(upgrading(behind=wire.encode(wire.TEXT, "a") + wire.close(1001)))
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


async def test_an_observer_is_told_how_a_pipe_goes(flavour: Flavour, server: Server) -> None:
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


async def test_an_observer_is_told_of_a_rejection_and_of_nothing_more(
    flavour: Flavour, new_peer: Callable[..., Peer]
) -> None:
    peer = new_peer(answering("404 Not Found"))
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected) as caught:
            await seen(flavour, backend).open_websocket(peer.url, WebSocketHandler())
    assert observer.events == [basic_request.get(peer.url), caught.value]


@in_async_flavours
async def test_an_observer_is_told_of_a_cancelled_opening(flavour: Flavour, door: Door) -> None:
    """Or what it has begun, such as a span, would never end."""
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        opening = flavour.spawn(backend.open_websocket, door.url, WebSocketHandler())
        await flavour.nothing_left_to_do()
        opening.cancel()
        await flavour.nothing_left_to_do()
    assert len(observer.events) == 2


async def test_no_observer_is_told_of_what_is_refused_before(flavour: Flavour, door: Door) -> None:
    observer = Recording()
    backend = ObservedBackend(flavour.backend(), observer)
    async with flavour.entered(backend):
        with pytest.raises(TypeError):
            await seen(flavour, backend).open_websocket(door.url, None)
    assert observer.events == []


@pytest.mark.parametrize("count", [2, 3])
async def test_every_observer_is_told_everything(flavour: Flavour, peer: Peer, count: int) -> None:
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


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
async def test_an_observer_that_raises_changes_nothing_and_is_logged(
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
async def test_an_observer_that_raises_hides_no_rejection(flavour: Flavour, server: Server, at_once: bool) -> None:
    backend = ObservedBackend(flavour.backend(), Raising(at_once=at_once))
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected):
            await seen(flavour, backend).open_websocket(server.url("/ws/404"), WebSocketHandler())


async def test_what_a_wrapped_backend_opens_by_itself_is_not_observed(flavour: Flavour, server: Server) -> None:
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
def test_a_payload_size_is_that_on_the_wire(frame: Frame | Close, size: int) -> None:
    assert payload_size(frame) == size


# Logs

SECRETS = ("alice", "hunter2", "YWxpY2U6aHVudGVyMg==", "query", "bearer", "crumb", "baked", "payload")


def secret_request(url: str, *, path: str = "") -> Request:
    """A request with all that must not be in a log."""
    scheme, _, rest = url.partition("//")
    return (
        basic_request.get(f"{scheme}//alice:hunter2@{rest}{path}?token=query")
        .cookie("session", "crumb")
        .header("Proxy-Authorization", "bearer")
    )


def nothing_secret(records: Iterable[logging.LogRecord]) -> bool:
    text = "\n".join(f"{record.getMessage()} {record.__dict__!r} {record.args!r}" for record in records)
    return not any(secret in text for secret in SECRETS)


def own_lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "polysocket" and record.levelno == level]


async def test_a_log_has_one_line_at_open_and_one_at_close_with_its_explanation(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    peer = new_peer(upgrading("Sec-WebSocket-Protocol: chat", "Set-Cookie: baked=baked"))
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), secret_request(peer.url).subprotocol("chat"))
        await ws.send_text("payload")
        peer.send(wire.encode(wire.TEXT, "payload") + wire.close(1001, "bye"))
        assert await ws.receive() == Text("payload")
        peer.hang_up()
    assert own_lines(caplog) == [
        f"{peer.url}: open, no extensions, subprotocol chat",
        f"{peer.url}: closed by the other side; received 1001 (going away) 'bye', sent 1001 (going away)",
    ]
    assert nothing_secret(caplog.records)


async def test_a_log_has_each_frame_at_debug_by_kind_and_size(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="polysocket")
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), secret_request(peer.url))
        await ws.send_text("payload")
        peer.send(wire.encode(wire.BINARY, b"payload!") + wire.encode(wire.PING, b"payload") + wire.close())
        assert [await ws.receive(), await ws.receive()] == [Binary(b"payload!"), Ping(b"payload")]
        peer.hang_up()
    assert own_lines(caplog, logging.DEBUG) == [
        f"{peer.url}: sent Text, 7 bytes",
        f"{peer.url}: received Binary, 8 bytes",
        f"{peer.url}: received Ping, 7 bytes",
        f"{peer.url}: received Close, 2 bytes",
        f"{peer.url}: sent Close, 2 bytes",
    ]
    assert nothing_secret(caplog.records)


async def test_a_log_has_one_line_at_a_rejection(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    peer = new_peer(answering("403 Forbidden", "Set-Cookie: baked=baked", "WWW-Authenticate: Basic", body=b""))
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        with pytest.raises(UpgradeRejected):
            await seen(flavour, backend).open_websocket(secret_request(peer.url), WebSocketHandler())
    assert own_lines(caplog) == [
        f"{peer.url}: not opened: UpgradeRejected: the server did not upgrade: it answered 403 Forbidden"
    ]
    assert own_lines(caplog, logging.DEBUG) == []
    assert nothing_secret(caplog.records)


@pytest.mark.parametrize(
    ("place", "kind"),
    [("//localhost:1/?token=query", ConnectFailed), ("//alice:hunter2@localhost:1/?token=query", RedirectRefused)],
    ids=["to a port where nobody is", "with a user name"],
)
async def test_a_log_has_no_secret_of_a_redirect(
    flavour: Flavour, new_peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture, place: str, kind: type[Exception]
) -> None:
    caplog.set_level(logging.DEBUG)
    peer = new_peer(answering("302 Found", f"Location: {place}"))
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        with pytest.raises(kind):
            await seen(flavour, backend).open_websocket(secret_request(peer.url), WebSocketHandler())
    assert len(own_lines(caplog)) == 1
    assert nothing_secret(caplog.records)


async def test_a_log_has_one_line_where_nobody_answers(
    flavour: Flavour, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        request = secret_request(door.url).timeouts(open=0.05, close=None)
        with pytest.raises(OpenTimeout):
            await seen(flavour, backend).open_websocket(request, WebSocketHandler())
    assert own_lines(caplog) == [
        f"{door.url}: not opened: OpenTimeout: {door.url} was not open within 0.05 seconds",
    ]
    assert nothing_secret(caplog.records)


ENDS: dict[str, tuple[Callable[[Peer], object], str]] = {
    "a broken frame": (lambda peer: peer.send(b"\xf1\x00"), "closed by this side because of a protocol error ("),
    "a lost connection": (
        lambda peer: peer.hang_up(),
        "closed by the other side because of the network (the connection ended without a Close); "
        "no Close received, none sent",
    ),
    "an error's code": (
        lambda peer: peer.send(wire.close(1011, "mine\nand yours")),
        "closed by the other side; received 1011 (internal error) 'mine\\nand yours', sent 1011 (internal error)",
    ),
}


@pytest.mark.parametrize(("end", "text"), ENDS.values(), ids=ENDS)
async def test_a_log_explains_an_abnormal_end_in_one_line(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture, end: Callable[[Peer], object], text: str
) -> None:
    caplog.set_level(logging.INFO)
    backend = LoggingBackend(flavour.backend())
    handler = WebSocketHandler(Buffer.unbounded())
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), peer.url, handler)
        end(peer)
        peer.hang_up()
        with pytest.raises(WebSocketClosed):
            await ws.receive_text()
    _, line = own_lines(caplog)
    assert line.startswith(f"{peer.url}: {text}")
    assert len(line.splitlines()) == 1


async def test_a_log_may_go_elsewhere(flavour: Flavour, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    backend = LoggingBackend(flavour.backend(), logging.getLogger("mine"))
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), server.url())
    assert own_lines(caplog) == []
    assert [record.levelno for record in caplog.records if record.name == "mine"] == [logging.INFO] * 2


async def test_a_log_costs_no_observer_anything(
    flavour: Flavour, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Backends that wrap may be wrapped, in any order."""
    caplog.set_level(logging.DEBUG, logger="polysocket")
    observers = [Recording(), Recording()]
    backend = ObservedBackend(
        LoggingBackend(ObservedBackend(LoggingBackend(flavour.backend()), observers[0])), observers[1]
    )
    async with flavour.entered(backend):
        ws = await opened(flavour, seen(flavour, backend), server.url())
        await ws.send_text("a")
        assert await ws.receive_text() == "echo: a"
    lines = [record.getMessage() for record in caplog.records if record.name == "polysocket"]
    assert lines[::2] == lines[1::2]
    assert len(lines) == 2 * 6
    assert [len(observer.events) for observer in observers] == [7, 7]
