"""Values to text in JSON (RFC 8259), and messages to values."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from polysocket.errors import InvalidFrame, InvalidJSON
from polysocket.redaction import escaped

__all__ = ["from_json", "to_json"]

MAX_SHOWN: Final = 60  # characters of a message that an error shows: enough to recognize it, and on one line

# json is imported with the first call: it takes a millisecond, which a program without JSON does not need.


def to_json(value: object) -> str:
    """Return a value in JSON, without spaces and with characters as they are; raises :class:`InvalidFrame`."""
    import json  # noqa: PLC0415 - as above

    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidFrame(f"the value can't be written in JSON: {error}") from error


def from_json(message: str | bytes) -> Any:
    """Return the value of a message in JSON; raises :class:`InvalidJSON`, which has the message."""
    import json  # noqa: PLC0415 - as above

    try:
        return json.loads(message, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # RecursionError: a peer may nest lists without end.
        raise InvalidJSON(f"the message is not JSON: {error}: {_shown(message)}", message) from None


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's parser accepts, and RFC 8259 §6 does not."""
    raise ValueError(f"{constant} is not a number of JSON")


def _shown(message: str | bytes) -> str:
    beginning = escaped(repr(message[:MAX_SHOWN]))
    return f"{beginning}…" if len(message) > MAX_SHOWN else beginning
