"""Backends: what many connections share, and sttp's way to open one: ``backend.open_websocket(request, handler)``.

A flavour's backend is in the flavour's module. Its programs are an :class:`Opener`'s; a backend that wraps another one,
and the stub for tests, have openers of their own.
"""

from __future__ import annotations

import copy
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Protocol, Self, TypeVar, overload

from polysocket._logger import logger
from polysocket._opening.opening_handshake import open_session
from polysocket._opening.transport import Transport
from polysocket._session.listening import calling_listener
from polysocket._session.session import Session, leave
from polysocket.close_info import CloseInfo
from polysocket.effects import Async, Blocking, Effect, HasEffect, HasWith, Threaded, lifted
from polysocket.errors import BackendClosed, InvalidHandler, InvalidRequest
from polysocket.frames import CloseCode
from polysocket.handlers.handler import Handler, WebSocketHandler
from polysocket.handlers.listener import Listener
from polysocket.handlers.pipe import PipeHandler
from polysocket.observers.logging import LoggingObserver
from polysocket.observers.observation import Observer, guarded, observations
from polysocket.request import Request
from polysocket.response import WebSocketResponse
from polysocket.websocket import WebSocket

__all__ = ["Backend", "LoggingBackend", "ObservedBackend", "Opened", "Opener", "SocketOpener"]

A = TypeVar("A", bound=Async)
F_co = TypeVar("F_co", covariant=True)


class Opener(Protocol):
    """The programs of a backend."""

    @property
    def effect(self) -> Effect:
        """The flavour's effect."""
        ...

    @property
    def request(self) -> Request:
        """The request to begin with, for a URL that is given as a ``str``."""
        ...

    def observed_by(self, observer: Observer, /) -> Opener:
        """The same opener, with one observer more."""
        ...

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a websocket, and give it to the handler, whose result is in the response."""
        ...

    async def open_websocket_f(self, request: str | Request, make_handler: Callable[[], Any]) -> WebSocketResponse[Any]:
        """The same with a handler that is itself made by an effect of ``F``, just before."""
        ...

    async def close(self) -> None:
        """Close the backend, and what it has opened."""
        ...

    async def leave(self, error: BaseException | None, /) -> None:
        """Close at the end of a ``with``, in which there was this error."""
        ...


class SocketOpener:
    """The :class:`Opener` of real connections; those that it opens are told to the observers."""

    def __init__(self, effect: Effect, transport: Transport, request: Request) -> None:
        if not isinstance(request, Request):
            raise InvalidRequest(f"request is a Request, not {request!r}")
        self.effect = effect
        self.request = request
        self._transport = transport
        self._opened = Opened()
        self._observers: tuple[Observer, ...] = ()

    def observed_by(self, observer: Observer) -> Self:
        """The same opener with one observer more; what either opens, and the closing, is of both."""
        opener = copy.copy(self)
        opener._observers = (*self._observers, observer)
        return opener

    async def open_websocket(self, request: str | Request, handler: Handler) -> WebSocketResponse[Any]:
        """Open a websocket for the handler, which is refused first where it can't work here."""
        check_handler(handler, self.effect)
        session = await self._open(as_request(request, self.request))
        return await respond(self.effect, session, handler)

    async def open_websocket_f(self, request: str | Request, make_handler: Callable[[], Any]) -> WebSocketResponse[Any]:
        """Have the handler made, then open the websocket."""
        request = as_request(request, self.request)
        self._check_open()
        if not callable(make_handler):
            raise InvalidHandler(f"make_handler is a function that makes a handler, not {make_handler!r}")
        made = make_handler()
        if inspect.iscoroutine(made) and not self.effect.is_async:
            made.close()
            raise InvalidHandler("make_handler gives a coroutine, which this flavour can't await")
        try:
            handler = await self.effect.unlift(made)
        except (TypeError, AttributeError) as error:
            if not isinstance(made, Handler):
                raise
            raise InvalidHandler(f"make_handler gives its handler in F, not a plain {type(made).__name__}") from error
        return await self.open_websocket(request, handler)

    async def close(self) -> None:
        """Close every websocket that was opened, all at the same time, with 1000, and open nothing more."""
        await self._close(CloseCode.NORMAL_CLOSURE)

    async def leave(self, error: BaseException | None) -> None:
        """Close at the end of a ``with``, as a websocket does."""
        await leave(self.effect, error, self._close, self.abort)

    async def _close(self, code: int) -> None:
        sessions = self._opened.close()
        for session in sessions:
            session.begin_closing(code)
        try:
            for session in sessions:
                await session.close()
            await self._wait_for_listeners()
        finally:
            self.abort()  # Where the closing was cancelled, the rest ends as it is.

    async def _wait_for_listeners(self) -> None:
        since = self.effect.now()
        asking = calling_listener()
        if asking is not None:
            asking.wait_for_others()
        for session in list(self._opened.sessions):
            if session in self._opened.sessions and not await session.has_listened(since, asking):
                logger.warning("a listener is not at its end yet, and the backend is left without it")

    def abort(self) -> None:
        """End what was opened without waiting, and open nothing more."""
        for session in self._opened.close():
            session.abort()

    def _check_open(self) -> None:
        if self._opened.is_closed:
            raise BackendClosed("the backend was closed, and opens nothing more")

    async def _open(self, request: Request) -> Session:
        self._check_open()
        return await self._observed(request, open_session(self.effect, request, self._transport))

    async def _observed(self, request: Request, opening: Awaitable[Session]) -> Session:
        """Await a session, which the backend's closing will close, and tell the observers of it."""
        begun = observations(self._observers, request)
        try:
            session = await opening
            if not self._opened.add(session):
                session.abort()
                self._check_open()
        except BaseException as error:
            for observation in begun:
                guarded(observation.rejected)(error)
            raise
        for observation in begun:
            guarded(observation.opened)(session.response)
            session.observe(observation)
        session.when_over(lambda: self._opened.sessions.discard(session))  # not before the observers know
        return session


