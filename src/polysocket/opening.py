"""The programs that open a websocket: connect, TLS, the opening handshake, redirects; and the server's half of it.

Written once for every flavour. Errors of the system are mapped here, once, to those of :mod:`polysocket.errors`.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import ssl
from typing import Any, TypedDict

import sniffio
from wsproto import ConnectionType

from polysocket.core.connection import Connection
from polysocket.core.handshake import (
    ClientHandshake,
    ServerHandshake,
    Upgraded,
)
from polysocket.core.redirect import is_redirect, redirected
from polysocket.effect import Effect, Link
from polysocket.errors import (
    ConnectFailed,
    InvalidRequest,
    InvalidUpgrade,
    NoAsyncLibrary,
    OpenTimeout,
    RedirectRefused,
    UpgradeRejected,
)
from polysocket.hints import hint
from polysocket.request import Deflate, Request, Response, WebSocketURL, basic_request
from polysocket.session import Session
from polysocket.tls import TLSLink, default_context
from polysocket.websocket import WebSocket

__all__ = ["ConnectOptions", "Route", "accept_websocket", "follow", "open_session", "open_websocket"]


class ConnectOptions(TypedDict, total=False):
    """What ``connect`` takes beside the URL or request; what is given here goes before the request's own."""

    compression: Deflate | None
    """What compression to offer; None for none. The default is ``Deflate()``."""
    max_message_size: int | None
    """The bound of a received message in bytes; None for none. The default is 1 MiB."""
    open_timeout: float | None
    """Seconds for connecting with the opening handshake; None for no limit. The default is 10."""
    close_timeout: float | None
    """Seconds for the closing handshake; None for no limit. The default is 10."""
    ssl: ssl.SSLContext | None
    """TLS settings for a wss URL; by default the system's certificate authorities are trusted."""
    sock: socket.socket | None
    """A connected socket to be used, and owned, by the websocket."""
    unix_path: str | os.PathLike[str] | None
    """The Unix socket to connect to, in place of the URL's host and port."""


WRONG_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


OF_RUNTIMES = ("Connect call failed", "Error connecting to")  # asyncio's words leave the reason out, trio's repeat


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """The way to the server, where it is not just the URL's host and port."""

    ssl: ssl.SSLContext | None = None
    sock: socket.socket | None = None
    unix_path: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether it leads to one place, so that a redirect can't be followed."""
        return self.sock is not None or self.unix_path is not None


def _prepare(target: str | Request, options: ConnectOptions) -> tuple[Request, Route]:
    for name in options:
        if name not in ConnectOptions.__annotations__:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}{hint(name)}")
    given: dict[str, Any] = dict(options)
    unix_path, sock, context = (given.pop(name, None) for name in ("unix_path", "sock", "ssl"))
    if not isinstance(unix_path, str | os.PathLike | None):
        raise InvalidRequest(f"unix_path is a path, not {unix_path!r}")
    if not isinstance(sock, socket.socket | None):
        raise InvalidRequest(f"sock is a socket, not {sock!r}")
    if not isinstance(context, ssl.SSLContext | None):
        raise InvalidRequest(f"ssl is an ssl.SSLContext, not {context!r}")
    request = target if isinstance(target, Request) else basic_request.get(target)
    request = dataclasses.replace(request, **given)
    if context is not None and request.url is not None and not request.url.secure:
        raise InvalidRequest("ssl is for wss URLs, and this is a ws URL")
    if sock is not None and unix_path is not None:
        raise InvalidRequest("sock and unix_path exclude each other")
    return request, Route(context, sock, None if unix_path is None else os.fspath(unix_path))


async def open_websocket(effect: Effect, target: str | Request, options: ConnectOptions) -> WebSocket[Any]:
    """Open a websocket for a flavour's ``connect``."""
    request, route = _prepare(target, options)
    return WebSocket(await open_session(effect, request, route), effect)


async def open_session(effect: Effect, request: Request, route: Route) -> Session:
    """Open a websocket: connect, shake hands, follow redirects.

    Raises :class:`OpeningFailed` (its subclasses say at which step), :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """
    _check_runs(effect)
    if request.url is None:
        raise InvalidRequest("the request names no URL: add it with .get(url)")
    first = request
    handshake = ClientHandshake(request)
    try:
        async with effect.time_limit(request.open_timeout):
            while not isinstance(opened := await _attempt(effect, request, route, handshake), Session):
                request = follow(first, request, opened, route)
                handshake = ClientHandshake(request)
    except TimeoutError as error:
        if handshake.rejection is not None:
            raise UpgradeRejected(handshake.rejection) from error
        raise OpenTimeout(f"{request.url} was not open within {request.open_timeout} seconds") from error
    except ConnectFailed as error:
        if request is first:
            raise
        raise ConnectFailed(f"{error} (where a redirect from {first.url} led)") from error.__cause__
    return opened


def _check_runs(effect: Effect) -> None:
    try:
        effect.current_task()
    except NoAsyncLibrary:
        raise
    except RuntimeError as error:
        raise NoAsyncLibrary(f"{type(effect).__module__} can't wait here: {_what_runs()}") from error


