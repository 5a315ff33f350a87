"""The frames of RFC 6455 as values: ``receive`` returns them, ``send`` takes them.

They are immutable, comparable and made for ``match``. ``_core`` decides which frame may be sent, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Binary", "Close", "CloseCode", "DataFrame", "Frame", "Ping", "Pong", "Text", "join_fragments"]


class CloseCode(IntEnum):
    """Status codes of a Close (RFC 6455 §7.4.1 and the IANA registry).

    Codes from 3000 to 3999 are for libraries and frameworks, from 4000 to 4999 for private use. They are plain ints.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005  #: never on the wire: the Close had no code
    ABNORMAL_CLOSURE = 1006  #: never on the wire: there was no Close
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE_FAILED = 1015  #: never on the wire


_NAMES: dict[int, str] = {code: code.name.lower().replace("_", " ") for code in CloseCode}


@dataclass(frozen=True, slots=True)
class Text:
    """A text frame (RFC 6455 §5.6), or one fragment of a text message.

    ``final`` is False if more fragments of the message follow (§5.4). A character whose bytes are split between two
    fragments is in the later one.
    """

    payload: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary frame (RFC 6455 §5.6), or one fragment of a binary message; ``final`` as in :class:`Text`."""

    payload: bytes
    final: bool = True


@dataclass(frozen=True, slots=True)
class Ping:
    """A Ping (RFC 6455 §5.5.2) with at most 125 bytes of payload."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    """A Pong (RFC 6455 §5.5.3) with at most 125 bytes of payload."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """A Close (RFC 6455 §5.5.1): a code, and a reason of at most 123 bytes in UTF-8.

    ``Close(CloseCode.NO_STATUS_RECEIVED)`` stands for a Close without a code, both received and sent.
    """

    code: int = CloseCode.NORMAL_CLOSURE
    reason: str = ""

    def __str__(self) -> str:
        """Return code, name if the code has one, and reason: ``1001 (going away) 'restart'``."""
        text = str(int(self.code))
        if self.code in _NAMES:
            text += f" ({_NAMES[self.code]})"
        return f"{text} {self.reason!r}" if self.reason else text


DataFrame = Text | Binary
Frame = Text | Binary | Ping | Pong


def join_fragments(fragments: Sequence[DataFrame]) -> str | bytes:
    """Join the fragments of one message, which are all of one kind, to its payload."""
    first = fragments[0].payload
    if len(fragments) == 1:
        return first
    if isinstance(first, str):
        return "".join([fragment.payload for fragment in fragments if isinstance(fragment, Text)])
    return b"".join([fragment.payload for fragment in fragments if isinstance(fragment, Binary)])
