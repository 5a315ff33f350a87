"""The client's half of the opening handshake (RFC 6455 §4.1), sans-IO; the other half is in ``server_handshake``.

An ordinary 101 is read without h11, which reads all other answers. Every check that RFC 6455 demands is made here.
Whatever the server sends, split in whatever way, the only error is ``InvalidUpgrade``, and the bytes kept are bounded.
A program sends ``data_to_send()`` and then passes received bytes to ``receive`` until that returns an answer.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import replace
from functools import cached_property

import h11

from polysocket._core import deflate
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.handshake import Upgraded, accept_value, lacking
from polysocket._core.header_fields import (
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
from polysocket._core.http1 import MAX_HEADER_LINES, Exchange, Switch, is_http_1_1, read_switch, too_many_lines
from polysocket.errors import InvalidRequest, InvalidUpgrade, UpgradeRejected
from polysocket.headers import Headers, is_field_value
from polysocket.request import Request, check_fields
from polysocket.response import Response

__all__ = ["ClientHandshake", "rejected"]

_OWS = " \t"  # around a value (RFC 9110 §5.6.3)

_is_target = re.compile(r"[\x21-\x7e]+").fullmatch  # RFC 9112 §3.2, and as h11 demands

_IF_TLS = "is it a wss:// server?"

# The words of nginx, Apache, Go, Envoy and others in the body of their 400 to a request without TLS.
_WANTS_TLS = re.compile(rb"https|\bssl\b|\btls\b", re.IGNORECASE)


class ClientHandshake:
    """The client's side: sends the request, reads the answer.

    Raises :class:`InvalidRequest` for a request that can't be sent.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._key = base64.b64encode(os.urandom(16)).decode("ascii")
        self._fields = _opening_fields(request, self._key)
        self._target = "" if request.url is None else request.url.target
        if not _is_target(self._target) or not is_field_value(self._fields[0][1]):
            self._exchange  # noqa: B018 - h11 names what can't be sent
        lines = [f"{name}: {value}\r\n" for name, value in self._fields]
        self._outgoing = f"GET {self._target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")
        self._has_received = self._is_over = False

    @property
    def headers(self) -> Headers:
        """The headers of the request as they are sent."""
        return Headers(self._fields)

    @cached_property
    def _exchange(self) -> Exchange:
        """The exchange in h11, which most handshakes don't need."""
        try:
            request = h11.Request(method="GET", target=self._target, headers=encode_fields(self._fields))
        except (h11.LocalProtocolError, ValueError) as error:
            raise InvalidRequest(f"the request can't be sent: {error}") from error
        url = self._request.url
        if_tls = "" if url is None or url.secure else _IF_TLS
        return Exchange(request, "the server", if_tls, InvalidUpgrade)

    @property
    def rejection(self) -> Response | None:
        """The answer other than 101, with its body so far; None before its header is complete."""
        return self._exchange.rejection

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be received: the answer is complete, or breaks HTTP or RFC 6455."""
        return self._is_over

    @property
    def scheme_hint(self) -> str:
        """The end of the text about a connection that was lost: whether the server may speak TLS."""
        return self._exchange.scheme_hint

    def data_to_send(self) -> bytes:
        """Return the bytes of the request the first time, and then none."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive(self, data: bytes) -> Upgraded | Response | None:
        """Take bytes of the answer, or ``b""`` at EOF; return None if more are needed.

        Return :class:`Upgraded`, or the :class:`Response` of any other final answer. Raises :class:`InvalidUpgrade`.
        """
        if self._is_over:
            raise RuntimeError("the opening handshake is over: further bytes belong to the connection")
        self._is_over = True  # after an error, too
        answer = (None if self._has_received else read_switch(data)) or self._exchange.receive(data)
        self._has_received = True
        if isinstance(answer, Switch):
            return self._check(answer)
        self._is_over = answer is not None
        return answer

    def _check(self, switch: Switch) -> Upgraded:
        """Check the 101 in each point of RFC 6455 §4.1."""
        response = switch.response
        if not is_http_1_1(switch.http_version):
            raise InvalidUpgrade(
                f"the server answered 101 in HTTP/{switch.http_version.decode()}, but only HTTP/1.1 can upgrade"
            )
        try:
            fields = by_name(response.headers)
            if set(map(str.lower, parse_upgrade(fields))) != {"websocket"}:
                raise InvalidUpgrade(lacking("the server's 101", fields, "Upgrade", "websocket"))
            if "upgrade" not in map(str.lower, parse_tokens(fields, "Connection")):
                raise InvalidUpgrade(lacking("the server's 101", fields, "Connection", "Upgrade"))
            self._check_accept(single(fields, "Sec-WebSocket-Accept"))
            if (subprotocol := single(fields, "Sec-WebSocket-Protocol")) is not None:
                self._check_subprotocol(subprotocol)
            extensions, agreed = self._check_extensions(fields)
        except MalformedHeader as error:
            raise InvalidUpgrade(f"the server's {error}") from error.with_traceback(None)
        if subprotocol is not None or extensions:
            response = replace(response, subprotocol=subprotocol, extensions=extensions)
        return Upgraded(response, agreed, switch.trailing)

    def _check_accept(self, value: str | None) -> None:
        if value is None:
            raise InvalidUpgrade("the server's 101 has no Sec-WebSocket-Accept header")
        if value != (due := accept_value(self._key)):
            raise InvalidUpgrade(f"the server's Sec-WebSocket-Accept is {shown(value)}, but {due!r} was due")

    def _check_subprotocol(self, chosen: str) -> None:
        if chosen in self._request.subprotocols:
            return
        if "," in chosen:
            raise InvalidUpgrade(f"the server must choose one subprotocol, but chose {shown(chosen)}")
        raise InvalidUpgrade(
            f"the server chose subprotocol {shown(chosen)}, which was not offered "
            f"(offered: {listed(self._request.subprotocols)})"
        )

    def _check_extensions(self, fields: Fields) -> tuple[tuple[str, ...], PerMessageDeflate | None]:
        if "sec-websocket-extensions" not in fields:
            return (), None
        single(fields, "Sec-WebSocket-Extensions")  # RFC 6455 §11.3.2: not more than once in an answer
        config = self._request.compression
        chosen = parse_extensions(fields)
        for extension in chosen:
            if config is None or extension.name != deflate.NAME:
                offered = listed(() if config is None else (deflate.NAME,))
                name = shown(extension.name)
                raise InvalidUpgrade(f"the server chose extension {name}, which was not offered (offered: {offered})")
        if len(chosen) > 1:
            raise InvalidUpgrade(f"the server chose extension {deflate.NAME!r} {len(chosen)} times")
        if config is None or not chosen:
            return (), None
        agreed = deflate.agree(config, chosen[0].params, self._request.max_message_size)
        return (str(chosen[0]),), agreed


