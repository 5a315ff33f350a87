"""The loop in which callers that wait for something read from the stream, one on behalf of all.

Bytes that are read go into the connection. Its new frames are attended to, and callers take them from its queue. The
loop knows neither Pings nor the closing handshake: the session does, which derives from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from polysocket._core.frame_queue import FrameQueue
from polysocket._session.notifications import Notifications
from polysocket._session.reading import Reader, may_be_torn, wake
from polysocket._session.receiving import LockedReceiver, Receiver, concurrent_receive
from polysocket._session.sending import Sender, reentrant_call, wrong_event_loop
from polysocket.close_info import CloseCause
from polysocket.effects import ByteStream, Effect, Mutex, NoMutex
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.errors import ReceiveTimeout, WebSocketError
from polysocket.frames import Close, Frame

if TYPE_CHECKING:
    from polysocket._core.connection import Connection

__all__ = ["ReadLoop"]

T = TypeVar("T")


class ReadLoop(ABC):
    """The base of a session: its stream, its connection, and the loop that reads from one into the other."""

    refusals: tuple[type[Exception], ...] = (WebSocketError,)
    """The errors that a ``take_…`` method raises, and then has taken nothing; any other is a signal handler's."""

    def __init__(self, effect: Effect, stream: ByteStream, connection: Connection) -> None:
        self._effect = effect
        self._stream = stream
        self._read_view: Callable[[], Awaitable[bytes | memoryview]] = getattr(stream, "read_view", stream.read)
        self._read_into: Callable[[memoryview], Awaitable[bytes | memoryview | int]] | None = getattr(
            stream, "read_into", None
        )
        self._connection = connection
        self._mutex: Mutex = getattr(stream, "mutex", None) or effect.mutex()  # ByteStream says why.
        self._notifications = Notifications(self._mutex)
        self._reader = Reader()
        self._sender = Sender(effect, stream, connection, self._mutex, self._notifications)
        receiver = Receiver if isinstance(self._mutex, NoMutex) else LockedReceiver
        self.receiver: Receiver = receiver(
            connection,
            self._reader,
            self._sender,
            self._notifications,
            self._mutex,
            checkpoint=effect.checkpoint,
        )
        self.queue: FrameQueue = connection.queue
        self._is_watching = False  # whether new frames need attention before a caller takes them
        self._closing_since: float | None = None  # on the effect's clock

    @abstractmethod
    def _attend(self, frames: Sequence[Frame | Close]) -> None:
        """Answer, match and tell the frames that are new, and act on the end of the connection; mutex held."""

    @abstractmethod
    def _note_leaving(self) -> None:
        """Note that a caller leaves although more has arrived than it has read."""

    @abstractmethod
    def _note_dropped(self, cause: CloseCause, detail: str) -> None:
        """Note that the connection has ended, and tell the callers that wait; mutex held."""

    async def read_until(  # noqa: C901, PLR0912, PLR0915 - one loop, so that a receive nests no further coroutine
        self, take: Callable[[], T | None], what: str | None = None, timeout: float | None = None
    ) -> T:
        """Read, or wait while another caller does, until ``take()`` returns something.

        Nothing is read while the queue is full. A cancellation, or a passed time limit, loses nothing.

        Args:
            take: One of the ``take_…`` methods, or another condition; called with the mutex held.
            what: The name of what is to be received, if the caller receives: one at a time may.
            timeout: Seconds to wait; None for no limit.
        """
        connection, reader, receiver, mutex = self._connection, self._reader, self.receiver, self._mutex
        try:
            is_elsewhere = mutex.running_loop() != mutex.loop
        except RuntimeError:  # trio's, if it doesn't run here
            is_elsewhere = True
        if is_elsewhere:
            raise wrong_event_loop(mutex)
        if timeout is not None:
            return await self._read_within(timeout, take, what)
        data: bytes | memoryview | int
        is_receiver = is_taking = False
        is_reader = 0
        try:
            try:
                if what is not None:
                    if mutex.is_held():  # by the call that a signal handler has interrupted
                        raise reentrant_call("a method that receives")
                    with mutex:
                        if receiver.is_receiving:
                            raise concurrent_receive()
                        is_receiver = receiver.is_receiving = True  # in this order: a signal handler may raise between
                while True:
                    data, error, is_done, is_reader, holds_bytes = b"", None, False, 0, False
                    try:
                        with mutex:
                            if receiver.is_busy:
                                self._note_interruption()
                            receiver.is_busy = is_taking = True
                            try:
                                taken = take()
                            except self.refusals:
                                receiver.is_busy = is_taking = False
                                raise
                            receiver.is_busy = False
                            if taken is not None:
                                return taken
                            is_taking = False
                            if connection.failure is not None:
                                self._fail()  # No more will arrive, and this caller doesn't take the frames before it.
                                continue
                            if not reader.thread and not connection.queue.is_full:
                                is_reader = reader.thread = get_ident()
                            turn, holds_bytes = reader.turn, connection.holds_bytes
                        if not is_reader:
                            await self._wait_turn(turn)
                            continue
                        if not holds_bytes:
                            try:
                                if connection.has_room and self._read_into is not None:
                                    data = await self._read_into(connection.room())
                                else:
                                    data = await self._read_view()
                            except OSError as caught:
                                error = without_tracebacks(caught)
                        else:
                            await self._effect.next_turn()  # The peer has sent many frames at once.
                        is_done = True
                    finally:
                        if is_reader:
                            with mutex:
                                reader.thread = 0
                                reader.turn += 1
                                if data or (is_done and holds_bytes):
                                    receiver.is_busy = True
                                    if isinstance(data, int):
                                        frames = connection.note_filled(data, self._is_watching)
                                    else:
                                        frames = connection.receive(data, self._is_watching)
                                    receiver.is_busy = False
                                    reader.reads += 1
                                    if self._is_watching or connection.has_met_control or connection.has_ended:
                                        self._attend(frames)
                                    del frames  # Nothing that waits is held twice.
                                elif is_done:
                                    connection.receive_eof(error)
                                    self._attend(())
                                elif not holds_bytes and may_be_torn(self._stream):
                                    self._note_interruption()
                                if reader.waiting:
                                    wake(reader.waiting)
                            is_reader = 0
                    if self._notifications.due:
                        self._notifications.deliver()
                        if self._notifications.is_late:
                            await self._notifications.wait(self._effect.event())
            finally:
                if is_receiver:
                    receiver.is_receiving = is_receiver = False
                    if self._closing_since is not None:
                        self._let_closing_go_on()
                if connection.holds_bytes:
                    self._note_leaving()
                if self._notifications.due:
                    self._notifications.deliver()
        except BaseException as raised:
            # A signal handler may have raised in a "finally" above, or after a frame was taken.
            if is_receiver:
                receiver.is_receiving = False
            if is_reader or is_taking:
                with mutex:
                    if is_taking:
                        receiver.is_busy = True
                    if is_reader:
                        reader.thread = 0
                        reader.turn += 1
                    self._note_interruption(raised)
            raise

    async def _read_within(self, timeout: float, take: Callable[[], T | None], what: str | None) -> T:
        taken: T | None = None
        try:
            async with self._effect.time_limit(timeout):
                taken = await self.read_until(take, what)
                return taken  # noqa: RET504 - kept for the last "except"
        except TimeoutError as error:
            if isinstance(error, ReceiveTimeout):
                raise
            what = what or "frame"
            raise ReceiveTimeout(f"no {what} was received within {timeout} seconds", timeout, what) from None
        except BaseException:
            if taken is not None:  # A signal handler has raised at the end of the time limit.
                self.receiver.is_busy = True
            raise

    async def _wait_turn(self, turn: int) -> None:
        """Wait until another caller has read since ``turn``, or until the queue has room."""
        waiter = self._effect.event()
        self._refuse_reentrant_call("a method that waits")
        try:
            with self._mutex:
                has_read = self._reader.turn != turn  # The frame may be there: then the queue can be full of it.
                if has_read or not (self._reader.thread or self._connection.queue.is_full):
                    return
                self._reader.waiting.append(waiter)
            await waiter.wait()
        finally:
            with self._mutex:
                if waiter in self._reader.waiting:
                    self._reader.waiting.remove(waiter)

    def _refuse_reentrant_call(self, name: str) -> None:
        """Raise :class:`ReentrantCall` if this thread is in the middle of reading: it can't wait for itself."""
        # A future's program may have left the thread in which it was elected to read.
        has_left = self._effect.is_async or getattr(self._effect, "leaves_caller", False)
        if (self._reader.thread == get_ident() and not has_left) or self._mutex.is_held():
            raise reentrant_call(name)

    def _note_interruption(self, error: BaseException | None = None) -> None:
        """End the connection, because some of what was received may be lost; mutex held."""
        if self.receiver.is_busy:
            self._connection.queue.clear()
            self.receiver.is_busy = False
        self._stream.abort()
        by = "" if error is None else f" by {error!r}"
        self._note_dropped(CloseCause.CANCELLATION, f"a read was interrupted{by}, perhaps in the middle of a frame")

    def _fail(self) -> None:
        """Make a pending failure take effect; mutex held."""
        self._connection.fail()
        self._attend(())

    def _let_closing_go_on(self) -> None:
        """Wake a caller that closes, which may have waited for another to take the frames before the Close."""
        with self._mutex:
            self._reader.turn += 1  # for one that is just about to wait
            wake(self._reader.waiting)
