"""What may be sent: checks on the frames that a user gives; each raises :class:`InvalidFrame`."""

from __future__ import annotations

from polysocket.errors import InvalidFrame
from polysocket.frames import Binary, Close, CloseCode, Frame, Ping, Pong, Text

__all__ = ["MAX_CONTROL_PAYLOAD", "checked_close", "control_payload", "encoded_text", "no_frame", "payload_bytes"]


MAX_CONTROL_PAYLOAD = 125  # bytes (RFC 6455 §5.5)


# RFC 6455 §7.4.1: 1006 and 1015 are never on the wire; 1005 stands for a Close without a code.
SENDABLE = frozenset(CloseCode) - {CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE_FAILED}


def no_frame(given: object) -> InvalidFrame:
    """The error of what is no frame at all."""
    name = type(given).__name__
    hint = {"str": "; send_text() takes a str", "bytes": "; send_binary() takes bytes"}.get(name, "")
    return InvalidFrame(f"{name} is no frame: send a Text, Binary, Ping, Pong or Close{hint}")


def encoded_text(frame: Text) -> bytes:
    """The text in UTF-8."""
    if not isinstance(frame.payload, str):
        raise InvalidFrame(f"a {_named(frame)}'s payload is a str, not {type(frame.payload).__name__}")
    try:
        return frame.payload.encode()
    except UnicodeEncodeError as error:
        raise InvalidFrame(f"the text can't be sent in UTF-8: {error}") from error


def payload_bytes(frame: Binary | Ping | Pong) -> bytes:
    """The payload as bytes."""
    if not isinstance(frame.payload, (bytes, bytearray, memoryview)):
        raise InvalidFrame(f"a {_named(frame)}'s payload is bytes, not {type(frame.payload).__name__}")
    return bytes(frame.payload)


def _named(frame: Frame) -> str:
    return type(frame).__name__ + (" frame" if isinstance(frame, Text | Binary) else "")


def control_payload(frame: Ping | Pong) -> bytes:
    """The payload of a control frame, which is short (RFC 6455 §5.5)."""
    payload = payload_bytes(frame)
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise InvalidFrame(
            f"a {type(frame).__name__} holds at most {MAX_CONTROL_PAYLOAD} bytes, not {len(payload)} (RFC 6455 §5.5)"
        )
    return payload


def _is_sendable(code: object) -> bool:
    return isinstance(code, int) and not isinstance(code, bool) and (code in SENDABLE or code in range(3000, 5000))


def checked_close(close: Close) -> Close:
    """A Close that may be sent (RFC 6455 §5.5.1, §7.4), or InvalidFrame."""
    code, reason = close.code, close.reason
    if not _is_sendable(code):
        raise InvalidFrame(f"{code!r} is no close code that may be sent: 1000 to 1014 as defined, or 3000 to 4999")
    if not isinstance(reason, str):
        raise InvalidFrame(f"the reason of a Close is a str, not {type(reason).__name__}")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError as error:
        raise InvalidFrame(f"the reason of a Close can't be sent in UTF-8: {error}") from error
    if size > MAX_CONTROL_PAYLOAD - 2:
        raise InvalidFrame(f"the reason of a Close holds at most {MAX_CONTROL_PAYLOAD - 2} bytes in UTF-8, not {size}")
    if reason and code == CloseCode.NO_STATUS_RECEIVED:
        raise InvalidFrame("a Close without a code can't have a reason (RFC 6455 §5.5.1)")
    return close
