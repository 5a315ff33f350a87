"""The memory that a connection holds: at most twice what its peer has sent, and a constant, however small the pieces.

The bound is for bytes that wait undecoded, for a message that is not complete, and for frames that wait in the queue.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import ssl
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import h11
import pytest
from wsproto import ConnectionType

from polysocket._core.connection import Connection
from polysocket._core.http1 import MessageReader
from polysocket._opening.tls import TLSStream
from polysocket._session.notifications import Notifications
from polysocket._session.reading import Reader
from polysocket._session.receiving import DATA, Receiver
from polysocket._session.sending import Sender
from polysocket.effects import ByteStream, DelegatingStream, PushStream
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.effects.blocking import BlockingEffect
from polysocket.frames import Binary, DataFrame, Text
from polysocket.handlers import from_message_pipe
from polysocket.observers.observation import payload_size
from polysocket.testing.memory import memory_streams
from tests.connections import BINARY, CLIENT, CONT, PING, PONG, SERVER, TEXT, deflate, frame_to

MIB = 1024 * 1024
CONSTANT = 256 * 1024  # bytes
ENGLISH = b"The quick brown fox jumps over the lazy dog. "


def chunks(data: bytes, size: int | None) -> Iterator[bytes]:
    return (data[start : start + (size or MIB)] for start in range(0, len(data), size or MIB))


def fragments(
    role: ConnectionType, opcode: int, payload: bytes, size: int, count: int | None = None
) -> Iterator[bytes]:
    """Yield an unfinished message whose fragments have ``size`` bytes."""
    count = len(payload) // size if count is None else count
    yield frame_to(role, opcode, payload[:size], fin=False)
    for index in range(1, count):
        yield frame_to(role, CONT, payload[index * size : index * size + size], fin=False)


def head(role: ConnectionType, opcode: int, size: int, fin: bool = True, rsv: int = 0) -> bytes:
    """Return the header of a frame, with a key of zeros, with which the payload may be anything."""
    first = fin << 7 | rsv << 4 | opcode
    if role is CLIENT:
        return bytes([first, 127]) + size.to_bytes(8, "big")
    return bytes([first, 255]) + size.to_bytes(8, "big") + bytes(4)


def begun(role: ConnectionType, opcode: int, payload: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a frame that is not complete."""
    return itertools.chain([head(role, opcode, MIB + 1)], payload)


