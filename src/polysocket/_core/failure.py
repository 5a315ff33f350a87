"""Why this side fails the connection, and how that is told (RFC 6455 §7.1.7)."""

from __future__ import annotations

from polysocket._core import close_codes
from polysocket.close_info import CloseCause
from polysocket.frames import CloseCode

__all__ = ["Failure", "Refused", "invalid_payload", "not_utf8", "protocol_error", "too_big"]


class Failure:
    """The close code that this side sends, and the cause and the detail that its user is told."""

    __slots__ = ("cause", "code", "detail")

    def __init__(self, code: CloseCode, cause: CloseCause, detail: str) -> None:
        self.code: CloseCode = code
        self.cause: CloseCause = cause
        self.detail: str = detail


class Refused(Exception):
    """Raised for what the peer has sent: the connection fails."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure: Failure = failure


def protocol_error(detail: str) -> Failure:
    """Return the failure for bytes that break the protocol."""
    return Failure(close_codes.PROTOCOL_VIOLATED, CloseCause.PROTOCOL_ERROR, detail)


def invalid_payload(detail: str) -> Failure:
    """Return the failure for a payload that is not of its type: text that is not UTF-8, or corrupt deflate data."""
    return Failure(close_codes.TEXT_INVALID, CloseCause.PROTOCOL_ERROR, detail)


def not_utf8(kind: str, error: BaseException | None) -> Failure:
    """Return the failure for a text that is not UTF-8."""
    reason = error.reason if isinstance(error, UnicodeDecodeError) else "invalid bytes"
    return invalid_payload(f"{kind} that is not UTF-8: {reason} (RFC 6455 §8.1)")


def too_big(detail: str) -> Failure:
    """Return the failure for a message over a limit."""
    return Failure(close_codes.LIMIT_EXCEEDED, CloseCause.LIMIT, detail)
