"""Logs: one line at open, rejection and close, the frames at DEBUG, and nothing secret in any record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import pytest

from polysocket import (
    Binary,
    Buffer,
    ConnectFailed,
    LoggingBackend,
    LoggingObserver,
    ObservedBackend,
    OpenTimeout,
    Ping,
    RedirectRefused,
    Request,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.places import Peer, answering, upgrading
from tests.backends.flavours import Flavour, opened, seen
from tests.backends.recording import Recording
from tests.backends.servers import Door, Server

SECRETS = ("alice", "hunter2", "YWxpY2U6aHVudGVyMg==", "query", "bearer", "crumb", "baked", "payload")


def secret_request(url: str, *, path: str = "") -> Request:
    """Return a request with all kinds of secrets that must not be logged."""
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


async def test_opening_and_closing_are_logged_in_one_line_each(
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
        f"{peer.url}: closed by the peer; received 1001 (going away) 'bye', sent 1001 (going away)",
    ]
    assert nothing_secret(caplog.records)


def test_no_payload_is_measured_unless_frames_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Long(str):
        __slots__ = ()

        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
            raise AssertionError("measured, although frames are not logged")

    caplog.set_level(logging.INFO, logger="polysocket")
    observation = LoggingObserver().opening(basic_request.get("ws://localhost/"))
    observation.received(Text(Long("a")))
    observation.sent(Text(Long("a")))
    caplog.set_level(logging.DEBUG, logger="polysocket")
    with pytest.raises(AssertionError, match="measured"):
        observation.sent(Text(Long("a")))


async def test_each_frame_is_logged_at_debug_with_kind_and_size(
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


async def test_a_rejection_is_logged_in_one_line(
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
    ids=["to a closed port", "with a user name"],
)
async def test_no_secret_of_a_redirect_is_logged(
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


async def test_a_timeout_is_logged_in_one_line(flavour: Flavour, door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    backend = LoggingBackend(flavour.backend())
    async with flavour.entered(backend):
        request = secret_request(door.url).timeouts(open=0.3, close=None)
        with pytest.raises(OpenTimeout):
            await seen(flavour, backend).open_websocket(request, WebSocketHandler())
    assert own_lines(caplog) == [
        (
            f"{door.url}: not opened: OpenTimeout: {door.url} was not open within 0.3 seconds: "
            "still in the opening handshake"
        ),
    ]
    assert nothing_secret(caplog.records)


ENDS: dict[str, tuple[Callable[[Peer], object], str]] = {
    "a broken frame": (
        lambda peer: peer.send(b"\xf1\x00"),
        "closed by this side because of a protocol error of the peer (",
    ),
    "a lost connection": (
        lambda peer: peer.hang_up(),
        (
            "closed by the peer because of the network (the connection ended without a Close); "
            "no Close received, none sent"
        ),
    ),
    "an error's code": (
        lambda peer: peer.send(wire.close(1011, "mine\nand yours")),
        "closed by the peer; received 1011 (internal error) 'mine\\nand yours', sent 1011 (internal error)",
    ),
}


@pytest.mark.parametrize(("end", "text"), ENDS.values(), ids=ENDS)
async def test_an_abnormal_end_is_explained_in_one_line(
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


async def test_the_logger_can_be_chosen(flavour: Flavour, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    backend = LoggingBackend(flavour.backend(), logging.getLogger("mine"))
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), server.url())
    assert own_lines(caplog) == []
    assert [record.levelno for record in caplog.records if record.name == "mine"] == [logging.INFO] * 2


async def test_logging_and_observing_backends_may_be_nested(
    flavour: Flavour, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
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
