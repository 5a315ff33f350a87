"""The programs that open a websocket: the opening handshake, redirects, time limits; and the server's half of it.

Written once for every flavour; how one comes to the server is in :mod:`polysocket.route`.
"""

from __future__ import annotations

import dataclasses
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
    OpeningFailed,
    OpenTimeout,
    RedirectRefused,
    UpgradeRejected,
)
from polysocket.hints import hint
from polysocket.proxy import ProxySetting
from polysocket.request import Deflate, Request, Response, WebSocketURL, basic_request
from polysocket.route import Route, Way
from polysocket.session import Session
from polysocket.websocket import WebSocket

__all__ = ["ConnectOptions", "Route", "accept_websocket", "follow", "open_session", "open_websocket", "session_of"]


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
    proxy: ProxySetting
    """The way to the server: a URL, a :class:`Proxy`, or a function that chooses one for each URL; None for none."""


def _prepare(target: str | Request, options: ConnectOptions) -> tuple[Request, Route]:
    for name in options:
        if name not in ConnectOptions.__annotations__:
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}{hint(name)}")
    given: dict[str, Any] = dict(options)
    unix_path, *others = (given.pop(name, None) for name in ("unix_path", "ssl", "sock", "proxy"))
    if not isinstance(unix_path, str | os.PathLike | None):
        raise InvalidRequest(f"unix_path is a path, not {unix_path!r}")
    context, sock, proxy = others
    route = Route(context, sock, None if unix_path is None else os.fspath(unix_path), proxy)
    request = target if isinstance(target, Request) else basic_request.get(target)
    request = dataclasses.replace(request, **given)
    if context is not None and request.url is not None and not request.url.secure:
        raise InvalidRequest("ssl is for wss URLs, and this is a ws URL")
    return request, route


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
    attempt = Attempt(request, route)
    try:
        async with effect.time_limit(request.open_timeout):
            while not isinstance(opened := await attempt.run(effect), Session):
                request = follow(first, request, opened, route)
                attempt = Attempt(request, route)
    except TimeoutError as error:
        raise attempt.timed_out() from error
    except ConnectFailed as error:
        if request is not first:
            error.args = (f"{error} (where a redirect from {first.url} led)",)
        raise
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


class Attempt:
    """One connection with its handshake; it can be asked what is known of a rejection that did not come to its end."""

    def __init__(self, request: Request, route: Route) -> None:
        assert request.url is not None
        self._request = request
        self._url = request.url
        self._handshake = ClientHandshake(request)
        self._way = Way(request.url, route)

    async def run(self, effect: Effect) -> Session | Response:
        """Connect and shake hands; gives the session, or another answer than 101."""
        link = await self._way.connect(effect)
        try:
            answer = await _upgrade(link, self._url, self._handshake)
            if isinstance(answer, Upgraded):
                return session_of(effect, link, ConnectionType.CLIENT, answer, self._request)
        except BaseException:
            link.abort()
            raise
        link.abort()
        return answer

    def timed_out(self) -> OpeningFailed:
        """The error where no time is left."""
        if self._handshake.rejection is not None:
            return UpgradeRejected(self._handshake.rejection)
        if self._way.rejection is not None:
            return self._way.rejection
        seconds = self._request.open_timeout
        way = self._way
        return OpenTimeout(f"{self._url}{way.by} was not open within {seconds} seconds: still {way.step}")


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


async def _upgrade(link: Link, url: WebSocketURL, handshake: ClientHandshake) -> Upgraded | Response:
    try:
        link.write(handshake.data_to_send())
        await link.drain()
        while (answer := handshake.receive(await link.read())) is None:
            pass
    except OSError as error:
        raise ConnectFailed(f"the connection to {url} was lost during the opening handshake: {error}") from error
    return answer


def session_of(effect: Effect, link: Link, role: ConnectionType, upgraded: Upgraded, limits: Request) -> Session:
    """The session of one side, behind the opening handshake."""
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
    return WebSocket(session_of(effect, link, ConnectionType.SERVER, upgraded, limits), effect)


async def _accept(link: Link, handshake: ServerHandshake, subprotocols: tuple[str, ...]) -> Upgraded:
    try:
        try:
            while (request := handshake.receive(await link.read())) is None:
                pass
        except InvalidUpgrade:
            link.write(handshake.data_to_send())
            await link.close()
            raise
        upgraded = handshake.accept(request.first_of(subprotocols))
        link.write(handshake.data_to_send())
        await link.drain()
    except OSError as error:
        raise ConnectFailed(f"the connection was lost during the opening handshake: {error}") from error
    return upgraded
