"""After a write has failed, what the peer sent before is received, whatever its size and the kind of socket."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import pathlib
import select
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import polysocket
from polysocket import (
    Async,
    Close,
    CloseCause,
    CloseInfo,
    ConnectionLost,
    ConnectOptions,
    DataFrame,
    OpeningFailed,
    PipeHandler,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketClosed,
    basic_request,
)
from polysocket.effects import Event
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connect, promise
from polysocket.testing.contract.forking import forked_child
from polysocket.testing.contract.handlers import close, opened
from polysocket.testing.contract.keeping import repeat
from polysocket.testing.contract.places import PATIENCE, Listener, Peer, Place, answering
from tests.contract.flavours import FLAVOURS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems hold less for a program that reads late")

ASYNCIO = [name for name in ("asyncio", "uvloop") if name in FLAVOURS]
COUNT = 400  # messages of 1 KiB: more than the stream and a read hold


def open_files() -> int:
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


async def send_until_refused(ws: WebSocket[Async]) -> None:
    with pytest.raises(WebSocketClosed):
        await repeat(lambda: ws.send_text("unread"))


async def leave_unread(flavour: Flavour, peer: Peer, ws: WebSocket[Async]) -> None:
    """Send what the peer doesn't read: when it hangs up, its system resets the connection."""
    await ws.send_text("unread")
    await flavour.call(select.select, [peer.stream.socket], [], [], PATIENCE)


async def received(ws: WebSocket[Async]) -> int:
    """Receive messages that are numbered; return how many come in their order."""
    for number in range(COUNT):
        try:
            assert await ws.receive_text() == f"{number}".ljust(1000)
        except WebSocketClosed:
            return number
    return COUNT


async def with_messages(flavour: Flavour, peer: Peer) -> WebSocket[Async]:
    """Return a websocket to which the peer has sent ``COUNT`` numbered messages and a Close."""
    options: ConnectOptions = {"ping_interval": None}  # It reads nothing before.
    if "unix_path" not in peer.options():
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)  # The system grants 416 KiB by default.
        sock.connect(("127.0.0.1", int(peer.url.split(":")[-1].rstrip("/"))))
        options["sock"] = sock
    ws = await connect(flavour, peer, **options)
    peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)  # for a Unix socket
    messages = [wire.text(f"{number}".ljust(1000)) for number in range(COUNT)]
    await flavour.call(peer.send, b"".join(messages[:70]))  # A transport stops reading at 64 KiB.
    await flavour.call(peer.send, b"".join(messages[70:]) + wire.close(4003))
    if "sock" in options:
        await flavour.call(peer.wait_until_acknowledged)
    return ws


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"], indirect=True)
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@promise
async def test_all_that_the_system_has_acknowledged_is_received_after_a_failed_write(
    flavour: Flavour, peer: Peer, is_reset: bool
) -> None:
    ws = await with_messages(flavour, peer)
    if is_reset:
        await leave_unread(flavour, peer, ws)
    peer.hang_up()
    await send_until_refused(ws)
    assert await received(ws) == COUNT
    assert await ws.receive() == Close(4003)
    await ws.close()
    assert ws.close_info is not None
    assert (ws.close_info.cause, ws.close_info.code) == (CloseCause.CLOSE, 4003)


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_peer_that_reads_no_more_may_go_on_sending(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer)
    peer.stream.socket.shutdown(socket.SHUT_RD)
    await send_until_refused(ws)
    receiving = flavour.spawn(ws.receive_text)
    await receiving.waiting()
    peer.send(wire.text("first"))
    assert await receiving.result() == "first"
    peer.send(wire.text("second") + wire.close(4003))
    assert await ws.receive_text() == "second"
    peer.hang_up()
    assert await ws.receive() == Close(4003)
    await ws.close()


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_reset_while_the_rest_is_awaited_loses_nothing(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, ping_interval=None)
    peer.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
    await leave_unread(flavour, peer, ws)
    peer.stream.socket.shutdown(socket.SHUT_RD)
    await send_until_refused(ws)
    receiving = flavour.spawn(received, ws)
    await receiving.waiting()
    peer.send(b"".join(wire.text(f"{number}".ljust(1000)) for number in range(COUNT)) + wire.close(4003))
    peer.hang_up()
    assert await receiving.result() == COUNT
    assert await ws.receive() == Close(4003)
    await ws.close()


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_close_after_a_failed_write_ends_the_connection_of_a_process_that_has_forked(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.1)
    with forked_child():
        peer.stream.socket.shutdown(socket.SHUT_RD)
        await send_until_refused(ws)
        await ws.close()
        with pytest.raises(BrokenPipeError):
            peer.send(wire.text("late"))


