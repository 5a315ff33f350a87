"""Clients whose many requests share one websocket: the base class for request/response protocols.

The client of a protocol, such as JSON-RPC or GraphQL, derives from it. A program in the background receives all
messages, and hands each answer to the exchange whose number it has.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, cast

from polysocket._core import close_codes
from polysocket._lifting import HasWith, lifted, wait_for_result
from polysocket._logger import get_logger
from polysocket._session.exchanges import Answers, Exchanges
from polysocket.buffer import Buffer
from polysocket.effects import Async, Blocking, Threaded
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.errors import ExchangeEnded, InvalidRequest, MultiplexerFailed, WebSocketClosed
from polysocket.polymorphic import PolymorphicClient
from polysocket.request import check_timeout
from polysocket.websocket import WebSocket

__all__ = ["Exchange", "Multiplexer", "Subscription"]

T_co = TypeVar("T_co", covariant=True)
F_co = TypeVar("F_co", covariant=True)
S = TypeVar("S", bound="Subscription[Blocking, Any] | Subscription[Threaded, Any]")
A = TypeVar("A", bound="Subscription[Async, Any]")

BUFFER: Final = Buffer.bounded(1000)
"""The answers of one exchange that are held by default: a second's worth of a busy stream, at most 16 MiB."""


class Multiplexer(PolymorphicClient[F_co], ABC):
    """The base of a client whose requests and subscriptions share one websocket, for many tasks and threads at once.

    A subclass says how the protocol carries the number of a request, and which request a message answers: it overrides
    :meth:`on_message`, and sends requests in an :meth:`exchange` or a :meth:`subscription`. The first of them starts
    the reader, a program in the background that receives all messages. So nothing else may receive from the websocket.

    When the websocket ends, all callers that wait raise its :class:`WebSocketClosed`. The end of the websocket's
    ``with`` also ends the reader.
    """

    def __init__(self, websocket: WebSocket[F_co]) -> None:
        super().__init__(websocket)
        self._exchanges = Exchanges(websocket._session, websocket._session._effect)
        self._numbers = itertools.count(1)

    async def on_start(self) -> None:
        """Open the protocol's session: a program that runs once, before all exchanges and before ``on_message``.

        Override it if the protocol begins with messages of its own, such as a login. It may send and receive. All
        requests wait for its end, without a time limit: give its own calls one. An exception fails the client, as in
        :meth:`on_message`.
        """

    @abstractmethod
    async def on_message(self, message: str | bytes, /) -> None:
        """Handle a received message: pass an answer on with :meth:`deliver` and :meth:`finish`.

        It is a program that the reader calls for one message after the other. It may send, but can't wait for answers.
        An exception fails the client: the websocket is closed with 1011, and all callers that wait raise
        :class:`MultiplexerFailed`.
        """

    async def on_subscribe(self, number: Any, request: Any, /) -> None:
        """Send a request whose answers a :class:`Subscription` receives. Override it for :meth:`subscription`."""
        raise NotImplementedError(f"{type(self).__name__} has no subscriptions: it does not override on_subscribe")

    async def on_unsubscribe(self, number: Any, /) -> None:
        """Tell the peer that a subscription is no longer wanted. Override it if the protocol has a message for it.

        It is called once for a subscription that is left, or overflows, before the peer has finished it. The request
        may not have been sent if sending it has failed. If a cancellation ends the subscription, it can't wait.
        """

    def exchange(self, number: Hashable = None) -> Exchange:
        """Return a new exchange, for ``async with`` in a program: one request and its answers.

        ``number`` is what the peer's answers carry: the next of 1, 2, 3 … if it is None.
        """
        return Exchange(self._program_view(), Answers(next(self._numbers) if number is None else number, BUFFER))

    def subscription(self, request: Any, *, buffer: Buffer = BUFFER) -> Subscription[F_co, Any]:
        """Return a subscription, which calls :meth:`on_subscribe` with its number and this request once it begins.

        Args:
            request: What to subscribe to, for ``on_subscribe``.
            buffer: How many answers are held for callers that are slow. If more arrive, the subscription ends with
                :class:`SubscriptionFull`: it must not hold up the others.

        Raises:
            InvalidRequest: The buffer would wait, or is not a Buffer.
        """
        if not isinstance(buffer, Buffer):
            raise InvalidRequest(f"buffer is a Buffer, not {buffer!r}")
        if buffer.frames is not None and buffer.overflow != "fail":
            raise InvalidRequest("the buffer of a subscription can't wait, which would hold up all others")
        return Subscription(self, request, Answers(next(self._numbers), buffer))

    def _program_view(self) -> Multiplexer[Async]:
        return cast("Multiplexer[Async]", self._for_programs())

    # For on_message

    def deliver(self, number: Hashable, answer: object) -> bool:
        """Hand an answer to the exchange of this number. Return False if there is none, or no longer."""
        return self._exchanges.deliver(number, answer)

    def finish(self, number: Hashable, error: BaseException | None = None) -> bool:
        """End the exchange of this number, after the answers that were delivered; return False if there is none.

        Its caller raises the error. Without an error, a loop over a subscription ends, and ``receive`` raises
        :class:`ExchangeEnded`.
        """
        return self._exchanges.finish(number, _raising(error))

    def finish_all(self, error: BaseException) -> None:
        """End all exchanges that are open with an error, such as one that the peer reports without a number."""
        self._exchanges.end_all(_raising(error))

    # The reader

    async def _read(self: Multiplexer[Async]) -> None:
        session, exchanges = self.websocket._session, self._exchanges
        try:
            await self.on_start()
            exchanges.note_ready()
            while True:
                message = await self.websocket.receive_message()
                exchanges.message_size = _size(message)
                with suppress(WebSocketClosed):  # It can't send; answers that have arrived are still delivered.
                    await self.on_message(message)
                    for number in exchanges.take_full():
                        await self.on_unsubscribe(number)
        except WebSocketClosed:
            return  # The exchanges end with the reader.
        except BaseException as error:
            if session._effect.is_cancellation(error):
                raise
            get_logger().error("%s failed: the websocket is closed", type(self).__name__, exc_info=error)
            session.begin_closing(close_codes.CALLBACK_RAISED)
            exchanges.fail(partial(_failed, type(self).__name__, without_tracebacks(error)))
        await session.close()