class Opened:
    """What was opened by an opener, and by those that observe it."""

    def __init__(self, sessions: set[Session] | None = None) -> None:
        self.sessions: set[Session] = set() if sessions is None else sessions
        self.is_closed: bool = False
        self._lock = threading.Lock()

    def add(self, session: Session) -> bool:
        """Count a websocket as opened; False where the backend was closed meanwhile."""
        with self._lock:
            if not self.is_closed:
                self.sessions.add(session)
            return not self.is_closed

    def close(self) -> list[Session]:
        """Add nothing more; gives what was opened and has not ended."""
        with self._lock:
            self.is_closed = True
            return list(self.sessions)


def as_request(request: str | Request, base: Request) -> Request:
    """The request itself, or one to a URL that begins with ``base``."""
    return request if isinstance(request, Request) else base.get(request)


def check_handler(handler: Handler, effect: Effect) -> None:
    """Raise :class:`InvalidHandler` for what is no handler, or none for this flavour."""
    if not isinstance(handler, Handler):
        raise InvalidHandler(f"a handler is a WebSocketHandler, Listener or PipeHandler, not {handler!r}")
    handler.check(effect)


async def respond(effect: Effect, session: Session, handler: Handler) -> WebSocketResponse[Any]:
    """Start the handler, and put its result beside the server's answer."""
    answer = session.response
    try:
        result = await handler.start(effect, session)
    except BaseException:
        session.abort()
        raise
    return WebSocketResponse(
        answer.status, answer.headers, answer.reason, answer.subprotocol, answer.extensions, result=result
    )


class _BlockingOpen(Protocol):
    @overload
    def __call__(
        self, request: str | Request, handler: WebSocketHandler | Listener[Blocking]
    ) -> WebSocketResponse[WebSocket[Blocking]]: ...
    @overload
    def __call__(self, request: str | Request, handler: PipeHandler) -> WebSocketResponse[CloseInfo]: ...


class _AsyncOpen(Protocol[A]):
    @overload
    def __call__(
        self, request: str | Request, handler: WebSocketHandler | Listener[A]
    ) -> Coroutine[Any, Any, WebSocketResponse[WebSocket[A]]]: ...
    @overload
    def __call__(
        self, request: str | Request, handler: PipeHandler
    ) -> Coroutine[Any, Any, WebSocketResponse[CloseInfo]]: ...


class _ThreadedOpen(Protocol):
    @overload
    def __call__(
        self, request: str | Request, handler: WebSocketHandler | Listener[Threaded]
    ) -> Future[WebSocketResponse[WebSocket[Threaded]]]: ...
    @overload
    def __call__(self, request: str | Request, handler: PipeHandler) -> Future[WebSocketResponse[CloseInfo]]: ...


