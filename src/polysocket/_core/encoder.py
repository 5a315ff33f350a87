"""Frames to bytes (RFC 6455 §5), and the state of the fragmented message that is being sent."""

from __future__ import annotations

import os
from typing import Final

from polysocket._core.fast_path import BINARY, CLOSE, FINAL, MASKED, RSV1, TEXT, UNLIMITED
from polysocket._core.masking import IS_WIDE, PIECE, masked_frame, masked_slice
from polysocket._core.zlib_streams import Deflater
from polysocket.errors import InvalidFrame

__all__ = ["Encoder"]

NAMES: Final = {TEXT: "Text", BINARY: "Binary"}
KEYS: Final = (
    256  # random bytes for the masking keys of 64 frames: a system call for each frame takes longer than all else
)


class _Process:
    """This process: a child must not use the masking keys of its parent."""

    def __init__(self) -> None:
        self.forks = 0  # that led to it

    def note_fork(self) -> None:
        self.forks += 1


_process: Final = _Process()

if hasattr(os, "register_at_fork"):  # not in Windows
    os.register_at_fork(after_in_child=_process.note_fork)


class Encoder:
    """The encoder of one side's frames; ``masks`` is True for a client (RFC 6455 §5.3)."""

    __slots__ = (
        "_compresses",
        "_deflater",
        "_forks",
        "_key",
        "_keys",
        "_masks",
        "_payload",
        "_start",
        "_used",
        "frames_sent",
        "has_more",
        "open_opcode",
    )

    def __init__(self, masks: bool, deflater: Deflater | None) -> None:
        self._masks = masks
        self._deflater = deflater
        self._compresses = True  # the message being sent, whose first frame has decided
        self._payload = b""  # while has_more
        self._start = 0  # of what is left of the payload
        self._key = b""  # for the rest
        self._keys = b""
        self._used = 0  # bytes of the keys
        self._forks = 0
        self.open_opcode: int = 0
        """The opcode of the message whose last fragment is still to be sent; 0 for none."""
        self.has_more: bool = False
        """Whether :meth:`more` must be called before another frame is encoded."""
        self.frames_sent: int = 0
        """How many frames were encoded."""

    def forget(self) -> None:
        """Free the window of the sent messages, and what is left of a frame: only control frames will follow."""
        self._payload, self.has_more = b"", False
        if self._deflater is not None:
            self._deflater.forget()

    def check_order(self, opcode: int, is_continuation: bool) -> None:
        """Raise :class:`InvalidFrame` if a data frame may not follow the one before (RFC 6455 §5.4)."""
        if not is_continuation:
            if self.open_opcode:
                raise InvalidFrame("a fragmented message is not finished yet: continue it with is_continuation=True")
        elif not self.open_opcode:
            raise InvalidFrame("there is no message to continue: none was started with final=False")
        elif self.open_opcode != opcode:
            raise InvalidFrame(
                f"a message of {NAMES[self.open_opcode]} frames can't be continued with a {NAMES[opcode]} frame"
            )

    def encode(  # noqa: C901, PLR0912 - one method, since a call takes as long as many of these steps
        self, opcode: int, payload: bytes, final: bool = True, compress: bool = True, at_once: int = UNLIMITED
    ) -> bytes:
        """Return the bytes of a frame; a data frame's payload is compressed if that was negotiated.

        ``compress`` counts in the first frame of a message: RFC 7692 §6 marks there whether a message is compressed.
        If more than ``at_once`` bytes are sent, this returns the header and as many; then ``has_more`` is True.
        """
        self.frames_sent += 1
        first = opcode | FINAL if final else opcode
        if opcode < CLOSE:
            self.open_opcode = 0 if final else opcode or self.open_opcode
            if self._deflater is not None:
                if opcode:
                    self._compresses = compress
                if self._compresses:
                    payload = self._deflater.deflate(payload, final)
                    if opcode:  # RFC 7692 §6: RSV1 is set on the first frame of a compressed message.
                        first |= RSV1
        size = len(payload)
        start = first << 8 | MASKED if self._masks else first << 8
        if size < 126:
            header = (start | size).to_bytes(2, "big")
        elif size < 65536:
            header = ((start | 126) << 16 | size).to_bytes(4, "big")
        else:
            header = ((start | 127) << 64 | size).to_bytes(10, "big")
        stop = size
        if size > at_once:
            self._payload, self._start, self.has_more = payload, at_once, True
            stop = at_once
        if not self._masks:
            return header + payload[:stop]
        used = self._used
        if used == len(self._keys) or self._forks != _process.forks:
            self._keys, self._forks = os.urandom(KEYS), _process.forks
            used = 0
        self._used = used + 4
        key = self._keys[used : used + 4]
        if self.has_more:
            self._key = key
        if size > PIECE or IS_WIDE:
            return masked_frame(header, key, payload, stop)
        # Written out, to spare each small frame a call.
        keys = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return header + key + (int.from_bytes(payload, "little") ^ keys).to_bytes(size, "little")

    def more(self, at_once: int) -> bytes:
        """Return the next bytes of the frame that was encoded last, at most ``at_once``, a multiple of 4."""
        payload, start = self._payload, self._start
        stop = min(start + at_once, len(payload))
        self._start = stop
        if stop == len(payload):
            self._payload, self.has_more = b"", False
        return masked_slice(payload, self._key, start, stop) if self._masks else payload[start:stop]
