"""Who sends: frames go out whole and in turn, messages in fragments are not broken into, and Pings are answered.

Nothing here waits while the lock is held, and whoever receives never waits to send: two sides that both did would wait
for each other for ever.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable

from polysocket._core.connection import Connection
from polysocket._core.states import State
from polysocket._session.reading import wake
from polysocket.close_info import CloseCause, CloseInfo, Side
from polysocket.effects import ByteStream, Effect, Event
from polysocket.errors import ConnectionLost, WebSocketClosed
from polysocket.frames import Binary, Close, Frame, Pong, Text

__all__ = ["Sending"]


SEND_CAPACITY = 64 * 1024  # bytes pending in the stream from which on the next frame waits


class Sending:
    """Sends what goes from the connection to the stream; ``lock`` guards both, and is held where a method says so."""

    def __init__(self, effect: Effect, stream: ByteStream, connection: Connection, lock: threading.Lock) -> None:
        self._effect = effect
        self._stream = stream
        self._connection = connection
        self._lock = lock
        self._waiting: list[Event] = []  # those whose turn comes when a fragmented message is ended
        self._message_owner: object = None
        self._broken: OSError | None = None
        self._due_pong: Pong | None = None
        self._is_pong_waiting = False

    def send_or_wait(self, frame: Frame | Close, is_continuation: bool) -> Callable[[], Awaitable[object]] | None:
        """Send the frame, or give what is to be awaited before the next try."""
        is_data = isinstance(frame, Text | Binary)
        with self._lock:
            if self._connection.state is State.OPEN:
                if self._broken is not None:
                    raise self._lost(self._broken)
                if self._stream.pending >= SEND_CAPACITY:
                    return self.drain
                if is_data and not is_continuation and self._must_wait_for_turn():
                    return self._wait_for_turn
            self._connection.send(frame, is_continuation)
            if is_data:
                self._message_owner = self._effect.current_task() if self._connection.open_message else None
            try:
                self._stream.write(self._connection.data_to_send())
            except OSError as error:
                raise self._lost(error) from error
            if not self._connection.open_message or self._connection.state is not State.OPEN:
                wake(self._waiting)
            return None

    async def drain(self) -> None:
        """Wait while the network has too much to take."""
        try:
            await self._stream.drain()
        except OSError as error:
            with self._lock:
                lost = self._lost(error)
            raise lost from error
        with self._lock:
            self.send_due_pong()

    async def _wait_for_turn(self) -> None:
        with self._lock:
            if self._connection.state is not State.OPEN or self._broken is not None or not self._must_wait_for_turn():
                return
            turn = self._effect.event()
            self._waiting.append(turn)
        try:
            await turn.wait()
        finally:
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)

    def _must_wait_for_turn(self) -> bool:
        return self._connection.open_message and self._message_owner != self._effect.current_task()

    def _lost(self, error: OSError) -> WebSocketClosed:
        """What a broken stream means: the end that is known, or one that will be met when the rest is received."""
        self._broken = error
        wake(self._waiting)
        if self._connection.has_ended:
            return self._connection.error()
        return ConnectionLost(CloseInfo(Side.REMOTE, CloseCause.NETWORK, detail=str(error)))

    def settle(self) -> None:
        """Send what the connection has to say, and tell whoever waits where nothing more can be sent. Locked."""
        if data := self._connection.data_to_send():
            with contextlib.suppress(OSError):  # It is left to whoever reads the stream's end.
                self._stream.write(data)
        if self._connection.state is not State.OPEN:
            wake(self._waiting)

    def answer_ping(self, payload: bytes) -> None:
        """Send the Pong as soon as the network takes it; till then only that to the latest Ping is kept. Locked.

        RFC 6455 §5.5.3 allows that.
        """
        self._due_pong = Pong(payload)
        self.send_due_pong()

    def send_due_pong(self) -> None:
        """Send the Pong that waits, if there is one. Locked."""
        if self._due_pong is None or self._connection.state is not State.OPEN:
            return
        if self._stream.pending < SEND_CAPACITY:
            self._connection.send(self._due_pong)
            self._due_pong = None
            self.settle()
        elif not self._is_pong_waiting:
            self._is_pong_waiting = True
            self._effect.spawn(self._send_pong_later, self._stop_waiting_for_pong)

    async def _send_pong_later(self) -> None:
        try:
            await self._stream.drain()
        except OSError:
            return
        self._is_pong_waiting = False
        with self._lock:
            self.send_due_pong()

    def _stop_waiting_for_pong(self, error: BaseException | None) -> None:
        if error is not None:
            self._is_pong_waiting = False
