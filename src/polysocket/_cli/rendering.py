"""Messages as they are shown: JSON with indentation, and no control characters for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

__all__ = ["for_terminal", "indented"]

# C0 and C1 but tab and newline: a terminal obeys them, and a server could retitle it, or hide what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# A token of valid JSON: a string, an empty list or object, a mark, or one of a number, true, false and null.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|\[\s*\]|\{\s*\}|[\[\]{},:]|[^\s\[\]{},:"]+')


def for_terminal(message: str | bytes) -> str:
    """Return a message as a terminal can show it: bytes in hexadecimal, control characters escaped."""
    if isinstance(message, bytes):
        return f"({len(message)} bytes) {message.hex(' ')}"
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", message)


def indented(message: str | bytes) -> str | bytes:
    """Return a message with its JSON indented; anything else as it is."""
    try:
        json.loads(message, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return message
    text = message if isinstance(message, str) else message.decode(json.detect_encoding(message), "surrogatepass")
    return "".join(_with_spaces(text))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_spaces(text: str) -> Iterator[str]:
    """Yield the tokens of JSON and the space between them.

    Python's values would lose digits of numbers, and all but the last of an object's members of the same name.
    """
    line = "\n"  # with the indentation
    for token in _TOKEN.findall(text):
        match token:
            case "[" | "{":
                line += "  "
                yield token + line
            case "]" | "}":
                line = line[:-2]
                yield line + token
            case ",":
                yield token + line
            case ":":
                yield ": "
            case _ if token.startswith('"'):
                yield json.dumps(json.loads(token), ensure_ascii=False)
            case _ if token.startswith(("[", "{")):
                yield token[0] + token[-1]
            case _:
                yield token
