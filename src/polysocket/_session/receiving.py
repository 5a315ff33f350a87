"""Take received frames and messages from the connection's queue, for the one caller that receives.

The ``take_…`` methods never wait: they return None if what is asked for has not arrived yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polysocket._session.notifications import Notifications
from polysocket._session.reading import Reader, wake
from polysocket._session.sending import Sender, wrong_event_loop
from polysocket.effects import Mutex
from polysocket.errors import ConcurrentReceive, UnexpectedFrame
from polysocket.frames import Binary, Close, DataFrame, Frame, Ping, Text
from polysocket.request import check_timeout

if TYPE_CHECKING:
    from polysocket._core.connection import Connection
    from polysocket._core.frame_queue import FrameQueue

__all__ = ["DATA", "LockedReceiver", "Receiver", "concurrent_receive", "take_ready"]

D = TypeVar("D", Text, Binary, DataFrame)

Kinds = type[D] | tuple[type[D], ...]
DATA: tuple[type[DataFrame], ...] = (Text, Binary)
NUMBERS: Final = (float, int)  # the types, of which bool is not one
ORDINARY: Final = 24 * 60 * 60  # seconds: any longer time limit is checked in a call of its own


class Receiver:
    """The frames and messages for the one caller that receives; ``is_receiving`` is True while there is one.

    The session's mutex guards all of this: a :class:`LockedReceiver` takes it if it is more than a formality.
    """

    def __init__(
        self,
        connection: Connection,
        reader: Reader,
        sender: Sender,
        notifications: Notifications,
        mutex: Mutex,
        *,
        checkpoint: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self.is_receiving: bool = False
        self.is_busy: bool = False
        """True while received frames are queued or taken; it stays True if a signal handler raises meanwhile."""
        self.checkpoint: Callable[[], Awaitable[object]] | None = checkpoint
        """The checkpoint of a call that finds its frame, before it takes it; None if the flavour needs none."""
        self.pause: Any = None
        """The latest checkpoint of a caller that is about to take what is here: a coroutine, which may have ended."""
        self.on_room: Callable[[], object] = _nothing
        """A function that is called when the queue is no longer full; the mutex is held."""
        self.answers_pings: bool = False
        """Whether Pings are answered as they are taken, and not as they are read."""
        self._connection = connection
        self._reader = reader
        self._sender = sender
        self._notifications = notifications
        self.queue: FrameQueue = connection.queue
        """The received frames that wait."""
        self._mutex = mutex
        self._running_loop, self._loop = mutex.running_loop, mutex.loop
        self._has_loop = mutex.loop != ""

    @property
    def has_caller(self) -> bool:
        """Whether a caller receives: it waits, or lets other tasks run before it takes what is here."""
        # No flag, which a cancellation had to reset: that takes longer than a look at the coroutine.
        return self.is_receiving or getattr(self.pause, "cr_frame", None) is not None

    def _note_room(self) -> None:
        """Have reading go on, now that the queue may have room; mutex held."""
        wake(self._reader.waiting)
        if not self.queue.is_full:
            self.on_room()

    def take_ready_message(self, kinds: Kinds[D], timeout: Any = None) -> Any:
        """Take a message that has arrived, if it comes next: the short way, for streams of small messages.

        A str if the kind is Text, bytes if it is Binary, either for both; None if there is no such message.
        ``timeout``, for which nothing is waited here, is only checked: without a call if it is an ordinary number.
        """
        if timeout is not None and not (type(timeout) in NUMBERS and 0 <= timeout <= ORDINARY):
            check_timeout(timeout)
        try:
            is_elsewhere = self._has_loop and self._running_loop() != self._loop
        except RuntimeError:  # trio's, if it doesn't run here
            is_elsewhere = True
        if is_elsewhere:
            raise wrong_event_loop(self._mutex)
        queue = self.queue
        if not queue.count or queue.fragments or self.is_receiving or self.is_busy:
            return None
        is_taken = False
        try:
            was_full = queue.is_full
            self.is_busy = is_taken = True
            message = queue.take(kinds)
            if was_full:
                self._note_room()
            self.is_busy = False
            return message
        except BaseException:
            self.is_busy = self.is_busy or is_taken  # The next caller that receives is told that a frame is lost.
            raise

    def take_ready_frame(self, pong_on_ping: object) -> Frame | Close | None:
        """Take a frame that has arrived: the short way, for streams of small frames."""
        queue, mutex = self.queue, self._mutex
        try:
            is_elsewhere = mutex.running_loop() != mutex.loop
        except RuntimeError:  # trio's, if it doesn't run here
            is_elsewhere = True
        if is_elsewhere:
            raise wrong_event_loop(mutex)
        is_taken = False
        try:
            with mutex:
                if self.is_receiving or self.is_busy or not (queue.count or queue.fragments):
                    return None
                self.is_busy = is_taken = True
                frame = self.take_frame(pong_on_ping)
                self.is_busy = False
            if self._notifications.due:
                self._notifications.deliver()
            return frame
        except BaseException:
            self.is_busy = self.is_busy or is_taken
            raise

    # The mutex is held.

    def take_frame(self, pong_on_ping: object) -> Frame | Close | None:
        """Take the next frame; None if it has not arrived yet."""
        queue = self.queue
        if queue.fragments:
            return queue.fragments.next()
        if not queue.count:
            if self._connection.has_ended:
                raise self._connection.error()
            return None
        was_full = queue.is_full
        frame = queue.take()
        if was_full:
            self._note_room()
        if pong_on_ping and self.answers_pings and isinstance(frame, Ping):
            self._sender.answer_ping(frame.payload)
        return frame

    def take_data(self, kinds: Kinds[D], pong_on_ping: object) -> D | None:
        """Take the next data frame, which must be one of the kinds; pass over control frames."""
        queue = self.queue
        pings = 0
        try:
            while queue.fragments or queue.count:
                first = queue.fragments.first if queue.fragments else queue.first
                _check_kind(first, kinds)
                frame = self.take_frame(False)
                if isinstance(frame, Ping) and pong_on_ping and self.answers_pings:
                    pings += 1
                    self._sender.answer_ping(frame.payload, pings)
                if isinstance(frame, Close):
                    raise self._connection.error()
                if isinstance(frame, kinds):
                    return frame
        finally:
            if self._sender.due_pong is not None:
                self._sender.send_due_pong()
        if self._connection.has_ended:
            raise self._connection.error()
        return None

    def take_message(self, kinds: Kinds[D], pong_on_ping: object) -> Any:
        """Take a whole message: a str if the kind is Text, bytes if it is Binary, either for both.

        Return None if its last fragment has not arrived yet. The fragments that have arrived stay in
        ``queue.fragments``, so that a cancelled caller loses none.
        """
        queue = self.queue
        if queue.fragments:
            _check_kind(queue.fragments.first, kinds)
        pings = 0
        try:
            while queue.count:
                was_full = queue.is_full
                payload = queue.take(kinds)
                frame = None
                if payload is None and queue.count:
                    _check_kind(queue.first, kinds)
                    frame = queue.take()
                if was_full:
                    self._note_room()
                if payload is not None:
                    return payload
                if isinstance(frame, Close):
                    raise self._connection.error()
                if isinstance(frame, Ping) and pong_on_ping and self.answers_pings:
                    pings += 1
                    self._sender.answer_ping(frame.payload, pings)
        finally:
            # Of the Pings that were passed over, the answer to the latest is enough (RFC 6455 §5.5.3).
            if self._sender.due_pong is not None:
                self._sender.send_due_pong()
        if self._connection.has_ended:
            raise self._connection.error()
        return None

    def take_messages(self, most: int | None, pong_on_ping: object) -> list[str | bytes] | None:
        """Take the whole messages that have arrived, at most ``most``; None if there is no whole one yet.

        The Close, or another end, stays for the next receive if there are messages before it.
        """
        queue = self.queue
        messages: list[str | bytes] = []
        was_full, pings = queue.is_full, 0
        try:
            while queue.count and len(messages) != most:
                if whole := queue.take_messages(queue.count if most is None else most - len(messages)):
                    messages += whole
                    continue
                if (message := queue.take(DATA)) is not None:
                    messages.append(message)
                    continue
                if messages and queue.count and isinstance(queue.first, Close):
                    break
                frame = queue.take()
                if isinstance(frame, Close):
                    raise self._connection.error()
                if isinstance(frame, Ping) and pong_on_ping and self.answers_pings:
                    pings += 1
                    self._sender.answer_ping(frame.payload, pings)
        finally:
            if was_full:
                self._note_room()
            if self._sender.due_pong is not None:
                self._sender.send_due_pong()
        if not messages and self._connection.has_ended:
            raise self._connection.error()
        return messages or None


class LockedReceiver(Receiver):
    """The receiver of a flavour whose mutex is a lock."""

    def take_ready_message(self, kinds: Kinds[D], timeout: Any = None) -> Any:
        """Do the same with the mutex held."""
        if timeout is None and not self.queue.count:
            return None
        message: Any = None
        try:
            with self._mutex:
                message = super().take_ready_message(kinds, timeout)
                return message  # noqa: RET504 - kept for the "except"
        except BaseException:
            self.is_busy = self.is_busy or message is not None
            raise


def take_ready(kinds: Kinds[D], ws: Any, *, pong_on_ping: object = True, timeout: Any = None) -> Any:
    """Take a message of a websocket that is here; None if there is none, or if an argument is to be checked first."""
    receiver: Receiver = ws._session.receiver
    return receiver.take_ready_message(kinds, timeout) if receiver.queue.count and pong_on_ping else None


def _nothing() -> None: ...


def concurrent_receive() -> ConcurrentReceive:
    """Return the error for a second caller that receives."""
    return ConcurrentReceive(
        "another task or thread is receiving from this websocket, or was cancelled and has not ended yet; "
        "only one at a time may receive"
    )


def _check_kind(frame: Frame | Close, kinds: Kinds[D]) -> None:
    """Raise :class:`UnexpectedFrame` for a data frame of the one kind that the caller does not receive."""
    if not isinstance(frame, DATA) or isinstance(frame, kinds):
        return
    expected = Binary if isinstance(frame, Text) else Text
    text = (
        f"a {type(frame).__name__} frame arrived, but a {expected.__name__} frame was to be received; "
        "it can still be received"
    )
    raise UnexpectedFrame(text, frame, expected)
