"""Checks on the frames that a caller sends; each raises :class:`InvalidFrame`."""

from __future__ import annotations

import contextlib
from typing import Final, TypeVar, cast

from polysocket.errors import InvalidFrame
from polysocket.frames import Binary, Close, CloseCode, Ping, Pong

__all__ = [
    "MAX_CONTROL_PAYLOAD",
    "check_close",
    "close_payload",
    "control_payload",
    "invalid_text",
    "not_a_frame",
    "payload_bytes",
    "snapshot",
]

F = TypeVar("F")

MAX_CONTROL_PAYLOAD: Final = 125  # bytes (RFC 6455 §5.5)
# RFC 6455 §7.4.1: 1006 and 1015 never go over the wire; 1005 stands for a Close without a code.
SENDABLE: Final = frozenset(CloseCode) - {CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE_FAILED}


def not_a_frame(given: object) -> InvalidFrame:
    """Return the error for an object that is not a frame."""
    name = type(given).__name__
    hint = {"str": "; send_text() takes a str", "bytes": "; send_binary() takes bytes"}.get(name, "")
    return InvalidFrame(f"{name} is not a frame: send a Text, Binary, Ping, Pong or Close{hint}")


def invalid_text(text: object) -> InvalidFrame:
    """Return the error for a text that can't be encoded in UTF-8."""
    if not isinstance(text, str):
        return InvalidFrame(f"a Text frame's payload is a str, not {type(text).__name__}")
    return InvalidFrame(f"the text can't be sent in UTF-8: it has the lone surrogate {_lone_surrogate(text)!a}")


def _lone_surrogate(text: str) -> str:
    """Return the first half of a surrogate pair in a text, the only characters that UTF-8 doesn't have."""
    return next(character for character in text if 0xD800 <= ord(character) <= 0xDFFF)


def payload_bytes(frame: Binary | Ping | Pong) -> bytes:
    """Return a copy of a payload as bytes, so that the caller may change the buffer after the call.

    Any object with the buffer protocol is taken: a view of larger items, of several dimensions, or with gaps, too.
    """
    payload: object = frame.payload
    name = "Binary frame" if isinstance(frame, Binary) else type(frame).__name__
    try:
        with memoryview(frame.payload) as view:
            return view.tobytes()
    except TypeError:
        raise InvalidFrame(f"a {name}'s payload is bytes, not {type(payload).__name__}") from None
    except (BufferError, ValueError) as error:  # a released memoryview, a closed mmap
        raise InvalidFrame(f"a {name}'s payload can't be read: {error}") from None


def snapshot(frame: F) -> F:
    """Return a frame whose payload the caller can't change later: it may wait, and observers may keep it.

    A payload that may not be sent is returned as it is, for the connection to refuse.
    """
    if isinstance(frame, Binary | Ping | Pong):
        with contextlib.suppress(InvalidFrame):
            payload = payload_bytes(frame)
            copy = Binary(payload, frame.final) if isinstance(frame, Binary) else type(frame)(payload)
            return cast("F", copy)
    return frame


def control_payload(frame: Ping | Pong) -> bytes:
    """Return the payload of a Ping or Pong, which is short (RFC 6455 §5.5)."""
    payload = payload_bytes(frame)
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise InvalidFrame(
            f"a {type(frame).__name__} holds at most {MAX_CONTROL_PAYLOAD} bytes, not {len(payload)} (RFC 6455 §5.5)"
        )
    return payload


def close_payload(close: Close) -> bytes:
    """Return the payload of a Close: nothing for 1005, which stands for no code (RFC 6455 §5.5.1)."""
    if close.code == CloseCode.NO_STATUS_RECEIVED:
        return b""
    return int(close.code).to_bytes(2, "big") + close.reason.encode()


def check_close(close: Close) -> None:
    """Raise :class:`InvalidFrame` for a Close that may not be sent (RFC 6455 §5.5.1, §7.4)."""
    code, reason = close.code, close.reason
    if not _is_sendable(code):
        raise InvalidFrame(f"{code!r} is not a close code that may be sent: 1000 to 1014 as defined, or 3000 to 4999")
    if not isinstance(reason, str):
        raise InvalidFrame(f"the reason of a Close is a str, not {type(reason).__name__}")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError as error:
        lone = _lone_surrogate(reason)
        raise InvalidFrame(
            f"the reason of a Close can't be sent in UTF-8: it has the lone surrogate {lone!a}"
        ) from error
    if size > MAX_CONTROL_PAYLOAD - 2:
        raise InvalidFrame(f"the reason of a Close holds at most {MAX_CONTROL_PAYLOAD - 2} bytes in UTF-8, not {size}")
    if reason and code == CloseCode.NO_STATUS_RECEIVED:
        raise InvalidFrame("a Close without a code can't have a reason (RFC 6455 §5.5.1)")


def _is_sendable(code: object) -> bool:
    return isinstance(code, int) and not isinstance(code, bool) and (code in SENDABLE or code in range(3000, 5000))
