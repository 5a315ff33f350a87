"""HTTP/1.1 within bounds, sans-IO: one request and its final answer, read and written by h11.

An ordinary 101 is read without h11, which would read it as the same, in five times the time: :func:`read_switch`.
Both opening handshakes and a proxy's ``CONNECT`` use it. What is accepted does not depend on how the bytes were split
into reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import h11

from polysocket.errors import InvalidRequest, OpeningFailed
from polysocket.headers import TOKEN, Headers, is_field_value
from polysocket.response import Response

__all__ = [
    "MAX_BODY",
    "MAX_BODY_LINES",
    "MAX_HEADER",
    "MAX_HEADER_LINES",
    "MAX_LINES",
    "Exchange",
    "MessageReader",
    "Switch",
    "headers_of",
    "is_http_1_1",
    "read_switch",
    "redacted",
    "too_many_lines",
]

# Bytes of a request, or of an answer with all 1xx answers before it. Servers allow from 8 KiB (Apache) to 32 KiB
# (nginx, with its defaults), so a request that a server takes, and the cookies that come back, always fit.
MAX_HEADER = 64 * 1024

# The limit of the websockets library, too; Python's http.client has 100. Real answers have at most a few dozen.
MAX_HEADER_LINES = 128

# Lines of an answer with all 1xx answers before it, each of which has at least two. RFC 9110 §15.2 allows any number of
# 1xx answers. h11 reads these in 5 ms, in which an event loop has no turn; 64 KiB of 1xx answers take it 170 ms.
MAX_LINES = 512

MAX_BODY = 64 * 1024  # bytes kept of a rejection's body: a page of an error, for a person to read

# Lines of a rejection's body, in which each chunk has two, and of its trailer. h11 reads these in about 15 ms.
MAX_BODY_LINES = 2048

_BEFORE_HEADER = (h11.IDLE, h11.SEND_RESPONSE)  # the states of a peer whose header has not been read

_MAX_SHOWN = 40  # bytes of an answer that is not HTTP, shown in an error: a banner, on one line with the rest

_TLS_RECORD_TYPES = (b"\x15", b"\x16")  # an alert and a handshake (RFC 8446 §5.1)

_begins_http2 = re.compile(rb"\x00..[\x04\x07].\x00{4}", re.DOTALL).match
"""Match a SETTINGS or GOAWAY frame of stream 0, with which a server of HTTP/2 begins (RFC 9113 §3.4, §4.1)."""

# h11 has a text for each way in which the first line is malformed; users get one.
_FIRST_LINE = frozenset(
    {"illegal request line", "illegal status line", "no request line received", "no response line received"}
)

# A 101 without the fields that say where a body ends: h11 checks their values. The last line is without its end.
_FIELD_VALUE = r"[\t\x20-\x7e\x80-\xff]*+"
_ordinary_switch = re.compile(
    rf"HTTP/1\.1 101 {_FIELD_VALUE}(?:\r\n(?!(?i:content-length|transfer-encoding):){TOKEN}:{_FIELD_VALUE})*+"
)


@dataclass(frozen=True, slots=True)
class Switch:
    """An answer that ends HTTP on the connection, with its HTTP version and the bytes that followed it."""

    response: Response
    http_version: bytes
    trailing: bytes


def read_switch(data: bytes) -> Switch | None:
    """Return the 101 that ``data`` begins with, if it is whole and ordinary; None if h11 has to read the answer."""
    header, end, trailing = data.partition(b"\r\n\r\n")
    text = header.decode("latin-1")
    if not end or len(header) + len(end) > MAX_HEADER or not _ordinary_switch.fullmatch(text):
        return None
    first, *lines = text.split("\r\n")
    if len(lines) > MAX_HEADER_LINES:
        return None
    pairs: list[tuple[str, str]] = []
    for line in lines:
        name, _, value = line.partition(":")
        pairs.append((name, value.strip(" \t")))
    return Switch(Response(101, Headers(pairs), first.removeprefix("HTTP/1.1 101 ")), b"1.1", trailing)


class Exchange:
    """A client's request and its final answer: a switch away from HTTP, or a rejection with its body.

    ``error`` is the class of the errors, which name the sender of the answer: ``peer``. ``if_tls`` is what an error
    asks if the answer looks like TLS; empty if the connection has TLS.
    """

    def __init__(self, request: h11.Request, peer: str, if_tls: str, error: type[OpeningFailed]) -> None:
        self._peer = peer
        self._if_tls = if_tls
        self._error = error
        self._reader = MessageReader(h11.CLIENT, if_tls)
        self._outgoing = self._reader.http.send(request) + self._reader.http.send(h11.EndOfMessage())
        # RFC 9110 §15.2.2, §9.3.6: after these answers, the connection has left HTTP.
        self._switches = (101, *range(200, 300)) if request.method == b"CONNECT" else (101,)
        self._rejection: Response | None = None
        self._body = bytearray()

    @property
    def rejection(self) -> Response | None:
        """The answer other than a switch, with its body so far; None before its header is complete."""
        return None if self._rejection is None else replace(self._rejection, body=bytes(self._body[:MAX_BODY]))

    @property
    def scheme_hint(self) -> str:
        """The end of the text about a connection that was lost: a server of TLS may hang up without an answer."""
        return f"; {self._if_tls}" if self._if_tls and not self._reader.first else ""

    def data_to_send(self) -> bytes:
        """Return the bytes of the request the first time, and then none."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive(self, data: bytes) -> Switch | Response | None:
        """Take bytes of the answer, or ``b""`` at EOF; return None if more are needed.

        Return a :class:`Switch` for 101 (and for 2xx to CONNECT), the :class:`Response` of any other final answer.
        """
        if not data:
            return self._end_of_stream()
        self._reader.feed(data)
        if self._reader.first[:5] != b"HTTP/"[: len(self._reader.first)]:
            # Fail at the first wrong byte: a server of another protocol may wait for us after its first line.
            raise self._error(f"{self._peer} answered with something that is not HTTP: {self._reader.beginning}")
        while True:
            match self._next_event():
                case (h11.InformationalResponse() | h11.Response()) as event if event.status_code in self._switches:
                    return Switch(_response(event), event.http_version, self._reader.trailing)
                case h11.InformationalResponse():
                    pass  # RFC 9110 §15.2: 1xx answers may come first.
                case h11.Response() as event:
                    self._rejection = _response(event)
                    self._reader.allow(2 * MAX_BODY, MAX_BODY_LINES)  # twice: the framing of chunks adds to the body
                case h11.Data(data=piece):
                    self._body += piece
                    if len(self._body) >= MAX_BODY:
                        return self.rejection
                case h11.EndOfMessage():
                    return self.rejection
                case _:
                    return self._need_data()

    def _next_event(self) -> object:
        try:
            return self._reader.next_event()
        except h11.RemoteProtocolError as error:
            if self._rejection is not None:
                return h11.EndOfMessage()  # The status says enough, so a malformed body only ends the answer.
            why = redacted(error)
            text = f"{self._peer}'s answer is not valid HTTP ({why}): {self._reader.beginning}"
            raise self._error(text) from error.with_traceback(None)  # h11's own frames only lengthen it

    def _need_data(self) -> Response | None:
        if self._rejection is None and self._reader.is_exhausted:
            limit = (
                f"{MAX_HEADER} bytes"
                if self._reader.has_lines_left
                else f"{MAX_LINES} lines long, with its 1xx answers"
            )
            raise self._error(f"the header of {self._peer}'s answer is over {limit}")
        return self.rejection if self._reader.is_exhausted else None

    def _end_of_stream(self) -> Response:
        if self.rejection is not None:
            return self.rejection
        if not self._reader.first:
            raise self._error(f"{self._peer} closed the connection without an answer{self.scheme_hint}")
        raise self._error(
            f"{self._peer} closed the connection before its answer was complete; it began with {self._reader.beginning}"
        )


