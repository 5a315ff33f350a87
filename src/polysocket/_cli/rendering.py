"""Messages as they are shown: JSON with indentation, and no control characters for a terminal."""

from __future__ import annotations

import json
import re

__all__ = ["for_terminal", "indented"]

# C0 and C1 but tab and newline: a terminal obeys them, and a server could retitle it, or hide what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def for_terminal(message: str | bytes) -> str:
    """Return a message as a terminal can show it: bytes in hexadecimal, control characters escaped."""
    if isinstance(message, bytes):
        return f"({len(message)} bytes) {message.hex(' ')}"
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", message)


def indented(message: str | bytes) -> str | bytes:
    """Return a message with its JSON indented; anything else as it is."""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError.
        return message
    return json.dumps(value, indent=2, ensure_ascii=False)
