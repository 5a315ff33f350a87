"""HTTP/1.1 within bounds, sans-IO: h11 for one request and its answer, which may end the talk in HTTP.

Both opening handshakes are over it, and a proxy's ``CONNECT``. What is accepted does not depend on how the bytes were
cut; what the answer means is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import h11

from polysocket.errors import OpeningFailed
from polysocket.headers import Headers
from polysocket.response import Response

__all__ = ["MAX_BODY", "MAX_HEADER", "Exchange", "Reader", "Switch", "headers_of", "is_http_1_1", "redacted"]


MAX_HEADER = 64 * 1024  # of a request, or of an answer with all 1xx answers before it


MAX_BODY = 64 * 1024  # of a rejection


_SHOWN = 40  # bytes of what is no HTTP


_TLS = (b"\x15", b"\x16")  # an alert or a handshake record (RFC 8446 §5.1)


# the same thing to users, which h11 names by how far it read
_FIRST_LINE = frozenset(
    {"illegal request line", "illegal status line", "no request line received", "no response line received"}
)


@dataclass(frozen=True, slots=True)
class Switch:
    """An answer behind which HTTP ends, in which version it was, and the bytes that came behind it."""

    response: Response
    http_version: bytes
    trailing: bytes


class Exchange:
    """A client's request, and its final answer: a switch away from HTTP, or a rejection with its body.

    ``error`` is raised for an answer that is no HTTP, in whose text ``who`` has sent it; ``if_tls`` is what to do where
    that looks like TLS.
    """

    def __init__(self, request: h11.Request, who: str, if_tls: str, error: type[OpeningFailed]) -> None:
        self._who = who
        self._error = error
        self._reader = Reader(h11.CLIENT, if_tls)
        self._outgoing = self._reader.http.send(request) + self._reader.http.send(h11.EndOfMessage())
        self._is_connect = request.method == b"CONNECT"
        self._rejection: Response | None = None
        self._body = bytearray()

    @property
    def rejection(self) -> Response | None:
        """What is known of an answer that does not switch, with the body so far; None before its header is complete."""
        return None if self._rejection is None else replace(self._rejection, body=bytes(self._body[:MAX_BODY]))

    def data_to_send(self) -> bytes:
        """The bytes of the request; after that, none."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive(self, data: bytes) -> Switch | Response | None:
        """Take bytes of the answer, or ``b""`` for the end of the stream; None means that more are needed.

        Gives a :class:`Switch` for 101 (and for 2xx to CONNECT), the :class:`Response` of any other final answer.
        """
        return self._read(data) if data else self._end_of_stream()

    def _read(self, data: bytes) -> Switch | Response | None:
        self._reader.feed(data)
        if self._reader.first[:5] != b"HTTP/"[: len(self._reader.first)]:
            # at the first wrong byte: a server that speaks first may wait for us after its first line
            raise self._error(f"{self._who} answered with something that is no HTTP: {self._reader.beginning}")
        while True:
            match self._next_event():
                case h11.InformationalResponse(status_code=101) as event:
                    return self._switch(event)
                case h11.InformationalResponse():
                    pass  # RFC 9110 §15.2: any number of 1xx answers may come first
                case h11.Response(status_code=status) as event:
                    if self._is_connect and 200 <= status < 300:  # RFC 9110 §9.3.6
                        return self._switch(event)
                    self._rejection = _response(event)
                    self._reader.allow(2 * MAX_BODY)  # with the framing of chunks
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
            return self._reader.http.next_event()
        except h11.RemoteProtocolError as error:
            if self._rejection is not None:
                return h11.EndOfMessage()  # the status says enough: a broken body only ends it
            why = redacted(error)
            raise self._error(f"{self._who}'s answer is no valid HTTP ({why}): {self._reader.beginning}") from error

    def _switch(self, event: h11.InformationalResponse | h11.Response) -> Switch:
        return Switch(_response(event), event.http_version, self._reader.trailing)

    def _need_data(self) -> Response | None:
        if self._rejection is None and self._reader.exhausted:
            raise self._error(f"the header of {self._who}'s answer is over {MAX_HEADER} bytes")
        return self.rejection if self._reader.exhausted else None

    def _end_of_stream(self) -> Response:
        if self.rejection is not None:
            return self.rejection
        if not self._reader.first:
            raise self._error(f"{self._who} closed the connection without an answer")
        raise self._error(
            f"{self._who} closed the connection before its answer was complete; it began with {self._reader.beginning}"
        )


class Reader:
    """h11, fed no more than an allowance: so what is accepted does not depend on how the bytes were cut."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER], if_tls: str) -> None:
        self.http: h11.Connection = h11.Connection(role, max_incomplete_event_size=MAX_HEADER + 2 * MAX_BODY)
        self.first: bytes = b""
        self._if_tls = if_tls
        self._held = bytearray()
        self._allowance = MAX_HEADER

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self.first = (self.first + data[: _SHOWN + 1])[: _SHOWN + 1]
        self._held += data
        self.allow(0)

    def allow(self, more: int) -> None:
        """Allow so many bytes more."""
        self._allowance += more
        piece = bytes(self._held[: self._allowance])
        if piece:  # to h11, b"" would be the end of the stream
            del self._held[: len(piece)]
            self._allowance -= len(piece)
            self.http.receive_data(piece)

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is allowed."""
        return self._allowance == 0

    @property
    def trailing(self) -> bytes:
        """What h11 has not taken."""
        return self.http.trailing_data[0] + bytes(self._held)

    @property
    def beginning(self) -> str:
        """What came first, for a message: of the first line only, and of that no query (an echo server sends ours)."""
        line = re.split(rb"[?\r\n]", self.first, maxsplit=1)[0][:_SHOWN]
        text = f"{line!r}…" if len(line) < len(self.first) else repr(line)
        if self.first[:1] in _TLS:
            return f"{text} (which looks like TLS: {self._if_tls})"
        return text


def headers_of(event: h11.Request | h11.InformationalResponse | h11.Response) -> Headers:
    """The header fields as they were sent."""
    return Headers((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers.raw_items())


def _response(event: h11.InformationalResponse | h11.Response) -> Response:
    # h11 lets control characters through, and the reason stands unescaped in messages
    reason = re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", event.reason.decode("latin-1"))
    return Response(event.status_code, headers_of(event), reason)


def is_http_1_1(version: bytes) -> bool:
    """Whether it is HTTP/1.1: a higher minor version is read as 1.1 (RFC 9110 §2.5)."""
    return b"1.1" <= version < b"2"


def redacted(error: h11.RemoteProtocolError) -> str:
    """What h11 found wrong, without the line it quotes: that may be an Authorization. So its traceback gets it, too."""
    reason, _, line = str(error).partition(": bytearray(b")
    header = re.match(r"['\"]([\w-]+) *:", line)
    if reason == "illegal header line" and header:
        reason += f", {header[1]}"
    elif reason in _FIRST_LINE:
        reason = "illegal first line"
    error.args = (reason,)
    return reason
