"""The consequence of an error for the next attempt: whether it can succeed, and when the server wants it."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Final

from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.errors import ConnectFailed, OpeningFailed, RedirectRefused, WebSocketClosed
from polysocket.frames import CloseCode
from polysocket.headers import Headers
from polysocket.response import Response

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["is_final", "is_own_close", "retry_after", "status_of"]

TRANSIENT_STATUSES: Final = (408, 425, 429)
"""The statuses of 4xx that ask for another attempt (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4)."""

FINAL_CODES: Final = (
    CloseCode.PROTOCOL_ERROR,
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_PAYLOAD,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
    CloseCode.MANDATORY_EXTENSION,
)
"""The close codes that blame what a side does, which it would do again (RFC 6455 §7.4.1)."""

NETWORK_ERRNOS: Final = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOTCONN,
    }
)
"""The errors of the network for which Python has no class: it raises a plain OSError."""


def is_final(error: Exception) -> bool:
    """Return whether another attempt would fail in the same way: the default of ``reconnect(is_final=…)``.

    These errors are final:

    - a rejection with a status of 4xx, except 408, 425 and 429, of the server or of a proxy;
    - a redirect that may not be followed;
    - an error of a TLS certificate;
    - a websocket that ended with the close code 1002, 1003, 1007, 1008, 1009 or 1010: that of the peer's Close, or that
      of this side if it failed the connection;
    - each error that is not one of the network, of time or of an opening, such as a wrong URL, a bug in your
      ``on_open``, or a missing file in your ``auth``.

    Args:
        error: The error of an attempt, which includes ``auth`` and ``on_open``, or the :class:`WebSocketClosed` of a
            websocket that has ended.
    """
    if isinstance(error, WebSocketClosed):
        return _has_final_code(error.close_info)
    if isinstance(error, RedirectRefused) or not (isinstance(error, OpeningFailed) or _is_of_network(error)):
        return True
    status = status_of(error)
    if status is not None:
        return 400 <= status < 500 and status not in TRANSIENT_STATUSES
    causes = error.causes if isinstance(error, ConnectFailed) else (error,)
    return any(map(_is_of_certificate, causes))


def is_own_close(info: CloseInfo) -> bool:
    """Return whether this side's program has closed the websocket: no error, so never a final one."""
    return info.initiator is Side.LOCAL and info.cause is CloseCause.CLOSE


def status_of(error: Exception) -> int | None:
    """Return the status of the HTTP response that an error has; None without one."""
    response = _response_of(error)
    return None if response is None else response.status


def retry_after(error: Exception) -> float:
    """Return the seconds to wait that a rejection asks for (RFC 9110 §10.2.3); 0 if it asks for nothing.

    A date counts from the date of the response, so that a wrong clock on this side does no harm.
    """
    response = _response_of(error)
    value = None if response is None else response.headers.get("Retry-After")
    if response is None or value is None:
        return 0
    if value.isascii() and value.isdigit():
        return float(value)
    due = _date(value)
    return 0 if due is None else max((due - _date_of(response.headers)).total_seconds(), 0)


def _response_of(error: Exception) -> Response | None:
    response = getattr(error, "response", None)
    return response if isinstance(response, Response) else None


def _date_of(headers: Headers) -> datetime:
    from datetime import UTC, datetime  # noqa: PLC0415 - for this header only

    return _date(headers.get("Date", "")) or datetime.now(UTC)


def _date(value: str) -> datetime | None:
    """Return a date of HTTP (RFC 9110 §5.6.7); None for anything else."""
    from datetime import UTC  # noqa: PLC0415 - for this header only
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - as above

    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _has_final_code(info: CloseInfo) -> bool:
    codes = {info.code}
    if info.initiator is Side.LOCAL and info.sent is not None:
        codes.add(info.sent.code)
    return not is_own_close(info) and not codes.isdisjoint(FINAL_CODES)


def _is_of_network(error: Exception) -> bool:
    """Return whether an error that ``auth`` or ``on_open`` may raise is one of the network or of time.

    Most other OSErrors are of files and processes: a program that fails at them would do so in each attempt.
    """
    return (
        isinstance(error, ConnectionError | TimeoutError | socket.gaierror)
        or _is_of_tls(error)
        or (isinstance(error, OSError) and error.errno in NETWORK_ERRNOS)
    )


def _is_of_tls(error: Exception) -> bool:
    ssl = sys.modules.get("ssl")  # An SSLError is there only if ssl was imported.
    return ssl is not None and isinstance(error, ssl.SSLError)


def _is_of_certificate(cause: Exception) -> bool:
    """Return whether a cause is about a certificate: the server's, or this side's in an alert of the server."""
    if not _is_of_tls(cause):
        return False
    reason = str(getattr(cause, "reason", ""))
    return "CERTIFICATE" in reason or reason.endswith("UNKNOWN_CA")
