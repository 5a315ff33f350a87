"""The programs of an open websocket: receive, send, ping, close, written once for every flavour.

A session joins a sans-IO connection with a stream. A lock guards the connection in stretches that never wait, so
threads and tasks may call at the same time. One waiting caller reads on behalf of all that wait.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from polysocket._core.connection import Connection
from polysocket._core.states import State
from polysocket._session.listening import Listening
from polysocket._session.pings import Pings
from polysocket._session.reading import Reading
from polysocket._session.sending import Sending
from polysocket._session.view import SessionView
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause, CloseInfo
from polysocket.effects import ByteStream, Effect, Event
from polysocket.errors import ConcurrentReceive, ReceiveTimeout, UnexpectedFrame, WebSocketClosed
from polysocket.frames import Binary, Close, CloseCode, DataFrame, Frame, Ping, Pong, Text, joined
from polysocket.observers.observation import Observation, each, guarded
from polysocket.request import check_timeout
from polysocket.response import Response

__all__ = ["Session", "leave"]


T = TypeVar("T")


D = TypeVar("D", Text, Binary, DataFrame)


class Session:
    """An open websocket of either side; its public coroutine functions are lifted by :class:`~polysocket.WebSocket`."""

    def __init__(
        self,
        effect: Effect,
        stream: ByteStream,
        connection: Connection,
        response: Response,
        close_timeout: float | None,
    ) -> None:
        self.response = response
        self._effect = effect
        self._stream = stream
        self._connection = connection
        self._close_timeout = close_timeout
        self._lock = threading.Lock()
        self._reading = Reading(effect, stream, connection, self._lock, self._after_reading)
        self._sending = Sending(effect, stream, connection, self._lock)
        self._receiving = False
        self._is_handing_over = False
        self._buffer: Buffer | None = None
        self._background: list[Event] = []  # set when what goes on in the background has ended
        self._is_ending = False
        self._pings = Pings(effect.now)
        self._closing_since: float | None = None  # by the effect's clock
        self.listening: Listening | None = None
        self._when_over: Callable[[], object] | None = None
        self._when_ended: list[Callable[[CloseInfo], None]] = []
        self._sending.settle()  # A Close may have come in one piece with the opening handshake.

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent."""
        return self._connection.state is State.OPEN

    @property
    def close_info(self) -> CloseInfo | None:
        """How the websocket ended, or None while it has not."""
        return self._connection.close_info

    @property
    def view(self) -> SessionView:
        """The state inside, at this moment."""
        return SessionView(
            queued_frames=len(self._connection.frames),
            waiting_readers=len(self._reading._waiting),
            waiting_senders=len(self._sending._waiting),
            pending_bytes=self._stream.pending,
        )

    def error(self) -> WebSocketClosed:
        """The error of whoever goes on using the websocket, which has ended."""
        return self._connection.error()

    @property
    def has_data(self) -> bool:
        """Whether data frames wait that nobody has taken."""
        return any(isinstance(frame, DATA) for frame in self._connection.frames)

    def observe(self, observation: Observation) -> None:
        """Tell an observation of each frame, and of the end."""
        received, sent = guarded(observation.received), guarded(observation.sent)
        with self._lock:
            for frame in self._connection.frames:  # They came in one piece with the opening handshake.
                received(frame)
            if self.close_info is not None and self.close_info.sent is not None:
                sent(self.close_info.sent)
            self._connection.on_received = each(self._connection.on_received, received)
            self._connection.on_sent = each(self._connection.on_sent, sent)
        self.when_ended(guarded(observation.closed))

    def is_ended_by(self, error: BaseException) -> bool:
        """Whether an error is what is raised to whoever uses this very websocket behind a Close, of either side."""
        if not isinstance(error, WebSocketClosed) or error.close_info.cause is not CloseCause.CLOSE:
            return False
        info = self.close_info
        return info is not None and error.close_info.sent is info.sent  # the same frame, not one like it

    def when_ended(self, call: Callable[[CloseInfo], None]) -> None:
        """Call back once the websocket and its connection have ended; at once where they have."""
        with self._lock:
            if self._connection.state is not State.CLOSED:
                self._when_ended.append(call)
                return
            info = self._connection.close_info
        assert info is not None, "a closed connection explains itself"
        call(info)

    def when_over(self, call: Callable[[], object]) -> None:
        """Call back once the websocket has ended, and its listener, if there is one, was told so.

        From now on the connection is ended in the background where the other side has closed it and nobody here does.
        """
        with self._lock:
            self._when_over = call
            if self._connection.state is State.CLOSED:
                call()
            else:
                self._settle()

    def end_listening(self) -> None:
        """Tell that the listener was told of the end."""
        assert self.listening is not None, "only a listener ends listening"
        self.listening.end()
        if self._when_over is not None:
            self._when_over()

    async def has_listened(self, since: float, asking: Listening | None) -> bool:
        """Wait for the end of a listener, within the close timeout that runs since then; tells whether it came.

        ``asking`` is the listener that waits, if it is one.
        """
        if self.listening is None:
            return True
        try:
            async with self._effect.time_limit(self.seconds_left(since)):
                await self.listening.ended(asking)
        except TimeoutError:
            return False
        return True

    # Receiving

    async def receive(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Frame | Close:
        """Receive the next frame, whatever it is: data, Ping, Pong, and at the end the Close (sttp's ``receive``).

        A Ping is answered, unless ``pong_on_ping`` is False. ``timeout`` is in seconds. One caller at a time may
        receive. A cancellation, or a timeout, loses no frame.

        Raises :class:`WebSocketClosed` after the Close, and where the websocket ended without one (a subclass says
        why); :class:`ReceiveTimeout`; :class:`ConcurrentReceive`.
        """
        return await self._exclusively(self._next(pong_on_ping), timeout)

    async def receive_data_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> DataFrame:
        """Receive the next data frame, which may be a fragment (sttp's ``receiveDataFrame``).

        Pings are answered unless ``pong_on_ping`` is False, Pongs passed over. Raises :class:`WebSocketClosed` at the
        Close too, and else as :meth:`receive`.
        """
        return await self._exclusively(self._next_data(DATA, pong_on_ping), timeout)

    async def receive_text_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Text:
        """Receive the next data frame, which must be text (sttp's ``receiveTextFrame``).

        Raises :class:`UnexpectedFrame` where it is binary, which then can still be received; else as
        :meth:`receive_data_frame`.
        """
        return await self._exclusively(self._next_data(Text, pong_on_ping), timeout)

    async def receive_binary_frame(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> Binary:
        """Receive the next data frame, which must be binary (sttp's ``receiveBinaryFrame``).

        Raises :class:`UnexpectedFrame` where it is text, which then can still be received; else as
        :meth:`receive_data_frame`.
        """
        return await self._exclusively(self._next_data(Binary, pong_on_ping), timeout)

    async def receive_text(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str:
        """Receive a whole text message, its fragments joined (sttp's ``receiveText``).

        Raises as :meth:`receive_text_frame`.
        """
        if (frame := self._take_whole(Text)) is not None:
            return frame.payload
        frames = await self._exclusively(self._next_message(Text, pong_on_ping), timeout)
        return frames[0].payload if len(frames) == 1 else "".join([frame.payload for frame in frames])

    async def receive_binary(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> bytes:
        """Receive a whole binary message, its fragments joined (sttp's ``receiveBinary``).

        Raises as :meth:`receive_binary_frame`.
        """
        if (frame := self._take_whole(Binary)) is not None:
            return frame.payload
        frames = await self._exclusively(self._next_message(Binary, pong_on_ping), timeout)
        return frames[0].payload if len(frames) == 1 else b"".join([frame.payload for frame in frames])

    async def receive_message(self, *, pong_on_ping: bool = True, timeout: float | None = None) -> str | bytes:
        """Receive a whole message: ``str`` for text, ``bytes`` for binary; raises as :meth:`receive_data_frame`."""
        if (frame := self._take_whole(DATA)) is not None:
            return frame.payload
        frames = await self._exclusively(self._next_message(DATA, pong_on_ping), timeout)
        return joined(frames)

    async def receive_each(self, handle: Callable[[Frame], Awaitable[None]]) -> None:
        """Hand over each frame up to the Close, in order, one at a time; :meth:`begin_receiving` was called before.

        Raises as :meth:`receive`.
        """
        try:
            while not isinstance(frame := await self._next(pong_on_ping=True), Close):
                self._is_handing_over = True
                try:
                    await handle(frame)
                finally:
                    self._is_handing_over = False
        finally:
            self._end_receiving()

    def _end_receiving(self) -> None:
        self._receiving = False
        if self._closing_since is not None:
            with self._lock:
                self._reading.wake()  # Whoever closes may have waited for frames to be taken.

    async def _exclusively(self, program: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Run one receiving program: for one caller at a time, and within its time limit."""
        try:
            check_timeout(timeout)
            self.begin_receiving()
            try:
                if timeout is None:
                    return await program
                return await self._within(timeout, program)
            finally:
                self._end_receiving()
        finally:
            program.close()

    async def _within(self, timeout: float, program: Coroutine[Any, Any, T]) -> T:
        try:
            async with self._effect.time_limit(timeout):
                return await program
        except TimeoutError as error:
            raise ReceiveTimeout(f"nothing of the kind was received within {timeout} seconds") from error

    def begin_receiving(self) -> None:
        """Be the one who receives. Raises :class:`ConcurrentReceive`."""
        with self._lock:
            if self._receiving:
                raise ConcurrentReceive(
                    "another task or thread is receiving from this websocket, or was cancelled and has not ended yet; "
                    "one at a time may"
                )
            self._receiving = True

    async def _next(self, pong_on_ping: bool) -> Frame | Close:
        while (frame := self._take(pong_on_ping)) is None:
            await self._reading.until(self._has_news)
        return frame

    def _take(self, pong_on_ping: bool) -> Frame | Close | None:
        with self._lock:
            frame = self._pop()
            if frame is None and self._has_ended():
                self._settle()
                raise self._connection.error()
            if type(frame) is Ping and pong_on_ping:
                self._sending.answer_ping(frame.payload)
            return frame

    def _pop(self) -> Frame | Close | None:
        was_full = self._connection.is_full
        frame = self._connection.next_frame()
        if was_full:
            self._reading.wake()
        return frame

    def _take_whole(self, kind: type[D] | tuple[type[D], ...]) -> D | None:
        """A message that is there already, in one frame: the way without any waiting, for streams of small messages."""
        with self._lock:
            frames = self._connection.frames
            if not frames or self._receiving or not isinstance(first := frames[0], kind) or not first.final:
                return None
            self._pop()
            return first

    async def _next_data(self, kind: type[D] | tuple[type[D], ...], pong_on_ping: bool) -> D:
        while True:
            frame = await self._next(pong_on_ping)
            if isinstance(frame, kind):
                return frame
            if isinstance(frame, Close):
                raise self._connection.error()
            if isinstance(frame, Text | Binary):
                self._give_back([frame])
                raise UnexpectedFrame(
                    f"a {type(frame).__name__} frame came, not the {_name(kind)} frame that was to be received; "
                    "it is still the next one to receive"
                )

    async def _next_message(self, kind: type[D] | tuple[type[D], ...], pong_on_ping: bool) -> list[D]:
        frames: list[D] = []
        try:
            while not frames or not frames[-1].final:
                frames.append(await self._next_data(kind, pong_on_ping))
            message, frames = frames, []
            return message
        finally:
            self._give_back(frames)

    def _give_back(self, frames: list[D]) -> None:
        """Make frames the next ones to receive: whoever was cancelled between fragments has lost none."""
        if frames:
            with self._lock:
                self._connection.give_back(frames)

    # Sending

    async def send(self, frame: Frame | Close, is_continuation: bool = False) -> None:
        """Send a frame (sttp's ``send``), and wait while the network has too much to take.

        ``Text("…", final=False)`` begins a message of many frames; each further one is sent with ``is_continuation``,
        and the last one is final. Meanwhile other tasks' and threads' data frames wait; control frames do not. A Close
        begins the closing handshake; then the answer can be received.

        A cancelled send has sent the whole frame or nothing. Raises :class:`WebSocketClosed` where the websocket has
        ended, :class:`InvalidFrame` for a frame that may not be sent.
        """
        while (turn := self._sending.send_or_wait(frame, is_continuation)) is not None:
            await turn()
        await self._sending.drain()

    async def send_text(self, text: str) -> None:
        """Send a text message in one frame; raises as :meth:`send`."""
        await self.send(Text(text))

    async def send_binary(self, data: bytes) -> None:
        """Send a binary message in one frame; raises as :meth:`send`."""
        await self.send(Binary(data))

    async def pong(self, payload: bytes = b"") -> None:
        """Send a Pong that nobody asked for (RFC 6455 §5.5.3), of at most 125 bytes; raises as :meth:`send`."""
        await self.send(Pong(payload))

    async def ping(self, payload: bytes | None = None, *, timeout: float | None = None) -> float:
        """Send a Ping and wait for its Pong; gives the round trip's time in seconds.

        Frames that come before the Pong are kept for ``receive``; where they fill 1 MiB, it waits until somebody
        receives. Without a payload a random one is used.

        Raises :class:`ReceiveTimeout`, and else as :meth:`send`.
        """
        check_timeout(timeout)
        with self._lock:
            ping = self._pings.begin(os.urandom(4) if payload is None else payload)
        try:
            async with self._effect.time_limit(timeout):
                await self.send(Ping(ping.payload))
                await self._reading.until(lambda: ping.seconds is not None or self._has_ended())
        except TimeoutError as error:
            raise ReceiveTimeout(f"no Pong was received within {timeout} seconds") from error
        finally:
            with self._lock:
                self._pings.forget(ping)
        if ping.seconds is None:
            raise self._connection.error()
        return ping.seconds

    def _settle(self) -> None:
        """Act on what the connection has decided by itself."""
        self._sending.settle()
        somebody_ends_it = self._is_ending or self._closing_since is not None or self.listening is not None
        if self._when_over is not None and self._has_ended() and not somebody_ends_it:
            self._run_in_background(self._finish)
            self._is_ending = True

    def _run_in_background(self, program: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a program in the background, for whose end :meth:`close` waits."""
        has_ended = self._effect.event()
        has_begun = False

        @functools.wraps(program)
        async def run() -> None:
            nonlocal has_begun
            has_begun = True
            try:
                await program()
            except BaseException as error:
                self.give_up(error)
                raise

        def done(error: BaseException | None) -> None:
            if error is not None and not has_begun:
                # The caller of spawn holds the lock, or has released it long ago in a flavour that takes none.
                self._abandon(CloseCause.CANCELLATION, f"reading in the background could not begin: {error!r}")
                self._stream.abort()
            has_ended.set()

        self._background.append(has_ended)
        self._effect.spawn(run, done)

    # Reading

    def read_ahead(self, buffer: Buffer) -> None:
        """From now on read in the background, into a buffer; it ends with the websocket."""
        # One frame, or byte, too many is what tells that a buffer has overflowed.
        excess = 1 if buffer.overflow == "fail" else 0
        frames = None if buffer.frames is None else buffer.frames + excess
        size = None if buffer.max_bytes is None else buffer.max_bytes + excess
        with self._lock:
            self._connection.limit_queue(frames, size, **({} if frames is None else {"frame_cost": 0}))
            self._buffer = buffer
            self._after_reading(0)  # Frames may have come in one piece with the opening handshake.
            self._run_in_background(self._read_ahead)
            self._is_ending = True

    async def _read_ahead(self) -> None:
        await self._reading.until(self._has_ended)
        await self._finish()

    def _after_reading(self, known: int) -> None:
        if self._pings or self._buffer is not None:
            for frame in self._connection.frames_behind(known):
                if isinstance(frame, Pong):
                    self._pings.answer(frame.payload)
                elif isinstance(frame, Ping) and self._buffer is not None:
                    self._sending.answer_ping(frame.payload)
        if self._buffer is not None:
            self._connection.drop_control_frames(known)
            if self._buffer.overflow == "fail" and self._connection.is_full:
                self._connection.overflow(self._buffer.frames, self._buffer.max_bytes)
        self._settle()
        self._sending.send_due_pong()

    def _has_ended(self) -> bool:
        return self._connection.has_ended

    def _has_news(self) -> bool:
        return bool(self._connection.frames) or self._has_ended()

    # Closing

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the websocket: the closing handshake (RFC 6455 §7.1.2), then the connection; sttp's ``close``.

        It may be called more than once, and takes at most ``close_timeout`` seconds; then, and where it is cancelled,
        the connection is ended as it is. Frames received before can still be received; data frames that come after are
        dropped, unless another task or thread is receiving. ``close_info`` tells how it went.

        Raises :class:`InvalidFrame` for a code or a reason that may not be sent.
        """
        self.begin_closing(code, reason)
        await self._finish()
        for has_ended in self._background:
            await has_ended.wait()

    def begin_closing(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Send the Close, and keep nothing more that comes; :meth:`close` waits for the end."""
        with self._lock:
            if self._closing_since is None:
                self._closing_since = self._effect.now()
            if self.is_open:
                self._connection.send(Close(code, reason))
                self._sending.settle()
            if not self._receiving or self._is_handing_over:
                self._connection.discard()

    async def _finish(self) -> None:
        """Wait for what ends the websocket, as long as may be, and end the connection."""
        cause, detail = CloseCause.CANCELLATION, "this side did not wait for the other side's Close"
        try:
            async with self._effect.time_limit(self.seconds_left(self._closing_since)):
                while not self._connection.is_over:
                    await self._reading.until(lambda: self._connection.is_over or self._is_held_up())
                    if self._is_held_up():
                        self._discard()
                await self._stream.close()
        except TimeoutError:
            cause, detail = CloseCause.TIMEOUT, f"the other side did not close within {self._close_timeout} seconds"
        except OSError as error:
            cause, detail = CloseCause.NETWORK, str(error)
        finally:
            with self._lock:
                self._abandon(cause, detail)  # before the stream tells its reader of an end
            self._stream.abort()

    def _is_held_up(self) -> bool:
        """Whether what was received keeps the Close from being read, and nobody takes it."""
        return self._connection.is_full and not self._receiving

    def _discard(self) -> None:
        with self._lock:
            self._connection.discard()
            self._reading.wake()

    def seconds_left(self, since: float | None) -> float | None:
        """What is left of the close timeout that runs since then; all of it where it does not run yet."""
        if since is None or self._close_timeout is None:
            return self._close_timeout
        return max(since + self._close_timeout - self._effect.now(), 0)

    async def leave(self, error: BaseException | None) -> None:
        """Close at the end of a ``with``: with 1000, or 1011 after an error; at once where the block was cancelled."""
        await leave(self._effect, error, self.close, self.abort)

    def give_up(self, error: BaseException) -> None:
        """Abort, since what reads in the background has met this, and can't go on: an error, or the loop's end."""
        self.abort(f"reading in the background was ended by {error!r}")

    def abort(self, detail: str = "this side did not wait for the other side's Close") -> None:
        """End the connection without waiting: a Close is sent if it can be (RFC 6455 §7.1.7 allows no answer)."""
        with self._lock:
            if self.is_open:
                self._connection.send(Close(CloseCode.GOING_AWAY))
                self._sending.settle()
            self._abandon(CloseCause.CANCELLATION, detail)
        self._stream.abort()

    def _abandon(self, cause: CloseCause, detail: str) -> None:
        """The connection is no more, whatever the other side would say; its lock is held."""
        self._connection.abandon(cause, detail)
        self._reading.wake()
        self._sending.settle()
        info = self._connection.close_info
        assert info is not None, "a closed connection explains itself"
        calls, self._when_ended = self._when_ended, []
        for call in calls:
            call(info)
        if self.listening is None and self._when_over is not None:
            self._when_over()


async def leave(
    effect: Effect,
    error: BaseException | None,
    close: Callable[[int], Coroutine[Any, Any, None]],
    abort: Callable[[], None],
) -> None:
    """The rule for the end of a ``with``: which code to close with, and when nothing may be waited for."""
    if error is None:
        await close(CloseCode.NORMAL_CLOSURE)
    elif effect.is_cancellation(error):
        abort()
    else:
        await close(CloseCode.INTERNAL_ERROR)


DATA: tuple[type[DataFrame], ...] = (Text, Binary)


def _name(kind: type[DataFrame] | tuple[type[DataFrame], ...]) -> str:
    return kind.__name__ if isinstance(kind, type) else "data"
