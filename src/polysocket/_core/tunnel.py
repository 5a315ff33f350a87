"""The conversation with a proxy that opens a tunnel to a server, sans-IO.

``CONNECT`` (RFC 9110 §9.3.6) for http and https proxies, SOCKS5 (RFC 1928, with the user and password of RFC 1929).
Whatever the proxy sends, split in whatever way, the only error is ``ProxyFailed``, of which ``ProxyRejected`` is a
subclass. A program sends ``data_to_send()`` and passes received bytes to ``receive``, until the tunnel is open. The
request that goes through the tunnel is not known here, so nothing of it can reach the proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator
from typing import Protocol

import h11

from polysocket._core.header_fields import encode_fields
from polysocket._core.http1 import MAX_HEADER_LINES, Exchange, Switch, too_many_lines
from polysocket.errors import ProxyFailed, ProxyRejected
from polysocket.proxy import Proxy
from polysocket.request import basic_credentials
from polysocket.response import Response
from polysocket.url import WebSocketURL, authority, without_zone

__all__ = ["ConnectTunnel", "SocksTunnel", "Tunnel", "tunnel_to"]

# RFC 1928 §6
_REPLIES = {
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}

_ADDRESS_SIZES = {1: 4, 4: 16}  # bytes of an IPv4 and an IPv6 address (RFC 1928 §5)

_NO_AUTHENTICATION, _USER_AND_PASSWORD, _NO_METHOD = 0, 2, 0xFF

_IF_TLS = "is it an https:// proxy?"

_LOOKS = {
    b"H": "which looks like HTTP: is it an http:// proxy?",
    b"\x15": f"which looks like TLS: {_IF_TLS}",
}
"""The first byte of a proxy that does not speak SOCKS."""

_LONGEST_NAME = 255  # bytes: a name's length is sent in one byte (RFC 1928 §5)


class Tunnel(Protocol):
    """The client's side of the conversation."""

    @property
    def proxy(self) -> Proxy:
        """The proxy."""
        ...

    @property
    def rejection(self) -> ProxyRejected | None:
        """The rejection, with its body so far; None before its header is complete."""
        ...

    @property
    def scheme_hint(self) -> str:
        """The end of the text about a connection that was lost: whether the proxy may speak TLS."""
        ...

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, each only once."""
        ...

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes from the proxy, or ``b""`` at EOF; return None if more are needed.

        When the tunnel is open, return the bytes that have come through it. Raises :class:`ProxyFailed`.
        """
        ...


def tunnel_to(url: WebSocketURL, proxy: Proxy) -> Tunnel:
    """Return the conversation for a tunnel to a URL's host.

    Raises :class:`ProxyFailed` for a name too long for it, :class:`InvalidRequest` for too many headers.
    """
    if proxy.scheme == "socks5":
        return SocksTunnel(url, proxy)
    return ConnectTunnel(url, proxy)


