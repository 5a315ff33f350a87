"""After a write has failed, what the peer sent before is received, whatever its size and the kind of socket."""

from __future__ import annotations

import asyncio
import errno
import os
import pathlib
import socket
import sys
from typing import Any

import pytest

from polysocket import Async, Close, CloseCause, ConnectionLost, ConnectOptions, WebSocket, WebSocketClosed
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connect, promise
from polysocket.testing.contract.keeping import repeat
from polysocket.testing.contract.places import Peer, Place
from tests.contract.flavours import FLAVOURS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems hold less for a program that reads late")

ASYNCIO = [name for name in ("asyncio", "uvloop") if name in FLAVOURS]
COUNT = 400  # messages of 1 KiB: more than the stream and a read hold


def open_files() -> int:
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


async def send_until_refused(ws: WebSocket[Async]) -> None:
    with pytest.raises(WebSocketClosed):
        await repeat(lambda: ws.send_text("unread"))


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
@promise
async def test_all_that_the_system_has_acknowledged_is_received_after_a_failed_write(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await with_messages(flavour, peer)
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
async def test_a_peer_that_reads_no_more_is_not_waited_for_after_the_close_timeout(
    flavour: Flavour, peer: Peer
) -> None:
    ws = await connect(flavour, peer, close_timeout=0.1)
    peer.stream.socket.shutdown(socket.SHUT_RD)
    await send_until_refused(ws)
    await ws.close()
    with pytest.raises(ConnectionLost):
        await ws.receive()


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
