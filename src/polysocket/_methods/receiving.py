"""The methods of a websocket that receive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, TypeVar, cast, overload

from polysocket._lifting import lifted
from polysocket._methods import attributes
from polysocket._methods.json_text import from_json
from polysocket._session.fragments import AsyncFragments, Fragments
from polysocket._session.iterating import AsyncMessages, AsyncUntilClosed, Messages, UntilClosed
from polysocket._session.receiving import DATA, take_ready
from polysocket.effects import Async, Blocking
from polysocket.errors import InvalidRequest
from polysocket.frames import Binary, Close, DataFrame, Frame, Text
from polysocket.request import check_timeout

__all__ = ["WebSocket"]

F_co = TypeVar("F_co", covariant=True)
Program = TypeVar("Program", bound=Callable[..., Coroutine[Any, Any, Any]])


def has_ready(ready: Callable[..., Any]) -> Callable[[Program], Program]:
    """Return a decorator that sets a program's ``ready``: a blocking call whose result is here runs no program."""

    def give(program: Program) -> Program:
        cast("Any", program).ready = program, ready
        return program

    return give


class WebSocket(attributes.WebSocket[F_co]):
    """The methods of a websocket that receive."""

    @lifted
    async def receive(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Frame | Close:
        """Receive the next frame of any kind: data, Ping, Pong, and at the end the Close (sttp's ``receive``).

        One caller at a time may receive.

        Args:
            pong_on_ping: Answer a Ping that is received. False needs ``auto_pong=False`` in the request.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: After the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if timeout is not None:
            check_timeout(timeout)
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        if (frame := receiver.take_ready_frame(pong_on_ping)) is not None:
            return frame
        return await session.read_until(partial(receiver.take_frame, pong_on_ping), "frame", timeout)

    @lifted
    async def receive_data_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> DataFrame:
        """Receive the next data frame, which may be a fragment (sttp's ``receiveDataFrame``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No data frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if timeout is not None:
            check_timeout(timeout)
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        return await session.read_until(partial(receiver.take_data, DATA, pong_on_ping), "data frame", timeout)

    @lifted
    async def receive_text_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Text:
        """Receive the next data frame, which must be text (sttp's ``receiveTextFrame``).

        It may be a fragment. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: It is binary; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No text frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if timeout is not None:
            check_timeout(timeout)
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        return await session.read_until(partial(receiver.take_data, Text, pong_on_ping), "text frame", timeout)

    @lifted
    async def receive_binary_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Binary:
        """Receive the next data frame, which must be binary (sttp's ``receiveBinaryFrame``).

        It may be a fragment. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: It is text; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No binary frame was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if timeout is not None:
            check_timeout(timeout)
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        return await session.read_until(partial(receiver.take_data, Binary, pong_on_ping), "binary frame", timeout)

    @lifted
    @has_ready(partial(take_ready, Text))
    async def receive_text(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str:
        """Receive a whole text message, its fragments joined (sttp's ``receiveText``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: The message is binary; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No text message was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        message: str | None = receiver.take_ready_message(Text, timeout)
        if message is not None:
            return message
        return await session.read_until(partial(receiver.take_message, Text, pong_on_ping), "text message", timeout)

    @lifted
    @has_ready(partial(take_ready, Binary))
    async def receive_binary(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> bytes:
        """Receive a whole binary message, its fragments joined (sttp's ``receiveBinary``).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            UnexpectedFrame: The message is text; it can still be received.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No binary message was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        message: bytes | None = receiver.take_ready_message(Binary, timeout)
        if message is not None:
            return message
        return await session.read_until(partial(receiver.take_message, Binary, pong_on_ping), "binary message", timeout)

    @lifted
    @has_ready(partial(take_ready, DATA))
    async def receive_message(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str | bytes:
        """Receive a whole message: ``str`` for text, ``bytes`` for binary.

        Its fragments are joined. Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No message was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        message: str | bytes | None = receiver.take_ready_message(DATA, timeout)
        if message is not None:
            return message
        return await session.read_until(partial(receiver.take_message, DATA, pong_on_ping), "message", timeout)

    @lifted
    async def receive_many(
        self,
        *,
        max: int | None = None,  # noqa: A002 - the word for it
        pong_on_ping: bool = True,
        timeout: float | None = None,
    ) -> list[str | bytes]:
        """Receive the whole messages that are here, in their order; wait for the first if there is none.

        Each is what :meth:`receive_message` returns. The list has at least one message. The queue of received frames
        bounds it, besides ``max``. An end of the websocket is raised by the next call, after the messages. One caller
        at a time may receive.

        Args:
            max: The most messages to return, at least 1; None for no limit.
            pong_on_ping: Answer the Pings that are received before them. False needs ``auto_pong=False``.
            timeout: Seconds to wait for the first; None for no limit.

        Raises:
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No message was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if max is not None and (type(max) is not int or max < 1):
            raise InvalidRequest(f"max is a whole number of messages, at least 1, or None for no limit; not {max!r}")
        if not pong_on_ping:
            session.check_answering()
        if timeout is not None:
            check_timeout(timeout)
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        return await session.read_until(partial(receiver.take_messages, max, pong_on_ping), "message", timeout)

    @lifted
    async def receive_json(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Any:
        """Receive a whole message, text or binary, and return its value in JSON (RFC 8259).

        Pongs are skipped. One caller at a time may receive.

        Args:
            pong_on_ping: Answer the Pings that are received before it. False needs ``auto_pong=False``.
            timeout: Seconds to wait; None for no limit.

        Raises:
            InvalidJSON: The message is not JSON; the error has the message.
            WebSocketClosed: At the Close; and if the websocket ended without one, as a subclass that says why.
            ReceiveTimeout: No message was received in time.
            ConcurrentReceive: Another task or thread is receiving.
            InvalidRequest: An argument is wrong.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        session, receiver = self._session, self._session.receiver
        if not pong_on_ping:
            session.check_answering()
        if (checkpoint := receiver.checkpoint) is not None and (receiver.queue.count or receiver.queue.fragments):
            receiver.pause = checkpoint()
            await receiver.pause
        if (message := receiver.take_ready_message(DATA, timeout)) is not None:
            return from_json(message)
        take = partial(receiver.take_message, DATA, pong_on_ping)
        return from_json(await session.read_until(take, "message", timeout))

    @overload
    def receive_fragments(self: WebSocket[Blocking], *, timeout: float | None = None) -> Iterator[str | bytes]: ...
    @overload
    def receive_fragments(self: WebSocket[Async], *, timeout: float | None = None) -> AsyncIterator[str | bytes]: ...
    def receive_fragments(
        self: WebSocket[Any], *, timeout: float | None = None
    ) -> Iterator[str | bytes] | AsyncIterator[str | bytes]:
        """Return an iterator over the parts of the next message: the payload of each fragment as it arrives.

        The parts are all ``str``, or all ``bytes``; empty ones are left out. If the loop is left early, the next
        receive begins with the rest of the message. The threaded flavour has no iteration.

        Args:
            timeout: Seconds to wait for each fragment; None for no limit.

        Raises:
            WebSocketClosed: In the loop. The websocket has ended, perhaps within the message.
            ReceiveTimeout: In the loop. No fragment was received in time.
            ConcurrentReceive: In the loop. Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        self._refuse_futures("receive_data_frame")
        check_timeout(timeout)
        receive: Any = partial(self.receive_data_frame, timeout=timeout)
        return AsyncFragments(receive) if self._effect.is_async else Fragments(receive)

    @overload
    def messages(self: WebSocket[Blocking], *, timeout: float | None = None) -> Iterator[str | bytes]: ...
    @overload
    def messages(self: WebSocket[Async], *, timeout: float | None = None) -> AsyncIterator[str | bytes]: ...
    def messages(
        self: WebSocket[Any], *, timeout: float | None = None
    ) -> Iterator[str | bytes] | AsyncIterator[str | bytes]:
        """Return an iterator over the messages, as iterating over the websocket itself, with a limit for idle time.

        It ends at a normal closing (1000, 1001, no code). The threaded flavour has no iteration.

        Args:
            timeout: Seconds to wait for each message; None for no limit.

        Raises:
            ReceiveTimeout: In the loop. No message was received in time. The iterator may be used again.
            WebSocketClosed: In the loop. The websocket has ended in another way.
            ConcurrentReceive: In the loop. Another task or thread is receiving.

        Cancellation:
            Neither a cancellation nor a timeout loses a frame.
        """
        self._refuse_futures("receive_message")
        check_timeout(timeout)
        receive: Any = self.receive_message
        if _is_own(self, receive):
            if self._effect.is_async:
                return AsyncMessages(self._session, timeout)
            return Messages(self._session, timeout, self._effect)
        if timeout is not None:
            receive = partial(receive, timeout=timeout)
        return AsyncUntilClosed(receive) if self._effect.is_async else UntilClosed(receive)

    def __iter__(self: WebSocket[Blocking]) -> Iterator[str | bytes]:
        self._refuse_futures("receive_message")
        self._refuse("for", if_async=True)
        return self.messages()

    def __aiter__(self: WebSocket[Async]) -> AsyncIterator[str | bytes]:
        self._refuse_futures("receive_message")
        self._refuse("async for", if_async=False)
        return self.messages()

    def _refuse_futures(self, method: str) -> None:
        """Raise TypeError in a flavour whose calls return futures, and name the method to call instead."""
        from concurrent.futures import Future  # noqa: PLC0415 - slow to import

        if not self._effect.is_async and isinstance(self._effect.lift(_nothing)(), Future):
            raise TypeError(f"a WebSocket whose calls return futures has no iteration: call {method}() repeatedly")


async def _nothing() -> None: ...


def _is_own(ws: WebSocket[Any], receive: Any) -> bool:
    """Return whether a ``receive_message`` is the program here, in ``F``: no subclass's method, patch or mock."""
    function = getattr(receive, "__func__", None)
    if function is _RECEIVE_MESSAGE:
        return True
    of_flavour: Any = getattr(type(ws), "_functions", {}).get("receive_message")
    return function is not None and function is of_flavour and of_flavour.program is _RECEIVE_MESSAGE


_RECEIVE_MESSAGE: Final = WebSocket.__dict__["receive_message"].__wrapped__
