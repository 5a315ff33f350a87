"""Send frames whole and in turn, keep fragmented messages together, and answer Pings.

Nothing here waits: :mod:`~polysocket._session.draining` has the programs that do. A caller that receives never waits to
send: two sides that both did would wait for each other forever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from polysocket._core.batch import Batch
from polysocket._core.fast_path import UNLIMITED
from polysocket._core.states import State
from polysocket._core.validation import snapshot
from polysocket._session.draining import drain_stream, drain_unless_lost, send_after, send_within, wait_for_turn
from polysocket._session.notifications import Notifications
from polysocket._session.reading import wake
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.effects import ByteStream, Effect, Event, Mutex, NoMutex
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.errors import (
    ConnectionLost,
    ReentrantCall,
    WebSocketClosed,
    WebSocketError,
    WrongEventLoop,
)
from polysocket.frames import Binary, Close, Frame, Ping, Pong, Text

if TYPE_CHECKING:
    from polysocket._core.connection import Connection

__all__ = ["SEND_CAPACITY", "Sender", "reentrant_call", "wrong_event_loop"]

INTERRUPTED: Final = ConnectionAbortedError("a send was interrupted, perhaps in the middle of a frame")
MOST_PONGS: Final = 16  # in a turn, besides the latest: a flood of Pings must not hold up an event loop (30 µs a Pong)
# Bytes of a payload that are masked and then written: the system copies them from the processor's cache, and the peer
# begins to read. At once, 64 KiB and 1 MiB take a fifth longer. So do slices of 16 and of 64 KiB.
SLICE: Final = 32 * 1024
SEND_CAPACITY: Final = 64 * 1024  # bytes pending in the stream from which the next frame waits: asyncio's high water


class Sender:
    """The writer of the connection's frames to the stream; the session's mutex guards both."""

    def __init__(
        self,
        effect: Effect,
        stream: ByteStream,
        connection: Connection,
        mutex: Mutex,
        notifications: Notifications,
    ) -> None:
        self.waiting: list[Event] = []
        """Callers whose turn comes when the fragmented message of another one is finished."""
        self.on_sent: list[Callable[[Frame | Close], None]] = []
        self.due_pong: Pong | None = None
        """The answer to the latest Ping, which waits until the network takes it."""
        self.background: set[Event] = set()
        """For each program in the background that waits to send a Pong: set when the program has ended."""
        self.loss: CloseInfo | None = None
        """The explanation of the first write that has failed; None if none has."""
        self._effect = effect
        self._stream = stream
        self._connection = connection
        self._encoder = connection.encoder
        self._mutex = mutex
        self._checkpoint = effect.checkpoint
        self._deadline: ContextVar[float | None] | None = getattr(effect, "deadline", None)
        self._running_loop, self._loop, self._is_held = mutex.running_loop, mutex.loop, mutex.is_held
        self._notifications = notifications
        self._due = notifications.due
        self._message_owner: object = None
        self._bytes_received = 0  # from the peer when a frame was sent last
        self._error: OSError = INTERRUPTED
        self._is_broken = False
        self._is_pong_waiting = False
        self._has_told_close = False

    def send(  # noqa: C901, PLR0912 - one method, since a call takes as long as many of these steps
        self,
        frame: Any,
        is_continuation: object = False,
        compress: object = True,
        on_taken: Callable[[], object] | None = None,
    ) -> Awaitable[object] | None:
        """Send a frame, or a batch of them; return what to await until the call is complete, or None if it is.

        The mutex is held, unless it is only a formality; see :attr:`send_frame`.

        A frame that can't be written yet, because too much is pending or another caller's fragmented message is not
        finished, is written while that is awaited. ``on_taken`` is called, with a mutex held, as soon as the stream
        has taken the whole frame, which from then on is sent whatever happens to the caller. The arguments are those of
        :meth:`~polysocket._core.connection.Connection.send`, and of any type as there.
        """
        stream = self._stream
        try:
            is_elsewhere = self._running_loop() != self._loop
        except RuntimeError:  # trio's, if it doesn't run here
            is_elsewhere = True
        if is_elsewhere:
            raise wrong_event_loop(self._mutex)
        if isinstance(frame, Text):
            is_part = not frame._final
        elif isinstance(frame, Binary):
            is_part = not frame._final
            if type(frame._payload) is not bytes:
                frame = snapshot(frame)
        else:
            is_part = isinstance(frame, Close)
            if type(getattr(frame, "_payload", b"")) is not bytes:
                frame = snapshot(frame)
        try:
            is_free = stream.pending < SEND_CAPACITY and self._message_owner is None and not self._is_broken
            if not is_free and self._must_wait(frame, is_continuation):
                return send_after(
                    partial(self._next_wait, frame, is_continuation),
                    partial(self.send_frame, frame, is_continuation, compress, on_taken),
                )
            # It stays True if a signal handler raises: the frame may then be encoded or written in part.
            self._is_broken = True
            try:
                # A peer that answers is woken once for all: a round trip with slices of 64 KiB takes a tenth longer.
                received = self._connection.bytes_received
                at_once = SLICE if received == self._bytes_received else UNLIMITED
                self._bytes_received = received
                stream.write(self._connection.send(frame, is_continuation, compress, at_once))
                while self._encoder.has_more:
                    stream.write(self._encoder.more(SLICE))
                if on_taken is not None:
                    on_taken()
            except OSError as error:
                raise self._lost(error) from error
            except WebSocketError:  # before anything was encoded
                self._is_broken = False
                raise
            if is_part or is_continuation or self.on_sent:
                self._note_sent(frame)
            self._is_broken = False
        except BaseException:
            self._end_if_interrupted()
            raise
        if self._due and not self._is_held():
            self._notifications.deliver()
        if stream.pending:
            return self._drain()
        if self._deadline is not None and self._deadline.get() is not None:
            return self._effect.next_turn()  # A program that only sends may never wait, and has a time limit, too.
        return None if self._checkpoint is None else self._checkpoint()

    def send_locked(
        self,
        frame: Any,
        is_continuation: object = False,
        compress: object = True,
        on_taken: Callable[[], object] | None = None,
    ) -> Awaitable[object] | None:
        """Send as :meth:`send` does, with the mutex held; any thread may call this."""
        if self._is_held():
            raise reentrant_call("send")
        with self._mutex:
            rest = self.send(frame, is_continuation, compress, on_taken)
        if self._due:
            self._notifications.deliver()
        return rest

    @property
    def send_frame(self) -> Callable[..., Awaitable[object] | None]:
        """The method that sends: :meth:`send_locked`, unless the mutex is only a formality."""
        return self.send if isinstance(self._mutex, NoMutex) else self.send_locked

    def _note_sent(self, frame: Any) -> None:
        """Follow a fragmented message and a Close, and tell the observers; mutex held."""
        if isinstance(frame, Batch):
            for message in frame.messages:
                self._tell(message)
            return
        if isinstance(frame, Text | Binary):
            self._message_owner = None if frame.final else self._effect.current_task()
        if self._message_owner is None or isinstance(frame, Close):
            wake(self.waiting)
        self._tell(frame)

    def send_within(
        self, seconds: float, send: Callable[[Callable[[], object]], Awaitable[object] | None]
    ) -> Awaitable[None]:
        """Return the program that sends a frame in at most ``seconds``: ``send`` is :meth:`send` but for ``on_taken``.

        It raises :class:`SendTimeout`, but not if the network has the whole frame at that moment.
        """
        return send_within(self._effect, self._stream, seconds, send)

    def _next_wait(self, frame: Any, is_continuation: object) -> Awaitable[object] | None:
        """Return what a frame has to wait for; None if it may be sent now."""
        with self._mutex:
            if not self._must_wait(frame, is_continuation):
                return None
            if self._must_wait_for_turn(frame, is_continuation):
                turn = self._effect.event()
                self.waiting.append(turn)
                return wait_for_turn(turn, self._forget_turn)
        return self._drain()

    def _forget_turn(self, turn: Event) -> None:
        with self._mutex:
            if turn in self.waiting:
                self.waiting.remove(turn)

    def _must_wait(self, frame: Any, is_continuation: object) -> bool:
        if self._connection.state is not State.OPEN:
            return False  # The connection raises.
        if self._is_broken:
            raise self._lost(self._error)
        return self._stream.pending >= SEND_CAPACITY or self._must_wait_for_turn(frame, is_continuation)

    def _must_wait_for_turn(self, frame: Any, is_continuation: object) -> bool:
        """Return True if another caller's fragmented message has to be finished first."""
        if is_continuation or self._message_owner is None or not isinstance(frame, Text | Binary | Batch):
            return False
        is_open = self._connection.state is State.OPEN and not self._is_broken
        return is_open and self._message_owner != self._effect.current_task()

    def _drain(self) -> Awaitable[None]:
        """Return the program that waits while the network has too much to take."""
        return drain_stream(self._stream, self._drain_failed, self._drained)

    def _drain_failed(self, error: BaseException) -> None:
        if isinstance(error, OSError):
            with self._mutex:
                raise self._lost(error) from error
        if getattr(self._stream, "is_torn", False):
            self._is_broken = True
            self._end_if_interrupted()

    def _drained(self) -> None:
        if self.due_pong is not None:
            with self._mutex:
                self.send_due_pong()
            self._notifications.deliver()

    def _end_if_interrupted(self) -> None:
        """End the connection if a signal handler has raised in the middle of a frame, after which nothing may follow.

        A caller that receives would wait forever for the answer to a message that the peer has not got.
        """
        with self._mutex:
            if self._is_broken and self._error is INTERRUPTED:
                self._stream.abort()
                self._connection.abort(CloseCause.CANCELLATION, str(INTERRUPTED))
                wake(self.waiting)

    def _lost(self, error: OSError) -> WebSocketClosed:
        """Return the error of a broken stream: the known end, or one that is met once the rest is received."""
        self._error, self._is_broken = without_tracebacks(error), True
        if error is INTERRUPTED:
            self._stream.abort()  # Nothing may follow a torn frame.
        wake(self.waiting)
        if self._connection.has_ended:
            return self._connection.error()
        if error is INTERRUPTED:
            return ConnectionLost(CloseInfo(Side.LOCAL, CloseCause.CANCELLATION, detail=str(error)))
        self.loss = self.loss or CloseInfo(Side.REMOTE, CloseCause.NETWORK, detail=str(error))
        return ConnectionLost(self.loss)

    def give_up(self, reason: str) -> None:
        """Write nothing more, and wake no caller: the event loop of the stream has ended."""
        self._error, self._is_broken = ConnectionAbortedError(reason), True
        self.waiting.clear()

    def flush(self) -> None:
        """Write what the connection sends on its own, and wake callers that can send nothing more; mutex held."""
        self.write_at_once(self._connection.data_to_send)
        if self._connection.state is not State.OPEN:
            wake(self.waiting)
        info = self._connection.close_info
        if info is not None and info.sent is not None:
            self._tell(info.sent)

    def write_at_once(self, encode: Callable[[], bytes]) -> None:
        """Write what ``encode`` returns, if anything; the reader meets a broken stream. The mutex is held."""
        if self._is_broken:
            if self._error is INTERRUPTED:
                self._stream.abort()  # Nothing may follow a torn frame.
            return  # The reader of a lost connection still takes what arrived before.
        try:
            self._is_broken = True  # as in send()
            try:
                if data := encode():
                    try:  # noqa: SIM105 - suppress() would be three calls for each Ping
                        self._stream.write(data)
                    except OSError:
                        pass
            except WebSocketError:
                self._is_broken = False
                raise
            self._is_broken = False
        except BaseException:
            self._end_if_interrupted()
            raise

    def _tell(self, frame: Frame | Close) -> None:
        if isinstance(frame, Close):
            if self._has_told_close:
                return
            self._has_told_close = True
        for call in self.on_sent:
            self._notifications.add(call, frame)

    def answer_ping(self, payload: bytes, number: int = 1) -> None:
        """Send the Pong as soon as the network takes it; mutex held.

        Until then only the answer to the latest Ping is kept, which is enough (RFC 6455 §5.5.3). A caller that
        passes over many Pings in one turn numbers them, and calls :meth:`send_due_pong` at the end.
        """
        self.due_pong = Pong(payload)
        if number <= MOST_PONGS:
            self.send_due_pong()

    @property
    def has_room(self) -> bool:
        """Whether the next frame need not wait for the network."""
        return self._stream.pending < SEND_CAPACITY

    def send_control(self, frame: Ping | Pong) -> None:
        """Send a control frame without waiting; mutex held."""
        self.write_at_once(partial(self._connection.send, frame))
        self._tell(frame)

    def send_due_pong(self) -> None:
        """Send the Pong that waits, if any; mutex held."""
        if self.due_pong is None or self._connection.state is not State.OPEN:
            return
        if self.has_room:
            pong, self.due_pong = self.due_pong, None
            self.send_control(pong)
        elif not self._is_pong_waiting:
            has_ended = self._effect.event()
            stop = partial(self._stop_waiting_for_pong, has_ended)
            try:
                self._is_pong_waiting = True
                self.background.add(has_ended)
                self._effect.spawn(self._send_pong_later, stop)
            except BaseException as error:  # A signal handler has raised: the program may run, or not.
                stop(error)
                raise

    def _send_pong_later(self) -> Coroutine[Any, Any, None]:
        return drain_unless_lost(self._stream, self._send_pong_now)

    def _send_pong_now(self) -> None:
        with self._mutex:
            self._is_pong_waiting = False
            self.send_due_pong()
        self._notifications.deliver()

    def _stop_waiting_for_pong(self, has_ended: Event, error: BaseException | None) -> None:
        if error is not None:
            self._is_pong_waiting = False
        self.background.discard(has_ended)
        has_ended.set()


def wrong_event_loop(mutex: Mutex) -> WrongEventLoop:
    """Return the error for a call in another event loop than the websocket's."""
    if mutex.has_loop_ended():
        text = (
            "the event loop in which this websocket was opened has ended, and its connection with it: open another one"
        )
    else:
        text = (
            "this websocket was opened in another event loop: call it from tasks of that loop, "
            "or open another websocket here"
        )
    return WrongEventLoop(text)


def reentrant_call(name: str) -> ReentrantCall:
    """Return the error for a call in the middle of another call that the same thread makes."""
    return ReentrantCall(
        f"{name} was called from inside another call of this websocket in the same thread, as by a signal handler: "
        "raise there instead, or call it from another thread"
    )
