"""``WebSocket[F]``: the public face of a session, the same in every flavour.

Each method is one line: a program of the session, lifted to ``F``. What that mechanism can't
say stands here too: the two kinds of ``with`` and of iteration, and ``either``, whose argument is in ``F`` itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar, cast, overload

from polysocket._session.session import Session
from polysocket.close_info import CloseInfo
from polysocket.effects import Async, Blocking, CoroutineEffect, HasEffect, HasWith, Lifter, Threaded, lifted
from polysocket.errors import WebSocketClosed
from polysocket.frames import Close
from polysocket.response import Response

__all__ = ["Opening", "UntilClosed", "WebSocket", "until_closed"]

T = TypeVar("T")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
F_co = TypeVar("F_co", covariant=True)
A = TypeVar("A", bound=Async)


class _BlockingEither(Protocol[E_co]):
    def __call__(self, call: Callable[[], T], /) -> T | E_co: ...


class _AsyncEither(Protocol[E_co]):
    def __call__(self, call: Callable[[], Awaitable[T]], /) -> Coroutine[Any, Any, T | E_co]: ...


class _ThreadedEither(Protocol[E]):
    def __call__(self, call: Callable[[], Future[T]], /) -> Future[T | E]: ...


class _Either(Generic[E]):
    """A method that takes a call in ``F``, and gives its result or, where the websocket has ended, what was its end."""

    def __init__(self, end: Callable[[WebSocketClosed], E], doc: str) -> None:
        self._end = end
        self.__doc__ = doc

    @overload
    def __get__(self, ws: HasEffect[Blocking], owner: Any = None) -> _BlockingEither[E]: ...
    @overload
    def __get__(self, ws: HasEffect[Async], owner: Any = None) -> _AsyncEither[E]: ...
    @overload
    def __get__(self, ws: HasEffect[Threaded], owner: Any = None) -> _ThreadedEither[E]: ...
    def __get__(self, ws: HasEffect[Any] | None, owner: Any = None) -> Any:
        if ws is None:
            return self

        async def either(call: Callable[[], Any], /) -> Any:
            try:
                return await ws._effect.unlift(call())
            except WebSocketClosed as error:
                return self._end(error)

        return ws._effect.lift(either)


def _close_or_raise(error: WebSocketClosed) -> Close:
    if error.close is None:
        raise error
    return error.close


def _close_or_none(error: WebSocketClosed) -> Close | None:
    return error.close


class WebSocket(HasWith[F_co]):
    """An open websocket whose methods give their results in ``F``: sttp's ``WebSocket[F]``.

    Made by a flavour's ``connect``. Leaving its ``with`` (``async with``) closes it; iterating over it gives the
    messages, ends at a normal closing (1000, 1001, no code) and raises :class:`WebSocketClosed` at any other. The
    threaded flavour has no iteration.
    """

    def __init__(self, session: Session, effect: Lifter) -> None:
        self._programs: Session = session
        self._effect = effect

    receive: Final = lifted(Session.receive)
    receive_data_frame: Final = lifted(Session.receive_data_frame)
    receive_text_frame: Final = lifted(Session.receive_text_frame)
    receive_binary_frame: Final = lifted(Session.receive_binary_frame)
    receive_text: Final = lifted(Session.receive_text)
    receive_binary: Final = lifted(Session.receive_binary)
    receive_message: Final = lifted(Session.receive_message)
    send: Final = lifted(Session.send)
    send_text: Final = lifted(Session.send_text)
    send_binary: Final = lifted(Session.send_binary)
    ping: Final = lifted(Session.ping)
    pong: Final = lifted(Session.pong)
    close: Final = lifted(Session.close)

    either_close: Final = _Either(
        _close_or_raise,
        """Call ``call`` and give its result, or the Close where one was received (sttp's ``eitherClose``).

        Takes a function of no arguments, such as ``ws.receive_text``. Raises :class:`WebSocketClosed` where the
        websocket has ended without a Close.
        """,
    )
    either: Final = _Either(
        _close_or_none,
        """Call ``call`` and give its result; where the websocket has ended, the Close or None (sttp's ``either``).

        Takes a function of no arguments, such as ``ws.receive_text``.
        """,
    )

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent: no Close was sent or received, and the connection's end was not met.

        The other side's Close is met by whoever receives or pings; without a :class:`Buffer` nobody else reads.
        """
        return self._programs.is_open

    @property
    def response(self) -> Response:
        """The HTTP answer that opened the websocket; its ``headers`` are sttp's ``upgradeHeaders``."""
        return self._programs.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the two sides agreed on, or None (RFC 6455 §1.9)."""
        return self._programs.response.subprotocol

    @property
    def close_info(self) -> CloseInfo | None:
        """How the websocket ended: who began it, both Closes, what imposed it; None while it has not."""
        return self._programs.close_info

    def _for_programs(self) -> WebSocket[Async]:
        """The same as a program sees it: its methods are coroutine functions, whatever the flavour."""
        if self._effect.is_async:
            return cast("WebSocket[Async]", self)
        return WebSocket(self._programs, CoroutineEffect())

    def __iter__(self: WebSocket[Blocking]) -> Iterator[str | bytes]:
        self._refuse_futures()
        self._refuse("for", where_async=True)
        return until_closed(self.receive_message)

    def __aiter__(self: WebSocket[Async]) -> AsyncIterator[str | bytes]:
        self._refuse_futures()
        self._refuse("async for", where_async=False)
        return UntilClosed(self.receive_message)

    def _refuse_futures(self) -> None:
        if not self._effect.is_async and isinstance(self._effect.lift(_nothing)(), Future):
            raise TypeError(
                "a WebSocket whose calls give futures has no iteration: call receive_message() again and again"
            )

    def __repr__(self) -> str:
        state = "open" if self.is_open else str(self.close_info)
        return f"<WebSocket {state}>"


async def _nothing() -> None: ...


def until_closed(receive: Callable[[], T]) -> Generator[T, None, None]:
    """Iteration over what is received, which ends at a normal closing and raises at any other."""
    while True:
        try:
            received = receive()
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                return
            raise
        yield received


class UntilClosed(AsyncIterator[T]):
    """The same for asynchronous flavours.

    It is no async generator, so that a cancellation ends nothing but the one step.
    """

    def __init__(self, receive: Callable[[], Awaitable[T]]) -> None:
        self._receive = receive

    async def __anext__(self) -> T:
        try:
            return await self._receive()
        except WebSocketClosed as error:
            if error.close_info.is_normal:
                raise StopAsyncIteration from None
            raise


class Opening(Coroutine[Any, Any, WebSocket[A]], Generic[A]):
    """A websocket about to be opened, in an asynchronous flavour: to be awaited, or entered by ``async with``, once.

    It is a coroutine, so it may be a task, too; and where it is forgotten, Python warns.
    """

    def __init__(self, program: Coroutine[Any, Any, WebSocket[A]]) -> None:
        self._program = program
        self._is_begun = False
        cast("Any", program).__qualname__ = "connect"  # in that warning

    def __await__(self) -> Generator[Any, Any, WebSocket[A]]:
        if self._is_begun:
            raise RuntimeError("this connect() was awaited or entered already: call it again for another websocket")
        self._is_begun = True
        return self._program.__await__()

    def send(self, value: Any, /) -> Any:
        """As of any coroutine; for event loops."""
        self._is_begun = True
        return self._program.send(value)

    def throw(self, *error: Any) -> Any:
        """As of any coroutine; for event loops."""
        return self._program.throw(*error)

    def close(self) -> None:
        """As of any coroutine: open nothing. What was opened is closed by its own ``close``."""
        self._program.close()

    async def __aenter__(self) -> WebSocket[A]:
        self._websocket = await self
        return self._websocket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._websocket.__aexit__(kind, error, tb)