class Exchange:
    """One request and its answers, in a program: ``async with client.exchange() as exchange``.

    At the end of the block, answers that arrive later are dropped.
    """

    def __init__(self, client: Multiplexer[Async], answers: Answers) -> None:
        self._client = client
        self._answers = answers

    @property
    def number(self) -> Any:
        """The number of the request, to be sent with it."""
        return self._answers.number

    async def receive(self, *, timeout: float | None = None) -> Any:
        """Return the next answer that ``on_message`` delivers.

        Args:
            timeout: Seconds to wait; None for no limit.

        Raises:
            ReceiveTimeout: No answer was received in time.
            ExchangeEnded: The exchange was finished, and has no more answers.
            WebSocketClosed: The websocket has ended.
            MultiplexerFailed: The client can't handle what the peer sends.
            ReentrantCall: ``on_message`` or ``on_start`` itself would wait.

        Cancellation:
            Neither a cancellation nor a timeout loses an answer that has not been returned.
        """
        return await self._client._exchanges.receive(self._answers, timeout)

    async def __aenter__(self) -> Self:
        await self._client._exchanges.start(self._client._read)
        if not self._client._exchanges.open(self._answers):
            raise RuntimeError("an exchange is one request: call exchange() again for another one")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._client._exchanges.close(self._answers)