@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_peer_that_reads_no_more_is_not_waited_for_after_the_close_timeout(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.1)
    peer.stream.socket.shutdown(socket.SHUT_RD)
    await send_until_refused(ws)
    await ws.close()
    with pytest.raises(ConnectionLost):
        await ws.receive()


# More than a websocket reads for a program that takes nothing, and less than the system holds besides.
BEYOND_READ_AHEAD = 1030
LIMITS = basic_request.timeouts(open=5, close=5)


async def fill(flavour: Flavour, peer: Peer, count: int, ending: bytes) -> None:
    """Have the peer send numbered messages and an ending, and hang up."""
    await flavour.call(peer.send, b"".join(wire.text(f"{number}".ljust(1000)) for number in range(count)))
    await flavour.call(peer.send, ending)
    await flavour.call(peer.wait_until_acknowledged)
    peer.hang_up()


class Answering(polysocket.Listener[Any]):
    """A listener that answers each frame; its first method returns when it is told to."""

    def __init__(self, flavour: Flavour) -> None:
        self.taken: list[str] = []
        self.codes: list[int] = []
        self.errors: set[type[Exception]] = set()
        self.go_on: Event = flavour.event()
        self.has_ended: Event = flavour.event()
        self._wait = flavour.effect().lift(self.go_on.wait)

    def on_open(self, ws: WebSocket[Any]) -> None:
        self._ws = ws

    def on_text(self, frame: Text) -> object:
        self.taken.append(frame.payload.strip())
        return self._wait() if len(self.taken) == 1 else self._ws.send_text("answer")

    def on_error(self, error: Exception) -> None:
        self.errors.add(type(error))

    def on_close(self, info: CloseInfo) -> None:
        self.codes.append(info.code)
        self.has_ended.set()


@promise
async def test_a_listener_whose_answer_fails_gets_the_rest(flavour: Flavour, peer: Peer) -> None:
    listener, backend = Answering(flavour), flavour.backend(request=LIMITS)
    await opened(flavour, backend, peer, listener)
    await fill(flavour, peer, BEYOND_READ_AHEAD, wire.close(4003))
    listener.go_on.set()
    await listener.has_ended.wait()
    assert listener.taken == [str(number) for number in range(BEYOND_READ_AHEAD)]
    assert listener.codes == [4003]
    assert ConnectionLost in listener.errors
    await close(flavour, backend)


@pytest.mark.parametrize(
    ("then", "end"),
    [
        ("takes", WebSocketClosed),
        ("only yields", WebSocketClosed),  # until the close timeout, as after a Close
        ("returns", ConnectionLost),
    ],
)
@promise
async def test_a_pipe_whose_answer_fails_gets_the_rest(
    flavour: Flavour, peer: Peer, then: str, end: type[WebSocketClosed]
) -> None:
    taken: list[str] = []
    go_on, is_async = threading.Event(), flavour.effect().is_async
    unasked = itertools.repeat(Text("unasked"), {"takes": 0, "only yields": sys.maxsize, "returns": 100}[then])

    def take(frame: DataFrame) -> Text:
        taken.append(str(frame.payload).strip())
        return Text("answer")

    def stage(incoming: Iterator[DataFrame]) -> Iterator[Text]:
        yield take(next(incoming))
        assert go_on.wait(10)
        yield from unasked
        if then == "takes":
            yield from map(take, incoming)

    async def async_stage(incoming: AsyncIterator[DataFrame]) -> AsyncIterator[Text]:
        yield take(await anext(incoming))
        assert await flavour.call(go_on.wait, 10)
        for text in unasked:
            yield text
        if then == "takes":
            async for frame in incoming:
                yield take(frame)

    async def pipe() -> object:
        handler = PipeHandler(async_stage if is_async else stage)
        return (await flavour.effect().unlift(backend.open_websocket(peer.url, handler))).result

    backend = flavour.backend(request=LIMITS.timeouts(close=0.2))
    piping = flavour.spawn(pipe)
    await flavour.call(lambda: peer.stream)
    await fill(flavour, peer, COUNT, b"" if then == "returns" else wire.close(4003))
    go_on.set()
    with pytest.raises(end) as caught:
        await piping.result()
    assert then != "takes" or caught.value.close_info.code == 4003
    assert taken == [str(number) for number in range(COUNT if then == "takes" else 1)]
    await close(flavour, backend)