class ConnectTunnel:
    """The :class:`Tunnel` of an http or https proxy: ``CONNECT``, and any 2xx opens it."""

    def __init__(self, url: WebSocketURL, proxy: Proxy) -> None:
        self.proxy = proxy
        target = authority(without_zone(url.host), url.port)
        pairs = [("Host", target), *proxy.headers.pairs]
        if proxy.credentials is not None:
            pairs.append(("Proxy-Authorization", basic_credentials(*proxy.credentials)))
        if len(pairs) > MAX_HEADER_LINES:
            raise too_many_lines(f"the CONNECT to {proxy.place}", len(pairs))
        request = h11.Request(method="CONNECT", target=target, headers=encode_fields(pairs))
        self._target = target
        self._exchange = Exchange(request, proxy.place, "" if proxy.scheme == "https" else _IF_TLS, ProxyFailed)

    @property
    def rejection(self) -> ProxyRejected | None:
        """The rejection, with its body so far."""
        response = self._exchange.rejection
        return None if response is None else self._rejected(response)

    @property
    def scheme_hint(self) -> str:
        """The end of the text about a connection that was lost."""
        return self._exchange.scheme_hint

    def data_to_send(self) -> bytes:
        """Return the bytes of the ``CONNECT`` the first time, and then none."""
        return self._exchange.data_to_send()

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes of the answer, as :meth:`Tunnel.receive` says."""
        answer = self._exchange.receive(data)
        if isinstance(answer, Response):
            raise self._rejected(answer)
        return answer.trailing if isinstance(answer, Switch) else None

    def _rejected(self, response: Response) -> ProxyRejected:
        text = f"{self.proxy.place} opened no tunnel to {self._target}: it answered {response.status_line}"
        if response.status == 407:
            text += f"; {_remedy(self.proxy)}"
        if response.body:
            text += ", with a body (.response.body)"
        return ProxyRejected(text, response)


class SocksTunnel:
    """The :class:`Tunnel` of a SOCKS5 proxy, which resolves the server's name."""

    rejection = None  # A reply is complete with its first byte.
    scheme_hint = ""  # SOCKS has no variant with TLS.

    def __init__(self, url: WebSocketURL, proxy: Proxy) -> None:
        self.proxy = proxy
        self._conversation = _SocksConversation(url, proxy)
        self._received = bytearray()
        self._steps = self._conversation.steps()
        self._needed = next(self._steps)

    def data_to_send(self) -> bytes:
        """Return the bytes of the next request, each only once."""
        data, self._conversation.outgoing = self._conversation.outgoing, b""
        return data

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes of the replies, as :meth:`Tunnel.receive` says."""
        if not data:
            raise ProxyFailed(f"{self.proxy.place} closed the connection before it had opened a tunnel")
        self._received += data
        try:
            while len(self._received) >= self._needed:
                piece = bytes(self._received[: self._needed])
                del self._received[: self._needed]
                self._needed = self._steps.send(piece)
        except StopIteration:
            return bytes(self._received)
        return None


class _SocksConversation:
    """The steps of a SOCKS5 conversation, and the bytes to send; it doesn't keep its generator, which keeps it."""

    def __init__(self, url: WebSocketURL, proxy: Proxy) -> None:
        self.outgoing = b""
        self.proxy = proxy
        host = without_zone(url.host)
        self._target = authority(host, url.port)
        self._address = _address(host, proxy) + url.port.to_bytes(2, "big")

    def steps(self) -> Generator[int, bytes, None]:
        """Step through the conversation: each step yields the number of bytes that it needs, and gets them."""
        yield from self._authenticate()
        self.outgoing += b"\x05\x01\x00" + self._address  # CONNECT (RFC 1928 §4)
        yield from self._expect_version()
        (reply,) = yield 1
        if reply:
            reason = _REPLIES.get(reply, f"reply {reply}, which RFC 1928 does not know")
            raise ProxyRejected(f"{self.proxy.place} opened no tunnel to {self._target}: {reason}")
        _, kind = yield 2
        size = (yield 1)[0] if kind == 3 else _ADDRESS_SIZES.get(kind)
        if size is None:
            raise ProxyFailed(f"{self.proxy.place} gave an address of type {kind}, which RFC 1928 does not know")
        yield size + 2  # the proxy's own address and port, which are of no use here

    def _authenticate(self) -> Generator[int, bytes, None]:
        credentials = self.proxy.credentials
        methods = [_NO_AUTHENTICATION] if credentials is None else [_NO_AUTHENTICATION, _USER_AND_PASSWORD]
        self.outgoing += bytes([5, len(methods), *methods])
        yield from self._expect_version()
        (method,) = yield 1
        if method == _NO_METHOD:
            raise ProxyRejected(f"{self.proxy.place} accepts no way to authenticate; {_remedy(self.proxy)}")
        if method not in methods:
            raise ProxyFailed(f"{self.proxy.place} chose authentication method {method}, which was not offered")
        if method == _USER_AND_PASSWORD and credentials is not None:
            user, password = (text.encode() for text in credentials)
            self.outgoing += bytes([1, len(user)]) + user + bytes([len(password)]) + password  # RFC 1929 §2
            _, status = yield 2
            if status:
                raise ProxyRejected(f"{self.proxy.place} does not accept the user and password in its URL")

    def _expect_version(self) -> Generator[int, bytes, None]:
        version = yield 1
        if version != b"\x05":
            looks = f" ({_LOOKS[version]})" if version in _LOOKS else ""
            raise ProxyFailed(f"{self.proxy.place} does not speak SOCKS5: its answer begins with {version!r}{looks}")


def _address(host: str, proxy: Proxy) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > _LONGEST_NAME:
            raise ProxyFailed(
                f"the name {host} is too long for {proxy.place}: SOCKS has {_LONGEST_NAME} bytes"
            ) from None
        return bytes([3, len(name)]) + name
    return bytes([1 if address.version == 4 else 4]) + address.packed


def _remedy(proxy: Proxy) -> str:
    known = proxy.credentials is not None or "Proxy-Authorization" in proxy.headers
    return f"it wants {'other credentials' if known else 'a user and password'}: {proxy.scheme}://user:password@…"
