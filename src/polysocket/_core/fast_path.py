"""The fast lane: whole, plain, valid data frames, straight between bytes and values.

The rule: the lane never accepts what wsproto refuses and never gives other frames than wsproto does. Whatever is not
plain (fragments, control frames, RSV bits, odd lengths, wrong masking, bad UTF-8, over the limit) stops the lane; the
connection then asks wsproto. Pure functions with no state, in plain types, so that the file can be compiled as it is.
"""

from __future__ import annotations

from typing import Final

from polysocket.frames import Binary, Text

__all__ = ["binary_frame_size", "decode", "encode", "frame_size", "mask"]


TEXT: Final = 0x1


BINARY: Final = 0x2


FINAL: Final = 0x80


MASKED: Final = 0x80


PIECE: Final = 4096  # bytes, a multiple of the masking key's four


def decode(
    data: bytes, position: int, masked: bool, limit: int, frames: list[Text | Binary], *, most: int = 2**63 - 1
) -> int:
    """Append the plain frames that begin at ``position``; give the position of the first byte that was not taken.

    ``position`` must be at the border of two messages. ``limit`` bounds a payload, in bytes; ``most`` the frames.
    """
    end = len(data)
    masked_bit = MASKED if masked else 0
    while end - position >= 2 and len(frames) < most:
        first = data[position]
        if first != FINAL | TEXT and first != FINAL | BINARY:
            break
        size = data[position + 1] ^ masked_bit
        start = position + 2
        if size >= 126:
            # Also where the masking bit is not as it must be.
            width = 2 if size == 126 else 8
            if size > 127 or end - start < width:
                break
            size = int.from_bytes(data[start : start + width], "big")
            start += width
            if size < 126 or (width == 8 and size < 65536):  # RFC 6455 §5.2: the shortest form is due
                break
        if size > limit:
            break
        if masked:
            start += 4
        stop = start + size
        if stop > end:
            break
        payload = data[start:stop]
        if masked:
            payload = mask(payload, data[start - 4 : start])
        if first == FINAL | BINARY:
            frames.append(Binary(payload))
        else:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                break
            frames.append(Text(text))
        position = stop
    return position


def encode(opcode: int, payload: bytes, key: bytes) -> bytes:
    """One unfragmented frame, masked where ``key`` is not empty (RFC 6455 §5.2, §5.3)."""
    size = len(payload)
    masked_bit = MASKED if key else 0
    if size < 126:
        header = bytes((FINAL | opcode, masked_bit | size))
    elif size < 65536:
        header = bytes((FINAL | opcode, masked_bit | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((FINAL | opcode, masked_bit | 127)) + size.to_bytes(8, "big")
    if not key:
        return header + payload
    return header + key + mask(payload, key)


def mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with the four bytes of ``key`` (RFC 6455 §5.3)."""
    # One XOR of two large integers is the widest loop that the interpreter has; pieces keep them in the CPU's cache,
    # which was 2 to 4 times as fast for 1 MB.
    size = len(data)
    if size <= PIECE:
        keys = int.from_bytes(key * (size // 4) + key[: size % 4], "little")
        return (int.from_bytes(data, "little") ^ keys).to_bytes(size, "little")
    keys = int.from_bytes(key * (PIECE // 4), "little")
    whole = size - size % PIECE
    pieces = [
        (int.from_bytes(data[start : start + PIECE], "little") ^ keys).to_bytes(PIECE, "little")
        for start in range(0, whole, PIECE)
    ]
    pieces.append(mask(data[whole:], key))
    return b"".join(pieces)


def frame_size(header: bytes) -> tuple[int, int] | None:
    """The size in bytes of the frame's header and of its payload; None where more of the header is needed.

    It measures only: whether the header is valid is wsproto's to say.
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


def binary_frame_size(data: bytes, position: int, masked: bool, limit: int) -> int:
    """The size in bytes of the plain binary frame that begins at ``position``; 0 where another or no frame does.

    Such a frame is worth waiting for. A text frame is not: its bytes are judged as they come, so that bad UTF-8 is
    found at once.
    """
    size = frame_size(data[position : position + 14])
    if size is None or data[position] != FINAL | BINARY or size[1] > limit:
        return 0
    header, payload = size
    shortest = 2 if payload < 126 else 4 if payload < 65536 else 10
    return header + payload if header == shortest + 4 * masked else 0
