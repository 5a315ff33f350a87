"""Masking (RFC 6455 §5.3): the compiled way if it is there, else the plain one."""

from __future__ import annotations

from collections.abc import Callable

from polysocket._core import plain_masking
from polysocket._core.plain_masking import PIECE

__all__ = ["IS_WIDE", "PIECE", "mask", "masked_frame"]

mask: Callable[[bytes, bytes], bytes] = plain_masking.mask
"""Mask or unmask bytes with the four bytes of a key."""
masked_frame: Callable[[bytes, bytes, bytes], bytes] = plain_masking.masked_frame
"""Return a frame of these three: its header, the masking key, and the payload, which is to be masked."""

try:
    from polysocket._core import wide_masking
except ImportError:  # librt is a dependency of compiled builds only.
    pass
else:
    if not wide_masking.__file__.endswith(".py"):  # Uncompiled, it is slow.
        mask, masked_frame = wide_masking.mask, wide_masking.masked_frame

IS_WIDE: bool = mask is not plain_masking.mask
"""Whether the compiled way is in use."""