class MessageReader:
    """An h11 connection that is fed no more than an allowance, so that how the bytes were split changes nothing."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER], if_tls: str) -> None:
        # h11's own limit depends on the splits, so it is out of reach.
        self.http: h11.Connection = h11.Connection(role, max_incomplete_event_size=MAX_HEADER + 2 * MAX_BODY)
        self.first: bytes = b""
        self.method: bytes = b""
        """The method of the request that h11 has read, even if the request is refused here."""
        self._if_tls = if_tls
        self._held = bytearray()
        self._allowance = MAX_HEADER
        self._lines_allowed = MAX_LINES
        self._lines = 0  # received so far

    def feed(self, data: bytes) -> None:
        """Take more bytes, and pass on as many as are allowed."""
        self.first = (self.first + data[: _MAX_SHOWN + 1])[: _MAX_SHOWN + 1]
        self._held += data
        piece = bytes(self._held[: self._allowance])
        lines = piece.count(b"\n")
        if lines >= self._lines_allowed:
            lines = self._lines_allowed
            piece = piece[: len(piece) - len(piece.split(b"\n", lines)[-1])]
        if piece:  # For h11, b"" is EOF.
            del self._held[: len(piece)]
            self._allowance -= len(piece)
            self._lines_allowed -= lines
            self._lines += lines
            self.http.receive_data(piece)

    def next_event(self) -> object:
        """Return h11's next event. Raises h11.RemoteProtocolError, also for a header that h11 should not accept."""
        if self._lines > MAX_HEADER_LINES and self.http.their_state in _BEFORE_HEADER:
            self._check_lines()
        event = self.http.next_event()
        if isinstance(event, h11.Request):
            self.method = event.method
        if isinstance(event, h11.Request | h11.InformationalResponse | h11.Response):
            _check_header(event)
        return event

    def _check_lines(self) -> None:
        """Refuse too many lines before h11 makes objects of them, which take 60 times the memory of their bytes."""
        unread = self.http.trailing_data[0].replace(b"\r", b"").lstrip(b"\n")
        header, _, _ = unread.partition(b"\n\n")
        if header.rstrip(b"\n").count(b"\n") > MAX_HEADER_LINES:
            raise h11.RemoteProtocolError(f"more than {MAX_HEADER_LINES} header lines", error_status_hint=431)

    def allow(self, more: int, lines: int) -> None:
        """Allow ``more`` bytes more, and ``lines`` lines more."""
        self._allowance += more
        self._lines_allowed += lines
        self.feed(b"")

    @property
    def is_exhausted(self) -> bool:
        """Whether no more bytes or no more lines are allowed."""
        return self._allowance == 0 or not self.has_lines_left

    @property
    def has_lines_left(self) -> bool:
        """Whether more lines are allowed."""
        return self._lines_allowed > 0

    @property
    def trailing(self) -> bytes:
        """The bytes that h11 has not taken."""
        return self.http.trailing_data[0] + bytes(self._held)

    @property
    def beginning(self) -> str:
        """The beginning of the first line for an error, without a query: an echo server sends our own back."""
        line = re.split(rb"[?\r\n]", self.first, maxsplit=1)[0][:_MAX_SHOWN]
        text = f"{line!r}…" if len(line) < len(self.first) else repr(line)
        if self.first[:1] in _TLS_RECORD_TYPES:
            return f"{text} (which looks like TLS{self._if_tls and f': {self._if_tls}'})"
        if _begins_http2(self.first):
            return f"{text} (which looks like HTTP/2: HTTP/1.1 is needed)"
        return text


