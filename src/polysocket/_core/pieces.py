"""Compact forms of bytes and frames that wait: for each object, CPython needs 33 to 130 bytes besides its payload.

Nothing here copies a byte more than a few times, however many pieces there are.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Final

from polysocket.frames import Binary, Close, DataFrame, Frame, Text

__all__ = ["Fragments", "PackedText", "Payload", "Pieces", "Received", "frame_of", "packed"]

Received = bytes | str | Frame | Close
"""A frame that waits: a message in one frame is held as its payload alone, which takes less memory and time."""

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


def packed(text: str) -> bytes | None:
    """Return the UTF-8 of a text if it takes much less memory, else None."""
    utf8 = text.encode()
    return utf8 if len(utf8) >= FEWEST_PACKED and sys.getsizeof(text) * 2 > len(utf8) * 3 else None


def frame_of(received: Received) -> Frame | Close:
    """Return what was received as the frame that a caller sees."""
    if isinstance(received, bytes):
        return Binary(received)
    if isinstance(received, str):
        return Text(received)
    return received.unpacked() if isinstance(received, PackedText) else received


class Fragments:
    """The fragments of a message that a caller is receiving; False if there are none.

    Many small ones are joined: the boundaries of fragments have no meaning (RFC 6455 §5.4).
    """

    __slots__ = ("_is_text", "_joined", "_parts")

    def __init__(self) -> None:
        self._is_text = False
        self._parts: list[bytes | str] = []  # their payloads; a text may be in UTF-8
        self._joined: Pieces | None = None  # the parts before the others, in UTF-8 if they are text

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def first(self) -> DataFrame:
        """One of the fragments, which are all of one kind."""
        return self._frame(self._parts[0])

    def add(self, frame: DataFrame, size: int) -> bool:
        """Add the next fragment, of ``size`` bytes; return True if it is the last one."""
        if len(self._parts) >= MOST_FRAGMENTS:
            if self._joined is None:
                self._joined = Pieces()
            self._joined.add(self._join_parts())
        if isinstance(frame, Binary):
            self._is_text = False
            self._parts.append(frame._payload)
            return frame._final
        self._is_text = True
        if isinstance(frame, PackedText):
            self._parts.append(frame._utf8)
        else:
            text: str = frame._payload
            self._parts.append(text if len(text) == size else packed(text) or text)
        return frame._final

    def next(self) -> DataFrame:
        """Take the first fragment; those that were joined are one."""
        return self._frame(self._joined.take() if self._joined else self._parts.pop(0))

    def _frame(self, payload: bytes | str) -> DataFrame:
        if isinstance(payload, bytes):
            return Text(payload.decode(), False) if self._is_text else Binary(payload, False)
        return Text(payload, False)

    def join(self) -> str | bytes:
        """Take all fragments as one payload."""
        if self._joined:
            self._joined.add(self._join_parts())
            payload = self._joined.take()
            return payload.decode() if self._is_text else payload
        parts, self._parts = self._parts, []
        if self._is_text:
            return "".join([part.decode() if isinstance(part, bytes) else part for part in parts])
        return b"".join([part for part in parts if isinstance(part, bytes)])

    def _join_parts(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join([part if isinstance(part, bytes) else part.encode() for part in parts])
