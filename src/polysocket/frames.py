"""The frames of RFC 6455 as values: ``receive`` returns them, ``send`` takes them.

They are immutable, comparable and made for ``match``. ``_core`` decides which frame may be sent, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from inspect import Parameter, Signature
from typing import Any, ClassVar, Literal, Self

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


# The attributes are private, and properties show them: a frozen dataclass takes three times as long to make.


class Value:
    """The base of frames: the same values in the same kind of frame are equal."""

    __slots__ = ()
    __signature__: ClassVar[Signature]

    def _names(self) -> tuple[str, ...]:
        kind: Any = type(self)
        names: tuple[str, ...] = kind.__match_args__
        return names

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self._names()])

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self) and isinstance(other, Value):
            return self._values() == other._values()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = [f"{name}={getattr(self, name)!r}" for name in self._names()]
        return f"{type(self).__name__}({', '.join(values)})"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self), self._values()

    def __replace__(self, /, **changes: Any) -> Self:
        """Return a frame with other values, for ``copy.replace`` (Python 3.13)."""
        make: Any = type(self)
        frame: Self = make(**{**dict(zip(self._names(), self._values(), strict=True)), **changes})
        return frame


class Text(Value):
    """A text frame (RFC 6455 §5.6), or one fragment of a text message.

    ``final`` is False if more fragments of the message follow (§5.4). A character whose bytes are split between two
    fragments is in the later one.
    """

    __slots__ = ("_final", "_payload")
    __match_args__: ClassVar[tuple[Literal["payload"], Literal["final"]]] = ("payload", "final")

    def __init__(self, payload: str, final: bool = True) -> None:
        self._payload: str = payload
        self._final: bool = final

    @property
    def payload(self) -> str:
        """The text."""
        return self._payload

    @property
    def final(self) -> bool:
        """Whether this is the last fragment of its message, or all of it."""
        return self._final


class Binary(Value):
    """A binary frame (RFC 6455 §5.6), or one fragment of a binary message; ``final`` as in :class:`Text`."""

    __slots__ = ("_final", "_payload")
    __match_args__: ClassVar[tuple[Literal["payload"], Literal["final"]]] = ("payload", "final")

    def __init__(self, payload: bytes, final: bool = True) -> None:
        self._payload: bytes = payload
        self._final: bool = final

    @property
    def payload(self) -> bytes:
        """The bytes."""
        return self._payload

    @property
    def final(self) -> bool:
        """Whether this is the last fragment of its message, or all of it."""
        return self._final


class Ping(Value):
    """A Ping (RFC 6455 §5.5.2) with at most 125 bytes of payload."""

    __slots__ = ("_payload",)
    __match_args__: ClassVar[tuple[Literal["payload"]]] = ("payload",)

    def __init__(self, payload: bytes = b"") -> None:
        self._payload: bytes = payload

    @property
    def payload(self) -> bytes:
        """The bytes."""
        return self._payload


class Pong(Value):
    """A Pong (RFC 6455 §5.5.3) with at most 125 bytes of payload."""

    __slots__ = ("_payload",)
    __match_args__: ClassVar[tuple[Literal["payload"]]] = ("payload",)

    def __init__(self, payload: bytes = b"") -> None:
        self._payload: bytes = payload

    @property
    def payload(self) -> bytes:
        """The bytes."""
        return self._payload


class Close(Value):
    """A Close (RFC 6455 §5.5.1): a code, and a reason of at most 123 bytes in UTF-8.

    ``Close(CloseCode.NO_STATUS_RECEIVED)`` stands for a Close without a code, both received and sent.
    """

    __slots__ = ("_code", "_reason")
    __match_args__: ClassVar[tuple[Literal["code"], Literal["reason"]]] = ("code", "reason")

    def __init__(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        self._code: int = code
        self._reason: str = reason

    @property
    def code(self) -> int:
        """The status code (§7.4)."""
        return self._code

    @property
    def reason(self) -> str:
        """Why, for people to read."""
        return self._reason

    def __str__(self) -> str:
        """Return code, name if the code has one, and reason: ``1001 (going away) 'restart'``."""
        text = str(int(self.code))
        if self.code in _NAMES:
            text += f" ({_NAMES[self.code]})"
        return f"{text} {self.reason!r}" if self.reason else text


def _signature(*parameters: tuple[str, type[object], object]) -> Signature:
    return Signature(
        [
            Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=default)
            for name, kind, default in parameters
        ]
    )


# What help() and inspect.signature() show: a compiled class has no annotations.
Text.__signature__ = _signature(("payload", str, Parameter.empty), ("final", bool, True))
Binary.__signature__ = _signature(("payload", bytes, Parameter.empty), ("final", bool, True))
Ping.__signature__ = Pong.__signature__ = _signature(("payload", bytes, b""))
Close.__signature__ = _signature(("code", int, CloseCode.NORMAL_CLOSURE), ("reason", str, ""))

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
