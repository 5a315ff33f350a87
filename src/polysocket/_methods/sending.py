"""The methods of a websocket that send."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from polysocket._lifting import lifted, lifted_overloads
from polysocket._methods import attributes
from polysocket._methods.json_text import to_json
from polysocket._session.batching import send_many
from polysocket._session.fragments import send_fragments
from polysocket.effects import Async, Blocking, Threaded
from polysocket.frames import Binary, Close, Frame, Pong, Text

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["WebSocket"]

F_co = TypeVar("F_co", covariant=True)


class WebSocket(attributes.WebSocket[F_co]):
    """The methods of a websocket that send."""

    @lifted
    async def send(
        self,
        frame: Frame | Close,
        is_continuation: bool = False,
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Send a frame (sttp's ``send``), and wait while too much is pending in the network.

        ``Text("…", final=False)`` begins a message in fragments. Send each further fragment with ``is_continuation``;
        the last one is final. Data frames of other tasks and threads wait until then; control frames do not. A Close
        begins the closing handshake; then the peer's Close can be received.

        Args:
            frame: The frame to send.
            is_continuation: Whether the frame continues a message in fragments.
            compress: Compress the message, if compression was agreed on; its first frame decides (RFC 7692 §6).
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The frame may not be sent.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, frame, is_continuation, compress=compress)
        elif (rest := self._session.send_frame(frame, is_continuation, compress)) is not None:
            await rest

    @lifted
    async def send_text(self, text: str, *, compress: bool = True, timeout: float | None = None) -> None:
        """Send a text message in one frame (sttp's ``sendText``).

        Args:
            text: The message.
            compress: Compress it, if compression was agreed on. False suits data that are compressed already.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The text can't be encoded in UTF-8, or a fragmented message of this caller is not finished.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, Text(text), compress=compress)
        elif (rest := self._session.send_frame(Text(text), False, compress)) is not None:
            await rest

    @lifted
    async def send_binary(self, data: bytes, *, compress: bool = True, timeout: float | None = None) -> None:
        """Send a binary message in one frame (sttp's ``sendBinary``).

        Args:
            data: The message.
            compress: Compress it, if compression was agreed on. False suits data that are compressed already.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended.
            InvalidFrame: The data are not bytes, or a fragmented message of this caller is not finished.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        if timeout is not None:
            await self._session.send_within(timeout, Binary(data), compress=compress)
        elif (rest := self._session.send_frame(Binary(data), False, compress)) is not None:
            await rest

    @lifted
    async def send_json(self, value: Any, *, compress: bool = True, timeout: float | None = None) -> None:
        """Send a value as a text message in JSON (RFC 8259), in one frame.

        Args:
            value: A value that ``json.dumps`` takes. NaN and the infinities are no JSON.
            compress: Compress the message, if compression was agreed on.
            timeout: Seconds to wait; None for no limit.

        Raises:
            InvalidFrame: The value can't be written in JSON, or a fragmented message of this caller is not finished.
            WebSocketClosed: The websocket has ended.
            SendTimeout: The network did not take the whole frame in time.

        Cancellation:
            A cancelled send has sent the whole frame or nothing. So has one that timed out.
        """
        frame = Text(to_json(value))
        if timeout is not None:
            await self._session.send_within(timeout, frame, compress=compress)
        elif (rest := self._session.send_frame(frame, False, compress)) is not None:
            await rest

    @lifted
    async def send_many(
        self, messages: Iterable[str | bytes], *, compress: bool = True, timeout: float | None = None
    ) -> None:
        """Send whole messages in their order, each in one frame, all with one write.

        The iterable is read to its end first. If one of its messages may not be sent, none is. More than 256 KiB, with
        128 bytes for each message besides its payload, take more than one write, and messages of other tasks and
        threads may come in between. Without messages, nothing is sent.

        Args:
            messages: An iterable of ``str`` and ``bytes``.
            compress: Compress the messages, if compression was agreed on.
            timeout: Seconds to wait; None for no limit.

        Raises:
            WebSocketClosed: The websocket has ended. ``messages_sent`` says how many were handed to the network before.
            InvalidFrame: One of the messages may not be sent, which the text names by its index, or a fragmented
                message of this caller is not finished. Nothing was sent.
            SendTimeout: The network did not take all in time. ``messages_sent`` says how many are sent.
            TypeError: The messages are not an iterable of messages.

        Cancellation:
            A cancelled call has sent whole messages from the front, or nothing. A note of the exception says how many.
        """
        await send_many(self._session, messages, compress, timeout)

    @overload
    def send_fragments(
        self: WebSocket[Blocking],
        parts: Iterable[str] | Iterable[bytes],
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None: ...
    @overload
    def send_fragments(
        self: WebSocket[Async],
        parts: Iterable[str] | Iterable[bytes] | AsyncIterable[str] | AsyncIterable[bytes],
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def send_fragments(
        self: WebSocket[Threaded],
        parts: Iterable[str] | Iterable[bytes],
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> Future[None]: ...
    @lifted_overloads
    async def send_fragments(
        self,
        parts: Iterable[str] | Iterable[bytes] | AsyncIterable[str] | AsyncIterable[bytes],
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Send one message in parts, each as soon as the iterable yields it: a fragment (RFC 6455 §5.4).

        The parts are all ``str``, or all ``bytes``. An empty last fragment ends the message. If there are no parts,
        nothing is sent. Data frames of other tasks and threads wait until the end of the message.

        Args:
            parts: An iterable; in an asynchronous flavour it may be asynchronous, too.
            compress: Compress the message, if compression was agreed on.
            timeout: Seconds for the network to take each fragment; None for no limit.

        Raises:
            Exception: What the iterable raises. The websocket is then closed with 1011, unless no part was sent.
            WebSocketClosed: The websocket has ended.
            InvalidFrame: A part is of another kind than the first one.
            SendTimeout: The network did not take a fragment in time.

        Cancellation:
            A message that was begun can't be finished: the websocket is closed with 1011, as after an error.
        """
        await send_fragments(self._session, parts, compress, timeout)

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
