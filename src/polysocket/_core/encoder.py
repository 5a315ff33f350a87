"""Frames to bytes (RFC 6455 §5), and the state of the fragmented message that is being sent."""

from __future__ import annotations

import os
from typing import Final

from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.fast_path import BINARY, CLOSE, FINAL, MASKED, PIECE, RSV1, TEXT, mask
from polysocket.errors import InvalidFrame

__all__ = ["Encoder"]

NAMES: Final = {TEXT: "Text", BINARY: "Binary"}


class Encoder:
    """The encoder of one side's frames; ``masks`` is True for a client (RFC 6455 §5.3)."""

    __slots__ = ("_compresses", "_deflate", "_masks", "open_opcode")

    def __init__(self, *, masks: bool, deflate: PerMessageDeflate | None) -> None:
        self._masks = masks
        self._deflate = deflate
        self._compresses = True  # the message being sent, whose first frame has decided
        self.open_opcode = 0
        """The opcode of the message whose last fragment is still to be sent; 0 for none."""

    def forget(self) -> None:
        """Free the window of the sent messages: only control frames will follow."""
        if self._deflate is not None:
            self._deflate.forget_sent()

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

    def encode(self, opcode: int, payload: bytes, final: bool = True, compress: bool = True) -> bytes:
        """Return the bytes of a frame; a data frame's payload is compressed if that was negotiated.

        ``compress`` counts in the first frame of a message: RFC 7692 §6 marks there whether a message is compressed.
        """
        first = opcode | FINAL if final else opcode
        if opcode < CLOSE:
            self.open_opcode = 0 if final else opcode or self.open_opcode
            if self._deflate is not None:
                if opcode:
                    self._compresses = compress
                if self._compresses:
                    payload = self._deflate.compress(payload, final)
                    if opcode:  # RFC 7692 §6: RSV1 is set on the first frame of a compressed message.
                        first |= RSV1
        size = len(payload)
        masked_bit = MASKED if self._masks else 0
        if size < 126:
            header = bytes((first, masked_bit | size))
        elif size < 65536:
            header = bytes((first, masked_bit | 126)) + size.to_bytes(2, "big")
        else:
            header = bytes((first, masked_bit | 127)) + size.to_bytes(8, "big")
        if not masked_bit:
            return header + payload
        key = os.urandom(4)
        if size > PIECE:
            return header + key + mask(payload, key)
        keys = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return header + key + (int.from_bytes(payload, "little") ^ keys).to_bytes(size, "little")
