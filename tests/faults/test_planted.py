"""The sweeps can fail: each finds a bug that is planted in a flavour."""

from __future__ import annotations

import asyncio
import socket

import pytest

from polysocket.effects.asyncio import TransportStream
from polysocket.effects.sockets import SocketStream
from tests.faults.conftest import Server
from tests.faults.conversation import CONVERSATIONS
from tests.faults.flavours import AsyncioRun, BlockingRun, ThreadedRun
from tests.faults.proxy import Fault, Kind, Way
from tests.faults.sweep import Ranges, sweep

PLAIN = CONVERSATIONS[0]


def ends(kind: Kind, ranges: Ranges) -> list[Fault]:
    """Return faults at the last bytes from the server, which are those of its messages."""
    return [Fault(kind, Way.DOWN, byte) for byte in ranges[Way.DOWN][-400::4]]


def test_a_message_that_is_dropped_because_the_stream_ends_is_missed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    eof_received, read = TransportStream.eof_received, TransportStream.read_view

    def drop(stream: TransportStream) -> bool:
        stream._chunks.clear()
        return eof_received(stream)

    async def read_late(stream: TransportStream) -> bytes | memoryview:
        while not stream._chunks and not stream._has_ended:
            await stream.wait_for_data()
        await asyncio.sleep(0.002)  # The end has time to come before the bytes are read.
        return await read(stream)

    def plant(ranges: Ranges) -> list[Fault]:
        monkeypatch.setattr(TransportStream, "eof_received", drop)
        monkeypatch.setattr(TransportStream, "read_view", read_late)
        monkeypatch.setattr(TransportStream, "watch", lambda *_: 0)  # Keepalive would read the chunks before the end.
        return ends(Kind.CUT, ranges)

    failures = sweep(AsyncioRun(), PLAIN, server, plant).failures
    assert any("messages had arrived" in text or "Close had arrived" in text for text in failures.values())


def test_an_error_that_is_not_of_polysocket_is_noticed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    read = SocketStream.read

    async def fail(stream: SocketStream) -> bytes:
        try:
            return bytes(await read(stream))
        except ConnectionResetError as error:
            raise RuntimeError("not typed") from error

    monkeypatch.setattr(SocketStream, "read", fail)
    failures = sweep(BlockingRun(), PLAIN, server, lambda ranges: ends(Kind.RESET, ranges)).failures
    assert any("RuntimeError: not typed" in text for text in failures.values())


def test_a_socket_that_stays_open_is_noticed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[socket.socket] = []
    monkeypatch.setattr(SocketStream, "_close_if_unused", lambda stream: left.append(stream._socket))
    try:
        with pytest.raises(AssertionError, match="sockets are left open"):
            sweep(ThreadedRun(), PLAIN, server, lambda ranges: ends(Kind.CUT, ranges))
    finally:
        for sock in left:
            sock.close()
