"""Compact forms of bytes that wait: for each object, CPython needs at least 33 bytes besides its payload.

Nothing here copies a byte more than a few times, however many pieces there are.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

__all__ = ["Payload", "Pieces"]

MOST_PIECES: Final = (
    256  # that are not joined yet: at most 20 KiB of objects, and a joined block is worth its own object
)


class Pieces:
    """Bytes in the order in which they arrived, in few objects; False if there are none."""

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._blocks = 0  # the number of joined pieces, which come first

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, piece: bytes) -> None:
        """Add a piece."""
        if not piece:
            return
        pieces = self._pieces
        pieces.append(piece)
        if len(pieces) - self._blocks >= MOST_PIECES:
            pieces[self._blocks :] = [b"".join(pieces[self._blocks :])]
            self._blocks += 1

    def take(self) -> bytes:
        """Return everything, and hold nothing any more."""
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._blocks = 0
        return taken


class Payload:
    """The payload of a frame that arrives in parts, in one buffer: joining parts takes as much memory once more.

    glibc returns that memory after each message, and the page faults of the next one take longer than all copies.
    """

    __slots__ = ("_buffer", "_held", "_room", "_size")

    def __init__(self, size: int) -> None:
        """Expect this number of bytes; a few more or less don't matter."""
        self._buffer = BytesIO()
        self._size = size
        self._held = 0
        self._room = 0  # the size of the buffer: at most twice what has arrived

    def add(self, part: bytes) -> None:
        """Add a part."""
        held = self._held + len(part)
        if held > self._room:
            self._room = max(held, min(self._size, 2 * held))
            self._buffer.seek(self._room - 1)
            self._buffer.write(b"\0")
            self._buffer.seek(self._held)
        self._buffer.write(part)
        self._held = held

    def take(self) -> bytes:
        """Return everything."""
        self._buffer.truncate(self._held)
        return self._buffer.getvalue()
