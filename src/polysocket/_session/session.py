"""An open websocket: the programs that receive, send, ping and close, written once for every flavour.

A session joins a sans-IO :class:`~polysocket._core.connection.Connection` with a stream. Its mutex guards the
connection in stretches that never wait. Its bases read: :class:`~polysocket._session.read_loop.ReadLoop` for callers,
and :class:`~polysocket._session.keepalive.Keepalive` while none waits.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polysocket._core import close_codes
from polysocket._core.states import State
from polysocket._core.validation import snapshot
from polysocket._session.background import Background
from polysocket._session.keepalive import Keepalive
from polysocket._session.listening import Listening
from polysocket._session.pings import PendingPing, Pings
from polysocket._session.reading import wake
from polysocket._session.receiving import DATA, concurrent_receive
from polysocket._session.sending import wrong_event_loop
from polysocket._session.view import SessionView
from polysocket.buffer import Buffer
from polysocket.close_info import CloseCause, CloseInfo
from polysocket.effects import ByteStream, Effect
from polysocket.errors import InvalidRequest, ReceiveTimeout, WebSocketClosed
from polysocket.frames import Close, DataFrame, Frame, Ping, Pong
from polysocket.observers.logging import ConnectionLog
from polysocket.observers.observation import Observation, guarded, in_context, in_context_of_caller
from polysocket.request import Request, check_timeout
from polysocket.response import Response

if TYPE_CHECKING:
    from polysocket._core.connection import Connection

__all__ = ["Session", "close_after"]

T = TypeVar("T")

KEPT_CONTROL_FRAMES: Final = 16
"""Pings and Pongs that wait for a caller of ``receive``, while none receives: more tell it nothing new."""


class Session(Keepalive):
    """One side of an open websocket; :class:`~polysocket.WebSocket` has its public methods."""

    def __init__(
        self,
        effect: Effect,
        stream: ByteStream,
        connection: Connection,
        response: Response,
        request: Request,
    ) -> None:
        super().__init__(effect, stream, connection)
        self.receiver.answers_pings = not request.auto_pong
        self.response = response
        self.request = request
        self.listening: Listening | None = None
        self.pings: Pings = Pings(effect.now)
        self._close_timeout = request.close_timeout
        self._is_handing_over = False
        self._buffer: Buffer | None = None
        self._on_received: list[Callable[[Frame | Close], None]] = []
        self._background: Background | None = None  # while no program has run
        self._when_over: Callable[[CloseInfo], object] | None = None
        self._when_ended: list[Callable[[CloseInfo], None]] = []
        self.send_frame: Callable[..., Awaitable[object] | None] = self._sender.send_frame
        """Send a frame; return what to await until the call is complete, or None if it is."""

    @property
    def is_open(self) -> bool:
        """True while frames may be sent."""
        with self._mutex:
            return self._connection.state is State.OPEN

    @property
    def state(self) -> str:
        """The state in words, for people."""
        if not self.is_open:
            return str(self.close_info)
        return "open in an event loop that has ended" if self.has_loop_ended else "open"

    @property
    def close_info(self) -> CloseInfo | None:
        """How the websocket ended; None while it has not."""
        with self._mutex:  # Another thread may be in the middle of a step of the closing.
            return self._connection.close_info

    @property
    def view(self) -> SessionView:
        """The state inside at this moment."""
        with self._mutex:
            return SessionView(
                queued_frames=self._connection.queue.count,
                waiting_readers=len(self._reader.waiting),
                waiting_senders=len(self._sender.waiting),
                pending_bytes=self._stream.pending,
            )

    def check_event_loop(self) -> None:
        """Raise :class:`WrongEventLoop` in another event loop than the websocket's."""
        if not self.is_in_own_loop:
            raise wrong_event_loop(self._mutex)

    @property
    def loss(self) -> CloseInfo | None:
        """The explanation of a connection that takes nothing more, though more may be received; None if it is well."""
        return self._sender.loss

    @property
    def is_exhausted(self) -> bool:
        """Whether the websocket has ended, and all that has arrived was received."""
        return self.close_info is not None and not self.queue.count

    def error(self) -> WebSocketClosed:
        """Return the error for a caller that uses the websocket after its end."""
        with self._mutex:
            return self._connection.error()

    # Observing

    def observe(self, observation: Observation) -> None:
        """Tell an observation about each frame, and about the end; called before :meth:`begin`."""
        opening = copy_context()
        received = in_context(guarded(observation.received), opening)
        sent = in_context_of_caller(guarded(observation.sent), opening)
        with self._mutex:
            self._on_received.append(received)
            self._watch()
            self._sender.on_sent.append(sent)
            if isinstance(observation, ConnectionLog):
                self._notifications.log = in_context(guarded(observation.noted), opening)
        self.when_ended(in_context(guarded(observation.closed), opening))

    def when_ended(self, call: Callable[[CloseInfo], None]) -> None:
        """Call back once the websocket and its connection have ended, or at once if they have."""
        with self._mutex:
            if self._connection.state is State.CLOSED and self.close_info is not None:
                self._notifications.add(call, self.close_info)
            else:
                self._when_ended.append(call)
        self._notifications.deliver()

    def when_over(self, call: Callable[[CloseInfo], object]) -> None:
        """Call back once the websocket has ended, and its listener, if any, was told.

        From now on the connection is ended in the background after the peer has closed it, if no caller does that.
        """
        with self._mutex:
            self._when_over = call
            if self._connection.state is State.CLOSED and self.close_info is not None:
                self._notifications.add(call, self.close_info)
            else:
                self._flush()
        self._notifications.deliver()

    # Receiving

    def receive_data_frame(self) -> Coroutine[Any, Any, DataFrame]:
        """Receive the next data frame, and answer Pings."""
        return self.read_until(partial(self.receiver.take_data, DATA, True), "data frame")

    def check_answering(self) -> None:
        """Raise :class:`InvalidRequest` for a ``pong_on_ping`` of False if Pings are answered before it is asked."""
        if self.request.auto_pong:
            raise InvalidRequest(
                "pong_on_ping=False needs auto_pong=False in connect() or in the request: else each Ping is answered "
                "as soon as it is read"
            )

    def begin_receiving(self) -> None:
        """Become the one caller that receives, until :meth:`receive_each` ends."""
        with self._mutex:
            if self.receiver.is_receiving:
                raise concurrent_receive()
            self.receiver.is_receiving = True

    def end_receiving(self) -> None:
        """Let others receive: the caller of :meth:`begin_receiving` can't go on."""
        self.receiver.is_receiving = False
        self._let_closing_go_on()

    async def receive_each(self, handle: Callable[[Frame], Awaitable[None]]) -> None:
        """Pass each frame before the Close to ``handle``, one at a time; :meth:`begin_receiving` was called before."""
        take = partial(self.receiver.take_frame, True)
        try:
            while True:
                frame: Frame | Close = await self.read_until(take)
                if isinstance(frame, Close):
                    return
                self._is_handing_over = True
                try:
                    await handle(frame)
                finally:
                    self._is_handing_over = False
        finally:
            self.end_receiving()

    def _watch(self) -> None:
        """Note whether new frames need attention before a caller takes them."""
        self._is_watching = bool(self._buffer or self._on_received)

    def _attend(self, frames: Sequence[Frame | Close]) -> None:
        """Answer, match and tell the frames that are new, and act on the end of the connection; mutex held."""
        pings = 0
        for frame in frames:
            for call in self._on_received:
                self._notifications.add(call, frame)
            if isinstance(frame, Pong):
                if self.pings.match_pong(frame.payload) and self._notifications.log is not None:
                    self._notifications.note(f"the peer has answered a Ping after {self.pings.latency:.3f} s")
                if self.is_own_pong(frame):
                    self._connection.queue.discard(frame)
            elif isinstance(frame, Ping) and self.request.auto_pong:
                pings += 1
                self._sender.answer_ping(frame.payload, pings)
        if self._connection.has_met_control and not self.receiver.has_caller:
            self._connection.queue.keep_latest_control_frames(KEPT_CONTROL_FRAMES)
        if self._buffer is not None and self._buffer.overflow == "fail" and self._connection.queue.is_full:
            if self._closing_since is None:
                self._connection.overflow(self._buffer.frames, self._buffer.max_bytes)
            else:  # The peer may send until it has read our Close, which is no reason to fail the connection.
                self._connection.queue.cut(self._buffer.frames, self._buffer.max_bytes)
                self._connection.drop_incoming()
        self._flush()
        self._sender.send_due_pong()
        if self._connection.has_ended:
            self._linger()

    def _flush(self) -> None:
        """Write what the connection sends on its own, and end an ended connection that no caller ends; mutex held."""
        self._sender.flush()
        if self._when_over is not None and self._connection.has_ended and not self._is_ended_elsewhere:
            self._is_ending = True
            self._run_in_background(self._finish)

    # Reading ahead

    def read_ahead(self, buffer: Buffer) -> None:
        """Read in the background into a buffer, from now until the websocket ends.

        Raises the error if the background program could not start, such as RuntimeError if there are no more threads.
        """
        # One frame, or byte, more than the bound tells that the buffer has overflowed.
        excess = 1 if buffer.overflow == "fail" else 0
        frames = None if buffer.frames is None else buffer.frames + excess
        size = None if buffer.max_bytes is None else buffer.max_bytes + excess
        queue = self._connection.queue
        with self._mutex:
            self._buffer = buffer
            self._watch()
            if self.request.auto_pong:
                queue.keep_no_control_frames()
            queue.limit(frames, size, **({} if frames is None else {"frame_cost": 0}))
            self._attend(())
            error = self._run_in_background(self._read_ahead)
            self._is_ending = True
        self._notifications.deliver()
        if error is not None:
            raise error

    async def _read_ahead(self) -> None:
        await self.read_until(self._has_ended)
        await self._finish()

    def _has_ended(self) -> bool | None:
        return self._connection.has_ended or None

    def run_until_closed(
        self,
        program: Callable[[], Coroutine[Any, Any, None]],
        on_done: Callable[[BaseException | None], object],
    ) -> None:
        """Run a program in the background that receives until the websocket ends; ``on_done`` is as in ``spawn``.

        :meth:`close` waits for its end, unless the program itself closes. Raises the error if it could not start.
        """
        with self._mutex:
            error = self._run_in_background(program, on_done)
        self._notifications.deliver()
        if error is not None:
            raise error

    def _run_in_background(
        self,
        program: Callable[[], Coroutine[Any, Any, None]],
        on_done: Callable[[BaseException | None], object] = lambda _: None,
    ) -> BaseException | None:
        """Run a program in the background, for whose end :meth:`close` waits; mutex held.

        Return the error if the program could not start; the connection is then ended.
        """
        if self._background is None:
            self._background = Background(self._effect)
        return self._background.run(program, on_done, abort=self.abort, abort_locked=self._abort_locked)

    # Sending

    async def send(self, frame: Frame | Close, is_continuation: bool = False) -> None:
        """Send a frame, and wait while the network has too much to take."""
        if (rest := self.send_frame(frame, is_continuation)) is not None:
            await rest

    async def send_within(
        self, seconds: float, frame: Frame | Close, is_continuation: bool = False, *, compress: bool = True
    ) -> None:
        """Send a frame; raise :class:`SendTimeout` if the network has not taken it after ``seconds``."""
        check_timeout(seconds)
        await self._sender.send_within(seconds, partial(self.send_frame, frame, is_continuation, compress))

    async def ping(self, payload: bytes | None, timeout: float | None) -> float:
        """Send a Ping, and return the round-trip time in seconds once its Pong arrives."""
        check_timeout(timeout)
        self.check_event_loop()
        ping = PendingPing(os.urandom(4) if payload is None else snapshot(Ping(payload)).payload)

        def note_sent() -> None:
            self.pings.start(ping, is_delayed=self._stream.pending > 0)

        def is_answered_or_ended() -> bool | None:
            return ping.seconds is not None or self._connection.has_ended or None

        try:
            async with self._effect.time_limit(timeout):
                if (rest := self.send_frame(Ping(ping.payload), False, True, note_sent)) is not None:
                    await rest
                if ping.is_delayed:
                    with self._mutex:
                        self.pings.restart(ping)
                await self.read_until(is_answered_or_ended)
        except TimeoutError:
            unsent = "" if ping.is_sent else ": the Ping could not be sent"
            text = f"no Pong was received within {timeout} seconds{unsent}"
            raise ReceiveTimeout(text, timeout, "Pong") from None
        finally:
            with self._mutex:
                self.pings.forget(ping)
        if ping.seconds is None:
            raise self.error()
        return ping.seconds

    # Closing

    async def close(
        self, code: int = close_codes.BLOCK_ENDED, reason: str = "", *, is_in_notification: bool = False
    ) -> None:
        """Close the websocket: the closing handshake (RFC 6455 §7.1.2), then the connection.

        It ends after the calls to observers, unless one of these closes: then it begins in that call's thread, and may
        go on in another one. ``is_in_notification`` says so of a closing that has begun before.
        """
        if not self.is_in_own_loop:
            if self._connection.state is State.CLOSED:
                return
            if self.has_loop_ended:
                self.abort()
            raise wrong_event_loop(self._mutex)
        self._refuse_reentrant_call("close")
        is_in_notification = self.begin_closing(code, reason) or is_in_notification
        await self._finish()
        with self._mutex:
            programs = [] if self._background is None else self._background.ends()
            background = [*programs, *self._sender.background]
        for has_ended in background:
            await has_ended.wait()
        if not is_in_notification and self._notifications.is_delivered_elsewhere:
            await self._wait_for_delivery()

    async def _wait_for_delivery(self) -> None:
        """Wait for another thread that calls observers and the log, which may block, for the rest of the time limit."""
        with contextlib.suppress(TimeoutError):
            async with self._effect.time_limit(self.seconds_left(self._closing_since)):
                await self._notifications.wait(self._effect.event())

    def begin_closing(self, code: int = close_codes.BLOCK_ENDED, reason: str = "") -> bool:
        """Send the Close; :meth:`close` waits for the end, and meanwhile keeps what arrives while there is room.

        Return whether an observer may be the caller.
        """
        with self._mutex:
            is_in_notification = self._notifications.is_delivered_here
            if is_in_notification:
                self._notifications.may_hold_back = False
            if self.is_open:
                self._send_close(code, reason)
            if self._closing_since is None:  # only now: a code that may not be sent begins no closing
                self._closing_since = self._effect.now()
        self._notifications.deliver()
        return is_in_notification

    def send_close(self, code: int, reason: str) -> None:
        """Send a Close without waiting, unless one was sent or received; it may come within a message (§5.4)."""
        with self._mutex:
            if self.is_open:
                self._send_close(code, reason)
        self._notifications.deliver()

    def _send_close(self, code: int, reason: str = "") -> None:
        """Send a Close without waiting; mutex held."""
        self._sender.write_at_once(partial(self._connection.send, Close(code, reason)))
        self._sender.flush()

    async def _finish(self) -> None:
        """Wait for the end of the websocket for at most the close timeout, and end the connection."""
        cause, detail = CloseCause.CANCELLATION, "this side did not wait for the peer's Close"
        try:
            async with self._effect.time_limit(self.seconds_left(self._closing_since)):
                await self.read_until(self._is_over)
                await self._stream.close()
        except TimeoutError:
            cause, detail = CloseCause.TIMEOUT, f"the peer did not close within {self._close_timeout} seconds"
        except OSError as error:
            cause, detail = CloseCause.NETWORK, str(error)
        finally:
            with self._mutex:
                self._note_dropped(cause, detail)  # before the stream tells its reader about an end
            self._stream.abort()
            self._notifications.deliver()

    def _is_over(self) -> bool | None:
        """Return True once this side need not wait; drop frames that arrive if a full queue delays the Close.

        A caller that receives makes room, but not while it runs a listener's method, which may be the one that closes.
        """
        if self._connection.queue.is_full and (not self.receiver.is_receiving or self._is_handing_over):
            self._connection.drop_incoming()
            self._sender.flush()
            wake(self._reader.waiting)
        return self._connection.is_over or None

    def seconds_left(self, since: float | None) -> float | None:
        """Return what is left of the close timeout that runs since then; all of it if it doesn't run yet."""
        if since is None or self._close_timeout is None:
            return self._close_timeout
        return max(since + self._close_timeout - self._effect.now(), 0)

    async def close_after(self, error: BaseException | None) -> None:
        """Close at the end of a ``with`` block that raised ``error``."""
        await close_after(self._effect, error, self.close, self.abort)

    def abort(self, detail: str = "this side did not wait for the peer's Close") -> None:
        """Drop the connection without waiting; a Close is sent if that needs no waiting (RFC 6455 §7.1.7)."""
        if self.has_loop_ended:
            self._drop_without_loop()
        elif not self.belongs_to_other_loop:
            with self._mutex:
                self._note_aborted(detail)
            self._stream.abort()
            self._notifications.deliver()

    @property
    def has_loop_ended(self) -> bool:
        """Whether the event loop in which the websocket was opened has ended, so that nothing can be awaited."""
        return bool(self._mutex.has_loop_ended())

    @property
    def is_in_own_loop(self) -> bool:
        """Whether the event loop in which the websocket was opened runs here."""
        try:
            return self._mutex.running_loop() == self._mutex.loop
        except RuntimeError:  # trio's, if it doesn't run here
            return False

    @property
    def belongs_to_other_loop(self) -> bool:
        """Whether another event loop runs here than the one in which the websocket was opened.

        False if none runs: then an abandoned coroutine is closed, by the garbage collector or by its owner.
        """
        try:
            running = self._mutex.running_loop()
        except RuntimeError:  # trio's, if none runs
            return False
        return running is not None and running != self._mutex.loop

    def _drop_without_loop(self) -> None:
        """Drop the connection of an event loop that has ended: no task of it can be woken, nor a listener told."""
        reason = "its event loop has ended"
        self._sender.give_up(reason)
        self._reader.waiting.clear()
        self._note_dropped(CloseCause.CANCELLATION, reason)
        self._stream.abort()
        if self._when_over is not None and self.close_info is not None:
            self._notifications.add(self._when_over, self.close_info)
            self._when_over = None
        self._notifications.deliver()

    def _abort_locked(self, detail: str) -> None:
        """Drop the connection; the mutex is held, and its holder delivers the notifications."""
        self._note_aborted(detail)
        self._stream.abort()

    def _note_aborted(self, detail: str) -> None:
        """Send a Close if that needs no waiting, before the stream is aborted; mutex held."""
        if self.is_open:
            self._send_close(close_codes.BLOCK_CANCELLED)
        self._note_dropped(CloseCause.CANCELLATION, detail)

    def _note_dropped(self, cause: CloseCause, detail: str) -> None:
        """Note that the connection has ended, and tell the callers that wait; mutex held."""
        self._end_keepalive()
        self._connection.abort(cause, detail)
        wake(self._reader.waiting)
        self._sender.flush()
        info = self._connection.close_info
        assert info is not None, "an ended connection explains itself"
        calls, self._when_ended = self._when_ended, []
        for call in calls:
            self._notifications.add(call, info)
        if self.listening is None and self._when_over is not None:
            self._notifications.add(self._when_over, info)  # after the observers were told
            self._when_over = None

    # Handlers

    def end_listening(self) -> None:
        """Note that the listener was told about the end."""
        if self.listening is not None:  # else a signal handler has raised before the listener began
            self.listening.end()
        with self._mutex:
            (call, self._when_over), info = (self._when_over, None), self._connection.close_info
        if call is not None and info is not None:
            call(info)

    async def wait_for_listener(self, since: float, caller: Listening | None) -> bool:
        """Wait for the end of a listener for at most the close timeout that runs since then; return True if it came.

        ``caller`` is the listener whose callback waits, if any.
        """
        if self.listening is None:
            return True
        try:
            async with self._effect.time_limit(self.seconds_left(since)):
                await self.listening.wait_until_ended(caller)
        except TimeoutError:
            return False
        return True


async def close_after(
    effect: Effect,
    error: BaseException | None,
    close: Callable[[int], Coroutine[Any, Any, None]],
    abort: Callable[[], None],
) -> None:
    """Close at the end of a ``with`` block: at once if it was cancelled, else with the code for its error."""
    if error is None:
        await close(close_codes.BLOCK_ENDED)
    elif effect.is_cancellation(error):
        abort()
    else:
        await close(close_codes.BLOCK_RAISED)
