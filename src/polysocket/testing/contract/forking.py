"""The end of a connection reaches the peer although a forked child process still has a copy of the descriptor.

Without ``shutdown`` the system ends a connection only when its last descriptor is closed. Here the child is forked
while the connection is open, and lives until the peer has seen the end. Platforms without ``fork`` pass at once.

A child that frees its copy of a websocket changes nothing for the parent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from polysocket import CloseCause, WebSocketHandler, basic_request
from polysocket.testing.contract import wire
from polysocket.testing.contract.connections import reconnect
from polysocket.testing.contract.effect import stream_and_socket
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import INTERRUPTED, Flavour, connect, promise
from polysocket.testing.contract.handlers import RecordingListener, close, opened
from polysocket.testing.contract.places import Peer
from polysocket.testing.contract.wire import Wire


@contextlib.contextmanager
def forked_child() -> Generator[None]:
    """Fork a child that holds all descriptors until the block's end, and does nothing else."""
    if not hasattr(os, "fork"):
        yield
        return
    until, end = os.pipe()
    if (child := _fork()) == 0:
        try:
            os.close(end)
            os.read(until, 1)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.close(until)
        os.close(end)
        os.waitpid(child, 0)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads, which a child here ignores.
        return os.fork()


def clear_in_a_child(held: list[Any]) -> None:
    """Fork a child that frees what the list holds, and wait for its end."""
    if not hasattr(os, "fork"):
        return
    if (child := _fork()) == 0:
        try:
            held.clear()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@every_transport
@promise
async def test_a_cancelled_block_ends_the_connection_of_a_process_that_has_forked(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=None)

    async def block() -> None:
        async with ws:
            await ws.receive()

    with forked_child():
        assert await flavour.interrupt(block) is INTERRUPTED
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe9")]


@every_transport
@promise
async def test_a_close_timeout_ends_the_connection_of_a_process_that_has_forked(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=0.05)
    with forked_child():
        await ws.close()
        assert ws.close_info is not None
        assert ws.close_info.cause is CloseCause.TIMEOUT
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe8")]


@every_transport
@promise
async def test_a_closing_handshake_ends_the_connection_of_a_process_that_has_forked(
    flavour: Flavour, peer: Peer, transport: str
) -> None:
    ws = await connect(flavour, peer)
    with forked_child():
        closing = flavour.spawn(ws.close)
        assert await flavour.call(peer.frame) == Wire(wire.CLOSE, b"\x03\xe8")
        peer.send(wire.close(1000))
        if transport == "tls":
            peer.notify_close()
        else:
            peer.stream.socket.shutdown(socket.SHUT_WR)
        await closing.result()
        assert await flavour.call(peer.rest) == []
    assert ws.close_info is not None
    assert ws.close_info.is_normal


@tcp_and_tls
@promise
async def test_a_protocol_error_ends_the_connection_of_a_process_that_has_forked(flavour: Flavour, peer: Peer) -> None:
    ws = await connect(flavour, peer, close_timeout=0.05)
    with forked_child():
        peer.send(wire.encode(3, b""))  # a reserved opcode (RFC 6455 §5.2)
        await ws.close()
        assert [frame.opcode for frame in await flavour.call(peer.rest)] == [wire.CLOSE]


@pytest.mark.parametrize("listens", [True, False], ids=["listener", "websocket"])
@promise
async def test_closing_a_backend_ends_the_connections_of_a_process_that_has_forked(
    flavour: Flavour, peer: Peer, listens: bool
) -> None:
    backend = flavour.backend(request=basic_request.timeouts(open=5, close=0.05))
    handler = RecordingListener(flavour.event()) if listens else WebSocketHandler()
    await opened(flavour, backend, peer, handler)
    with forked_child():
        await close(flavour, backend)
        assert await flavour.call(peer.rest) == [Wire(wire.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("way", ["abort", "close"])
@promise
async def test_a_stream_ends_the_connection_of_a_process_that_has_forked(flavour: Flavour, way: str) -> None:
    stream, peer = await stream_and_socket(flavour.effect())
    with peer, forked_child():
        stream.abort() if way == "abort" else await stream.close()
        assert await flavour.call(peer.recv, 10) == b""


@promise
async def test_a_stream_of_a_process_that_has_forked_sends_all_before_it_ends(flavour: Flavour) -> None:
    stream, peer = await stream_and_socket(flavour.effect())
    size = 16 * 1024 * 1024

    def receive_all() -> int:
        received = 0
        while data := peer.recv(1 << 20):
            received += len(data)
        return received

    with peer, forked_child():
        stream.write(bytes(size))
        assert stream.pending > 0
        receiving = flavour.spawn(flavour.call, receive_all)
        await stream.close()
        assert await receiving.result() == size


@tcp_and_tls
@promise
async def test_a_websocket_that_a_forked_process_frees_is_kept_alive(flavour: Flavour, peer: Peer) -> None:
    held = [await connect(flavour, peer)]
    for payload in (b"before", b"after"):
        peer.send(wire.encode(wire.PING, payload))
        assert await flavour.call(peer.frame) == Wire(wire.PONG, payload)
        clear_in_a_child(held)
    peer.hang_up()
    await held[0].close()


@promise
async def test_a_reconnect_that_a_forked_process_frees_stays_connected(flavour: Flavour, peer: Peer) -> None:
    held = [reconnect(flavour, peer)]
    messages = held[0].messages()
    opening = flavour.spawn(flavour.call, peer.send, wire.text("before"))
    assert await anext(messages) == "before"
    await opening.result()
    del messages
    clear_in_a_child(held)
    peer.send(wire.text("after"))
    assert await anext(held[0].messages()) == "after"
    peer.hang_up()
    await held[0].close()