class Subscription(HasWith[F_co], Generic[F_co, T_co]):
    """A request with many answers: iterate over them with ``for``, or ``async for`` in the asynchronous flavours.

    Use it in a ``with`` (``async with``), which subscribes at its beginning and unsubscribes at its end. Without one,
    the first receive subscribes. A loop ends when the peer has finished the subscription, and raises its error if there
    is one. In the threaded flavour, ``with`` and ``for`` block. Many tasks or threads may receive; each answer goes to
    one of them.
    """

    def __init__(self, client: Multiplexer[F_co], request: object, answers: Answers) -> None:
        self._effect = client._effect
        self._client = client._program_view()
        self._request = request
        self._answers = answers

    @lifted
    async def receive(self, *, timeout: float | None = None) -> T_co:
        """Return the next answer.

        Args:
            timeout: Seconds to wait once the subscription has begun; None for no limit.

        Raises:
            ReceiveTimeout: No answer was received in time.
            ExchangeEnded: The subscription has ended, and has no more answers.
            SubscriptionFull: Answers were dropped, since more arrived than the buffer holds.
            WebSocketClosed: The websocket has ended.
            MultiplexerFailed: The client can't handle what the peer sends.

        Cancellation:
            Neither a cancellation nor a timeout loses an answer that has not been returned. A cancellation while the
            first call sends the request ends the subscription.
        """
        check_timeout(timeout)  # before it subscribes
        await self._begin()
        answer: T_co = await self._client._exchanges.receive(self._answers, timeout)
        return answer

    @lifted
    async def unsubscribe(self) -> None:
        """End the subscription, and tell the peer if it has not finished it. May be called more than once.

        Answers that were not received are dropped. Loops in other tasks or threads end.

        Cancellation:
            The subscription has ended in any case; the peer may not have been told.
        """
        await self._end()

    @lifted
    async def _subscribe(self) -> None:
        await self._begin()

    @lifted
    async def _close_after(self, error: BaseException | None, /) -> None:
        await self._end(error)

    async def _begin(self) -> None:
        """Subscribe, unless it has begun before."""
        if self._answers.has_begun:
            return
        exchanges = self._client._exchanges
        await exchanges.start(self._client._read)
        if exchanges.open(self._answers):
            try:
                await self._client.on_subscribe(self._answers.number, self._request)
            except BaseException as error:
                await self._end(error)
                raise

    async def _end(self, error: BaseException | None = None) -> None:
        """Unsubscribe after this error, if any; after a cancellation, tell the peer only if that needs no waiting."""
        if not self._client._exchanges.close(self._answers):
            return
        effect = self._client.websocket._session._effect
        is_cancelled = error is not None and effect.is_cancellation(error)
        with suppress(WebSocketClosed, *([TimeoutError] if is_cancelled else [])):  # Then there is nothing to end.
            async with effect.time_limit(0 if is_cancelled else None):
                await self._client.on_unsubscribe(self._answers.number)

    def __enter__(self: S) -> S:
        self._refuse("with", if_async=True)
        wait_for_result(self._subscribe())
        return self

    async def __aenter__(self: A) -> A:
        self._refuse("async with", if_async=False)
        await self._subscribe()
        return self

    def __iter__(self: S) -> S:
        self._refuse("for", if_async=True)
        return self

    def __next__(self) -> T_co:
        try:
            answer: T_co = wait_for_result(cast("Any", self).receive())
            return answer
        except ExchangeEnded:
            raise StopIteration from None

    def __aiter__(self: A) -> A:
        self._refuse("async for", if_async=False)
        return self

    async def __anext__(self) -> T_co:
        try:
            answer: T_co = await cast("Any", self).receive()
            return answer
        except ExchangeEnded:
            raise StopAsyncIteration from None


def _raising(error: BaseException | None) -> Callable[[], BaseException]:
    """Return a function that returns the error for a caller that waits."""
    if not isinstance(error, BaseException | None):
        raise TypeError(f"error is an exception or None, not {error!r}")
    return (lambda: ExchangeEnded("the peer has finished the exchange")) if error is None else (lambda: error)


def _failed(name: str, cause: BaseException) -> MultiplexerFailed:
    """Return a new error for a caller that waits while the client fails."""
    error = MultiplexerFailed(f"{name} has closed the websocket, since it can't handle what the peer sends: {cause!r}")
    error.__cause__ = cause
    return error


def _size(message: str | bytes) -> int:
    """Return the size of a message in bytes of UTF-8."""
    return len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
