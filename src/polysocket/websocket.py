"""``WebSocket[F]``: an open websocket, with the same methods in every flavour.

Each method is a program of one line, which the class of a flavour lifts to ``F``; the work is the session's. The
awaitable that ``connect`` returns in the asynchronous flavours is here, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypeVar, cast, overload

from polysocket._lifting import HasWith, lifted, lifted_overloads
from polysocket._opening.options import ConnectOptions, prepare
from polysocket._session.iterating import Messages, UntilClosed, until_closed
from polysocket._session.receiving import DATA
from polysocket._session.session import Session
from polysocket.close_info import CloseInfo
from polysocket.effects import Async, Blocking, CoroutineEffect, DelegatingEffect, Effect, Lifter, Threaded
from polysocket.errors import WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Pong, Text
from polysocket.request import Request, check_timeout
from polysocket.response import Response

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ConnectCall", "WebSocket", "open_websocket"]

T = TypeVar("T")
F_co = TypeVar("F_co", covariant=True)
W = TypeVar("W", bound="WebSocket[Any]")
V_co = TypeVar("V_co", bound="WebSocket[Async]", covariant=True)


class WebSocket(HasWith[F_co]):
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

    def __init__(self, session: Session, effect: Lifter) -> None:
        self._session = session
        self._effect = effect

    @lifted
    async def receive(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Frame | Close:
        """Receive the next frame of any kind: data, Ping, Pong, and at the end the Close (sttp's ``receive``).

        One caller at a time may receive.

        Args:
            pong_on_ping: Answer a Ping that is received.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: After the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        if (frame := receiver.take_ready_frame(pong_on_ping)) is not None:
            return frame
        return await session.read_until(partial(receiver.take_frame, pong_on_ping), "frame", timeout)

    @lifted
    async def receive_data_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> DataFrame:
        """Receive the next data frame, which may be a fragment (sttp's ``receiveDataFrame``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No data frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        return await session.read_until(partial(receiver.take_data, DATA, pong_on_ping), "data frame", timeout)

    @lifted
    async def receive_text_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Text:
        """Receive the next data frame, which must be text (sttp's ``receiveTextFrame``).

        It may be a fragment. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: It is binary; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No text frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        return await session.read_until(partial(receiver.take_data, Text, pong_on_ping), "text frame", timeout)

    @lifted
    async def receive_binary_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Binary:
        """Receive the next data frame, which must be binary (sttp's ``receiveBinaryFrame``).

        It may be a fragment. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: It is text; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No binary frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        return await session.read_until(partial(receiver.take_data, Binary, pong_on_ping), "binary frame", timeout)

    @lifted
    async def receive_text(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str:
        """Receive a whole text message, its fragments joined (sttp's ``receiveText``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: The message is binary; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No text message was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        if (frame := receiver.take_whole(Text)) is not None:
            return frame.payload
        return await session.read_until(partial(receiver.take_message, Text, pong_on_ping), "text message", timeout)

    @lifted
    async def receive_binary(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> bytes:
        """Receive a whole binary message, its fragments joined (sttp's ``receiveBinary``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: The message is text; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No binary message was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        if (frame := receiver.take_whole(Binary)) is not None:
            return frame.payload
        return await session.read_until(partial(receiver.take_message, Binary, pong_on_ping), "binary message", timeout)

    @lifted
    async def receive_message(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str | bytes:
        """Receive a whole message: ``str`` for text, ``bytes`` for binary.

        Its fragments are joined. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No message was received in time.
            ConcurrentReceive: Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if timeout is not None:
            check_timeout(timeout)
        if (frame := receiver.take_whole(DATA)) is not None:
            return frame.payload
        return await session.read_until(partial(receiver.take_message, DATA, pong_on_ping), "message", timeout)

    @lifted
    async def send(self, frame: Frame | Close, is_continuation: bool = False, *, timeout: float | None = None) -> None:
        """Send a frame (sttp's ``send``), and wait while too much is pending in the network.

        ``Text("…", final=False)`` begins a message in fragments. Send each further fragment with ``is_continuation``;
        the last one is final. Data frames of other tasks and threads wait until then; control frames do not. A Close
        begins the closing handshake; then the peer's Close can be received.

        Args:
            frame: The frame to send.
            is_continuation: Whether the frame continues a message in fragments.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The frame may not be sent.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, frame, is_continuation)
        elif (rest := self._session.send_frame(frame, is_continuation)) is not None:
            await rest

    @lifted
    async def send_text(self, text: str, *, timeout: float | None = None) -> None:
        """Send a text message in one frame (sttp's ``sendText``).

        Args:
            text: The message.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The text can't be encoded in UTF-8, or a fragmented message of this caller is not finished.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, Text(text))
        elif (rest := self._session.send_frame(Text(text))) is not None:
            await rest

    @lifted
    async def send_binary(self, data: bytes, *, timeout: float | None = None) -> None:
        """Send a binary message in one frame (sttp's ``sendBinary``).

        Args:
            data: The message.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The data are not bytes, or a fragmented message of this caller is not finished.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, Binary(data))
        elif (rest := self._session.send_frame(Binary(data))) is not None:
            await rest

    @lifted
    async def ping(self, payload: bytes | None = None, *, timeout: float | None = None) -> float:
        """Send a Ping, wait for its Pong, and return the round-trip time in seconds.

        The time counts from when the network takes the Ping, as far as the stream tells: a Ping may have to wait.
        Frames that arrive before the Pong are kept for ``receive``. If they fill 1 MiB, the ping waits until some are
        received.

        Args:
            payload: At most 125 bytes; None for random ones.
            timeout: Seconds to send the Ping and to wait for the Pong; None for no limit.

        Raises:
            ReceiveTimeout: No Pong was received in time.
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The payload is too long.

        Cancellation:
            A cancelled ping has sent the whole Ping or nothing, and no longer waits for the Pong. It loses no frame.
        """
        return await self._session.ping(payload, timeout)

    @lifted
    async def pong(self, payload: bytes = b"", *, timeout: float | None = None) -> None:
        """Send an unsolicited Pong (RFC 6455 §5.5.3).

        Args:
            payload: At most 125 bytes.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The payload is too long.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, Pong(payload))
        elif (rest := self._session.send_frame(Pong(payload))) is not None:
            await rest

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
        websocket has ended without a Close.
        """
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

        ``call`` is a function without parameters, such as ``ws.receive_text``.
        """
        try:
            return await self._effect.unlift(call())
        except WebSocketClosed as error:
            return error.close

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent: no Close was sent or received, and the end of the connection was not read.

        The peer's Close is read while a caller receives or pings, or in the background with a :class:`Buffer`.
        """
        return self._session.is_open

    @property
    def response(self) -> Response:
        """The HTTP response that opened the websocket; its ``headers`` are sttp's ``upgradeHeaders``."""
        return self._session.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, or None (RFC 6455 §1.9)."""
        return self._session.response.subprotocol

    @property
    def close_info(self) -> CloseInfo | None:
        """How the websocket ended: the initiator, both Closes, and the cause; None while it has not ended."""
        return self._session.close_info

    def _for_programs(self) -> WebSocket[Async]:
        """Return the websocket for use in a program: its methods are coroutine functions, whatever the flavour."""
        if self._effect.is_async:
            return cast("WebSocket[Async]", self)
        return CoroutineWebSocket(self._session, CoroutineWebSocket._effect)

    def __iter__(self: WebSocket[Blocking]) -> Iterator[str | bytes]:
        self._refuse_futures()
        self._refuse("for", if_async=True)
        return until_closed(self.receive_message)

    def __aiter__(self: WebSocket[Async]) -> AsyncIterator[str | bytes]:
        self._refuse_futures()
        self._refuse("async for", if_async=False)
        receive = self.receive_message
        is_own = getattr(receive, "__func__", None) is _RECEIVE_MESSAGE
        return Messages(self._session) if is_own else UntilClosed(receive)  # a subclass's method, or a mock

    def _refuse_futures(self) -> None:
        from concurrent.futures import Future  # noqa: PLC0415 - slow to import

        if not self._effect.is_async and isinstance(self._effect.lift(_nothing)(), Future):
            raise TypeError(
                "a WebSocket whose calls return futures has no iteration: call receive_message() repeatedly"
            )

    def __repr__(self) -> str:
        state = "open" if self.is_open else str(self.close_info)
        return f"<WebSocket {state}>"


async def _nothing() -> None: ...


_RECEIVE_MESSAGE: Final = WebSocket.__dict__["receive_message"].__wrapped__


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
    from polysocket._opening.opening_handshake import open_session  # noqa: PLC0415 - with h11 and wsproto, slow to import

    request, transport = prepare(target, options)
    return kind(await open_session(effect, request, transport), effect)


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

    if not TYPE_CHECKING:  # A type checker refuses "with" by itself.

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
