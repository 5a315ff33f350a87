"""Explanations of protocol errors, derived from the bytes of the frame and the state of the connection."""

from __future__ import annotations

from typing import Final

from polysocket._core.fast_path import BINARY, CLOSE, CONTINUATION, FINAL, MASKED, PING, PONG, RSV1, TEXT

__all__ = ["close_violation", "header_violation"]

NAMES: Final = {
    CONTINUATION: "CONTINUATION",
    TEXT: "TEXT",
    BINARY: "BINARY",
    CLOSE: "CLOSE",
    PING: "PING",
    PONG: "PONG",
}
RSV_BITS: Final = {0x40: "RSV1", 0x20: "RSV2", 0x10: "RSV3"}


def header_violation(header: bytes, *, from_client: bool, in_message: bool, compression: bool) -> str | None:
    """Return what in a frame's header breaks RFC 6455 §5 or RFC 7692 §6; None if it is valid as far as it arrived.

    ``in_message`` is True between two fragments of a message, ``compression`` if permessage-deflate was negotiated.
    """
    first, second = header[0], header[1]
    opcode, size = first & 0x0F, second & 0x7F
    name = NAMES.get(opcode, "")
    is_control = opcode >= 0x8
    is_masked = bool(second & MASKED)
    rules = [
        (not name, f"a frame with the reserved opcode {opcode:#x} (RFC 6455 §5.2)"),
        (is_control and not first & FINAL, f"a fragmented control frame ({name}) (RFC 6455 §5.5)"),
        (is_control and size > 125, f"a control frame ({name}) of more than 125 bytes (RFC 6455 §5.5)"),
        (
            size > 125 and _is_too_wide(header),
            f"a payload length in {2 if size == 126 else 8} bytes, more than it needs (RFC 6455 §5.2)",
        ),
        (header[2:3] >= b"\x80" and size == 127, "a payload length with its highest bit set (RFC 6455 §5.2)"),
        (first & (0x30 if compression else 0x70), _reserved_bits(first & (0x30 if compression else 0x70))),
        (first & RSV1 and (is_control or opcode == 0), f"RSV1 is set on a {name} frame (RFC 7692 §6.1)"),
        (is_masked and not from_client, "a masked frame, but a server's frames must not be masked (RFC 6455 §5.1)"),
        (not is_masked and from_client, "an unmasked frame, but a client's frames must be masked (RFC 6455 §5.1)"),
        (opcode == 0 and not in_message, "a CONTINUATION frame outside a fragmented message (RFC 6455 §5.4)"),
        (
            opcode in (0x1, 0x2) and in_message,
            f"a {name} frame, but a continuation of the message was due (RFC 6455 §5.4)",
        ),
    ]
    return next((violation for is_broken, violation in rules if is_broken), None)


def _is_too_wide(header: bytes) -> bool:
    size = header[1] & 0x7F
    if size == 126:
        return len(header) >= 4 and int.from_bytes(header[2:4], "big") < 126
    return len(header) >= 10 and int.from_bytes(header[2:10], "big") < 65536


def _reserved_bits(bits: int) -> str:
    names = " and ".join(name for bit, name in RSV_BITS.items() if bits & bit)
    return f"a reserved bit is set ({names}), but no extension that uses it was negotiated (RFC 6455 §5.2)"


def close_violation(payload: bytes) -> str:
    """Return what in a Close's payload breaks RFC 6455 §5.5.1 or §7.4."""
    if len(payload) == 1:
        return "a Close with a payload of 1 byte, but a close code has 2 (RFC 6455 §5.5.1)"
    return f"a Close with code {int.from_bytes(payload[:2], 'big')}, which must not be sent (RFC 6455 §7.4)"
