"""How much is read at once."""

from __future__ import annotations

from typing import Final

__all__ = ["READ_SIZE"]

READ_SIZE: Final = 120 * 1024  # bytes: room for a frame of 64 KiB, and less than malloc's threshold for mmap (128 KiB)