def rejected(request: Request, response: Response) -> UpgradeRejected:
    """Return the error for an answer other than 101; a server of TLS may say that it got a request without TLS."""
    error = UpgradeRejected(response)
    is_plain = request.url is not None and not request.url.secure
    if is_plain and response.status == 400 and _WANTS_TLS.search(response.reason.encode() + b" " + response.body):
        return UpgradeRejected(response, f"{error}; {_IF_TLS}")
    return error


def _opening_fields(request: Request, key: str) -> list[tuple[str, str]]:
    """Return the fields of the client's opening handshake (RFC 6455 §4.1); the value of Host is not checked."""
    if request.url is None:
        raise InvalidRequest("the request has no URL: add it with .get('wss://…')")
    check_fields(request)
    given = [(name, value.strip(_OWS)) for name, value in request.headers.pairs] if request.headers.pairs else []
    hosts = [field for field in given if field[0].lower() == "host"] if given else []
    if len(hosts) > 1:
        raise InvalidRequest("the request can't be sent: it has multiple Host headers")
    fields = [
        *(hosts or [("Host", request.url.authority)]),  # RFC 9110 §7.2: first, if possible
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    if request.user_agent is not None and not (given and request.headers.get_all("User-Agent")):
        fields.append(("User-Agent", request.user_agent.strip(_OWS)))
    if request.subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(request.subprotocols)))
    if request.compression is not None:
        fields.append(("Sec-WebSocket-Extensions", deflate.offer(request.compression)))
    if given:
        fields += [field for field in given if field not in hosts]
    if len(fields) > MAX_HEADER_LINES:
        raise too_many_lines("the request", len(fields))
    return fields
