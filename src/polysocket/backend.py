"""Backends: settings that websockets share, and sttp's way to open one: ``backend.open_websocket(request, handler)``.

The programs of a backend are those of its :class:`Connector`. A backend that wraps another one has a connector made
from the other's; so has the stub for tests.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, Unpack, cast, overload

from polysocket._core import close_codes
from polysocket._lifting import HasWith, lifted, lifted_overloads
from polysocket._logger import get_logger
from polysocket._opening.observing import observed
from polysocket._opening.options import ConnectOptions, prepare, shows_options
from polysocket._opening.transport import Transport
from polysocket._session.listening import calling_listener
from polysocket._session.session import Session, close_after
from polysocket.close_info import CloseInfo
from polysocket.effects import Async, Blocking, Effect, Mutex, Threaded
from polysocket.errors import BackendClosed, InvalidHandler, WrongEventLoop
from polysocket.handlers.handler import Handler, WebSocketHandler
from polysocket.handlers.listener import Listener
from polysocket.handlers.pipe import PipeHandler
from polysocket.observers.logging import ConnectionLog, LoggingObserver, connection_log
from polysocket.observers.observation import Observer, observations
from polysocket.proxy import ProxySetting, system_proxy
from polysocket.request import Request, basic_request, check_request
from polysocket.response import WebSocketResponse
from polysocket.websocket import ConnectCall, WebSocket, lifted_connect

if TYPE_CHECKING:
    import logging
    from concurrent.futures import Future
    from ssl import SSLContext

__all__ = ["Backend", "Connector", "LoggingBackend", "ObservedBackend", "SocketBackend", "SocketConnector"]

T = TypeVar("T")
F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)
A = TypeVar("A", bound=Async)

# mypy takes a subclass such as ThreadedBackend for a Backend[A], whatever the bound of A says. So the overloads of the
# threaded flavour come before those of A.

# For the overloads: a handler whose result is a websocket, one whose result is a CloseInfo, and their responses.
ToWebSocket = WebSocketHandler | Listener[F]
OfWebSocket = WebSocketResponse[WebSocket[F]]
OfPipe = WebSocketResponse[CloseInfo]
Coro = Coroutine[Any, Any, T]


class Backend(HasWith[F_co]):
    """An opener of websockets that share settings. The end of its ``with`` (``async with``) closes them all.

    They are closed as the end of a websocket's own ``with`` does: with 1000, after an error with 1011, and after a
    cancellation with 1001, at once. (sttp's ``SttpBackend``.)
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._effect = connector.effect

    @property
    def request(self) -> Request:
        """The request that a URL given as a ``str`` begins with: the backend's headers and limits, and no URL."""
        return self._connector.request

    @overload
    def connect(
        self: Backend[Blocking], url_or_request: str | Request, /, **options: Unpack[ConnectOptions]
    ) -> WebSocket[Blocking]: ...
    @overload
    def connect(
        self: Backend[Threaded], url_or_request: str | Request, /, **options: Unpack[ConnectOptions]
    ) -> Future[WebSocket[Threaded]]: ...
    @overload
    def connect(
        self: Backend[A], url_or_request: str | Request, /, **options: Unpack[ConnectOptions]
    ) -> ConnectCall[WebSocket[A]]: ...
    @lifted_connect
    @shows_options
    async def connect(self, url_or_request: str | Request, /, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        """Open a websocket as the flavour's ``connect`` does, with the settings of the backend.

        A URL begins with the backend's request. The options override the settings of the request and of the backend.

        Raises:
            OpeningFailed: The websocket could not be opened; each subclass names a step.
            InvalidURL: The URL can't be used.
            InvalidRequest: A header or an option can't be used.
            BackendClosed: The backend was closed.

        Cancellation:
            A cancelled call drops the connection.
        """
        return WebSocket(await self._connector.connect(url_or_request, options), self._effect)

    @overload
    def open_websocket(
        self: Backend[Blocking], request: str | Request, handler: ToWebSocket[Blocking]
    ) -> OfWebSocket[Blocking]: ...
    @overload
    def open_websocket(self: Backend[Blocking], request: str | Request, handler: PipeHandler) -> OfPipe: ...
    @overload
    def open_websocket(
        self: Backend[Threaded], request: str | Request, handler: ToWebSocket[Threaded]
    ) -> Future[OfWebSocket[Threaded]]: ...
    @overload
    def open_websocket(self: Backend[Threaded], request: str | Request, handler: PipeHandler) -> Future[OfPipe]: ...
    @overload
    def open_websocket(self: Backend[A], request: str | Request, handler: ToWebSocket[A]) -> Coro[OfWebSocket[A]]: ...
    @overload
    def open_websocket(self: Backend[Async], request: str | Request, handler: PipeHandler) -> Coro[OfPipe]: ...
    @lifted_overloads
    async def open_websocket(
        self, request: str | Request, handler: WebSocketHandler | Listener[Any] | PipeHandler
    ) -> WebSocketResponse[Any]:
        """Open a websocket for a handler, whose result is in the response (sttp's ``openWebsocket``).

        Args:
            request: The request to send, or a URL to send the backend's own request to.
            handler: What to do with the websocket. The result is the :class:`WebSocket`, or a :class:`CloseInfo` for a
                :class:`PipeHandler`.

        Raises:
            OpeningFailed: The websocket could not be opened; each subclass names a step.
            InvalidURL: The URL can't be used.
            InvalidRequest: A header or an option can't be used.
            InvalidHandler: The handler can't work in this flavour.
            BackendClosed: The backend was closed.

        Cancellation:
            A cancelled call drops the connection.
        """
        return await self._connector.open_websocket(request, handler)

    @overload
    def open_websocket_f(
        self: Backend[Blocking], request: str | Request, make_handler: Callable[[], ToWebSocket[Blocking]]
    ) -> OfWebSocket[Blocking]: ...
    @overload
    def open_websocket_f(
        self: Backend[Blocking], request: str | Request, make_handler: Callable[[], PipeHandler]
    ) -> OfPipe: ...
    @overload
    def open_websocket_f(
        self: Backend[Threaded],
        request: str | Request,
        make_handler: Callable[[], Future[WebSocketHandler] | Future[Listener[Threaded]]],
    ) -> Future[OfWebSocket[Threaded]]: ...
    @overload
    def open_websocket_f(
        self: Backend[Threaded], request: str | Request, make_handler: Callable[[], Future[PipeHandler]]
    ) -> Future[OfPipe]: ...
    @overload
    def open_websocket_f(
        self: Backend[A], request: str | Request, make_handler: Callable[[], Awaitable[ToWebSocket[A]]]
    ) -> Coro[OfWebSocket[A]]: ...
    @overload
    def open_websocket_f(
        self: Backend[Async], request: str | Request, make_handler: Callable[[], Awaitable[PipeHandler]]
    ) -> Coro[OfPipe]: ...
    @lifted_overloads
    async def open_websocket_f(self, request: str | Request, make_handler: Callable[[], Any]) -> WebSocketResponse[Any]:
        """Make a handler with an effect of ``F``, then open a websocket for it (sttp's ``openWebsocketF``).

        Args:
            request: The request to send, or a URL to send the backend's own request to.
            make_handler: A function that returns the handler in ``F``, called just before the websocket is opened.

        Raises:
            Exception: What ``make_handler`` raises.
            OpeningFailed: The websocket could not be opened; each subclass names a step.
            InvalidURL: The URL can't be used.
            InvalidRequest: A header or an option can't be used.
            InvalidHandler: The handler can't work in this flavour.
            BackendClosed: The backend was closed.

        Cancellation:
            A cancelled call drops the connection.
        """
        return await self._connector.open_websocket_f(request, make_handler)

    @lifted
    async def close(self) -> None:
        """Close every websocket that was opened, all at the same time, with 1000, and open no more."""
        await self._connector.close()

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:
        await self._connector.close_after(error)


class SocketBackend(Backend[F_co]):
    """A backend of real connections; the subclass of a flavour adds its effect."""

    def __init__(
        self, *, ssl: SSLContext | None = None, proxy: ProxySetting = system_proxy, request: Request = basic_request
    ) -> None:
        """Make a backend; connections are made when websockets are opened.

        Args:
            ssl: TLS settings for wss URLs. The default context trusts the system's certificate authorities.
            proxy: The proxy to connect via: a URL, a :class:`Proxy`, a function that chooses one for each URL, or None.
            request: The request that a URL given as a ``str`` begins with.

        Raises:
            InvalidRequest: An argument can't be used.
        """
        super().__init__(SocketConnector(cast("Effect", self._effect), Transport(ssl, proxy=proxy), request))


class ObservedBackend(Backend[F_co]):
    """A backend that wraps another one, and tells an observer about the websockets that it opens."""

    def __init__(self, backend: Backend[F_co], observer: Observer) -> None:
        self._check(backend)
        if isinstance(observer, type) or not callable(getattr(observer, "opening", None)):
            raise TypeError(f"{type(self).__name__}() takes an observer, which has an opening(), not {observer!r}")
        super().__init__(backend._connector.observed_by(observer))

    @classmethod
    def _check(cls, backend: object) -> None:
        """Raise TypeError unless this is a backend, which can be wrapped."""
        if not isinstance(backend, Backend):
            raise TypeError(f"{cls.__name__}() takes a backend to wrap, not {backend!r}")


class LoggingBackend(ObservedBackend[F_co]):
    """A backend that wraps another one, and logs with a :class:`~polysocket.LoggingObserver`."""

    def __init__(
        self, backend: Backend[F_co], logger: logging.Logger | logging.LoggerAdapter[Any] | None = None
    ) -> None:
        super().__init__(backend, LoggingObserver(logger))


class Connector(Protocol):
    """The programs of a backend."""

    @property
    def effect(self) -> Effect:
        """The flavour's effect."""
        ...

    @property
    def request(self) -> Request:
        """The request that a URL given as a ``str`` begins with."""
        ...

    def observed_by(self, observer: Observer, /) -> Connector:
        """Return the same connector with one more observer."""
        ...

    async def connect(self, target: str | Request, options: ConnectOptions) -> Session:
        """Open a websocket with the options of ``connect``."""
        ...

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a websocket, and start the handler, whose result is in the response."""
        ...

    async def open_websocket_f(self, request: str | Request, make_handler: Callable[[], Any]) -> WebSocketResponse[Any]:
        """Make the handler with an effect of ``F``, then open a websocket for it."""
        ...

    async def close(self) -> None:
        """Close the backend, and the websockets that it has opened."""
        ...

    async def close_after(self, error: BaseException | None, /) -> None:
        """Close at the end of a ``with`` whose block has raised this error, if any."""
        ...


class SocketConnector:
    """The :class:`Connector` of real connections; it tells observers about each websocket that it opens."""

    def __init__(self, effect: Effect, transport: Transport, request: Request) -> None:
        check_request("request", request)
        self.effect = effect
        self.request = request
        self._transport = transport
        self._open_sessions = _OpenSessions(effect.mutex())
        self._observers: tuple[Observer, ...] = ()

    def observed_by(self, observer: Observer) -> Self:
        """Return the same connector with one more observer; the two share their websockets, and close together."""
        connector = copy.copy(self)
        connector._observers = (*self._observers, observer)
        return connector

    async def connect(self, target: str | Request, options: ConnectOptions) -> Session:
        """Open a websocket with the options of ``connect``, which override the backend's settings."""
        session = await self._open(*prepare(target, options, base=self.request, transport=self._transport))
        if (buffer := options.get("buffer")) is not None:
            session.read_ahead(buffer)
        return session

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a websocket for the handler, which is refused first if it can't work in this flavour."""
        check_handler(handler, self.effect)
        session = await self._open(as_request(request, self.request), self._transport)
        return await respond(self.effect, session, handler)

    async def open_websocket_f(self, request: str | Request, make_handler: Callable[[], Any]) -> WebSocketResponse[Any]:
        """Make the handler, then open a websocket for it."""
        request = as_request(request, self.request)
        self._check_open()
        if not callable(make_handler):
            raise InvalidHandler(f"make_handler is a function that makes a handler, not {make_handler!r}")
        made = make_handler()
        if inspect.iscoroutine(made) and not self.effect.is_async:
            made.close()
            raise InvalidHandler("make_handler returned a coroutine, which this flavour can't await")
        try:
            handler = await self.effect.unlift(made)
        except (TypeError, AttributeError) as error:
            if not isinstance(made, Handler):
                raise
            raise InvalidHandler(f"make_handler returns its handler in F, not a plain {type(made).__name__}") from error
        finally:
            del made  # A future's error has a traceback with this frame.
        return await self.open_websocket(request, handler)

    async def close(self) -> None:
        """Close every websocket that was opened, all at the same time, with 1000, and open no more."""
        await self._close(close_codes.BLOCK_ENDED)

    async def close_after(self, error: BaseException | None) -> None:
        """Close at the end of a ``with``, as a websocket does."""
        await close_after(self.effect, error, self._close, self.abort)

    async def _close(self, code: int) -> None:
        sessions, other_loops = list[Session](), 0
        for session in self._open_sessions.close():
            if session.has_loop_ended:
                session.abort()
            elif session.is_in_own_loop:
                sessions.append(session)
            else:
                other_loops += 1
        closings = [(session, session.begin_closing(code)) for session in sessions]
        try:
            for session, is_in_notification in closings:
                await session.close(is_in_notification=is_in_notification)
            if sessions:  # else the clock of another library's loop may be out of reach
                await self._wait_for_listeners(sessions)
        finally:
            for session in sessions:  # If the closing was cancelled, the remaining connections are dropped.
                session.abort()
        if other_loops:
            raise WrongEventLoop(
                f"{other_loops} open websocket(s) of this backend were opened in other event loops: "
                "close the backend there, too"
            )

    async def _wait_for_listeners(self, sessions: list[Session]) -> None:
        since = self.effect.now()
        caller = calling_listener()
        if caller is not None:
            caller.note_waiting()
        for session in sessions:
            if session in self._open_sessions.left() and not await session.wait_for_listener(since, caller):
                get_logger().warning("a listener has not ended within the close timeout; the backend closes without it")

    def abort(self) -> None:
        """Drop the connections of the websockets without waiting, and open no more.

        Those of other event loops that run are left to them.
        """
        for session in self._open_sessions.close():
            session.abort()

    def _check_open(self) -> None:
        if self._open_sessions.is_closed:
            raise BackendClosed("the backend was closed, and opens nothing more")

    async def _open(self, request: Request, transport: Transport) -> Session:
        from polysocket._opening.opening_handshake import open_session  # noqa: PLC0415 - with h11 and wsproto, slow to import

        self._check_open()
        log = self._log(request, transport)
        return await self._observed(request, log, open_session(self.effect, request, transport, log))

    def _log(self, request: Request, transport: Transport) -> ConnectionLog | None:
        return connection_log(transport.logger, request, self._observers)

    async def _observed(self, request: Request, log: ConnectionLog | None, opening: Awaitable[Session]) -> Session:
        """Await a session, add it to the open ones, and tell the log and the observers about it."""
        begun = observations(self._observers, request)
        added: list[Session] = []
        try:
            session = await observed(self._added(opening, added), begun if log is None else [*begun, log])
            session.begin()
            session.when_over(lambda _: self._open_sessions.discard(session))  # after the observers were told
        except BaseException:
            for each in added:  # An observer, or a signal handler, has raised: no caller gets the session.
                each.abort()
                self._open_sessions.discard(each)
            raise
        return session

    async def _added(self, opening: Awaitable[Session], added: list[Session]) -> Session:
        """Await a session, and add it to the open ones and to ``added``."""
        session = await opening
        added.append(session)
        if not self._open_sessions.add(session):
            session.abort()
            self._check_open()
        return session


class _OpenSessions:
    """The open sessions of a connector, and of those that observe it; the mutex guards them."""

    def __init__(self, mutex: Mutex) -> None:
        self.is_closed: bool = False
        self.sessions: set[Session] = set()
        self._mutex = mutex

    def shared(self) -> _OpenSessions:
        """Return an object with the same sessions, which is closed on its own."""
        other = _OpenSessions(self._mutex)
        other.sessions = self.sessions
        return other

    def add(self, session: Session) -> bool:
        """Add a session; return False if the backend was closed meanwhile."""
        with self._mutex:
            if not self.is_closed:
                self.sessions.add(session)
            return not self.is_closed

    def discard(self, session: Session) -> None:
        """Remove a session that has ended."""
        with self._mutex:
            self.sessions.discard(session)

    def left(self) -> list[Session]:
        """Return the sessions that have not ended."""
        with self._mutex:
            return list(self.sessions)

    def close(self) -> list[Session]:
        """Accept no more sessions, and return the open ones."""
        with self._mutex:
            self.is_closed = True
            return list(self.sessions)


def as_request(request: str | Request, base: Request) -> Request:
    """Return the request itself, or the base request with this URL."""
    return request if isinstance(request, Request) else base.get(request)


def check_handler(handler: Handler, effect: Effect) -> None:
    """Raise :class:`InvalidHandler` if this is no handler, or one that can't work in this flavour."""
    if not isinstance(handler, Handler):
        raise InvalidHandler(f"a handler is a WebSocketHandler, Listener or PipeHandler, not {handler!r}")
    handler.check(effect)


async def respond(effect: Effect, session: Session, handler: Handler) -> WebSocketResponse[Any]:
    """Start the handler, and return its result with the server's response."""
    answer = session.response
    try:
        result = await handler.start(effect, session)
    except BaseException:
        session.abort()
        raise
    return WebSocketResponse(
        answer.status, answer.headers, answer.reason, answer.subprotocol, answer.extensions, result=result
    )