class _BlockingOpenF(Protocol):
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], WebSocketHandler | Listener[Blocking]]
    ) -> WebSocketResponse[WebSocket[Blocking]]: ...
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], PipeHandler]
    ) -> WebSocketResponse[CloseInfo]: ...


class _AsyncOpenF(Protocol[A]):
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], Awaitable[WebSocketHandler | Listener[A]]]
    ) -> Coroutine[Any, Any, WebSocketResponse[WebSocket[A]]]: ...
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], Awaitable[PipeHandler]]
    ) -> Coroutine[Any, Any, WebSocketResponse[CloseInfo]]: ...


class _ThreadedOpenF(Protocol):
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], Future[WebSocketHandler] | Future[Listener[Threaded]]]
    ) -> Future[WebSocketResponse[WebSocket[Threaded]]]: ...
    @overload
    def __call__(
        self, request: str | Request, make_handler: Callable[[], Future[PipeHandler]]
    ) -> Future[WebSocketResponse[CloseInfo]]: ...


class _Open:
    """``open_websocket``: overloads by the handler, which :class:`lifted` can't carry."""

    @overload
    def __get__(self, backend: HasEffect[Blocking], owner: Any = None) -> _BlockingOpen: ...
    @overload
    def __get__(self, backend: HasEffect[A], owner: Any = None) -> _AsyncOpen[A]: ...
    @overload
    def __get__(self, backend: HasEffect[Threaded], owner: Any = None) -> _ThreadedOpen: ...
    def __get__(self, backend: HasEffect[Any] | None, owner: Any = None) -> Any:
        return self if backend is None else backend._effect.lift(backend._programs.open_websocket)


class _OpenF:
    """``open_websocket_f``, as :class:`_Open`."""

    @overload
    def __get__(self, backend: HasEffect[Blocking], owner: Any = None) -> _BlockingOpenF: ...
    @overload
    def __get__(self, backend: HasEffect[A], owner: Any = None) -> _AsyncOpenF[A]: ...
    @overload
    def __get__(self, backend: HasEffect[Threaded], owner: Any = None) -> _ThreadedOpenF: ...
    def __get__(self, backend: HasEffect[Any] | None, owner: Any = None) -> Any:
        return self if backend is None else backend._effect.lift(backend._programs.open_websocket_f)


class Backend(HasWith[F_co]):
    """Opens websockets that share their settings; leaving its ``with`` (``async with``) closes all that it has opened.

    They are closed as a websocket is by its own ``with``: with 1000, after an error in the block with 1011, and where
    the block was cancelled with 1001, at once. ``close()`` closes with 1000.

    ``backend.open_websocket(request, handler)`` gives ``F[WebSocketResponse[R]]``, where the handler says what ``R``
    is: a ``WebSocket[F]``, or a :class:`CloseInfo` for a pipe. ``backend.open_websocket_f(request, make_handler)``
    takes a function that makes the handler by an effect of ``F``, called when the websocket is about to be opened. A
    URL that is given as a ``str`` begins with the backend's own ``request``. Both raise :class:`OpeningFailed`,
    :class:`InvalidURL`, :class:`InvalidRequest`, :class:`InvalidHandler` and :class:`BackendClosed` (sttp's
    ``SttpBackend``).
    """

    open_websocket: Final = _Open()
    open_websocket_f: Final = _OpenF()
    close: Final = lifted(SocketOpener.close)

    def __init__(self, opener: Opener) -> None:
        self._programs: Opener = opener
        self._effect = opener.effect

    @property
    def request(self) -> Request:
        """The request to begin with: this backend's headers and limits, and no URL."""
        return self._programs.request


class ObservedBackend(Backend[F_co]):
    """A backend that wraps another one, and tells an observer what happens to the websockets that it opens."""

    def __init__(self, backend: Backend[F_co], observer: Observer) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(f"{type(self).__name__}() takes a backend to wrap, not {backend!r}")
        super().__init__(backend._programs.observed_by(observer))


class LoggingBackend(ObservedBackend[F_co]):
    """A backend that wraps another one, and logs by a :class:`~polysocket.LoggingObserver`."""

    def __init__(self, backend: Backend[F_co], logger: logging.Logger = logger) -> None:
        super().__init__(backend, LoggingObserver(logger))
