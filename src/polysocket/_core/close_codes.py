"""The one table of which event makes this side send which close code (RFC 6455 §7.4.1)."""

from __future__ import annotations

from typing import Final

from polysocket.frames import CloseCode

__all__ = [
    "BLOCK_CANCELLED",
    "BLOCK_ENDED",
    "BLOCK_RAISED",
    "BUFFER_OVERFLOWED",
    "CALLBACK_RAISED",
    "LIMIT_EXCEEDED",
    "MESSAGE_KIND_REFUSED",
    "MESSAGE_UNFINISHED",
    "PROTOCOL_VIOLATED",
    "TEXT_INVALID",
]

BLOCK_ENDED: Final = CloseCode.NORMAL_CLOSURE
"""The ``with`` block has ended, or the program calls ``close()`` without a code."""

BLOCK_CANCELLED: Final = CloseCode.GOING_AWAY
"""The block was cancelled or interrupted, so this side doesn't wait for the peer's Close."""

PROTOCOL_VIOLATED: Final = CloseCode.PROTOCOL_ERROR
"""The peer broke RFC 6455 or RFC 7692."""

MESSAGE_KIND_REFUSED: Final = CloseCode.UNSUPPORTED_DATA
"""A pipe that takes only text received a binary message."""

TEXT_INVALID: Final = CloseCode.INVALID_PAYLOAD
"""A text message or a close reason is not UTF-8 (§8.1), or compressed data are corrupt."""

BUFFER_OVERFLOWED: Final = CloseCode.POLICY_VIOLATION
"""More frames arrived than a bounded :class:`~polysocket.Buffer` takes."""

LIMIT_EXCEEDED: Final = CloseCode.MESSAGE_TOO_BIG
"""A message exceeds ``max_message_size`` or the limit of fragments."""

BLOCK_RAISED: Final = CloseCode.INTERNAL_ERROR
"""The block, or the stage of a pipe, raised an exception."""

CALLBACK_RAISED: Final = CloseCode.INTERNAL_ERROR
"""A method of a listener, or of a multiplexer, raised an exception."""

MESSAGE_UNFINISHED: Final = CloseCode.INTERNAL_ERROR
"""The iterable of ``send_fragments`` raised an exception, or the call was cancelled, within a message."""
