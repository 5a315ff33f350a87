"""The fast path: whole valid frames, straight from bytes to values, plain or compressed.

The fast path never accepts what wsproto refuses, and never returns other frames than wsproto. The decoder passes every
other frame to wsproto: a Close, a compressed fragment, an odd header, bad UTF-8 in a plain text. Pure functions in
plain types, so that the file can be compiled as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Final

from polysocket._core.validation import MAX_CONTROL_PAYLOAD
from polysocket.frames import Binary, Ping, Pong, Text

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FINAL",
    "MASKED",
    "PIECE",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "decode",
    "decode_control",
    "decode_fragment",
    "frame_size",
    "mask",
    "whole_binary_frame_size",
]

# The bits and opcodes of RFC 6455 §5.2.
FINAL: Final = 0x80
RSV1: Final = 0x40
MASKED: Final = 0x80
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

WORK: Final = 1024  # bytes that are inflated in the time for a byte of the worst deflate data, all final blocks
PIECE: Final = 4096  # bytes, a multiple of the key's four: XORing 1 MB in such pieces stays in the cache, 2-4 x faster


def decode(  # noqa: C901, PLR0912, PLR0917 - one loop, so that a frame costs no further call
    data: bytes,
    position: int,
    masked: bool,
    limit: int,
    frames: list[Text | Binary],
    most: int = 2**63 - 1,
    most_bytes: int = 2**63 - 1,
    decompress: Callable[[bytes], bytes] | None = None,
) -> int:
    """Append the whole frames that begin at ``position`` to ``frames``; return the position after the last one.

    Args:
        data: Bytes from the peer.
        position: An index between two messages.
        masked: True if the peer is a client (RFC 6455 §5.1).
        limit: The largest payload, in bytes.
        frames: The list to append to.
        most: The largest number of frames to append.
        most_bytes: The number of payload bytes, or the work for as many, after which to stop.
        decompress: The function for the payload of a compressed message, if compression was negotiated.

    Raises:
        Exception: What ``decompress`` raises.
        UnicodeDecodeError: A compressed text is not UTF-8.
    """
    end = len(data)
    masked_bit = MASKED if masked else 0
    taken = 0
    while end - position >= 2 and len(frames) < most and taken < most_bytes:
        first = data[position]
        compressed = first & RSV1
        opcode = first ^ FINAL ^ compressed
        if (opcode != TEXT and opcode != BINARY) or (compressed and decompress is None):  # noqa: PLR1714
            break
        size = data[position + 1] ^ masked_bit
        start = position + 2
        if size >= 126:
            # The masking bit may be wrong, too: then the size is 128 or more.
            width = 2 if size == 126 else 8
            if size > 127 or end - start < width:
                break
            size = int.from_bytes(data[start : start + width], "big")
            start += width
            if size < 126 or (width == 8 and (size < 65536 or size >> 63)):  # RFC 6455 §5.2: minimal, positive
                break
        if size > limit and not compressed:  # A compressed message counts after inflation.
            break
        if masked:
            start += 4
        stop = start + size
        if stop > end:
            break
        payload = data[start:stop]
        if masked:
            payload = mask(payload, data[start - 4 : start])
        if compressed and decompress is not None:
            taken += size * WORK  # so that the caller can count the work after a few frames
            payload = decompress(payload)
        taken += len(payload)
        if opcode == BINARY:
            frames.append(Binary(payload))
        elif compressed:
            frames.append(Text(payload.decode()))
        else:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                break
            frames.append(Text(text))
        position = stop
    return position


def decode_fragment(data: bytes, position: int, masked: bool, in_message: bool) -> tuple[int, bytes, int] | None:
    """Return the first byte of the whole plain fragment at ``position``, its payload, and the position after it.

    None for any other frame. ``in_message`` tells whether it has to continue a message or begin one (RFC 6455 §5.4).
    """
    end = len(data)
    if end - position < 2:
        return None
    first = data[position]
    if first & ~FINAL != CONTINUATION if in_message else first not in (TEXT, BINARY):
        return None
    size = data[position + 1] ^ (MASKED if masked else 0)
    start = position + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if size > 127 or end - start < width:
            return None
        size = int.from_bytes(data[start : start + width], "big")
        start += width
        if size < 126 or (width == 8 and (size < 65536 or size >> 63)):
            return None
    if masked:
        start += 4
    stop = start + size
    if stop > end:
        return None
    payload = data[start:stop]
    return first, mask(payload, data[start - 4 : start]) if masked else payload, stop


def decode_control(data: bytes, position: int, masked: bool) -> tuple[Ping | Pong, int] | None:
    """Return the whole Ping or Pong that begins at ``position``, and the position after it; None for any other frame.

    It may come within a fragmented message (RFC 6455 §5.4).
    """
    if len(data) - position < 2 or (data[position] != FINAL | PING and data[position] != FINAL | PONG):
        return None
    size = data[position + 1] ^ (MASKED if masked else 0)
    start = position + (6 if masked else 2)
    if size > MAX_CONTROL_PAYLOAD or len(data) < start + size:
        return None
    payload = data[start : start + size]
    if masked:
        payload = mask(payload, data[start - 4 : start])
    return Ping(payload) if data[position] == FINAL | PING else Pong(payload), start + size


def mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with the four bytes of ``key`` (RFC 6455 §5.3)."""
    # One XOR of two large integers is the widest loop that the interpreter has.
    size = len(data)
    if size <= PIECE:
        keys = int.from_bytes(key * (size // 4) + key[: size % 4], "little")
        return (int.from_bytes(data, "little") ^ keys).to_bytes(size, "little")
    keys = int.from_bytes(key * (PIECE // 4), "little")
    whole = size - size % PIECE
    masked = BytesIO()  # It takes half of the memory that a list of the pieces would need while they are joined.
    for start in range(0, whole, PIECE):
        masked.write((int.from_bytes(data[start : start + PIECE], "little") ^ keys).to_bytes(PIECE, "little"))
    masked.write(mask(data[whole:], key))
    return masked.getvalue()


def frame_size(header: bytes) -> tuple[int, int] | None:
    """Return the sizes of the frame's header and payload in bytes; None if more of the header is needed.

    Whether the header is valid is not checked.
    """
    if len(header) < 2:
        return None
    payload = header[1] & 0x7F
    size = 2
    if payload >= 126:
        width = 2 if payload == 126 else 8
        if len(header) < size + width:
            return None
        payload = int.from_bytes(header[size : size + width], "big")
        size += width
    if header[1] & MASKED:
        size += 4
    return (size, payload) if len(header) >= size else None


def whole_binary_frame_size(data: bytes, position: int, masked: bool, limit: int) -> int:
    """Return the size in bytes of the plain binary frame that begins at ``position``; 0 for any other frame.

    Waiting for the rest of such a frame is safe. A text frame's bytes are checked as they arrive, so that bad UTF-8 is
    found at once.
    """
    size = frame_size(data[position : position + 14])
    if size is None or data[position] != FINAL | BINARY or size[1] > limit:
        return 0
    header, payload = size
    shortest = 2 if payload < 126 else 4 if payload < 65536 else 10
    return header + payload if header == shortest + 4 * masked else 0
