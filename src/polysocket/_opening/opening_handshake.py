"""The client's programs for opening a websocket: connect, shake hands, follow redirects, within a time limit.

They are written once for every flavour. The server's program is in ``accept``, the connection itself in ``transport``.
"""

from __future__ import annotations

import contextlib
import sys

from wsproto import ConnectionType

from polysocket._core.client_handshake import ClientHandshake, rejected
from polysocket._core.connection import Connection
from polysocket._core.handshake import Upgraded
from polysocket._core.redirect import is_redirect, redirected
from polysocket._opening.dialer import Dialer, causes_of, read_body, read_rest, system_errno
from polysocket._opening.transport import Transport
from polysocket._session.session import Session
from polysocket.effects import ByteStream, Effect
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.errors import (
    ConnectFailed,
    InvalidRequest,
    NoAsyncLibrary,
    OpeningFailed,
    OpenTimeout,
    RedirectRefused,
    UpgradeRejected,
)
from polysocket.observers.logging import ConnectionLog
from polysocket.request import Request, authenticated
from polysocket.response import Response
from polysocket.url import has_same_origin

__all__ = ["follow", "open_session", "session_of"]


async def open_session(
    effect: Effect, request: Request, transport: Transport, log: ConnectionLog | None = None
) -> Session:
    """Open a websocket: connect, shake hands, follow redirects; ``log`` gets each handshake.

    Raises :class:`OpeningFailed` (its subclasses say at which step), :class:`InvalidRequest`, :class:`NoAsyncLibrary`.
    """
    _check_runs(effect)
    first = request
    attempt = _Attempt(request, transport, log)
    try:
        async with effect.time_limit(request.open_timeout):
            while True:
                stream = await attempt.dialer.connect(effect)
                try:
                    answer = await attempt.shake_hands(effect, stream)
                    if isinstance(answer, Upgraded):
                        return session_of(effect, stream, ConnectionType.CLIENT, answer, request)
                    if refusal(first, request, answer, transport) is not None:
                        answer = await attempt.rejection(effect, stream)
                except BaseException:
                    stream.abort()
                    raise
                stream.abort()
                request = follow(first, request, answer, transport)
                attempt = _Attempt(request, transport, log)
    except TimeoutError:
        so_far = attempt.rejection_so_far
        refused = None if so_far is None else refusal(first, request, so_far, transport)
        raise refused or attempt.timed_out() from None
    except ConnectFailed as error:
        if request is not first:
            error.args = (f"{error} (after a redirect from {first.url})",)
        raise


class _Attempt:
    """One connection with its handshake, which knows how far it came when its time is over."""

    def __init__(self, request: Request, transport: Transport, log: ConnectionLog | None) -> None:
        if request.url is None:
            raise InvalidRequest("the request has no URL: add it with .get('wss://…')")
        self._request = request
        self._handshake = ClientHandshake(request if request.auth is None else authenticated(request))
        self._log = log
        self.dialer: Dialer = Dialer(request.url, transport)

    @property
    def rejection_so_far(self) -> Response | None:
        """The answer other than 101, with its body so far; None before its header is complete."""
        return self._handshake.rejection

    async def shake_hands(self, effect: Effect, stream: ByteStream) -> Upgraded | Response:
        """Send the request and read the answer. Of an answer other than 101, the body may be incomplete."""
        answer: Upgraded | Response | None = None
        failure: OSError | None = None
        if self._log is not None:
            self._log.sent_request(self._request, self._handshake.headers)
        try:
            try:
                stream.write(self._handshake.data_to_send())
                if stream.pending:
                    await stream.drain()
            except OSError as error:  # The server may have rejected the request before it hung up.
                failure = without_tracebacks(error)
            while answer is None:
                data = await (stream.read() if failure is None else read_rest(effect, stream, failure))
                answer = self._handshake.receive(data) or self._handshake.rejection
        except OSError as error:
            (cause,), hint = causes_of(error), self._handshake.scheme_hint
            text = f"the connection to {self._request.url} was lost during the opening handshake: {cause}{hint}"
            raise ConnectFailed(text, system_errno(cause), (cause,)) from cause
        if self._log is not None:
            self._log.received_response(answer.response if isinstance(answer, Upgraded) else answer)
        return answer

    async def rejection(self, effect: Effect, stream: ByteStream) -> Response:
        """Read the rest of the body, as :func:`read_body` does; return the answer other than 101."""
        if not self._handshake.is_over:
            await read_body(effect, stream, self._handshake.receive)
        answer = self._handshake.rejection
        assert answer is not None, "only the body of a rejection is read"
        return answer

    def timed_out(self) -> OpeningFailed:
        """Return the error for a passed time limit. A rejection whose header is complete says more than a timeout."""
        if self.dialer.rejection is not None:
            return self.dialer.rejection
        seconds, step = self._request.open_timeout, self.dialer.step
        place = f"{self._request.url}{self.dialer.via}"
        text = f"{place} was not open within {seconds} seconds: still {step}{self.dialer.scheme_hint}"
        return OpenTimeout(text, seconds, step)


