"""Frames as bytes, encoded and decoded according to RFC 6455 §5.2, independently of polysocket."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Wire",
    "close",
    "encode",
    "fragments",
    "read",
    "text",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Wire(NamedTuple):
    """A frame as it was on the wire."""

    opcode: int
    payload: bytes = b""
    final: bool = True
    compressed: bool = False  # RSV1


def encode(opcode: int, payload: bytes | str = b"", *, final: bool = True, compressed: bool = False) -> bytes:
    """Return a server's frame: not masked."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = 0x80 * final | 0x40 * compressed | opcode
    if len(data) < 126:
        return bytes((first, len(data))) + data
    if len(data) < 65536:
        return bytes((first, 126)) + len(data).to_bytes(2, "big") + data
    return bytes((first, 127)) + len(data).to_bytes(8, "big") + data


def text(payload: str) -> bytes:
    """Return a text message in one frame."""
    return encode(TEXT, payload)


def close(code: int | None = 1000, reason: str = "") -> bytes:
    """Return a Close; None stands for a Close without a code."""
    return encode(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def read(take: Callable[[int], bytes]) -> Wire:
    """Read a client's frame; ``take(n)`` returns n bytes. Raises AssertionError for an invalid frame."""
    first, second = take(2)
    opcode, size = first & 0x0F, second & 0x7F
    assert not first & 0x30, f"RSV2 or RSV3 is set: {first:#x}"
    assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"unknown opcode: {opcode:#x}"
    assert second & 0x80, "a client's frame is not masked"
    if size >= 126:
        size = int.from_bytes(take(2 if size == 126 else 8), "big")
    key = take(4)
    payload = take(size)
    keys = key * (size // 4) + key[: size % 4]
    plain = (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")
    return Wire(opcode, plain, bool(first & 0x80), bool(first & 0x40))


def fragments(opcode: int, *payloads: bytes, compressed: bool = False) -> list[bytes]:
    """Return a message with one frame for each payload; if compressed, each frame inflates by itself."""
    stream = zlib.compressobj(wbits=-15)
    frames: list[bytes] = []
    for number, payload in enumerate(payloads, 1):
        final = number == len(payloads)
        data = payload
        if compressed:
            data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
            data = data.removesuffix(b"\x00\x00\xff\xff") if final else data
        first = number == 1
        frames.append(encode(opcode if first else CONTINUATION, data, final=final, compressed=compressed and first))
    return frames


class Messages:
    """The messages of a client, joined from its data frames and inflated."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self._inflate = zlib.decompressobj(wbits=-15)
        self._parts: list[bytes] = []
        self._compressed = False

    def take(self, frame: Wire) -> None:
        """Take a frame. Raises AssertionError if a data frame breaks the order of fragments (RFC 6455 §5.4)."""
        if frame.opcode >= CLOSE:
            return
        assert bool(self._parts) == (frame.opcode == CONTINUATION), f"{frame} breaks the order of fragments"
        if not self._parts:
            self._compressed = frame.compressed
        self._parts.append(frame.payload)
        if frame.final:
            data = b"".join(self._parts)
            self.whole.append(self._inflate.decompress(data + b"\x00\x00\xff\xff") if self._compressed else data)
            self._parts = []
