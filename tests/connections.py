"""The core as tests drive it: connections of both roles, frames as their peers send them, and wsproto as the judge."""

from __future__ import annotations

import zlib
from typing import Any
from unittest import mock

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection as WSProtoConnection
from wsproto.events import Event, Message, TextMessage

from polysocket._core import connection
from polysocket._core.batch import Batch
from polysocket._core.deflate import DeflateParameters, PerMessageDeflate
from polysocket._core.encoder import Encoder
from polysocket._core.frame_queue import FrameQueue
from polysocket._core.states import State
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.compression import Deflate
from polysocket.frames import Close, Frame
from tests.wsproto_extension import WsprotoExtension

CLIENT, SERVER = ConnectionType.CLIENT, ConnectionType.SERVER
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
RSV1, RSV2, RSV3 = 4, 2, 1
KEY = b"\x37\xfa\x21\x3d"  # of RFC 6455 §5.7
SIZES = [0, 1, 125, 126, 65535, 65536, 70000]  # at which the form of the length changes (RFC 6455 §5.2)

both_roles = pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])


class Connection:
    """A connection that decodes all turns at once, and whose :meth:`data_to_send` returns sent frames, too.

    It has one, since a compiled class can't be derived from.
    """

    def __init__(
        self, role: ConnectionType, deflate: PerMessageDeflate | None = None, max_message_size: int | None = None
    ) -> None:
        self.inner = connection.Connection(role, deflate, max_message_size)
        self.reads_views = False
        """Whether it receives views, and into its own room, as from a stream that reads into buffers."""
        self._sent = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def state(self) -> State:
        return self.inner.state

    @property
    def close_info(self) -> CloseInfo | None:
        return self.inner.close_info

    @property
    def queue(self) -> FrameQueue:
        return self.inner.queue

    def next_frame(self) -> Frame | Close | None:
        return self.inner.next_frame()

    def send(self, frame: Frame | Close | Batch, is_continuation: bool = False, compress: bool = True) -> bytes:
        own = self.inner.data_to_send()
        data = self.inner.send(frame, is_continuation, compress)
        self._sent += own + data
        return data

    def receive(self, data: bytes) -> list[Frame | Close]:
        frames = self._receive_views(data) if self.reads_views else self.inner.receive(data)
        while self.inner.holds_bytes and not self.queue.is_full:  # These bytes wait only for the next turn.
            frames += self.inner.receive(b"")
        return frames

    def _receive_views(self, data: bytes) -> list[Frame | Close]:
        frames: list[Frame | Close] = []
        while data and self.inner.has_room:
            room = self.inner.room()
            size = min(len(room), len(data))
            room[:size] = data[:size]
            frames += self.inner.note_filled(size)
            data = data[size:]
        buffer = bytearray(data)
        frames += self.inner.receive(memoryview(buffer))
        buffer[:] = bytes(len(buffer))  # It is used again for the next read.
        return frames

    def data_to_send(self) -> bytes:
        data, self._sent = self._sent + self.inner.data_to_send(), b""
        return data


def deflate(role: ConnectionType, limit: int | None = None) -> PerMessageDeflate:
    return PerMessageDeflate(role, DeflateParameters(), Deflate(), limit)


def connect(role: ConnectionType, limit: int | None = None, *, compressed: bool = False, **limits: Any) -> Connection:
    return Connection(role, deflate(role, limit) if compressed else None, limit, **limits)


# The peer's bytes


def other(role: ConnectionType) -> ConnectionType:
    return CLIENT if role is SERVER else SERVER


def frame_to(
    role: ConnectionType, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, width: int | None = None
) -> bytes:
    """Return a frame as the peer of ``role`` sends it, with its length in ``width`` bytes, by default the fewest."""
    size = len(payload)
    if width is None:
        width = 1 if size < 126 else 2 if size < 65536 else 8
    length = bytes([size]) if width == 1 else bytes([126 if width == 2 else 127]) + size.to_bytes(width, "big")
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if role is CLIENT:
        return head + length + payload
    # Byte by byte, unlike the code under test.
    masked = bytes(byte ^ KEY[index % 4] for index, byte in enumerate(payload))
    return head + bytes([length[0] | 0x80]) + length[1:] + KEY + masked


def close_to(role: ConnectionType, code: int | None = None, reason: bytes = b"") -> bytes:
    return frame_to(role, CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def huge_header(role: ConnectionType, size: int, *, first: int = 0x82) -> bytes:
    """Return the header of a frame of any size, with its length in 64 bits."""
    if role is CLIENT:
        return bytes([first, 127]) + size.to_bytes(8, "big")
    return bytes([first, 0xFF]) + size.to_bytes(8, "big") + KEY


def deflated(data: bytes, *, window: bytes = b"", final: bool = False) -> bytes:
    """Deflate the data with zlib: flush and cut it as a message (RFC 7692 §7.2.1), or end it with a final block."""
    stream = zlib.compressobj(wbits=-15, zdict=window)
    return stream.compress(data) + (stream.flush() if final else stream.flush(zlib.Z_SYNC_FLUSH)[:-4])


def encoded(opcode: int, payload: bytes, key: bytes) -> bytes:
    """Return a whole frame as the encoder writes it, masked with ``key`` unless that is empty."""
    with mock.patch("polysocket._core.encoder.os.urandom", return_value=key):
        return Encoder(bool(key), None).encode(opcode, payload)


# The connection's frames


def take(connection: Connection) -> list[Frame | Close]:
    """Take all queued frames; a pending failure then takes effect."""
    frames = list[Frame | Close]()
    while (frame := connection.next_frame()) is not None:
        frames.append(frame)
    return frames


def receive(connection: Connection, data: bytes, chunk: int | None = None) -> list[Frame | Close]:
    for start in range(0, len(data), chunk or max(len(data), 1)):
        connection.receive(data[start : start + (chunk or len(data))])
    return take(connection)


def failure(connection: Connection) -> tuple[int, str]:
    """Return the code and the detail of a connection that has failed and sent its Close."""
    info = connection.close_info
    assert connection.state is State.FAILED
    assert info is not None
    assert info.initiator is Side.LOCAL
    assert info.received is None
    assert info.sent is not None
    assert info.cause in (CloseCause.PROTOCOL_ERROR, CloseCause.LIMIT)
    assert (info.cause is CloseCause.LIMIT) == (info.sent.code == 1009)
    return info.sent.code, info.detail


# The bytes that a connection sends, as wsproto reads them


def heard(connection: Connection, role: ConnectionType, *, compressed: bool = False) -> list[Event]:
    """Return the events that wsproto, as the peer of ``role``, reads in the bytes to be sent."""
    judge = WSProtoConnection(other(role), [WsprotoExtension(deflate(other(role)))] if compressed else [])
    judge.receive_data(connection.data_to_send())
    return list(judge.events())


def joined(events: list[Event]) -> list[Event]:
    """Join the events of each frame; wsproto may return one frame in several pieces."""
    whole, pieces = list[Event](), list[Any]()
    for event in events:
        if not isinstance(event, Message):
            whole.append(event)
            continue
        pieces.append(event.data)
        if event.frame_finished:
            empty = "" if isinstance(event, TextMessage) else b""
            whole.append(type(event)(empty.join(pieces), message_finished=event.message_finished))
            pieces.clear()
    return whole
