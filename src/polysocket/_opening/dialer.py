"""The connection to the server: TCP, a proxy's tunnel, a Unix socket or a given socket, and TLS over each of them.

A :class:`Dialer` makes one connection as its :class:`Transport` says. Errors of the system are mapped here, once, to
those of :mod:`polysocket.errors`. WebSockets are not known here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from polysocket._core.tunnel import Tunnel, tunnel_to
from polysocket._opening.tls import TLSStream, default_context
from polysocket._opening.transport import Transport
from polysocket.effects import ByteStream, DelegatingStream, Effect
from polysocket.errors import ConnectFailed, ProxyFailed, ProxyRejected
from polysocket.proxy import Proxy, ProxySetting, as_proxy, blocks
from polysocket.redaction import escaped
from polysocket.url import WebSocketURL, certificate_name

__all__ = ["BODY_TIMEOUT", "Dialer", "ResumedStream", "read_body", "system_errno"]

BODY_TIMEOUT = 1.0
"""Seconds for the body of a rejection after its header, a tenth of the default ``open_timeout``: an error page comes at
once, and a body that does not end must not hold back an error that is known."""

_NAME_MISMATCHES = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH

# The words of asyncio, which leave the reason out, and of trio, which repeat the address.
_RUNTIME_WORDS = ("Connect call failed", "Error connecting to")


class Dialer:
    """The maker of one connection to the server of a URL; it can say what it is doing while it is at work."""

    def __init__(self, url: WebSocketURL, transport: Transport) -> None:
        self._url = url
        self._transport = transport
        self._tunnel: Tunnel | None = None
        self._has_chosen = transport.proxy is None
        if transport.proxy is not None and not blocks(transport.proxy):
            self._go_via(_choose_proxy(url, transport.proxy))
        self.step: str = "connecting"
        """The step under way, for an error's text."""

    @property
    def rejection(self) -> ProxyRejected | None:
        """The proxy's rejection, if its header is complete but its body is not."""
        return None if self._tunnel is None else self._tunnel.rejection

    @property
    def via(self) -> str:
        """The proxy in words, for an error's text; empty without a proxy."""
        return "" if self._tunnel is None else f" via {self._tunnel.proxy.place}"

    async def connect(self, effect: Effect) -> ByteStream:
        """Connect to the server, with TLS for a wss URL. Raises :class:`ConnectFailed`."""
        if not self._has_chosen:
            self._go_via(await effect.run_blocking(lambda: _choose_proxy(self._url, self._transport.proxy)))
        try:
            stream = await self._connecting(effect)
        except ProxyFailed:
            raise
        except OSError as error:
            raise self._server.unreachable(error) from _shortest_cause(error)
        if self._url.scheme == "wss":
            self.step = "in the TLS handshake"
            name = certificate_name(self._url.host)
            try:
                context = self._transport.ssl or await default_context(effect)
                stream = await TLSStream.start(stream, context, effect.mutex(), server_hostname=name)
            except OSError as error:
                stream.abort()
                raise self._server.no_tls(error, self._url.host) from error
            except BaseException:
                stream.abort()
                raise
        self.step = "in the opening handshake"
        return stream

    def _go_via(self, proxy: Proxy | None) -> None:
        self._has_chosen = True
        self._tunnel = None if proxy is None else tunnel_to(self._url, proxy)

    def _connecting(self, effect: Effect) -> Awaitable[ByteStream]:
        if self._tunnel is not None:
            return _connect_via_proxy(effect, self._tunnel)
        if self._transport.sock is not None:
            return _adopt(effect, self._transport.sock)
        if self._transport.unix_path is not None:
            if not hasattr(socket, "AF_UNIX"):
                raise OSError(errno.EAFNOSUPPORT, "this platform has no Unix sockets")
            return effect.connect_unix(self._transport.unix_path)
        return effect.connect_tcp(self._url.host, self._url.port)

    @property
    def _server(self) -> _Endpoint:
        if self._transport.sock is not None:
            place = "the given socket"
        elif self._transport.unix_path is not None:
            place = f"the Unix socket {escaped(self._transport.unix_path)}"
        else:
            place = f"{self._url.host} port {self._url.port}{self.via}"
        return _Endpoint(ConnectFailed, "the server", place, "the URL must begin with ws://", "ssl=")


class _Endpoint(NamedTuple):
    """A peer that a connection leads to, with the words that explain an error of that connection."""

    error: type[ConnectFailed]
    name: str
    place: str
    without_tls: str
    context: str

    def unreachable(self, error: OSError) -> ConnectFailed:
        return self.error(f"could not connect to {self.place}: {self._explain(error)}", system_errno(error))

    def no_tls(self, error: OSError, host: str) -> ConnectFailed:
        place = self.place if host in self.place else f"{host} over {self.place}"
        return self.error(f"no TLS with {place}: {self._explain(error)}", system_errno(error))

    def _explain(self, error: OSError) -> str:
        """Return an error in words, with those of each attempt if several addresses were tried."""
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = "" if error.verify_code in _NAME_MISMATCHES else f"; {self.context} takes a context that trusts it"
            return f"{self.name}'s certificate is not valid: {error.verify_message.removesuffix('.')}{remedy}"
        reason = getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError) and reason:
            words = str(reason).lower().replace("_", " ")
            return f"{words}; if {self.name} does not speak TLS, {self.without_tls}"
        if attempts := _attempts(error):
            return "; ".join(dict.fromkeys(map(self._explain, attempts)))
        if error.errno and any(words in str(error) for words in _RUNTIME_WORDS):
            return f"[Errno {error.errno}] {os.strerror(error.errno)}"
        return str(error)