def refusal(first: Request, request: Request, answer: Response, transport: Transport) -> UpgradeRejected | None:
    """Return the error for an answer other than 101, or None if it is a redirect that :func:`follow` follows."""
    try:
        follow(first, request, answer, transport)
    except UpgradeRejected as error:
        return error
    return None


def follow(first: Request, request: Request, answer: Response, transport: Transport) -> Request:
    """Return the request that follows from an answer other than 101, which must be a redirect.

    Raises :class:`UpgradeRejected` for another answer, and :class:`RedirectRefused`.
    """
    if not is_redirect(answer):
        raise rejected(request, answer)
    answered = f"the server answered {answer.status_line}"
    if transport.is_fixed:
        raise RedirectRefused(answer, f"{answered}, but redirects can't be followed with sock or unix_path")
    if request.max_redirects == 0:
        limit = first.max_redirects
        text = f"{answered} after {limit} redirects, and max_redirects={limit} allows no more"
        raise RedirectRefused(answer, text)
    following = redirected(request, answer)
    assert request.url is not None, "a request without a URL has no answer"
    assert following.url is not None, "a redirect leads to a URL"
    if transport.names_server and not has_same_origin(request.url, following.url):
        text = f"{answered}, to another origin, but host, port and server_hostname name the server of {first.url}"
        raise RedirectRefused(answer, text)
    return following


def session_of(
    effect: Effect, stream: ByteStream, role: ConnectionType, upgraded: Upgraded, request: Request
) -> Session:
    """Return the session of one side after the opening handshake; ``request`` has the limits of this side."""
    connection = Connection(role, upgraded.deflate, request.max_message_size)
    if upgraded.trailing:
        connection.receive(upgraded.trailing)
    return Session(effect, stream, connection, upgraded.response, request)


def _check_runs(effect: Effect) -> None:
    """Raise :class:`NoAsyncLibrary` unless the effect's library runs here."""
    try:
        effect.current_task()
    except NoAsyncLibrary:
        raise
    except RuntimeError:
        library = _running_library()
        if library is None:
            text = "no asynchronous library runs; call this from a task, or use polysocket.blocking"
        else:
            text = f"{library} runs"
            if library in ("asyncio", "trio"):
                text += f", for which there is polysocket.{library}"
        raise NoAsyncLibrary(f"{effect.name} can't wait here: {text}") from None


def _running_library() -> str | None:
    """Return the name of the asynchronous library that runs here. A library that runs was imported before."""
    if (trio := sys.modules.get("trio")) is not None and trio.lowlevel.in_trio_run():
        return "trio"
    if (asyncio := sys.modules.get("asyncio")) is not None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            return "asyncio"
    if (sniffio := sys.modules.get("sniffio")) is not None:  # It knows other libraries, such as curio.
        with contextlib.suppress(sniffio.AsyncLibraryNotFoundError):
            return str(sniffio.current_async_library())
    return None
