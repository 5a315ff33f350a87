"""permessage-deflate as tests drive it: compressed frames, in every chunking, and a zlib that counts calls."""

from __future__ import annotations

import random
import weakref
import zlib
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import Opcode

from polysocket._core.deflate import DeflateParameters, PerMessageDeflate
from polysocket.compression import Deflate
from tests.connections import CLIENT, RSV1, SERVER, frame_to
from tests.wsproto_extension import WsprotoExtension

TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1
FINAL_HELLO = bytes.fromhex("f3 48 cd c9 c9 07 00")  # the block of §7.2.3.4, without the octet after it
EMPTY_FINAL = b"\x03\x00"
NO_TAKEOVER = DeflateParameters(server_no_context_takeover=True, client_no_context_takeover=True)


def extension(
    parameters: DeflateParameters | None = None,
    role: ConnectionType = CLIENT,
    *,
    config: Deflate | None = None,
    max_message_size: int | None = None,
) -> WsprotoExtension:
    parameters = parameters or DeflateParameters()
    return WsprotoExtension(PerMessageDeflate(role, parameters, config or Deflate(), max_message_size))


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a frame as a server sends it, unmasked."""
    return frame_to(CLIENT, opcode, payload, fin=fin, rsv=RSV1 if rsv1 else 0)


def compressed(*payloads: bytes, between: bytes = b"") -> bytes:
    """Return one compressed message: a frame for each payload, and other frames between them."""
    last = len(payloads) - 1
    return between.join(
        frame(Opcode.CONTINUATION if index else Opcode.BINARY, payload, fin=index == last, rsv1=index == 0)
        for index, payload in enumerate(payloads)
    )


def receive(ext: WsprotoExtension, data: bytes, chunk: int | None = None) -> list[Event]:
    """Return the events of the bytes, received at once or in chunks."""
    connection, events = Connection(CLIENT, [ext]), list[Event]()
    step = chunk or len(data)
    for start in range(0, len(data), step):
        connection.receive_data(data[start : start + step])
        events += connection.events()
    return events


def messages(events: list[Event]) -> list[bytes]:
    """Return the whole messages; fail if there are events other than messages and Pings."""
    whole, parts = list[bytes](), list[bytes]()
    for event in events:
        assert isinstance(event, (Message, Ping)), event
        if isinstance(event, Message):
            parts.append(event.data.encode() if isinstance(event, TextMessage) else bytes(event.data))
            if event.message_finished:
                whole.append(b"".join(parts))
                parts.clear()
    assert not parts
    return whole


def close_code(events: list[Event]) -> int:
    assert isinstance(events[-1], CloseConnection), events
    return events[-1].code


def sent(ext: WsprotoExtension, *fragments: bytes) -> list[bytes]:
    """Return the payloads of the frames of one message, as the extension sends it."""
    connection = Connection(SERVER, [ext])
    payloads = list[bytes]()
    for index, fragment in enumerate(fragments):
        final = index == len(fragments) - 1
        wire = connection.send(BytesMessage(data=fragment, message_finished=final))
        assert wire[0] == (final << 7 | (index == 0) << 6 | (Opcode.CONTINUATION if index else Opcode.BINARY))
        payloads.append(wire[{126: 4, 127: 10}.get(wire[1], 2) :])
    return payloads


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


COMPRESSOBJ, DECOMPRESSOBJ = zlib.compressobj, zlib.decompressobj

CHUNKS = pytest.mark.parametrize("chunk", [None, 1, 2, 3], ids=["at once", "by 1", "by 2", "by 3"])


class WatchedZlib:
    """Stands in for the streams of zlib: counts them, and the bytes that decompressors read and return."""

    def __init__(self) -> None:
        self.compressors = weakref.WeakSet[_Watched]()
        self.decompressors = weakref.WeakSet[_Watched]()
        self.wbits = list[int]()
        self.windows = list[bytes]()
        self.made = 0
        self.taken = 0
        self.given = 0

    def compressobj(self, *args: Any, **options: Any) -> Any:
        """Make a compressor; those that tests make, with names for the options, are not watched."""
        if options:
            return COMPRESSOBJ(*args, **options)
        self.made += 1
        watched = _Watched(self, COMPRESSOBJ(*args))
        self.compressors.add(watched)
        return watched

    def decompressobj(self, wbits: int, window: bytes) -> _Watched:
        self.made += 1
        self.wbits.append(wbits)
        self.windows.append(window)
        watched = _Watched(self, DECOMPRESSOBJ(wbits, window))
        self.decompressors.add(watched)
        return watched


class _Watched:
    def __init__(self, watch: WatchedZlib, stream: Any) -> None:
        self._watch = watch
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        output: bytes = self._stream.decompress(data, max_length)
        self._watch.taken += len(data)
        self._watch.given += len(output)
        return output