def _attempts(error: OSError) -> list[OSError]:
    """Return the errors of the attempts of happy eyeballs, which are the error's cause; none for another error."""
    group = error.__cause__
    return [each for each in getattr(group, "exceptions", ()) if isinstance(each, OSError)]


def _shortest_cause(error: OSError) -> OSError:
    """Return one attempt's error if all attempts failed alike, so that a traceback shows no group of them."""
    attempts = _attempts(error)
    return attempts[0] if attempts and len({each.errno for each in attempts}) == 1 else error


def system_errno(error: BaseException | None) -> int | None:
    """Return the number of the system's error, of the first attempt if there were several; None without a number."""
    attempts: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # those of happy eyeballs
    if attempts:
        return system_errno(attempts[0])
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):  # SSLError has OpenSSL's numbers.
        return None
    return error.errno or system_errno(error.__cause__)


def _choose_proxy(url: WebSocketURL, setting: ProxySetting) -> Proxy | None:
    """Return the proxy for a URL. An error of the user's function is raised as it is."""
    return as_proxy(setting(url), "the result of proxy()") if callable(setting) else as_proxy(setting)


async def _connect_via_proxy(effect: Effect, tunnel: Tunnel) -> ByteStream:
    """Connect to a proxy and open the tunnel, which becomes the stream. Raises :class:`ProxyFailed`."""
    proxy = tunnel.proxy
    endpoint = _Endpoint(ProxyFailed, "the proxy", proxy.place, "its URL must begin with http://", "Proxy(…, ssl=…)")
    try:
        stream = await effect.connect_tcp(proxy.host, proxy.port)
    except OSError as error:
        raise endpoint.unreachable(error) from _shortest_cause(error)
    try:
        if proxy.scheme == "https":
            name = certificate_name(proxy.host)
            try:
                context = proxy.ssl or await default_context(effect)
                stream = await TLSStream.start(stream, context, effect.mutex(), server_hostname=name)
            except OSError as error:
                raise endpoint.no_tls(error, proxy.host) from error
        received = await _open_tunnel(effect, stream, tunnel)
    except BaseException:
        stream.abort()
        raise
    return ResumedStream(stream, received) if received else stream


async def _open_tunnel(effect: Effect, stream: ByteStream, tunnel: Tunnel) -> bytes:
    """Talk with the proxy until the tunnel is open; return the bytes that have come through the tunnel."""
    received: bytes | None = None
    while received is None:
        if tunnel.rejection is not None:
            await read_body(effect, stream, tunnel.receive)
            raise tunnel.rejection
        try:
            if data := tunnel.data_to_send():
                stream.write(data)
                await stream.drain()
            data = await stream.read()
        except OSError as error:
            text = f"the connection to {tunnel.proxy.place} was lost before a tunnel was open: {error}"
            raise ProxyFailed(text, system_errno(error)) from error
        received = tunnel.receive(data)
    return received


async def read_body(effect: Effect, stream: ByteStream, receive: Callable[[bytes], object]) -> None:
    """Read the body of a rejection, until ``receive`` has all of it, for at most ``BODY_TIMEOUT``.

    The header says why it is a rejection. So what is amiss with the body, the end of the connection too, only ends it.
    """
    with contextlib.suppress(OSError):  # TimeoutError is one.
        async with effect.time_limit(BODY_TIMEOUT):
            while receive(await stream.read()) is None:
                pass


class ResumedStream(DelegatingStream):
    """A :class:`~polysocket.effects.ByteStream` whose first bytes were already read."""

    def __init__(self, inner: ByteStream, received: bytes) -> None:
        super().__init__(inner)
        self._received = received

    async def read(self) -> bytes:
        """Return the bytes that were already read, then those of the inner stream."""
        received, self._received = self._received, b""
        return received or await self.inner.read()


async def _adopt(effect: Effect, sock: socket.socket) -> ByteStream:
    try:
        _check_socket(sock)
        return await effect.adopt(sock)
    except BaseException:
        sock.close()
        raise


def _check_socket(sock: socket.socket) -> None:
    if sock.fileno() == -1:
        raise OSError(errno.EBADF, "it is closed; pass a new one, such as socket.create_connection((host, port))")
    if sock.type != socket.SOCK_STREAM:
        text = "it is not a stream socket; pass one such as socket.create_connection((host, port))"
        raise OSError(errno.EPROTOTYPE, text)
    try:
        sock.getpeername()
    except OSError as error:
        raise OSError(errno.ENOTCONN, "it is not connected; call its connect() first") from error
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # The runtimes do so for the connections that they open: a small frame must not wait for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