def headers_of(event: h11.Request | h11.InformationalResponse | h11.Response) -> Headers:
    """Return the header fields as they were sent."""
    return Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers.raw_items()])


def _response(event: h11.InformationalResponse | h11.Response) -> Response:
    return Response(event.status_code, headers_of(event), event.reason.decode("latin-1"))


def _check_header(event: h11.Request | h11.InformationalResponse | h11.Response) -> None:
    """Refuse control characters (RFC 9110 §5.5, RFC 9112 §4), of which h11 refuses some only, and too many lines."""
    lines = event.headers.raw_items()
    if len(lines) > MAX_HEADER_LINES:
        raise h11.RemoteProtocolError(f"more than {MAX_HEADER_LINES} header lines", error_status_hint=431)
    for name, value in lines:
        if not is_field_value(value.decode("latin-1")):
            raise h11.RemoteProtocolError(f"control character in the header {name.decode('ascii')}")
    if not isinstance(event, h11.Request) and not is_field_value(event.reason.decode("latin-1")):
        raise h11.RemoteProtocolError("control character in the reason")


def too_many_lines(what: str, count: int) -> InvalidRequest:
    """Return the error for a request with more than ``MAX_HEADER_LINES``, which our own server refuses with 431."""
    text = f"{what} has {count} header lines, ours included, but at most {MAX_HEADER_LINES} are sent"
    return InvalidRequest(text)


def is_http_1_1(version: bytes) -> bool:
    """Return whether a version is HTTP/1.1: a higher minor version is read as 1.1 (RFC 9110 §2.5)."""
    return b"1.1" <= version < b"2"


def redacted(error: h11.RemoteProtocolError) -> str:
    """Remove the line that h11 quotes, which may be an Authorization, from an error; return the rest of its text."""
    reason, _, line = str(error).partition(": bytearray(b")
    header = re.match(r"['\"]([\w-]+) *:", line)
    if reason == "illegal header line" and header:
        reason += f", {header[1]}"
    elif reason in _FIRST_LINE:
        reason = "illegal first line"
    error.args = (reason,)
    return reason
