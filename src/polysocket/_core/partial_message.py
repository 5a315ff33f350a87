"""The message that a peer sends in several frames (RFC 6455 §5.4), as far as it has arrived, and its limits."""

from __future__ import annotations

from typing import Final

from polysocket._core.failure import Refused, too_big

__all__ = ["BYTES_A_FRAGMENT", "FEWEST_FRAGMENTS", "PartialMessage"]

# A fragment costs its sender two bytes, and this side much more. A large message may have one for 256 bytes.
FEWEST_FRAGMENTS: Final = 1024
BYTES_A_FRAGMENT: Final = 256


class PartialMessage:
    """The message of which a frame has begun; ``opcode`` is 0 between two messages."""

    __slots__ = ("fragments", "is_compressed", "limit", "max_fragments", "opcode", "rest", "size")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        """The largest message, in bytes."""
        self.max_fragments: int = max(FEWEST_FRAGMENTS, limit // BYTES_A_FRAGMENT)
        self.opcode: int = 0
        """The opcode of its first frame: TEXT, BINARY, or 0."""
        self.is_compressed: bool = False
        self.size: int = 0
        """Bytes of its payload; not counted if it is compressed."""
        self.fragments: int = 0
        """The number of its frames that have begun."""
        self.rest: bytes = b""
        """Bytes of a character that is split between two fragments, or two reads."""

    def begin(self, opcode: int, is_compressed: bool) -> None:
        """Begin with a message."""
        self.opcode = opcode
        self.is_compressed = is_compressed
        self.size = self.fragments = 0

    def admit_frame(self, size: int) -> None:
        """Begin with a frame, before its payload is buffered; raises :class:`Refused` if it exceeds a limit."""
        fragments = self.fragments + 1
        if fragments > self.max_fragments:
            raise Refused(too_big(f"a message of more than {self.max_fragments} fragments"))
        self.fragments = fragments
        if not self.is_compressed:
            size += self.size
            if size > self.limit:
                raise Refused(too_big(f"a message of at least {size} bytes, over the limit of {self.limit}"))
            self.size = size
