"""Compact forms of bytes and frames that wait: for each object, CPython needs 33 to 130 bytes besides its payload.

Nothing here copies a byte more than a few times, however many pieces there are.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Final

from polysocket.frames import Binary, DataFrame, Text

__all__ = ["Fragments", "PackedText", "Payload", "Pieces", "packed"]

MOST_PIECES: Final = (
    256  # that are not joined yet: at most 20 KiB of objects, and a joined block is worth its own object
)
MOST_FRAGMENTS: Final = 64  # likewise; a fragment costs its sender two bytes or more, and this side 130
FEWEST_PACKED: Final = 64  # bytes of UTF-8: for less, the packed text would be hardly smaller


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


class PackedText(Text):
    """A text frame held in UTF-8: in CPython a single emoji makes each character of a text take four bytes."""

    __slots__ = ("_utf8",)

    def __init__(self, utf8: bytes, final: bool) -> None:
        super().__init__("", final)
        self._utf8 = utf8

    @property
    def payload(self) -> str:
        """The text."""
        return self._utf8.decode()

    def unpacked(self) -> Text:
        """Return the frame for a caller."""
        return Text(self.payload, self._final)


def packed(frame: Text, utf8: bytes) -> Text:
    """Return a text frame, or the packed one if that takes much less memory."""
    if len(utf8) >= FEWEST_PACKED and sys.getsizeof(frame.payload) * 2 > len(utf8) * 3:
        return PackedText(utf8, frame.final)
    return frame


class Fragments:
    """The fragments of a message that a caller is receiving; False if there are none.

    Many small ones are joined: the boundaries of fragments have no meaning (RFC 6455 §5.4).
    """

    __slots__ = ("_frames", "_joined")

    def __init__(self) -> None:
        self._frames: list[DataFrame] = []
        self._joined: Pieces | None = None  # the fragments before the others, in UTF-8 if they are text

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def first(self) -> DataFrame:
        """One of the fragments, which are all of one kind."""
        return self._frames[0]

    def add(self, frame: DataFrame) -> None:
        """Add the next fragment."""
        if len(self._frames) >= MOST_FRAGMENTS:
            if self._joined is None:
                self._joined = Pieces()
            payload = self._join_frames()
            self._joined.add(payload.encode() if isinstance(payload, str) else payload)
        if isinstance(frame, Text) and type(frame) is Text:
            text: str = frame._payload
            if not text.isascii():
                frame = packed(frame, text.encode())
        self._frames.append(frame)

    def next(self) -> DataFrame:
        """Take the first fragment; those that were joined are one."""
        if self._joined:
            payload = self._joined.take()
            return Text(payload.decode(), False) if isinstance(self.first, Text) else Binary(payload, False)
        frame = self._frames.pop(0)
        return frame.unpacked() if isinstance(frame, PackedText) else frame

    def join(self) -> str | bytes:
        """Take all fragments as one payload."""
        payload = self._join_frames()
        if not self._joined:
            return payload
        self._joined.add(payload.encode() if isinstance(payload, str) else payload)
        joined = self._joined.take()
        return joined.decode() if isinstance(payload, str) else joined

    def _join_frames(self) -> str | bytes:
        frames, self._frames = self._frames, []
        if isinstance(frames[0], Text):
            return "".join([frame.payload for frame in frames if isinstance(frame, Text)])
        return b"".join([frame._payload for frame in frames if isinstance(frame, Binary)])
