"""The opening handshake (RFC 6455 §4), sans-IO, for both roles: bytes in, a request or an answer out, bytes to send.

h11 reads and writes the HTTP; every check that RFC 6455 demands is made here. Whatever the other side sends, in
whatever chunks, the only error is ``InvalidUpgrade``, and what is kept of it is bounded. The flavours drive it: send
``data_to_send()``, then give ``receive`` what arrives until it gives something back. No socket, no clock.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, replace

import h11

from polysocket._core import deflate
from polysocket._core.deflate import PerMessageDeflate
from polysocket._core.header_fields import (
    MalformedHeader,
    accept_value,
    encode_fields,
    lacking,
    listed,
    parse_extensions,
    parse_tokens,
    parse_upgrade,
    shown,
    single,
)
from polysocket._core.http1 import Exchange, Switch, is_http_1_1
from polysocket.errors import InvalidRequest, InvalidUpgrade
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.url import WebSocketURL

__all__ = ["ClientHandshake", "Upgraded"]


_IF_TLS = "the URL may have to begin with wss://"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A finished handshake: its 101, the extension agreed on, and the bytes that came behind it."""

    response: Response
    deflate: PerMessageDeflate | None
    trailing: bytes


class ClientHandshake:
    """The client's side: sends the request, reads the answer.

    Raises :class:`InvalidRequest` for a request that can't be sent. ``data_to_send`` gives the request, once.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._key = base64.b64encode(os.urandom(16)).decode("ascii")
        self._exchange = Exchange(_opening_request(request, self._key), "the server", _IF_TLS, InvalidUpgrade)
        self._over = False

    @property
    def rejection(self) -> Response | None:
        """What is known of an answer other than 101, with the body so far; None before its header is complete."""
        return self._exchange.rejection

    def data_to_send(self) -> bytes:
        """The bytes of the request; after that, none."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> Upgraded | Response | None:
        """Take bytes of the answer, or ``b""`` for the end of the stream; None means that more are needed.

        Gives :class:`Upgraded`, or the :class:`Response` of any other final answer. Raises :class:`InvalidUpgrade`.
        """
        if self._over:
            raise RuntimeError("the opening handshake is over: what arrives now belongs to the connection")
        self._over = True  # after an error, too
        answer = self._exchange.receive(data)
        if isinstance(answer, Switch):
            return self._check(answer)
        self._over = answer is not None
        return answer

    def _check(self, switch: Switch) -> Upgraded:
        response = switch.response
        if not is_http_1_1(switch.http_version):
            raise InvalidUpgrade(
                f"the server answered 101 in HTTP/{switch.http_version.decode()}, but only HTTP/1.1 can upgrade"
            )
        try:
            _check_switch(response.headers)
            self._check_accept(response.headers)
            subprotocol = self._check_subprotocol(response.headers)
            extensions, agreed = self._check_extensions(response.headers)
        except MalformedHeader as error:
            raise InvalidUpgrade(f"the server's {error}") from error
        response = replace(response, subprotocol=subprotocol, extensions=extensions)
        return Upgraded(response, agreed, switch.trailing)

    def _check_accept(self, headers: Headers) -> None:
        value, due = single(headers, "Sec-WebSocket-Accept"), accept_value(self._key)
        if value is None:
            raise InvalidUpgrade("the server's 101 has no Sec-WebSocket-Accept header")
        if value != due:
            raise InvalidUpgrade(f"the server's Sec-WebSocket-Accept is {shown(value)}, but {due!r} was due")

    def _check_subprotocol(self, headers: Headers) -> str | None:
        chosen = single(headers, "Sec-WebSocket-Protocol")
        if chosen is None or chosen in self._request.subprotocols:
            return chosen
        if "," in chosen:
            raise InvalidUpgrade(f"the server must choose one subprotocol, but chose {shown(chosen)}")
        raise InvalidUpgrade(
            f"the server chose subprotocol {shown(chosen)}, which was not offered "
            f"(offered: {listed(self._request.subprotocols)})"
        )

    def _check_extensions(self, headers: Headers) -> tuple[tuple[str, ...], PerMessageDeflate | None]:
        single(headers, "Sec-WebSocket-Extensions")  # RFC 6455 §11.3.2: not more than once in an answer
        config = self._request.compression
        chosen = parse_extensions(headers)
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


def _opening_request(request: Request, key: str) -> h11.Request:
    """The client's opening handshake (RFC 6455 §4.1)."""
    url = _url(request)
    basic_request.subprotocol(*request.subprotocols).with_headers(request.headers)  # of one made by hand, too
    pairs = [
        *([] if "Host" in request.headers else [("Host", url.authority)]),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    if request.subprotocols:
        pairs.append(("Sec-WebSocket-Protocol", ", ".join(request.subprotocols)))
    if request.compression is not None:
        pairs.append(("Sec-WebSocket-Extensions", deflate.offer(request.compression)))
    try:
        return h11.Request(method="GET", target=url.target, headers=encode_fields([*pairs, *request.headers.pairs]))
    except (h11.LocalProtocolError, ValueError) as error:
        raise InvalidRequest(f"the request can't be sent: {error}") from error


def _url(request: Request) -> WebSocketURL:
    if request.url is None:
        raise InvalidRequest("the request has no URL: give it one with .get('wss://…')")
    return request.url


def _check_switch(headers: Headers) -> None:
    """Check what both sides send to switch protocols, in an answer (RFC 6455 §4.1)."""
    if {protocol.lower() for protocol in parse_upgrade(headers)} != {"websocket"}:
        raise InvalidUpgrade(lacking("the server's 101", headers, "Upgrade", "websocket"))
    if "upgrade" not in map(str.lower, parse_tokens(headers, "Connection")):
        raise InvalidUpgrade(lacking("the server's 101", headers, "Connection", "Upgrade"))
