"""``WebSocket[F]``: an open websocket, with the same methods in every flavour.

Each method is a program of one line, which the class of a flavour lifts to ``F``; the work is the session's. Those
that send, receive, or need no waiting are in ``_methods``. The awaitable that ``connect`` returns in the asynchronous
flavours is here, too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, ParamSpec, Self, TypeVar, cast, overload

from polysocket._lifting import HasEffect, lifted, lifted_overloads
from polysocket._methods import receiving, sending
from polysocket._methods.waiting import check_function
from polysocket._opening.observing import observed
from polysocket._opening.options import ConnectOptions, prepare
from polysocket._opening.transport import Transport
from polysocket._session.session import Session
from polysocket.effects import Async, Blocking, CoroutineEffect, DelegatingEffect, Effect, Lifter, Threaded
from polysocket.errors import WebSocketClosed
from polysocket.frames import Close, CloseCode
from polysocket.observers.logging import connection_log
from polysocket.request import Request

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ConnectCall", "WebSocket", "check_async", "lifted_connect", "open_logged_session", "open_websocket"]

P = ParamSpec("P")
T = TypeVar("T")
F_co = TypeVar("F_co", covariant=True)
W = TypeVar("W", bound="WebSocket[Any]")
V_co = TypeVar("V_co", bound="WebSocket[Async]", covariant=True)


class WebSocket(receiving.WebSocket[F_co], sending.WebSocket[F_co]):
    """An open websocket whose methods return their results in ``F``: sttp's ``WebSocket[F]``.

    A flavour's ``connect`` returns one, of the flavour's own class (``polysocket.asyncio.WebSocket``). The end of its
    ``with`` (``async with``) closes it. Iterating over it yields the messages, stops at a normal closing (1000, 1001,
    no code) and raises :class:`WebSocketClosed` at any other. The threaded flavour has no iteration.
    """

    def __init_subclass__(cls, *, effect: Lifter | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(effect=effect, **kwargs)
        if effect is not None:
            _flavours.setdefault(type(effect), cls)

    def __new__(cls, session: Session, effect: Lifter) -> Self:  # noqa: ARG004
        """Make an object of the flavour's own class, if the flavour has one."""
        return object.__new__(cast("type[Self]", _flavour_of(effect)) if cls is WebSocket else cls)

    @lifted
    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the websocket: the closing handshake (RFC 6455 §7.1.2), then the connection; sttp's ``close``.

        May be called more than once. ``close_info`` says how the websocket ended. Frames that come before the peer's
        Close can still be received after it. Once 1 MiB of them, or a :class:`Buffer`, is full and no caller makes
        room, closing drops the frames that follow.

        Args:
            code: The code of the Close (RFC 6455 §7.4).
            reason: The reason of the Close, at most 123 bytes in UTF-8.

        Raises:
            InvalidFrame: The code or the reason may not be sent.

        Cancellation:
            The connection is dropped if the call is cancelled, or if closing takes more than ``close_timeout`` seconds.
        """
        await self._session.close(code, reason)

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:
        await self._session.close_after(error)

    @overload
    def either_close(self: WebSocket[Blocking], call: Callable[[], T], /) -> T | Close: ...
    @overload
    def either_close(self: WebSocket[Async], call: Callable[[], Awaitable[T]], /) -> Coroutine[Any, Any, T | Close]: ...
    @overload
    def either_close(self: WebSocket[Threaded], call: Callable[[], Future[T]], /) -> Future[T | Close]: ...
    @lifted_overloads
    async def either_close(self, call: Callable[[], Any], /) -> Any | Close:
        """Return the result of ``call()``, or the Close if the websocket has ended with one (sttp's ``eitherClose``).

        ``call`` is a function without parameters, such as ``ws.receive_text``. Raises :class:`WebSocketClosed` if the
        websocket has ended without a Close, and TypeError for anything but a function.
        """
        check_function("either_close", call)
        try:
            return await self._effect.unlift(call())
        except WebSocketClosed as error:
            if error.close is None:
                raise
            return error.close

    @overload
    def either(self: WebSocket[Blocking], call: Callable[[], T], /) -> T | Close | None: ...
    @overload
    def either(
        self: WebSocket[Async], call: Callable[[], Awaitable[T]], /
    ) -> Coroutine[Any, Any, T | Close | None]: ...
    @overload
    def either(self: WebSocket[Threaded], call: Callable[[], Future[T]], /) -> Future[T | Close | None]: ...
    @lifted_overloads
    async def either(self, call: Callable[[], Any], /) -> Any | Close | None:
        """Return the result of ``call()``; if the websocket has ended, the Close or None (sttp's ``either``).

        ``call`` is a function without parameters, such as ``ws.receive_text``. Raises TypeError for anything else.
        """
        check_function("either", call)
        try:
            return await self._effect.unlift(call())
        except WebSocketClosed as error:
            return error.close

    def _for_programs(self) -> WebSocket[Async]:
        """Return the websocket for use in a program: its methods are coroutine functions, whatever the flavour."""
        if self._effect.is_async:
            return cast("WebSocket[Async]", self)
        return CoroutineWebSocket(self._session, CoroutineWebSocket._effect)


_flavours: Final[dict[type[Any], type[WebSocket[Any]]]] = {}
"""The class of each flavour, by the type of its effect."""


def _flavour_of(effect: Lifter) -> type[WebSocket[Any]]:
    """Return the class of an effect's flavour; the common class for an effect that lifts in a way of its own."""
    of_effect = cast("Any", type(effect))
    for kind in of_effect.__mro__:
        if kind in _flavours and kind.lift is of_effect.lift:
            return _flavours[kind]
    if isinstance(effect, DelegatingEffect) and of_effect.lift is DelegatingEffect.lift:
        return _flavour_of(effect.inner)
    return WebSocket


class CoroutineWebSocket(WebSocket[Async], effect=CoroutineEffect()):
    """A websocket as programs use it, whatever its flavour."""


async def open_websocket(kind: type[W], effect: Effect, target: str | Request, options: ConnectOptions) -> W:
    """Open a websocket for a flavour's ``connect``; ``kind`` is the flavour's class."""
    request, transport = prepare(target, options)
    session = await open_logged_session(effect, request, transport)
    session.begin()
    if (buffer := options.get("buffer")) is not None:
        session.read_ahead(buffer)
    return kind(session, effect)


def open_logged_session(effect: Effect, request: Request, transport: Transport) -> Awaitable[Session]:
    """Return what is awaited to open a session. It logs what happens to the session if its logger is on."""
    from polysocket._opening.opening_handshake import open_session  # noqa: PLC0415 - with h11 and wsproto, slow to import

    log = connection_log(transport.logger, request)
    opening = open_session(effect, request, transport, log)
    return opening if log is None else observed(opening, (log,))


class lifted_connect(lifted[P, T]):  # noqa: N801 - used like a decorator
    """A ``connect`` made of a program: in an asynchronous flavour, its call is a :class:`ConnectCall`."""

    def __get__(self, instance: HasEffect[Any] | None, owner: Any = None) -> Any:
        """Return the method of an object without a flavour's class."""
        return self if instance is None else MethodType(self.lift(instance._effect), instance)

    def lift(self, effect: Lifter) -> Callable[..., Any]:
        """Make the function that a flavour's class has."""
        function = super().lift(effect)
        if not effect.is_async:
            return function

        def connect(*args: Any, **kwargs: Any) -> ConnectCall[Any]:
            return ConnectCall(function(*args, **kwargs))

        shown: Any = functools.update_wrapper(connect, function)
        del shown.__wrapped__  # With it, inspect would take the function for a coroutine function.
        signature = inspect.signature(function)
        result = f"ConnectCall[{signature.return_annotation}]"
        shown.__signature__ = signature.replace(return_annotation=result)
        shown.__annotations__ = {**function.__annotations__, "return": result}
        return connect


class ConnectCall(Coroutine[Any, Any, V_co], Generic[V_co]):
    """A call of ``connect`` in an asynchronous flavour, to be awaited, or entered with ``async with``, once.

    It is a coroutine, so it may be run in a task, and Python warns if it is never awaited.
    """

    def __init__(self, program: Coroutine[Any, Any, V_co]) -> None:
        self._program = program
        self._is_begun = False
        cast("Any", program).__qualname__ = "connect"  # in that warning

    def __await__(self) -> Generator[Any, Any, V_co]:
        if self._is_begun:
            raise RuntimeError("this connect() was awaited or entered already: call it again for another websocket")
        self._is_begun = True
        return self._program.__await__()

    def send(self, value: Any, /) -> Any:
        """Resume the coroutine; for event loops."""
        self._is_begun = True
        return self._program.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside the coroutine; for event loops."""
        return self._program.throw(*error)

    def close(self) -> None:
        """Close the coroutine, so that nothing is opened. An open websocket is closed by its own ``close``."""
        self._program.close()

    async def __aenter__(self) -> V_co:
        self._websocket = await self
        return self._websocket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._websocket.__aexit__(kind, error, tb)

    if not TYPE_CHECKING:  # A type checker refuses these by itself.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or not hasattr(WebSocket, name):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            # Without "obj", Python adds no guess.
            text = "write 'ws = await connect(…)' or 'async with connect(…) as ws'"
            raise AttributeError(f"connect() was not awaited, so it has no {name!r} yet: {text}")

        def __enter__(self) -> NoReturn:
            self.close()
            raise TypeError("connect() of this flavour is for 'async with', not 'with'")

        def __exit__(self, *_: object) -> None: ...

        def __aiter__(self) -> NoReturn:
            self.close()
            raise TypeError(
                "connect() opens one websocket, for 'async with': 'async for ws in reconnect(…)' opens the next one "
                "whenever one has ended"
            )


def check_async(adapter: object, websocket: object) -> None:
    """Raise TypeError unless this is a websocket of an asynchronous flavour, whose methods an adapter can await."""
    if not isinstance(websocket, WebSocket) or not websocket._effect.is_async:
        raise TypeError(f"{type(adapter).__name__}() takes a websocket of an asynchronous flavour, not {websocket!r}")
