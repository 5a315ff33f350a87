"""The way to the server: a TCP connection, a proxy's tunnel, a Unix socket or a given socket, and TLS over each.

Written once for every flavour. Errors of the system are mapped here, once, to those of :mod:`polysocket.errors`. What
goes over the stream is not known here.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import NamedTuple

from polysocket._core.tunnel import Tunnel, tunnel_to
from polysocket._opening.tls import TLSStream, default_context
from polysocket.effects import ByteStream, DelegatingStream, Effect
from polysocket.errors import ConnectFailed, InvalidRequest, ProxyFailed, ProxyRejected
from polysocket.proxy import Proxy, ProxySetting, as_proxy
from polysocket.url import WebSocketURL

__all__ = ["Route", "Way"]


WRONG_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


OF_RUNTIMES = ("Connect call failed", "Error connecting to")  # asyncio's words leave the reason out, trio's repeat


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the server, where it is not just the URL's host and port; raises :class:`InvalidRequest`."""

    ssl: ssl.SSLContext | None = None
    sock: socket.socket | None = None
    unix_path: str | None = None
    proxy: ProxySetting = None

    def __post_init__(self) -> None:
        if not isinstance(self.ssl, ssl.SSLContext | None):
            raise InvalidRequest(f"ssl is an ssl.SSLContext, not {self.ssl!r}")
        if not isinstance(self.sock, socket.socket | None):
            raise InvalidRequest(f"sock is a socket, not {self.sock!r}")
        if self.sock is not None and self.unix_path is not None:
            raise InvalidRequest("sock and unix_path exclude each other")
        if self.proxy is not None and self.is_fixed:
            raise InvalidRequest(f"proxy and {'unix_path' if self.sock is None else 'sock'} exclude each other")
        if not callable(self.proxy):
            object.__setattr__(self, "proxy", as_proxy(self.proxy))  # so that it is checked now, and its repr redacted

    @property
    def is_fixed(self) -> bool:
        """Whether it leads to one place, so that a redirect can't be followed."""
        return self.sock is not None or self.unix_path is not None

    def proxy_for(self, url: WebSocketURL) -> Proxy | None:
        """The proxy that leads to a URL; what a function that chooses it raises is raised."""
        return as_proxy(self.proxy(url), "what proxy() gives") if callable(self.proxy) else as_proxy(self.proxy)


class End(NamedTuple):
    """Who is at the other end of a connection, in the words of its errors."""

    error: type[ConnectFailed]
    name: str
    place: str
    plain: str
    context: str


class Way:
    """The way to one URL, to be gone once."""

    def __init__(self, url: WebSocketURL, route: Route) -> None:
        self._url = url
        self._route = route
        proxy = route.proxy_for(url)
        self._tunnel = None if proxy is None else tunnel_to(url, proxy)
        self.step: str = "connecting"
        """What is being done, for a message."""

    @property
    def rejection(self) -> ProxyRejected | None:
        """What is known of a proxy's rejection that is not complete."""
        return None if self._tunnel is None else self._tunnel.rejection

    @property
    def by(self) -> str:
        """The proxy, for a message."""
        return "" if self._tunnel is None else f" by {self._tunnel.proxy.place}"

    async def connect(self, effect: Effect) -> ByteStream:
        """Come to the server, by TLS where the URL says so. Raises :class:`ConnectFailed`."""
        end = End(ConnectFailed, "the server", self._place(), "the URL must begin with ws://", "ssl=")
        stream = await self._stream(effect, end)
        if self._url.secure:
            self.step = "in the TLS handshake"
            stream = await _encrypted(effect, stream, self._route.ssl, self._url.host, end)
        self.step = "in the opening handshake"
        return stream

    async def _stream(self, effect: Effect, end: End) -> ByteStream:
        if self._tunnel is not None:
            return await _dug(effect, self._tunnel)
        if self._route.sock is not None:
            return await _reached(_adopt(effect, self._route.sock), end)
        if self._route.unix_path is not None:
            return await _reached(effect.connect_unix(self._route.unix_path), end)
        return await _reached(effect.connect_tcp(self._url.host, self._url.port), end)

    def _place(self) -> str:
        if self._route.sock is not None:
            return "the given socket"
        if self._route.unix_path is not None:
            return f"the Unix socket {self._route.unix_path}"
        return f"{self._url.host} port {self._url.port}{self.by}"


