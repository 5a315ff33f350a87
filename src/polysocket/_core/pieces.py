"""Compact forms of bytes that wait: for each object, CPython needs at least 33 bytes besides its payload.

Nothing here copies a byte more than a few times, however many pieces there are.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable
from io import SEEK_CUR, SEEK_END, BytesIO
from typing import Final

__all__ = ["LEAST_ROOM", "Payload", "Pieces"]

MOST_PIECES: Final = (
    256  # that are not joined yet: at most 20 KiB of objects, and a joined block is worth its own object
)
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
    """The payload of an uncompressed frame that arrives in parts, in one buffer, which becomes the payload uncopied.

    Joining parts would take as much memory once more. glibc returns that memory after each message, and the page faults
    of the next one take longer than all copies.
    """

    __slots__ = ("_buffer", "_checked", "_lent")

    def __init__(self, beginning: bytes) -> None:
        """Begin with bytes that were left over."""
        self._buffer = BytesIO(beginning)  # what has arrived ends at its position
        self._buffer.seek(0, SEEK_END)
        self._checked = 0  # bytes that are UTF-8
        self._lent: list[memoryview] = []  # No byte can be written otherwise until these are released.

    def add(self, part: bytes | memoryview) -> None:
        """Add a part."""
        if self._lent:
            self._take_back()
        self._buffer.write(part)

    def room(self, size: int) -> memoryview:
        """Return a buffer for at most that many of the next bytes, valid until another method is called.

        It is never larger than what has arrived, or 64 KiB, so that a peer that announces much is not given much.
        """
        self._take_back()
        held = self._buffer.tell()
        end = held + min(size, max(held, LEAST_ROOM))
        if end > self._buffer.seek(0, SEEK_END):
            self._buffer.seek(end - 1)
            self._buffer.write(b"\0")
        self._buffer.seek(held)
        whole = self._buffer.getbuffer()
        self._lent = [whole[held:end], whole]
        return self._lent[0]

    def note_filled(self, size: int, unmask: Callable[[bytes], bytes] | None) -> None:
        """Note that the first bytes of the room were written, which are to be unmasked in place if they are masked."""
        self._take_back()
        if unmask is None:
            self._buffer.seek(size, SEEK_CUR)
        else:
            masked = self._buffer.read(size)
            self._buffer.seek(-size, SEEK_CUR)
            self._buffer.write(unmask(masked))

    def _take_back(self) -> None:
        for view in self._lent:
            view.release()
        self._lent = []

    def check_text(self, is_last: bool) -> None:
        """Check that all is UTF-8, but for a character that may go on unless ``is_last``; else a UnicodeDecodeError."""
        with self._buffer.getbuffer() as buffer, buffer[self._checked : self._buffer.tell()] as unchecked:
            self._checked += utf_8_decode(unchecked, "strict", is_last)[1]

    def take_text(self) -> tuple[bytes, bytes]:
        """Return the text in UTF-8, and the bytes of the character that goes on."""
        whole = self.take()
        return (whole, b"") if self._checked == len(whole) else (whole[: self._checked], whole[self._checked :])

    def take(self) -> bytes:
        """Return everything."""
        self._buffer.truncate()
        return self._buffer.getvalue()
