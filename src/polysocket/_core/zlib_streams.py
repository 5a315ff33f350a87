"""The compressed messages of one direction (RFC 7692 §7.2), as streams of zlib.

At most ``max_message_size + 1`` bytes of a message are inflated, however it is packed, fragmented or chunked.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from polysocket._core.failure import Refused, invalid_payload, too_big

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

__all__ = ["Deflater", "Inflater"]

TAIL: Final = b"\x00\x00\xff\xff"  # §7.2.1: the sender cuts it off, the receiver appends it
EMPTY_STORED_BLOCK: Final = b"\x00"  # §7.2.3.6: an empty message without its tail
MOST_PIECES: Final = 64  # of remembered output: each costs CPython about 40 bytes, so one-byte messages must be joined
MOST_FINAL_BLOCKS: Final = 8192  # in a frame: each needs a new stream, 2 µs for 2 bytes; senders make none, or one
WORK_OF_STREAM: Final = 2048  # bytes that are inflated in the same time
UNLIMITED: Final = 2**62 - 2  # bytes: mypyc holds no larger integer, plus one, without an object
AT_ONCE: Final = 8 * 1024 * 1024  # bytes that are inflated in one turn of an event loop: they take about 25 ms
LARGEST_RATIO: Final = 1032  # of deflate: 258 bytes in two bits
STEP: Final = 1024  # bytes after a final block: zlib copies what follows one, so larger steps cost their square


class Deflater:
    """The compressor of the messages that this side sends (§7.2.1)."""

    __slots__ = ("_level", "_memory_level", "_no_context_takeover", "_stream", "_window_bits")

    def __init__(self, no_context_takeover: bool, window_bits: int, level: int, memory_level: int) -> None:
        self._no_context_takeover = no_context_takeover
        # zlib makes no raw stream with 8 bits. With 9 its distances reach 2**9 - 262 = 250, within a window of 2**8.
        self._window_bits = max(window_bits, 9)
        self._level = level
        self._memory_level = memory_level
        self._stream: _Compress | None = None

    def forget(self) -> None:
        """Free the window: no more will be sent."""
        self._stream = None

    def deflate(self, data: bytes, final: bool) -> bytes:
        """Compress the payload of one data frame; ``final`` is True for the last one of its message."""
        stream = self._stream
        if stream is None:
            stream = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits, self._memory_level)
            self._stream = stream
        output = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        if not final:
            return output
        if self._no_context_takeover:
            self._stream = None
        return output.removesuffix(TAIL) or EMPTY_STORED_BLOCK


class Inflater:
    """The decompressor of the peer's messages (§7.2.2): ``begin``, ``begin_frame``, ``feed`` its bytes, ``finish``."""

    __slots__ = (
        "_at_boundary",
        "_final_blocks",
        "_max_message_size",
        "_no_context_takeover",
        "_remembered",
        "_room",
        "_stream",
        "_window",
        "_window_bits",
        "_window_size",
        "largest_at_once",
        "left",
        "work",
    )

    def __init__(self, no_context_takeover: bool, window_bits: int, max_message_size: int | None) -> None:
        self._no_context_takeover = no_context_takeover
        self._window_bits = window_bits
        self._window_size = 1 << window_bits
        self._max_message_size = UNLIMITED if max_message_size is None else max_message_size
        self._stream: _Decompress | None = None  # None after a final block, too
        # The last output, which a new stream needs after a final block: Python's zlib doesn't return its window.
        self._window: list[bytes] = []
        self._remembered = 0  # bytes in the window
        self._room = self._max_message_size + 1
        self._at_boundary = True
        self._final_blocks = 0  # in the frame
        self.work: int = 0
        """Bytes that were inflated, and what new streams cost."""
        self.left: int = 0
        """How many of the bytes that were fed last are to be fed again."""
        self.largest_at_once: int = UNLIMITED if self._max_message_size < AT_ONCE else AT_ONCE // LARGEST_RATIO
        """The size of a payload that :meth:`inflate_message` may be given, whatever it inflates to."""

    def forget(self) -> None:
        """Free the window: no more will be received, or the next message needs none."""
        self._stream = None
        self._window.clear()
        self._remembered = 0

    def begin(self) -> None:
        """Begin a message."""
        self._room = self._max_message_size + 1
        self._at_boundary = True

    def begin_frame(self) -> None:
        """Begin a frame of the message."""
        self._final_blocks = 0

    def inflate_message(self, data: bytes) -> bytes:
        """Inflate the payload of a message in one frame, as ``begin``, ``feed`` and ``finish`` do.

        Raises :class:`Refused` for corrupt data and for a message over the limit, as they do.
        """
        if not data:  # An empty message has no block that the tail could complete: see finish().
            return b""
        self._room = self._max_message_size + 1
        self._final_blocks = 0
        stream = self._stream
        if stream is None:
            stream = self._new_stream()
        output = self._inflate(stream, data + TAIL)
        if stream.eof:
            self._stream = None
            rest = stream.unused_data
            output += self.feed(rest if len(rest) < len(TAIL) else rest[: len(rest) - len(TAIL)])
            if len(rest) > len(TAIL) and not self._at_boundary:
                output += self.feed(TAIL)
        if self._no_context_takeover:
            self.forget()
        return output

    def feed(self, data: bytes, most: int = UNLIMITED) -> bytes:
        """Inflate some bytes; after a final block the message goes on in a new stream (§7.2.3.4).

        Stop after about ``most`` bytes of output. Then ``left`` tells how many bytes of ``data`` come next.
        """
        pieces: list[bytes] = []
        start, step, room = 0, len(data), self._room
        while start < len(data) and room - self._room < most:
            stream = self._stream
            if stream is None:
                stream = self._new_stream()
            piece = data[start : start + step]
            pieces.append(self._inflate(stream, piece, most))
            start += len(piece) - len(stream.unused_data) - self.left
            step = STEP
            self._at_boundary = stream.eof
            if self._at_boundary:
                self._stream = None
        self.left = len(data) - start
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> bytes:
        """Inflate the tail, which completes the block that the last byte opened (§7.2.2).

        A sender may wrongly have left that byte out, in an empty message or after a final block. Then the tail would
        be half of a block's header, and the next message the other half.
        """
        output = b"" if self._at_boundary else self.feed(TAIL)
        if self._no_context_takeover:
            self.forget()
        return output

    def _new_stream(self) -> _Decompress:
        self.work += WORK_OF_STREAM
        self._final_blocks += 1
        if self._final_blocks > MOST_FINAL_BLOCKS:
            raise Refused(too_big(f"a frame of more than {MOST_FINAL_BLOCKS} final blocks"))
        window = b"".join(self._window)
        stream = zlib.decompressobj(-self._window_bits, window[max(len(window) - self._window_size, 0) :])
        self._stream = stream
        return stream

    def _inflate(self, stream: _Decompress, data: bytes, most: int = UNLIMITED) -> bytes:
        try:
            output = stream.decompress(data, min(self._room, most))
            self.left = len(stream.unconsumed_tail)
            if len(output) == most < self._room:  # zlib may hold the rest of a match, whose bytes it has taken.
                output += stream.decompress(b"", self._room - most)
        except zlib.error as error:
            raise Refused(invalid_payload(f"corrupt deflate data: {error}")) from error
        size = len(output)
        self._room -= size
        self.work += size
        if self._room == 0:
            raise Refused(too_big(f"a message inflates to more than {self._max_message_size} bytes"))
        if size:
            # Remember the output as far as the window reaches.
            window = self._window
            if size >= self._window_size:
                window.clear()
                self._remembered, size = 0, self._window_size
                window.append(output[len(output) - size :])
            else:
                window.append(output)
            self._remembered += size
            while self._remembered - len(window[0]) >= self._window_size:
                self._remembered -= len(window.pop(0))
            if len(window) > MOST_PIECES:
                joined = b"".join(window)
                joined = joined[max(len(joined) - self._window_size, 0) :]
                window.clear()
                window.append(joined)
                self._remembered = len(joined)
        return output
