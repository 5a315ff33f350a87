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
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakSet

from polysocket import proxy as proxies
from polysocket._core.tunnel import Tunnel, tunnel_to
from polysocket._opening.tls import NotTLS, TLSStream, default_context
from polysocket._opening.transport import Transport
from polysocket.effects import ByteStream, DelegatingStream, Effect
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.effects.no_thread import no_thread
from polysocket.errors import ConnectFailed, ProxyFailed, ProxyRejected
from polysocket.proxy import Proxy, as_proxy, system_proxy
from polysocket.redaction import escaped
from polysocket.url import WebSocketURL, certificate_name

__all__ = ["BODY_TIMEOUT", "Dialer", "ResumedStream", "causes_of", "read_body", "read_rest", "system_errno"]

BODY_TIMEOUT = 1.0
"""Seconds for the body of a rejection after its header, a tenth of the default ``open_timeout``: an error page comes at
once, and a body that does not end must not hold back an error that is known."""

_NAME_MISMATCHES = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


class Dialer:
    """The maker of one connection to the server of a URL; it can say what it is doing while it is at work."""

    def __init__(self, url: WebSocketURL, transport: Transport) -> None:
        self._url = url
        if transport.host is not None or transport.port is not None:
            url = replace(url, host=transport.host or url.host, port=transport.port or url.port)
        self._there = url  # with the host and the port to connect to
        self._transport = transport
        self._tunnel: Tunnel | None = None
        self._reads_settings = (
            proxies.HAS_PROXY_SETTINGS and transport.proxy is system_proxy and proxies.needs_settings(url)
        )
        if transport.proxy is not None and not self._reads_settings:
            proxy = transport.proxy(url) if callable(transport.proxy) else transport.proxy
            if proxy is not None:
                self._go_via(proxy)
        self.step: str = "connecting"
        """The step under way, for an error's text."""

    @property
    def rejection(self) -> ProxyRejected | None:
        """The proxy's rejection, if its header is complete but its body is not."""
        return None if self._tunnel is None else self._tunnel.rejection

    @property
    def scheme_hint(self) -> str:
        """The end of the text of a timeout: a server without TLS may wait for more of what it takes for HTTP."""
        return "; is it a ws:// server?" if self.step == "in the TLS handshake" else ""

    @property
    def via(self) -> str:
        """The proxy in words, for an error's text; empty without a proxy."""
        return "" if self._tunnel is None else f" via {self._tunnel.proxy.place}"

    async def connect(self, effect: Effect) -> ByteStream:
        """Connect to the server, with TLS for a wss URL. Raises :class:`ConnectFailed`."""
        try:
            if self._reads_settings:
                await self._read_settings(effect)
            stream = await self._connecting(effect)
        except ProxyFailed:
            raise
        except OSError as error:
            raise self._server.unreachable(error)  # noqa: B904 - it has its cause
        if self._url.scheme == "wss":
            self.step = "in the TLS handshake"
            name = certificate_name(self._transport.server_hostname or self._url.host)
            try:
                context = self._transport.ssl or await default_context(effect)
                stream = await TLSStream.start(stream, context, effect, server_hostname=name)
            except OSError as error:
                stream.abort()
                raise self._server.no_tls(error, name)  # noqa: B904 - it has its cause
            except BaseException:
                stream.abort()
                raise
        self.step = "in the opening handshake"
        return stream

    async def _read_settings(self, effect: Effect) -> None:
        try:
            proxy = await effect.run_blocking(lambda: system_proxy(self._there))
        except RuntimeError as error:
            raise no_thread("to read the system's proxies", error) from error
        if proxy is not None:
            self._go_via(proxy)

    def _go_via(self, setting: str | Proxy) -> None:
        self._tunnel = tunnel_to(self._there, as_proxy(setting, "the result of proxy()"))

    def _connecting(self, effect: Effect) -> Awaitable[ByteStream]:
        if self._tunnel is not None:
            return _connect_via_proxy(effect, self._tunnel, self._transport.local_address)
        if self._transport.sock is not None:
            return _adopt(effect, self._transport.sock)
        if self._transport.unix_path is not None:
            if not hasattr(socket, "AF_UNIX"):
                raise OSError(errno.EAFNOSUPPORT, "this platform has no Unix sockets")
            return effect.connect_unix(self._transport.unix_path)
        return effect.connect_tcp(self._there.host, self._there.port, self._transport.local_address)

    @property
    def _server(self) -> _Endpoint:
        if self._transport.sock is not None:
            place = "the given socket"
        elif self._transport.unix_path is not None:
            place = f"the Unix socket {escaped(self._transport.unix_path)}"
        else:
            place = f"{self._there.host} port {self._there.port}{self.via}"
        return _Endpoint(ConnectFailed, "the server", place, "is it a ws:// server?", "ssl=")


