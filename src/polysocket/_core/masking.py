"""Masking (RFC 6455 §5.3): the compiled way if it is there, else the plain one."""

from __future__ import annotations

from collections.abc import Callable

from polysocket._core import plain_masking
from polysocket._core.plain_masking import PIECE

__all__ = ["IS_WIDE", "PIECE", "mask", "masked_frame", "masked_slice"]

mask: Callable[[bytes, bytes], bytes] = plain_masking.mask
"""Mask or unmask bytes with the four bytes of a key."""
masked_frame: Callable[[bytes, bytes, bytes, int], bytes] = plain_masking.masked_frame
"""Return a frame: its header, the masking key, and the payload up to an index, which is to be masked."""
masked_slice: Callable[[bytes, bytes, int, int], bytes] = plain_masking.masked_slice
"""Mask a payload with a key from one index, a multiple of 4, to another."""

try:
    from polysocket._core import wide_masking
except ImportError:  # librt is a dependency of compiled builds only.
    pass
else:
    if not wide_masking.__file__.endswith(".py"):  # Uncompiled, it is slow.
        mask = wide_masking.mask
        masked_frame, masked_slice = wide_masking.masked_frame, wide_masking.masked_slice

IS_WIDE: bool = mask is not plain_masking.mask
"""Whether the compiled way is in use."""
