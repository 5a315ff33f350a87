"""The server's half of the opening handshake (RFC 6455 §4.2), sans-IO; the other half is in ``client_handshake``.

Whatever the client sends, split in whatever way, the only error is ``InvalidUpgrade``, and the bytes kept are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import h11

from polysocket._core import deflate
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.handshake import Upgraded, accept_value, lacking
from polysocket._core.header_fields import (
    Extension,
    Fields,
    MalformedHeader,
    by_name,
    encode_fields,
    listed,
    parse_extensions,
    parse_tokens,
    parse_upgrade,
    shown,
    single,
)
from polysocket._core.http1 import MAX_HEADER, MessageReader, headers_of, is_http_1_1, redacted
from polysocket.compression import Deflate
from polysocket.errors import InvalidUpgrade
from polysocket.headers import Headers
from polysocket.response import Response

__all__ = ["ServerHandshake", "UpgradeRequest"]

_IF_TLS = "the client's URL may have to begin with ws://"

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64

_HOST = re.compile(r"(?:\[[0-9A-Za-z:.~_!$&'()*+,;=-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]+)(?::[0-9]*)?")  # RFC 3986 §3.2.2

_ABSOLUTE_FORM = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)  # RFC 9112 §3.2.2

_BODILESS = frozenset({204, 304})  # RFC 9110 §6.4.1

_SET_BY_ANSWER = frozenset({"connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A client's request, for the server's handler; ``target`` is the path with its query."""

    target: str
    host: str
    headers: Headers
    subprotocols: tuple[str, ...]
    origin: str | None

    def first_of(self, subprotocols: Container[str]) -> str | None:
        """Return the client's first choice among the subprotocols that a server knows, or None."""
        return next((name for name in self.subprotocols if name in subprotocols), None)

    def __repr__(self) -> str:
        path, query, _ = self.target.partition("?")
        target = f"{path}?…" if query else path
        return (
            f"UpgradeRequest(target={target!r}, host={self.host!r}, headers={self.headers!r}, "
            f"subprotocols={self.subprotocols!r}, origin={self.origin!r})"
        )


class ServerHandshake:
    """The server's side: reads the request, and sends the answer of :meth:`accept` or :meth:`reject`.

    A request that is not an opening handshake is refused here: ``receive`` raises, and ``data_to_send`` returns the
    HTTP answer.
    """

    def __init__(self, compression: Deflate | None, max_message_size: int | None) -> None:
        self._compression = compression
        self._max_message_size = max_message_size
        self._reader = MessageReader(h11.SERVER, _IF_TLS)
        self._outgoing = b""
        self._begun: bytes | None = b""  # the part of an empty line before the request; None after its end
        self._opening: _Opening | None = None
        self._is_over = False

    def data_to_send(self) -> bytes:
        """Return the bytes of the answer, each only once."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive(self, data: bytes) -> UpgradeRequest | None:
        """Take bytes of the request, or ``b""`` at EOF; return None if more are needed.

        Raises :class:`InvalidUpgrade` for a request that is refused; then ``data_to_send`` returns the refusal.
        """
        if self._is_over or self._opening is not None:
            raise RuntimeError("the request was received: further bytes belong to the connection")
        try:
            self._opening = self._read(data)
        except _Refusal as refusal:
            body = f"This is not a WebSocket opening handshake: {refusal}.\n".encode()
            self._answer(refusal.status, [*refusal.headers, ("Content-Type", "text/plain; charset=utf-8")], body)
            raise InvalidUpgrade(str(refusal)) from refusal.__cause__
        return None if self._opening is None else self._opening.request

    def accept(self, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] = ()) -> Upgraded:
        """Answer 101, accept the first acceptable offer of permessage-deflate, and decline every other extension.

        Raises ValueError for a subprotocol that was not offered, and for a header that can't be sent.
        """
        opening, extra = self._unanswered(), list(headers)
        if subprotocol is not None and subprotocol not in opening.request.subprotocols:
            offered = listed(opening.request.subprotocols)
            raise ValueError(f"subprotocol {subprotocol!r} was not offered (offered: {offered})")
        for name, _ in extra:
            if name.lower() in {"upgrade", *_SET_BY_ANSWER} or name.lower().startswith("sec-websocket-"):
                raise ValueError(f"the {name} header can't be set by hand: the handshake sets what is needed")
        extension, agreed = self._choose_extension(opening.offers)
        pairs = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_value(opening.key)),
            *([] if subprotocol is None else [("Sec-WebSocket-Protocol", subprotocol)]),
            *([] if extension is None else [("Sec-WebSocket-Extensions", extension)]),
            *extra,
        ]
        reason = HTTPStatus.SWITCHING_PROTOCOLS.phrase
        event = h11.InformationalResponse(status_code=101, reason=reason, headers=encode_fields(pairs))
        self._outgoing += self._reader.http.send(event)
        self._is_over = True
        extensions = () if extension is None else (extension,)
        return Upgraded(Response(101, Headers(pairs), reason, subprotocol, extensions), agreed, self._reader.trailing)

    def reject(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        """Answer with another status, from 200 to 599, and set Connection, Content-Length and Transfer-Encoding.

        Raises ValueError for a status, header or body that can't be sent.
        """
        self._unanswered()
        check_status(status)
        if body and status in _BODILESS:
            raise ValueError(f"an answer with status {status} has no body (RFC 9110 §6.4.1)")
        self._answer(status, [pair for pair in headers if pair[0].lower() not in _SET_BY_ANSWER], body)

    def _read(self, data: bytes) -> _Opening | None:
        if not data:
            begun = "before its request was complete" if self._reader.first else "without a request"
            raise _Refusal(400, f"the client closed the connection {begun}")
        self._reader.feed(self._without_empty_line(data))
        try:
            event = self._reader.next_event()
        except h11.RemoteProtocolError as error:
            why = redacted(error)
            message = f"the request is not valid HTTP ({why}): {self._reader.beginning}"
            raise _Refusal(error.error_status_hint, message) from error
        if isinstance(event, h11.Request):
            opening = _check_request(event)
            self._reader.http.next_event()  # the end of the request, which has no body
            return opening
        if self._reader.is_exhausted:
            raise _Refusal(431, f"the request's header is over {MAX_HEADER} bytes")
        return None

    def _without_empty_line(self, data: bytes) -> bytes:
        """Remove one empty line before the request, which a server should ignore (RFC 9112 §2.2)."""
        if self._begun is None:
            return data
        self._begun += data
        if self._begun == b"\r":
            return b""
        data, self._begun = self._begun.removeprefix(b"\r\n"), None
        return data

    def _unanswered(self) -> _Opening:
        if self._opening is None or self._is_over:
            raise RuntimeError("there is no request to answer" if self._opening is None else "the request is answered")
        return self._opening

    def _choose_extension(self, offers: Iterable[Extension]) -> tuple[str, PerMessageDeflate] | tuple[None, None]:
        for offer in offers:
            if self._compression is None or offer.name != deflate.NAME:
                continue
            accepted = deflate.accept(self._compression, offer.params, self._max_message_size)
            if accepted is not None:
                return accepted
        return None, None

    def _answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        fields = encode_fields(headers)
        # RFC 9110 §7.8: a sender of Upgrade lists it in Connection.
        upgrade = any(name.lower() == b"upgrade" for name, _ in fields)
        fields.append((b"Connection", b"close, Upgrade" if upgrade else b"close"))
        if status not in _BODILESS:
            fields.append((b"Content-Length", str(len(body)).encode()))
        http = self._reader.http
        answer = http.send(h11.Response(status_code=status, reason=_phrase(status), headers=fields))
        if body and self._reader.method != b"HEAD":
            answer += http.send(h11.Data(data=body))
        self._outgoing += answer + http.send(h11.EndOfMessage())
        self._is_over = True


@dataclass(frozen=True, slots=True)
class _Opening:
    """A request that may be accepted, with the fields that its handler need not see."""

    request: UpgradeRequest
    key: str
    offers: tuple[Extension, ...]


class _Refusal(Exception):
    """The reason for refusing a request, and the answer's status and headers."""

    def __init__(self, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)