class _Endpoint(NamedTuple):
    """A peer that a connection leads to, with the words that explain an error of that connection."""

    error: type[ConnectFailed]
    name: str
    place: str
    without_tls: str
    context: str

    def unreachable(self, error: OSError) -> ConnectFailed:
        return self._failed(f"could not connect to {self.place}", error)

    def no_tls(self, error: OSError, host: str) -> ConnectFailed:
        place = self.place if host in self.place else f"{host} over {self.place}"
        may_be_plain = isinstance(error, NotTLS | ssl.SSLEOFError | ConnectionError)
        return self._failed(f"no TLS with {place}", error, f"; {self.without_tls}" if may_be_plain else "")

    def _failed(self, what: str, error: OSError, hint: str = "") -> ConnectFailed:
        causes = causes_of(error)
        words = self._explain(causes[0]) if len(causes) == 1 else self._explain_each(causes)
        failed = self.error(f"{what}: {words}{hint}", system_errno(causes[0]), causes)
        failed.__cause__ = causes[0]  # Here, since a variable of the frame that raises would make a reference cycle.
        return failed

    def _explain_each(self, causes: tuple[OSError, ...]) -> str:
        """Return the errors of all attempts in words; those that failed alike share theirs."""
        addresses: dict[str, dict[str, None]] = {}
        for cause in causes:
            named = addresses.setdefault(self._explain(cause), {})
            if cause.filename is not None:
                named[str(cause.filename)] = None
        return "; ".join(f"{', '.join(named)}: {words}" if named else words for words, named in addresses.items())

    def _explain(self, error: OSError) -> str:
        """Return an error in words, without its address."""
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = "" if error.verify_code in _NAME_MISMATCHES else f"; {self.context} takes a context that trusts it"
            return f"{self.name}'s certificate is not valid: {error.verify_message.removesuffix('.')}{remedy}"
        reason = getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError) and reason:
            return str(reason).lower().replace("_", " ")
        if "no application protocol" in str(error):  # RFC 7301 §3.2; Python has no reason for this alert.
            return "the server takes none of the protocols that were offered; HTTP/1.1 is needed"
        if error.errno and error.filename is not None:
            return f"[Errno {error.errno}] {error.strerror}"
        return str(error)


def causes_of(error: OSError) -> tuple[OSError, ...]:
    """Return the system's errors of a failed connection, one for each address that was tried, without tracebacks.

    An effect raises the one error, or one without a number whose cause is it, or is the group of the attempts' errors.
    A traceback of the error that the user gets is short then.
    """
    inner = error.__cause__ if error.errno is None else None
    group: tuple[BaseException, ...] = getattr(inner, "exceptions", () if inner is None else (inner,))
    if attempts := [each for each in group if isinstance(each, OSError)]:
        return tuple(cause for each in attempts for cause in causes_of(each))
    error.__suppress_context__ = True
    error.__cause__ = None
    return (error.with_traceback(None),)


def system_errno(error: OSError) -> int | None:
    """Return the number of the system's error; None without a number."""
    return None if isinstance(error, ssl.SSLError) else error.errno  # SSLError has OpenSSL's numbers.


async def _connect_via_proxy(effect: Effect, tunnel: Tunnel, local_address: tuple[str, int] | None) -> ByteStream:
    """Connect to a proxy and open the tunnel, which becomes the stream. Raises :class:`ProxyFailed`."""
    proxy = tunnel.proxy
    endpoint = _Endpoint(ProxyFailed, "the proxy", proxy.place, "is it an http:// proxy?", "Proxy(…, ssl=…)")
    try:
        stream = await effect.connect_tcp(proxy.host, proxy.port, local_address)
    except OSError as error:
        raise endpoint.unreachable(error)  # noqa: B904 - it has its cause
    try:
        if proxy.scheme == "https":
            name = certificate_name(proxy.host)
            try:
                context = proxy.ssl or await default_context(effect)
                stream = await TLSStream.start(stream, context, effect, server_hostname=name)
            except OSError as error:
                raise endpoint.no_tls(error, proxy.host)  # noqa: B904 - it has its cause
        received = await _open_tunnel(effect, stream, tunnel)
    except BaseException:
        stream.abort()
        raise
    return ResumedStream(stream, received) if received else stream


async def _open_tunnel(effect: Effect, stream: ByteStream, tunnel: Tunnel) -> bytes:
    """Talk with the proxy until the tunnel is open; return the bytes that have come through the tunnel."""
    received: bytes | None = None
    failure: OSError | None = None
    while received is None:
        if tunnel.rejection is not None:
            await read_body(effect, stream, tunnel.receive)
            raise tunnel.rejection
        try:
            try:
                if failure is None and (data := tunnel.data_to_send()):
                    stream.write(data)
                    await stream.drain()
            except OSError as error:  # The proxy may have rejected the request before it hung up.
                failure = without_tracebacks(error)
            data = await (stream.read() if failure is None else read_rest(effect, stream, failure))
        except OSError as error:
            (cause,) = causes_of(error)
            text = (
                f"the connection to {tunnel.proxy.place} was lost before a tunnel was open: {cause}{tunnel.scheme_hint}"
            )
            raise ProxyFailed(text, system_errno(cause), (cause,)) from cause
        received = tunnel.receive(data)
    return received


async def read_rest(effect: Effect, stream: ByteStream, failure: OSError) -> bytes:
    """Return what the peer has sent before a write failed, such as a rejection; raise that failure if it is nothing."""
    with contextlib.suppress(OSError):  # TimeoutError is one: the peer may read no more, but stay.
        async with effect.time_limit(BODY_TIMEOUT):
            if data := await stream.read():
                return data
    raise failure


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

    def read_now(self) -> bytes | None:
        """Return the bytes that were already read, then those of the inner stream that are there."""
        received, self._received = self._received, b""
        return received or self.inner.read_now()


_given: WeakSet[socket.socket] = WeakSet()
"""The sockets that were given to a websocket: the request of another one would go out in the middle of its frames."""


async def _adopt(effect: Effect, sock: socket.socket) -> ByteStream:
    if sock in _given:
        text = "it was given before; pass a new one, such as socket.create_connection((host, port))"
        raise OSError(errno.EBUSY, text)  # It is left open: the other websocket owns it.
    _given.add(sock)
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
    except OSError:
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # such as a reset by the peer
            raise OSError(error, os.strerror(error)) from None
        raise OSError(errno.ENOTCONN, "it is not connected; call its connect() first") from None
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # The runtimes do so for the connections that they open: a small frame must not wait for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
