"""The consequence of an error for the next attempt: whether it can succeed, and when the server wants it."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysocket import (
    BackendClosed,
    Close,
    CloseCause,
    CloseInfo,
    ConnectFailed,
    ConnectionLost,
    Headers,
    InvalidRequest,
    InvalidUpgrade,
    InvalidURL,
    MessageTooBig,
    NoAsyncLibrary,
    OpenTimeout,
    ProtocolError,
    ProxyRejected,
    ReceiveTimeout,
    RedirectRefused,
    Response,
    SendTimeout,
    Side,
    UpgradeRejected,
    WebSocketClosed,
    is_final,
)
from polysocket._opening.finality import retry_after


def rejected(status: int, *fields: tuple[str, str]) -> UpgradeRejected:
    return UpgradeRejected(Response(status, Headers(fields)))


def tls_error(reason: str) -> ConnectFailed:
    cause = ssl.SSLError(1, reason.lower())
    cause.reason = reason
    return ConnectFailed("no TLS", causes=(OSError(111, "refused"), cause))


def program_error(number: int) -> OSError:
    """Return an OSError that ``auth`` or ``on_open`` may raise."""
    return OSError(number, os.strerror(number))


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    return error


def received(code: int) -> WebSocketClosed:
    return WebSocketClosed(CloseInfo(Side.REMOTE, CloseCause.CLOSE, Close(code), Close(code)))


def failed(code: int, cause: CloseCause, answer: Close | None = None) -> CloseInfo:
    return CloseInfo(Side.LOCAL, cause, answer, Close(code))


FINAL: dict[str, Exception] = {
    **{str(status): rejected(status) for status in (400, 401, 403, 404, 405, 410, 418, 426, 451, 499)},
    "407 of a proxy": ProxyRejected("no", Response(407, Headers())),
    "a refused redirect": RedirectRefused(Response(302, Headers())),
    **{
        f"TLS: {reason}": tls_error(reason)
        for reason in (
            "CERTIFICATE_VERIFY_FAILED",
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "TLSV1_ALERT_UNKNOWN_CA",
        )
    },
    **{f"received {code}": received(code) for code in (1002, 1003, 1007, 1008, 1009, 1010)},
    "sent 1002": ProtocolError(failed(1002, CloseCause.PROTOCOL_ERROR)),
    "sent 1009": MessageTooBig(failed(1009, CloseCause.LIMIT), 10),
    "sent 1009, answered": MessageTooBig(failed(1009, CloseCause.LIMIT, Close(1000)), 10),
    "a wrong URL": InvalidURL("no URL"),
    "a wrong request": InvalidRequest("no request"),
    "no library": NoAsyncLibrary("nothing runs"),
    "a closed backend": BackendClosed("closed"),
    "an error of the program": LookupError("a bug"),
    **{
        f"{errno.errorcode[number]} in auth or on_open": program_error(number)
        for number in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.EEXIST, errno.ENOSPC, errno.EMFILE, errno.ECHILD)
    },
    "an OSError without an errno": OSError("a bug"),
    "a certificate in auth": certificate_error(),
}

TRANSIENT: dict[str, Exception] = {
    **{str(status): rejected(status) for status in (200, 408, 425, 429, 500, 502, 503, 504, 599)},
    "503 of a proxy": ProxyRejected("no", Response(503, Headers())),
    "a SOCKS proxy": ProxyRejected("no"),
    "refused": ConnectFailed("refused", 111, (OSError(111, "refused"),)),
    "TLS: EOF": tls_error("UNEXPECTED_EOF_WHILE_READING"),
    "TLS: no reason": ConnectFailed("no TLS", causes=(ssl.SSLError("it failed"),)),
    "a timeout": OpenTimeout("too slow"),
    "a timeout in on_open": ReceiveTimeout("too slow"),
    "a timeout of a send": SendTimeout("too slow"),
    "an error of the network in on_open": ConnectionResetError("reset"),
    **{
        f"{errno.errorcode[number]} in auth or on_open": program_error(number)
        for number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.ETIMEDOUT)
    },
    "an unknown name in auth": socket.gaierror(socket.EAI_NONAME, "not known"),
    "TLS in auth: no reason": ssl.SSLError(1, "it failed"),
    "no upgrade": InvalidUpgrade("no HTTP"),
    **{f"received {code}": received(code) for code in (1000, 1001, 1005, 1011, 1012, 1013, 1014, 3000, 4000)},
    "lost": ConnectionLost(CloseInfo(Side.REMOTE, CloseCause.NETWORK)),
    "a dead peer": ConnectionLost(failed(1011, CloseCause.KEEPALIVE)),
    "closed by the program": WebSocketClosed(failed(1008, CloseCause.CLOSE, Close(1008))),
}


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_an_error_that_would_come_again_is_final(error: Exception) -> None:
    assert is_final(error)


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_an_error_that_may_pass_is_not_final(error: Exception) -> None:
    assert not is_final(error)


SENT = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 09:49:37 1994", 3600),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
        ("-1", 0),
        ("1.5", 0),
        ("\u0663", 0),
        ("soon", 0),
        ("", 0),
        ("Sun, 99 Nov 1994 08:49:40 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after(rejected(503, ("Date", SENT), ("Retry-After", value))) == seconds


def test_a_date_counts_from_now_if_the_response_has_none() -> None:
    due = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < retry_after(rejected(503, ("Retry-After", due))) <= 3600


def test_a_proxy_may_ask_for_a_delay() -> None:
    assert retry_after(ProxyRejected("no", Response(503, Headers([("Retry-After", "7")])))) == 7


@pytest.mark.parametrize("error", [OSError(), ProxyRejected("no"), rejected(503), received(1013)], ids=repr)
def test_other_errors_ask_for_no_delay(error: Exception) -> None:
    assert retry_after(error) == 0


@given(
    st.text(st.characters(max_codepoint=255))
    | st.from_regex(r"(Mon, )?[0-9]{1,3} (Jan|Feb)[a-z]* [0-9]{2,9} [0-9:]{0,9} ?(GMT|[+-][0-9]{1,9})?", fullmatch=True)
)
def test_any_value_of_a_server_is_accepted(value: str) -> None:
    assert retry_after(rejected(503, ("Date", value), ("Retry-After", value))) >= 0
    assert retry_after(rejected(503, ("Date", SENT), ("Retry-After", value))) >= 0