def _check_request(event: h11.Request) -> _Opening:
    """Check a client's opening handshake (RFC 6455 §4.2.1)."""
    headers = headers_of(event)
    if not is_http_1_1(event.http_version):
        version = event.http_version.decode()
        raise _Refusal(505, f"the request is in HTTP/{version}, but only HTTP/1.1 can upgrade")
    if event.method != b"GET":
        raise _Refusal(
            405, f"the request's method is {shown(event.method.decode())}, but must be GET", [("Allow", "GET")]
        )
    if "Transfer-Encoding" in headers or headers.get("Content-Length", "0").strip("0"):
        raise _Refusal(400, "the request has a body, but an opening handshake has none")
    fields = by_name(headers)
    try:
        target, host = _check_target(event, fields)
        _check_upgrade(fields)
        key = _check_key(fields)
        request = UpgradeRequest(target, host, headers, _offered_subprotocols(fields), single(fields, "Origin"))
        return _Opening(request, key, tuple(parse_extensions(fields)))
    except MalformedHeader as error:
        raise _Refusal(400, f"the request's {error}") from error


def _check_target(event: h11.Request, fields: Fields) -> tuple[str, str]:
    target, host = event.target.decode("ascii"), single(fields, "Host")
    if host is None or not _HOST.fullmatch(host):
        raise _Refusal(400, lacking("the request", fields, "Host", "a host, with or without a port"))
    # RFC 9112 §3.2.2: the host of a target in absolute form replaces the Host header.
    if absolute := _ABSOLUTE_FORM.fullmatch(target):
        host, target = absolute[1], absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
    if not target.startswith("/") or "#" in target or not _HOST.fullmatch(host):
        raise _Refusal(400, "the request's target is not a resource name, such as '/chat' (RFC 6455 §3)")
    return target, host


def _check_upgrade(fields: Fields) -> None:
    required = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]  # RFC 9110 §15.5.22, RFC 6455 §4.4
    if "websocket" not in map(str.lower, parse_upgrade(fields)):
        raise _Refusal(426, lacking("the request", fields, "Upgrade", "websocket"), required)
    if "upgrade" not in map(str.lower, parse_tokens(fields, "Connection")):
        raise _Refusal(426, lacking("the request", fields, "Connection", "Upgrade"), required)
    if single(fields, "Sec-WebSocket-Version") != "13":
        raise _Refusal(426, lacking("the request", fields, "Sec-WebSocket-Version", "13"), required)


def _check_key(fields: Fields) -> str:
    key = single(fields, "Sec-WebSocket-Key")
    if key is None or not _KEY.fullmatch(key):
        raise _Refusal(400, lacking("the request", fields, "Sec-WebSocket-Key", "16 bytes in base64"))
    return key


def _offered_subprotocols(fields: Fields) -> tuple[str, ...]:
    offered = parse_tokens(fields, "Sec-WebSocket-Protocol")
    if len(set(offered)) < len(offered):  # RFC 6455 §4.1: "MUST all be unique strings"
        raise MalformedHeader("Sec-WebSocket-Protocol header has a subprotocol twice")
    return tuple(offered)


def check_status(status: int) -> None:
    """Raise ValueError unless an upgrade can be rejected with this status."""
    if type(status) is not int or not 200 <= status < 600:
        raise ValueError(f"{status!r} is not a status that can reject an upgrade: it must be from 200 to 599")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
