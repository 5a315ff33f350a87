"""Take received frames and messages from the connection's queue, for the one caller that receives.

The ``take_…`` methods never wait: they return None if what is asked for has not arrived yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from polysocket._session.notifications import Notifications
from polysocket._session.reading import Reader, wake
from polysocket._session.sending import Sender, wrong_event_loop
from polysocket.effects import Mutex
from polysocket.errors import ConcurrentReceive, UnexpectedFrame
from polysocket.frames import Binary, Close, DataFrame, Frame, Ping, Text, join_fragments

if TYPE_CHECKING:
    from polysocket._core.connection import Connection

__all__ = ["DATA", "Receiver", "concurrent_receive"]

D = TypeVar("D", Text, Binary, DataFrame)

Kinds = type[D] | tuple[type[D], ...]
DATA: tuple[type[DataFrame], ...] = (Text, Binary)


class Receiver:
    """The frames and messages for the one caller that receives; ``is_receiving`` is True while there is one.

    The session's mutex guards all of this.
    """

    def __init__(
        self,
        connection: Connection,
        reader: Reader,
        sender: Sender,
        notifications: Notifications,
        mutex: Mutex,
    ) -> None:
        self.is_receiving = False
        self._connection = connection
        self._reader = reader
        self._sender = sender
        self._notifications = notifications
        self._mutex = mutex

    def take_whole(self, kinds: Kinds[D]) -> D | None:
        """Take a message that has arrived in one frame: the short way, for streams of small messages."""
        queue, mutex = self._connection.queue, self._mutex
        if mutex.running_loop() != mutex.loop:
            raise wrong_event_loop(mutex)
        with mutex:
            if not queue.frames or queue.fragments or self.is_receiving:
                return None
            first = queue.frames[0]
            if not isinstance(first, kinds) or not first.final:
                return None
            was_full = queue.is_full
            queue.pop()
            if was_full:
                wake(self._reader.waiting)
            return first

    def take_ready_frame(self, pong_on_ping: bool) -> Frame | Close | None:
        """Take a frame that has arrived: the short way, for streams of small frames."""
        queue, mutex = self._connection.queue, self._mutex
        if mutex.running_loop() != mutex.loop:
            raise wrong_event_loop(mutex)
        with mutex:
            if self.is_receiving or not (queue.frames or queue.fragments):
                return None
            frame = self.take_frame(pong_on_ping)
        if self._notifications.due:
            self._notifications.deliver()
        return frame

    # The mutex is held.

    def take_frame(self, pong_on_ping: bool) -> Frame | Close | None:
        """Take the next frame; None if it has not arrived yet."""
        queue = self._connection.queue
        if queue.fragments:
            return queue.fragments.popleft()
        if not queue.frames:
            if self._connection.has_ended:
                raise self._connection.error()
            return None
        was_full = queue.is_full
        frame = queue.pop()
        if was_full:
            wake(self._reader.waiting)
        if pong_on_ping and isinstance(frame, Ping):
            self._sender.answer_ping(frame.payload)
        return frame

    def take_data(self, kinds: Kinds[D], pong_on_ping: bool) -> D | None:
        """Take the next data frame, which must be one of the kinds; pass over control frames."""
        queue = self._connection.queue
        while queue.fragments or queue.frames:
            frame = queue.fragments[0] if queue.fragments else queue.frames[0]
            if isinstance(frame, DATA) and not isinstance(frame, kinds):
                raise _unexpected(frame, kinds)
            self.take_frame(pong_on_ping)
            if isinstance(frame, Close):
                raise self._connection.error()
            if isinstance(frame, kinds):
                return frame
        if self._connection.has_ended:
            raise self._connection.error()
        return None

    def take_message(self, kinds: Kinds[D], pong_on_ping: bool) -> Any:
        """Take a whole message: a str if the kind is Text, bytes if it is Binary, either for both.

        Return None if its last fragment has not arrived yet. The fragments that have arrived stay in
        ``queue.fragments``, so that a cancelled caller loses none.
        """
        queue = self._connection.queue
        fragments = queue.fragments
        if fragments and not isinstance(fragments[0], kinds):
            raise _unexpected(fragments[0], kinds)
        while queue.frames:
            frame = queue.frames[0]
            if isinstance(frame, DATA) and not isinstance(frame, kinds):
                raise _unexpected(frame, kinds)
            was_full = queue.is_full
            queue.pop()
            if was_full:
                wake(self._reader.waiting)
            if isinstance(frame, Text | Binary):
                if frame.final and not fragments:
                    return frame.payload
                fragments.append(frame)
                if frame.final:
                    message = join_fragments(fragments)
                    fragments.clear()
                    return message
            elif isinstance(frame, Close):
                raise self._connection.error()
            elif isinstance(frame, Ping) and pong_on_ping:
                self._sender.answer_ping(frame.payload)
        if self._connection.has_ended:
            raise self._connection.error()
        return None


def concurrent_receive() -> ConcurrentReceive:
    """Return the error for a second caller that receives."""
    return ConcurrentReceive(
        "another task or thread is receiving from this websocket, or was cancelled and has not ended yet; "
        "only one at a time may receive"
    )


def _unexpected(frame: Frame | Close, kinds: type[DataFrame] | tuple[type[DataFrame], ...]) -> UnexpectedFrame:
    return UnexpectedFrame(
        f"a {type(frame).__name__} frame arrived, but a {_name(kinds)} frame was to be received; "
        "it can still be received"
    )


def _name(kinds: type[DataFrame] | tuple[type[DataFrame], ...]) -> str:
    return kinds.__name__ if isinstance(kinds, type) else "data"
