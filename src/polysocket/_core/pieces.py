"""Compact forms of bytes that wait: for each object, CPython needs at least 33 bytes besides its payload.

Nothing here copies a byte more than a few times, however many pieces there are.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable
from io import BytesIO
from typing import Final

__all__ = ["LEAST_ROOM", "Payload", "Pieces", "payload_of"]

MOST_PIECES: Final = (
    256  # that are not joined yet: at most 20 KiB of objects, and a joined block is worth its own object
)
LARGEST_SPARE: Final = 1024 * 1024  # bytes of a buffer that is kept: the default max_message_size
LEAST_ROOM: Final = 64 * 1024  # bytes; a read of fewer is hardly faster than one that is copied


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
    """The payload of an uncompressed frame that arrives in parts, in one buffer, which is used again for the next one.

    glibc returns the memory of a large object to the system, and the page faults of the next one take longer than all
    copies. A frame of more than ``LARGEST_SPARE`` bytes is a :class:`LargePayload`.
    """

    __slots__ = ("_buffer", "_checked", "_held", "_size", "lends")

    def __init__(self, beginning: bytes, size: int) -> None:
        """Begin with bytes that were left over, and expect this number of bytes more."""
        self.lends: bool = True
        """Whether there is a :meth:`room`."""
        self._size = len(beginning) + size
        # A small payload of a slow peer must not hold the large buffer.
        self._buffer = _take_spare() if LEAST_ROOM <= self._size <= LARGEST_SPARE else bytearray()
        self._held = 0  # bytes that have arrived
        self._checked = 0  # bytes that are UTF-8
        self.add(beginning)

    def add(self, part: bytes | memoryview) -> None:
        """Add a part."""
        held = self._held + len(part)
        if held > len(self._buffer):
            self._grow(2 * held)
        memoryview(self._buffer)[self._held : held] = part  # bytearray's own assignment copies it once more
        self._held = held

    def room(self) -> memoryview:
        """Return a buffer for the next bytes, or for some of them, valid until another method is called.

        It has no more room than what has arrived, unless an earlier payload needed more: a peer that announces much is
        not given much.
        """
        end = self._held + max(self._held, LEAST_ROOM)
        if len(self._buffer) < min(end, self._size):
            self._grow(end)
        return memoryview(self._buffer)[self._held : self._size]

    def note_filled(self, size: int, unmask: Callable[[bytes], bytes] | None) -> None:
        """Note that the first bytes of the room were written, which are to be unmasked in place if they are masked."""
        begin, self._held = self._held, self._held + size
        if unmask is not None:
            self._buffer[begin : self._held] = unmask(bytes(memoryview(self._buffer)[begin : self._held]))

    def check_text(self, is_last: bool) -> None:
        """Check that all is UTF-8, but for a character that may go on unless ``is_last``; else a UnicodeDecodeError."""
        unchecked = memoryview(self._buffer)[self._checked : self._held]
        self._checked += utf_8_decode(unchecked, "strict", is_last)[1]

    def take_text(self) -> tuple[bytes, bytes]:
        """Return the text in UTF-8, and the bytes of the character that goes on; hold nothing any more."""
        checked = self._checked
        whole = self.take()
        return (whole, b"") if checked == len(whole) else (whole[:checked], whole[checked:])

    def take(self) -> bytes:
        """Return everything, and hold nothing any more."""
        taken = bytes(memoryview(self._buffer)[: self._held])
        if not _spare and len(self._buffer) <= LARGEST_SPARE:
            _spare.append(self._buffer)
        self._buffer, self._held, self._checked = bytearray(), 0, 0
        return taken

    def _grow(self, size: int) -> None:
        """Have room for this number of bytes, or for all that are expected."""
        larger = bytearray(min(size, self._size))  # A new one, since a stream may still hold a view of the old one.
        memoryview(larger)[: self._held] = memoryview(self._buffer)[: self._held]
        self._buffer = larger


class LargePayload(Payload):
    """A payload for which no buffer is kept: it becomes the message without a copy, since another one is too large."""

    __slots__ = ("_parts",)

    def __init__(self, beginning: bytes, size: int) -> None:
        self._parts = BytesIO()
        super().__init__(beginning, size)
        self.lends = False

    def add(self, part: bytes | memoryview) -> None:
        """Add a part."""
        self._parts.write(part)
        self._held += len(part)

    def check_text(self, is_last: bool) -> None:
        """Check that all is UTF-8, but for a character that may go on unless ``is_last``; else a UnicodeDecodeError."""
        with self._parts.getbuffer() as arrived, arrived[self._checked :] as unchecked:
            self._checked += utf_8_decode(unchecked, "strict", is_last)[1]

    def take(self) -> bytes:
        """Return everything, and hold nothing any more."""
        taken = self._parts.getvalue()
        self._parts = BytesIO()
        return taken


_spare: list[bytearray] = []
"""The buffer of an earlier payload: one, or a few if threads race."""


def _take_spare() -> bytearray:
    try:
        return _spare.pop()
    except IndexError:
        return bytearray()


def payload_of(beginning: bytes, size: int) -> Payload:
    """Begin with a payload of this size, besides bytes that were left over."""
    return Payload(beginning, size) if size <= LARGEST_SPARE else LargePayload(beginning, size)
