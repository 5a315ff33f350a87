"""The programs that open a websocket: the opening handshake, redirects, time limits; and the server's half of it.

Written once for every flavour; how one comes to the server is in :mod:`polysocket._opening.transport`.
"""

from __future__ import annotations

import sniffio
from wsproto import ConnectionType

from polysocket._core.client_handshake import ClientHandshake, Upgraded
from polysocket._core.connection import Connection
from polysocket._core.redirect import is_redirect, redirected
from polysocket._opening.transport import Route, Way
from polysocket._session.session import Session
from polysocket.effects import ByteStream, Effect
from polysocket.errors import (
    ConnectFailed,
    InvalidRequest,
    NoAsyncLibrary,
    OpeningFailed,
    OpenTimeout,
    RedirectRefused,
    UpgradeRejected,
)
from polysocket.request import Request
from polysocket.response import Response
from polysocket.url import WebSocketURL

__all__ = ["follow", "open_session", "session_of"]


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
        raise NoAsyncLibrary(f"{effect.name} can't wait here: {_what_runs()}") from error


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
        stream = await self._way.connect(effect)
        try:
            answer = await _upgrade(stream, self._url, self._handshake)
            if isinstance(answer, Upgraded):
                return session_of(effect, stream, ConnectionType.CLIENT, answer, self._request)
        except BaseException:
            stream.abort()
            raise
        stream.abort()
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


async def _upgrade(stream: ByteStream, url: WebSocketURL, handshake: ClientHandshake) -> Upgraded | Response:
    try:
        stream.write(handshake.data_to_send())
        await stream.drain()
        while (answer := handshake.receive(await stream.read())) is None:
            pass
    except OSError as error:
        raise ConnectFailed(f"the connection to {url} was lost during the opening handshake: {error}") from error
    return answer


def session_of(
    effect: Effect, stream: ByteStream, role: ConnectionType, upgraded: Upgraded, limits: Request
) -> Session:
    """The session of one side, behind the opening handshake."""
    connection = Connection(role, upgraded.deflate, limits.max_message_size)
    connection.receive(upgraded.trailing)
    return Session(effect, stream, connection, upgraded.response, limits.close_timeout)