@pytest.mark.parametrize("flavour", ASYNCIO, indirect=True)
@pytest.mark.parametrize("lacks", ["descriptors", "add_reader"])
@promise
async def test_a_rest_that_can_not_be_read_is_lost_without_an_error(
    flavour: Flavour, peer: Peer, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) if lacks == "descriptors" else NotImplementedError

    ws = await with_messages(flavour, peer)
    peer.hang_up()
    if lacks == "descriptors":
        monkeypatch.setattr(socket, "fromfd", refuse)
    else:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    await send_until_refused(ws)
    assert 70 <= await received(ws) < COUNT
    with pytest.raises(ConnectionLost):
        await ws.receive()
    await ws.close()


@promise
async def test_senders_that_never_wait_meet_a_failed_write_before_the_event_loop_logs_them(
    flavour: Flavour, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """The transport of asyncio warns of each write after the fifth that follows its end."""
    ws = await connect(flavour, peer)
    peer.reset()
    await send_until_refused(ws)
    assert caplog.messages == []
    await ws.close()


@pytest.mark.parametrize("flavour", ASYNCIO, indirect=True)
@promise
async def test_a_lost_websocket_that_was_read_to_its_end_holds_no_socket(flavour: Flavour, place: Place) -> None:
    with Peer(place) as peer:
        ws = await connect(flavour, peer)
        before = open_files()
        await flavour.call(peer.send, wire.text("a"))
        peer.hang_up()
        await send_until_refused(ws)
        assert await ws.receive_text() == "a"
        with pytest.raises(ConnectionLost):
            await ws.receive()
        assert open_files() == before - 2  # this side's socket, and the peer's
        await ws.close()


# In the opening handshake

BUSY = answering("503 Service Unavailable", body=b"busy")(b"")


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        (BUSY, UpgradeRejected, "503"),
        (b"", OpeningFailed, "Broken pipe|closed the connection without an answer"),  # uvloop reads before it writes
        (BUSY[:9], OpeningFailed, "Broken pipe|closed the connection in the middle"),
    ],
    ids=["rejection", "nothing", "torn"],
)
@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_rejection_by_a_server_that_reads_no_request_is_raised(
    flavour: Flavour, place: Place, said: bytes, error: type[OpeningFailed], match: str
) -> None:
    """The server has answered and hung up before the request is written, as one with too many clients does."""
    listener = Listener(place)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(listener.path or "")
    with listener.socket.accept()[0] as server:
        server.sendall(said)
    with pytest.raises(error, match=match):
        await flavour.open("ws://localhost/", sock=sock)
    listener.hang_up()


@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "uvloop"], indirect=True)  # It tells late.
@pytest.mark.parametrize("transport", ["unix"], indirect=True)
@promise
async def test_a_server_that_reads_no_request_and_stays_is_not_waited_for(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(listener.path or "")
    with listener.socket.accept()[0] as server:
        server.shutdown(socket.SHUT_RD)
        with pytest.raises(OpeningFailed, match="Broken pipe"):
            await flavour.open("ws://localhost/", sock=sock, open_timeout=5)
    listener.hang_up()