NARROW, MIXED, WIDE = (ENGLISH * 24_000)[:MIB], ("😀".encode() + ENGLISH * 24_000)[:MIB], "𝄞".encode() * (MIB // 4)

TRAFFIC: dict[str, Callable[[ConnectionType], Iterator[bytes]]] = {
    "a binary frame in pieces of 2 bytes": lambda role: begun(role, BINARY, chunks(bytes(MIB // 4), 2)),
    "a binary frame in pieces of 1 byte": lambda role: begun(role, BINARY, chunks(bytes(MIB // 8), 1)),
    "a text frame in pieces of 2 bytes": lambda role: begun(role, TEXT, chunks(NARROW[: MIB // 8], 2)),
    "a text frame with an emoji in pieces": lambda role: begun(role, TEXT, chunks(MIXED[: MIB // 8], 3)),
    "a wide text frame in pieces of 3 bytes": lambda role: begun(role, TEXT, chunks(WIDE[: MIB // 8], 3)),
    "a text frame with an emoji in large pieces": lambda role: begun(role, TEXT, chunks(MIXED, 60_000)),
    "a whole text frame with an emoji": lambda role: itertools.chain([head(role, TEXT, MIB)], chunks(MIXED, 120_000)),
    "texts of 60 bytes with an emoji": lambda role: itertools.repeat(frame_to(role, TEXT, MIXED[:60]) * 200, 50),
    "texts of 30 bytes with an emoji": lambda role: itertools.repeat(frame_to(role, TEXT, MIXED[:30]) * 200, 50),
    "texts of 200 bytes with an emoji": lambda role: itertools.repeat(frame_to(role, TEXT, MIXED[:200]), 5000),
    "texts of 20 KB with an emoji": lambda role: itertools.repeat(frame_to(role, TEXT, MIXED[:20_000]), 60),
    "texts with a euro sign": lambda role: itertools.repeat(frame_to(role, TEXT, b"a" * 126 + "€".encode()), 5000),
    "empty messages": lambda role: itertools.repeat(frame_to(role, BINARY) * 200, 500),
    "messages of 2 bytes": lambda role: itertools.repeat(frame_to(role, BINARY, b"ab") * 200, 500),
    "texts of 2 bytes": lambda role: itertools.repeat(frame_to(role, TEXT, b"ab") * 200, 500),
    "texts of 2 bytes, all at once": lambda role: iter([frame_to(role, TEXT, b"ab") * 100_000]),
    "messages of 100 bytes": lambda role: itertools.repeat(frame_to(role, BINARY, bytes(100)) * 20, 1000),
    "messages of 1 byte in pieces": lambda role: chunks(frame_to(role, TEXT, b"a") * 10_000, 1),
    "Pings": lambda role: itertools.repeat(frame_to(role, PING, b"x") * 200, 300),
    "Pongs of 125 bytes": lambda role: itertools.repeat(frame_to(role, PONG, bytes(125)) * 20, 300),
    "fragments of 0 bytes": lambda role: fragments(role, BINARY, b"", 0, 20_000),
    "fragments of 1 byte": lambda role: fragments(role, BINARY, bytes(20_000), 1),
    "fragments of 2 bytes": lambda role: fragments(role, BINARY, bytes(30_000), 2),
    "text fragments of 2 bytes": lambda role: fragments(role, TEXT, NARROW[:30_000], 2),
    "text fragments of 100 bytes with an emoji": lambda role: fragments(role, TEXT, MIXED[: MIB // 2], 100),
    "text fragments with an emoji each": lambda role: itertools.chain(
        [frame_to(role, TEXT, MIXED[:1000], fin=False)],
        itertools.repeat(frame_to(role, CONT, MIXED[:1000], fin=False), 1000),
    ),
    "fragments of 2 bytes, Pings between": lambda role: itertools.chain.from_iterable(
        (fragment, frame_to(role, PING, b"x")) for fragment in fragments(role, BINARY, bytes(100_000), 2)
    ),
    "a long fragment in pieces": lambda role: itertools.chain(
        [head(role, TEXT, MIB + 1, fin=False)], chunks(NARROW[: MIB // 8], 2)
    ),
}


def receiver_of(connection: Connection) -> Receiver:
    effect = AsyncioEffect()
    mutex = effect.mutex()
    notifications = Notifications(mutex)
    stream, _ = memory_streams(effect)
    sender = Sender(effect, stream, connection, mutex, notifications)
    return Receiver(connection, Reader(), sender, notifications, mutex, checkpoint=None)


@pytest.mark.parametrize(("role", "compressed"), [(CLIENT, False), (SERVER, True)], ids=["client", "server, deflate"])
@pytest.mark.parametrize("taken", ["no caller receives", "a message is waited for"])
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_at_most_twice_what_was_sent_is_held(role: ConnectionType, compressed: bool, taken: str, traffic: str) -> None:
    pieces = list(TRAFFIC[traffic](role))
    connection = Connection(role, deflate(role) if compressed else None)
    receiver = receiver_of(connection)
    sent = 0
    gc.collect()
    tracemalloc.start()
    try:
        for index, piece in enumerate(pieces):
            sent += len(piece)
            connection.receive(piece)
            if taken != "no caller receives":
                receiver.take_message(DATA, False)
            held, _ = tracemalloc.get_traced_memory() if not index % 64 else (0, 0)
            assert held <= 2 * sent + CONSTANT, (held, sent)
            if connection.queue.is_full:
                break
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= 2 * sent + CONSTANT, (held, sent)


@pytest.mark.parametrize("size", [120, 1000, 50_000, MIB])
def test_wide_texts_that_no_caller_receives_are_not_held_as_characters(size: int) -> None:
    connection, sent = Connection(CLIENT), 0
    gc.collect()
    tracemalloc.start()
    try:
        for chunk in chunks(frame_to(CLIENT, TEXT, MIXED[:size]) * (MIB // size), 120_000):
            sent += len(chunk)
            connection.receive(chunk, with_data=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Besides what waits, a frame is in the buffer in which it arrived, and another one may be decoded to be checked.
    assert peak <= 2 * sent + MIB + CONSTANT, (peak, sent)


@pytest.mark.parametrize(
    "sent",
    [
        [Binary(b"ab", final=False)] * 4000,
        [Text("", final=False)] * 4000,
        [Text(MIXED[:250].decode(), final=False)] * 400,
        [Text("😀", final=False)] * 4000,
    ],
    ids=["bytes", "nothing", "wide text", "emoji"],
)
def test_a_pipe_holds_no_more_of_a_message_than_twice_what_was_sent(sent: list[DataFrame]) -> None:
    kind = type(sent[0])
    last: Any = Text("") if kind is Text else Binary(b"")
    size = sum(payload_size(frame) + 2 for frame in sent)
    peak = 0

    def incoming() -> Iterator[DataFrame]:
        nonlocal peak
        for frame in sent:
            yield copy.copy(frame) if isinstance(frame, Text) else Binary(frame.payload[:1] + b"b", False)  # a new one
        _, peak = tracemalloc.get_traced_memory()
        yield last

    stage = from_message_pipe(lambda message: message)
    gc.collect()
    tracemalloc.start()
    try:
        (answer,) = stage.over(incoming())
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Text | Binary)
    assert payload_size(answer) == size - 2 * len(sent)
    assert peak <= 2 * size + CONSTANT, (peak, size)


@pytest.mark.parametrize("size", [MIB, 3])
def test_tls_holds_little_of_a_large_write(size: int) -> None:
    """OpenSSL keeps the memory of the largest write to its buffer, which tracemalloc does not see."""
    inner = Written()
    stream = TLSStream(inner, ssl.create_default_context(), BlockingEffect(), "localhost", False)
    encrypted = OpenSSL()
    stream._tls, stream._outgoing = encrypted, encrypted  # type: ignore[assignment]
    stream.write(bytes(size))
    assert inner.size == size
    assert encrypted.largest <= CONSTANT


class Written(DelegatingStream):
    """A stream that counts what is written."""

    def __init__(self) -> None:
        super().__init__(cast("ByteStream", None))
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)


class OpenSSL:
    """OpenSSL's object and its buffer in one, which notes the largest content of the buffer."""

    def __init__(self) -> None:
        self.pending = self.largest = 0

    def write(self, data: memoryview) -> int:
        self.pending += len(data)
        self.largest = max(self.largest, self.pending)
        return len(data)

    def read(self) -> bytes:
        content, self.pending = bytes(self.pending), 0
        return content


class Loopback(PushStream):
    """A stream without a transport, whose callbacks the test calls."""

    is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close_transport(self) -> None: ...

    def abort_transport(self) -> None: ...

    def let_others_run(self) -> Awaitable[object]:
        raise NotImplementedError


def test_small_chunks_of_a_push_stream_that_wait_are_joined() -> None:
    sent = [bytes([index % 251, 1]) for index in range(32_000)]
    stream = Loopback(asyncio.Event)
    gc.collect()
    tracemalloc.start()
    try:
        for chunk in sent:
            stream.data_received(chunk[:1] + b"a")  # a new object for each, as transports make them
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 64_000 + CONSTANT
    assert asyncio.run(stream.read()) == b"".join(chunk[:1] + b"a" for chunk in sent)


@pytest.mark.parametrize("size", [500, 64 * 1024], ids=["in pieces", "at once"])
@pytest.mark.parametrize("line", [b"a:\n", b"a: b\r\n"])
def test_many_header_lines_are_refused_before_an_object_is_made_of_each(line: bytes, size: int) -> None:
    header = b"GET / HTTP/1.1\r\nHost: a\r\n" + line * (60_000 // len(line)) + b"\r\n"
    reader = MessageReader(h11.SERVER, "")

    def read() -> None:
        for chunk in chunks(header, size):
            reader.feed(chunk)
            assert reader.next_event() is h11.NEED_DATA

    tracemalloc.start()
    try:
        with pytest.raises(h11.RemoteProtocolError, match="128 header lines"):
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(header) + CONSTANT