def _what_runs() -> str:
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return "no asynchronous library runs; call this from a task, or use polysocket.blocking"
    return f"{library} runs" + (f", for which there is polysocket.{library}" if library in ("asyncio", "trio") else "")


async def _attempt(effect: Effect, request: Request, route: Route, handshake: ClientHandshake) -> Session | Response:
    """One connection with its handshake."""
    assert request.url is not None
    link = await _connect(effect, request.url, route)
    try:
        answer = await _upgrade(link, request.url, handshake)
        if isinstance(answer, Upgraded):
            return _session(effect, link, ConnectionType.CLIENT, answer, request)
    except BaseException:
        link.abort()
        raise
    link.abort()
    return answer


def follow(first: Request, request: Request, answer: Response, route: Route) -> Request:
    """The request to go on with after another answer than 101, which must be a redirect."""
    if not is_redirect(answer):
        raise UpgradeRejected(answer)
    said = f"the server answered {answer.status_line}"
    if route.is_fixed:
        raise RedirectRefused(answer, f"{said}, but redirects can't be followed with sock or unix_path")
    if request.max_redirects == 0:
        limit = first.max_redirects
        raise RedirectRefused(answer, f"{said} after {limit} redirects, and follow_redirects({limit}) allows no more")
    return redirected(request, answer)


async def _connect(effect: Effect, url: WebSocketURL, route: Route) -> Link:
    if route.sock is not None:
        place = "the given socket"
        connecting = _adopt(effect, route.sock)
    elif route.unix_path is not None:
        place = f"the Unix socket {route.unix_path}"
        connecting = effect.connect_unix(route.unix_path)
    else:
        place = f"{url.host} port {url.port}"
        connecting = effect.connect_tcp(url.host, url.port)
    try:
        link = await connecting
    except OSError as error:
        raise ConnectFailed(f"could not connect to {place}: {_explained(error)}") from error
    if not url.secure:
        return link
    try:
        return await TLSLink.start(link, route.ssl or default_context(), server_hostname=url.host)
    except OSError as error:
        link.abort()
        over = place if url.host in place else f"{url.host} over {place}"
        raise ConnectFailed(f"no TLS with {over}: {_explained(error)}") from error
    except BaseException:
        link.abort()
        raise


async def _adopt(effect: Effect, sock: socket.socket) -> Link:
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


def _explained(error: OSError) -> str:
    """The error in words, with those of the single attempts where there were many."""
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "" if error.verify_code in WRONG_NAME else "; ssl= takes a context that trusts it"
        return f"the server's certificate is not valid: {error.verify_message.removesuffix('.')}{remedy}"
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        words = str(reason).lower().replace("_", " ")
        return f"{words}; where the server speaks no TLS, the URL must begin with ws://"
    attempts: tuple[Exception, ...] = getattr(error.__cause__, "exceptions", ())
    if attempts:
        return "; ".join(dict.fromkeys(_explained(attempt) for attempt in attempts if isinstance(attempt, OSError)))
    if error.errno and any(words in str(error) for words in OF_RUNTIMES):
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error)


async def _upgrade(link: Link, url: WebSocketURL, handshake: ClientHandshake) -> Upgraded | Response:
    try:
        link.write(handshake.data_to_send())
        await link.drain()
        while (answer := handshake.receive(await link.read())) is None:
            pass
    except OSError as error:
        raise ConnectFailed(f"the connection to {url} was lost during the opening handshake: {error}") from error
    return answer


def _session(effect: Effect, link: Link, role: ConnectionType, upgraded: Upgraded, limits: Request) -> Session:
    connection = Connection(role, upgraded.deflate, limits.max_message_size)
    connection.receive(upgraded.trailing)
    return Session(effect, link, connection, upgraded.response, limits.close_timeout)


async def accept_websocket(effect: Effect, link: Link, limits: Request = basic_request) -> WebSocket[Any]:
    """The server's half: read an upgrade from the link and accept it (RFC 6455 §4.2).

    ``limits`` has the time limits, the largest message, the compression and the subprotocols that the server knows.
    Raises :class:`InvalidUpgrade` once the refusal is sent, :class:`OpenTimeout`, :class:`ConnectFailed`.
    """
    handshake = ServerHandshake(limits.compression, limits.max_message_size)
    try:
        async with effect.time_limit(limits.open_timeout):
            upgraded = await _accept(link, handshake, limits.subprotocols)
    except TimeoutError as error:
        link.abort()
        raise OpenTimeout(f"no upgrade was received within {limits.open_timeout} seconds") from error
    except BaseException:
        link.abort()
        raise
    return WebSocket(_session(effect, link, ConnectionType.SERVER, upgraded, limits), effect)


async def _accept(link: Link, handshake: ServerHandshake, subprotocols: tuple[str, ...]) -> Upgraded:
    try:
        try:
            while (request := handshake.receive(await link.read())) is None:
                pass
        except InvalidUpgrade:
            link.write(handshake.data_to_send())
            await link.close()
            raise
        upgraded = handshake.accept(next((name for name in request.subprotocols if name in subprotocols), None))
        link.write(handshake.data_to_send())
        await link.drain()
    except OSError as error:
        raise ConnectFailed(f"the connection was lost during the opening handshake: {error}") from error
    return upgraded
