"""Received frames as they wait, in compact forms: data as payloads alone, which take less memory and time than frames.

Beside each stands a mark: the size of its payload in bytes, and its part of a message.
"""

from __future__ import annotations

import sys
from typing import Final, cast

from polysocket._core.pieces import Pieces
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text

__all__ = [
    "FRAGMENT",
    "LAST_FRAGMENT",
    "PART",
    "SIZE",
    "UNPACKED",
    "WHOLE",
    "Fragments",
    "PackedText",
    "Received",
    "frame_of",
    "is_wide",
    "joined",
    "packed",
]

# The parts of a message (RFC 6455 §5.4), which are the lower bits of a mark.
WHOLE: Final = 0  # a message in one frame; a control frame, too
FRAGMENT: Final = 1  # more fragments follow
LAST_FRAGMENT: Final = 2
PART: Final = 0b11
SIZE: Final = 2  # the position of the size's lowest bit

MOST_FRAGMENTS: Final = 64  # that are not joined yet; a fragment costs its sender two bytes or more, and this side 130
PACKED_COST: Final = 89  # bytes that CPython needs for a packed text besides its UTF-8
UNPACKED: Final = 16 * 1024  # bytes that wait, from which a wide text is packed: small streams are spared the work


class PackedText:
    """A text held in UTF-8: in CPython a single emoji makes each character of a text take four bytes."""

    __slots__ = ("utf8",)

    def __init__(self, utf8: bytes) -> None:
        self.utf8: bytes = utf8


Received = bytes | str | PackedText | Ping | Pong | Close


def is_wide(text: str, size: int) -> bool:
    """Return whether a text of this size in UTF-8 takes much less memory in its packed form."""
    return sys.getsizeof(text) > size * 3 // 2 + PACKED_COST


def packed(text: str) -> PackedText | None:
    """Return a text in its packed form; None if that does not take much less memory."""
    utf8 = text.encode()
    return PackedText(utf8) if is_wide(text, len(utf8)) else None


def frame_of(received: Received, mark: int) -> Frame | Close:
    """Return what was received as the frame that a caller sees."""
    final = mark & PART != FRAGMENT
    if isinstance(received, bytes):
        return Binary(received, final)
    if isinstance(received, str):
        return Text(received, final)
    if isinstance(received, PackedText):
        return Text(received.utf8.decode(), final)
    return received


def joined(parts: list[Received]) -> str | bytes:
    """Return the payload of a message from those of its fragments."""
    if isinstance(parts[0], bytes):
        return b"".join(cast("list[bytes]", parts))
    return "".join([part.utf8.decode() if isinstance(part, PackedText) else cast("str", part) for part in parts])


class Fragments:
    """The fragments of a message that a caller is receiving; False if there are none.

    Many small ones are joined: the boundaries of fragments have no meaning (RFC 6455 §5.4).
    """

    __slots__ = ("_joined", "_parts")

    def __init__(self) -> None:
        self._parts: list[Received] = []
        self._joined: Pieces | None = None  # the parts before the others, in UTF-8 if they are text

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def first(self) -> Frame | Close:
        """One of the fragments, which are all of one kind."""
        return frame_of(self._parts[0], FRAGMENT)

    def add(self, part: Received) -> None:
        """Add the next fragment."""
        if len(self._parts) >= MOST_FRAGMENTS:
            if self._joined is None:
                self._joined = Pieces()
            self._joined.add(self._join_parts())
        if isinstance(part, str) and not part.isascii():
            part = packed(part) or part
        self._parts.append(part)

    def next(self) -> Frame | Close:
        """Take the first fragment; those that were joined are one."""
        if not self._joined:
            return frame_of(self._parts.pop(0), FRAGMENT)
        payload = self._joined.take()
        return Binary(payload, False) if isinstance(self._parts[0], bytes) else Text(payload.decode(), False)

    def join(self) -> str | bytes:
        """Take all fragments as one payload."""
        if not self._joined:
            parts, self._parts = self._parts, []
            return joined(parts)
        is_text = not isinstance(self._parts[0], bytes)
        self._joined.add(self._join_parts())
        payload = self._joined.take()
        return payload.decode() if is_text else payload

    def _join_parts(self) -> bytes:
        parts, self._parts = self._parts, []
        payload = joined(parts)
        return payload.encode() if isinstance(payload, str) else payload