async def _reached(connecting: Awaitable[ByteStream], end: End) -> ByteStream:
    try:
        return await connecting
    except OSError as error:
        raise end.error(f"could not connect to {end.place}: {_explained(error, end)}") from error


async def _dug(effect: Effect, tunnel: Tunnel) -> ByteStream:
    """The stream through a proxy's tunnel."""
    proxy = tunnel.proxy
    end = End(ProxyFailed, "the proxy", proxy.place, "its URL must begin with http://", "Proxy(…, ssl=…)")
    stream = await _reached(effect.connect_tcp(proxy.host, proxy.port), end)
    if proxy.scheme == "https":
        stream = await _encrypted(effect, stream, proxy.ssl, proxy.host, end)
    try:
        received = await _opened(stream, tunnel)
    except BaseException:
        stream.abort()
        raise
    return ResumedStream(stream, received) if received else stream


async def _opened(stream: ByteStream, tunnel: Tunnel) -> bytes:
    """Talk with the proxy until the tunnel is open; gives what came through it already."""
    received: bytes | None = None
    while received is None:
        try:
            if data := tunnel.data_to_send():
                stream.write(data)
                await stream.drain()
            data = await stream.read()
        except OSError as error:
            raise ProxyFailed(f"the connection to {tunnel.proxy.place} was lost before a tunnel: {error}") from error
        received = tunnel.receive(data)
    return received


class ResumedStream(DelegatingStream):
    """A :class:`~polysocket.effects.ByteStream` whose first bytes were read already."""

    def __init__(self, inner: ByteStream, received: bytes) -> None:
        super().__init__(inner)
        self._received = received

    async def read(self) -> bytes:
        """Return the bytes that were read already, then those of the inner stream."""
        received, self._received = self._received, b""
        return received or await self.inner.read()


async def _encrypted(
    effect: Effect, stream: ByteStream, context: ssl.SSLContext | None, host: str, end: End
) -> ByteStream:
    try:
        return await TLSStream.start(stream, context or default_context(), effect.mutex(), server_hostname=host)
    except OSError as error:
        stream.abort()
        over = end.place if host in end.place else f"{host} over {end.place}"
        raise end.error(f"no TLS with {over}: {_explained(error, end)}") from error
    except BaseException:
        stream.abort()
        raise


async def _adopt(effect: Effect, sock: socket.socket) -> ByteStream:
    try:
        _check_socket(sock)
        return await effect.adopt(sock)
    except BaseException:
        sock.close()
        raise


def _check_socket(sock: socket.socket) -> None:
    if sock.type != socket.SOCK_STREAM:
        raise OSError(errno.EPROTOTYPE, "it is no stream socket")
    try:
        sock.getpeername()
    except OSError as error:
        raise OSError(errno.ENOTCONN, "it is not connected") from error
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # As the runtimes do for the connections that they open: a small frame must not wait for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _explained(error: OSError, end: End) -> str:
    """The error in words, with those of the single attempts where there were many."""
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "" if error.verify_code in WRONG_NAME else f"; {end.context} takes a context that trusts it"
        return f"{end.name}'s certificate is not valid: {error.verify_message.removesuffix('.')}{remedy}"
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        words = str(reason).lower().replace("_", " ")
        return f"{words}; where {end.name} speaks no TLS, {end.plain}"
    attempts: tuple[Exception, ...] = getattr(error.__cause__, "exceptions", ())
    if attempts:
        return "; ".join(
            dict.fromkeys(_explained(attempt, end) for attempt in attempts if isinstance(attempt, OSError))
        )
    if error.errno and any(words in str(error) for words in OF_RUNTIMES):
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error)
