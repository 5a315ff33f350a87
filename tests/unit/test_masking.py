"""Masking of every length at which the compiled way or the plain one changes how it works."""

from __future__ import annotations

import pytest

from polysocket._core import plain_masking
from polysocket._core.masking import mask, masked_frame, masked_slice

KEY = b"\x01\x80\xfe\x7f"
KIB = 1024
EDGES = [0, 8, 4 * KIB, 6 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 80 * KIB, 128 * KIB]
SIZES = sorted({max(edge + offset, 0) for edge in EDGES for offset in (-9, -8, -7, -4, -1, 0, 1, 3, 7, 8, 9)})


@pytest.mark.parametrize("size", SIZES)
def test_each_byte_is_masked_with_its_byte_of_the_key(size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    masked = bytes(byte ^ KEY[index % 4] for index, byte in enumerate(data))
    assert mask(data, KEY) == masked
    assert mask(masked, KEY) == data
    assert plain_masking.mask(data, KEY) == masked
    assert masked_frame(b"header", KEY, data, size) == b"header" + KEY + masked
    start = size // 8 * 4
    assert masked_frame(b"header", KEY, data, start) == b"header" + KEY + masked[:start]
    assert masked_slice(data, KEY, start, size) == masked[start:]
    assert masked_slice(data, KEY, 0, start) == masked[:start]
