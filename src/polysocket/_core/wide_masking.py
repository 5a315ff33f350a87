"""Masking (RFC 6455 §5.3), eight bytes at a time: fast once it is compiled, and only then in use."""

from __future__ import annotations

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i64_le
from mypy_extensions import i64

__all__ = ["mask", "masked_frame"]


def masked_frame(header: bytes, key: bytes, payload: bytes) -> bytes:
    """Return a frame: its header, the masking key, and the masked payload."""
    frame = BytesWriter()
    frame.write(header)
    frame.write(key)
    _write_masked(frame, payload, key)
    return frame.getvalue()


def mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with the four bytes of ``key``."""
    masked = BytesWriter()
    _write_masked(masked, data, key)
    return masked.getvalue()


def _write_masked(masked: BytesWriter, data: bytes, key: bytes) -> None:
    half: i64 = i64(read_i32_le(key, 0)) & 0xFFFFFFFF
    keys: i64 = half | (half << 32)
    size: i64 = len(data)
    whole: i64 = size - size % 8
    position: i64 = 0
    while position < whole:
        write_i64_le(masked, read_i64_le(data, position) ^ keys)
        position += 8
    while position < size:
        masked.append(data[position] ^ key[position % 4])
        position += 1
