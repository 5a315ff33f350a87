"""The settings of permessage-deflate (RFC 7692), as a value."""

from __future__ import annotations

from dataclasses import dataclass

from polysocket.errors import InvalidRequest

__all__ = ["Deflate"]


@dataclass(frozen=True, slots=True)
class Deflate:
    """Compression by permessage-deflate (RFC 7692): the parameters to offer or accept, and how to compress.

    ``client_`` and ``server_`` say whose compressor is meant, as in the RFC. Window bits (8 to 15) bound the memory
    that the sliding window takes; no context takeover frees it after each message, at the price of compression.
    ``level`` (0 to 9, or -1 for zlib's default) and ``memory_level`` (1 to 9) are this side's zlib settings.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    level: int = -1
    memory_level: int = 8

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(self, name)
            if bits is not None and bits not in range(8, 16):
                raise InvalidRequest(f"{name} must be from 8 to 15, not {bits!r}")
        if self.level not in range(-1, 10):
            raise InvalidRequest(f"level must be from -1 to 9, not {self.level!r}")
        if self.memory_level not in range(1, 10):
            raise InvalidRequest(f"memory_level must be from 1 to 9, not {self.memory_level!r}")
