"""Send frames whole and in turn, keep fragmented messages together, and answer Pings.

Nothing here waits while the mutex is held. A caller that receives never waits to send: two sides that both did would
wait for each other forever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from polysocket._core.states import State
from polysocket._session.notifications import Notifications
from polysocket._session.reading import wake
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.effects import ByteStream, Effect, Event
from polysocket.errors import ConnectionLost, WebSocketClosed
from polysocket.frames import Binary, Close, Frame, Pong, Text

if TYPE_CHECKING:
    from polysocket._core.connection import Connection

__all__ = ["SEND_CAPACITY", "Sender"]

SEND_CAPACITY: Final = 64 * 1024  # bytes pending in the stream from which the next frame waits: asyncio's high water


class Sender:
    """Writes the connection's frames to the stream; the session's mutex guards both."""

    def __init__(
        self,
        effect: Effect,
        stream: ByteStream,
        connection: Connection,
        mutex: AbstractContextManager[Any],
        notifications: Notifications,
    ) -> None:
        self.waiting: list[Event] = []
        """Callers whose turn comes when the fragmented message of another one is finished."""
        self.on_sent: list[Callable[[Frame | Close], None]] = []
        self.due_pong: Pong | None = None
        """The answer to the latest Ping, which waits until the network takes it."""
        self._effect = effect
        self._stream = stream
        self._connection = connection
        self._mutex = mutex
        self._notifications = notifications
        self._message_owner: object = None
        self._error: OSError | None = None
        self._is_pong_waiting = False
        self._has_told_close = False

    def send(self, frame: Frame | Close, is_continuation: bool = False) -> Awaitable[object] | None:
        """Send a frame; return what to await until the call is complete, or None if it is.

        A frame that can't be written yet, because too much is pending or another caller's fragmented message is not
        finished, is written while that is awaited.
        """
        stream = self._stream
        with self._mutex:
            is_free = stream.pending < SEND_CAPACITY and self._message_owner is None and self._error is None
            if not is_free and self._must_wait(frame, is_continuation):
                return self._send_later(frame, is_continuation)
            data = self._connection.send(frame, is_continuation)
            try:
                stream.write(data)
            except OSError as error:
                raise self._lost(error) from error
            if self.on_sent or is_continuation or type(frame) is Close or not getattr(frame, "final", True):
                self._note_sent(frame)
        if self._notifications.due:
            self._notifications.deliver()
        if stream.pending:
            return self.drain()
        checkpoint = self._effect.checkpoint
        return None if checkpoint is None else checkpoint()

    def _note_sent(self, frame: Frame | Close) -> None:
        """Follow a fragmented message and a Close, and tell the observers; mutex held."""
        if isinstance(frame, Text | Binary):
            self._message_owner = None if frame.final else self._effect.current_task()
        if self._message_owner is None or isinstance(frame, Close):
            wake(self.waiting)
        self._tell(frame)

    async def _send_later(self, frame: Frame | Close, is_continuation: bool) -> None:
        turn = None
        with self._mutex:
            if self._must_wait_for_turn(frame, is_continuation):
                turn = self._effect.event()
                self.waiting.append(turn)
        if turn is None:
            await self.drain()
        else:
            try:
                await turn.wait()
            finally:
                with self._mutex:
                    if turn in self.waiting:
                        self.waiting.remove(turn)
        if (rest := self.send(frame, is_continuation)) is not None:
            await rest

    def _must_wait(self, frame: Frame | Close, is_continuation: bool) -> bool:
        if self._connection.state is not State.OPEN:
            return False  # The connection raises.
        if self._error is not None:
            raise self._lost(self._error)
        return self._stream.pending >= SEND_CAPACITY or self._must_wait_for_turn(frame, is_continuation)

    def _must_wait_for_turn(self, frame: Frame | Close, is_continuation: bool) -> bool:
        """Return True if another caller's fragmented message has to be finished first."""
        if is_continuation or self._message_owner is None or not isinstance(frame, Text | Binary):
            return False
        is_open = self._connection.state is State.OPEN and self._error is None
        return is_open and self._message_owner != self._effect.current_task()

    async def drain(self) -> None:
        """Wait while the network has too much to take."""
        try:
            await self._stream.drain()
        except OSError as error:
            with self._mutex:
                lost = self._lost(error)
            raise lost from error
        if self.due_pong is not None:
            with self._mutex:
                self.send_due_pong()
            self._notifications.deliver()

    def _lost(self, error: OSError) -> WebSocketClosed:
        """Return the error of a broken stream: the known end, or one that is met once the rest is received."""
        self._error = error
        wake(self.waiting)
        if self._connection.has_ended:
            return self._connection.error()
        return ConnectionLost(CloseInfo(Side.REMOTE, CloseCause.NETWORK, detail=str(error)))

    def flush(self) -> None:
        """Write what the connection sends on its own, and wake callers that can send nothing more; mutex held."""
        if data := self._connection.data_to_send():
            with contextlib.suppress(OSError):  # The reader meets the end of the stream.
                self._stream.write(data)
        if self._connection.state is not State.OPEN:
            wake(self.waiting)
        info = self._connection.close_info
        if info is not None and info.sent is not None:
            self._tell(info.sent)

    def _tell(self, frame: Frame | Close) -> None:
        if isinstance(frame, Close):
            if self._has_told_close:
                return
            self._has_told_close = True
        for call in self.on_sent:
            self._notifications.add(call, frame)

    def answer_ping(self, payload: bytes) -> None:
        """Send the Pong as soon as the network takes it; mutex held.

        Until then only the answer to the latest Ping is kept, which is enough (RFC 6455 §5.5.3).
        """
        self.due_pong = Pong(payload)
        self.send_due_pong()

    def send_due_pong(self) -> None:
        """Send the Pong that waits, if any; mutex held."""
        if self.due_pong is None or self._connection.state is not State.OPEN:
            return
        if self._stream.pending < SEND_CAPACITY:
            pong, self.due_pong = self.due_pong, None
            data = self._connection.send(pong)
            with contextlib.suppress(OSError):  # The reader meets the end of the stream.
                self._stream.write(data)
            self._tell(pong)
        elif not self._is_pong_waiting:
            self._is_pong_waiting = True
            self._effect.spawn(self._send_pong_later, self._stop_waiting_for_pong)

    async def _send_pong_later(self) -> None:
        try:
            await self._stream.drain()
        except OSError:
            return  # The reader meets the end of the stream.
        with self._mutex:
            self._is_pong_waiting = False
            self.send_due_pong()
        self._notifications.deliver()

    def _stop_waiting_for_pong(self, error: BaseException | None) -> None:
        if error is not None:
            self._is_pong_waiting = False
