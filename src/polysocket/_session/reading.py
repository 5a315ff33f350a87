"""Who reads: whoever waits for something from the other side reads for all who do.

One caller at a time has that role; the others are woken each time that it has read, and one of them goes on where it
leaves. So a receive, a ping and a close may wait at the same time, and each may be cancelled at any point.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from polysocket._core.connection import Connection
from polysocket.effects import ByteStream, Effect, Event

__all__ = ["Reading", "wake"]


class Reading:
    """Reads from the stream into the connection; ``on_read(known)`` is told after how many known frames new ones are.

    ``lock`` guards the connection; it is held while ``on_read`` and the conditions are called, and never while waiting.
    """

    def __init__(
        self,
        effect: Effect,
        stream: ByteStream,
        connection: Connection,
        lock: threading.Lock,
        on_read: Callable[[int], None],
    ) -> None:
        self._effect = effect
        self._stream = stream
        self._connection = connection
        self._lock = lock
        self._on_read = on_read
        self._is_reading = False
        self._waiting: list[Event] = []

    async def until(self, is_ready: Callable[[], bool]) -> None:
        """Read, or wait while another caller does, until ``is_ready``.

        Nothing is read while the connection is full. A cancellation, or a passed time limit, loses nothing.
        """
        while True:
            with self._lock:
                if is_ready():
                    return
                if self._connection.is_failing:
                    # Nothing more will come, and whoever waits here does not take the frames before the failure.
                    self._connection.fail()
                    self._on_read(len(self._connection.frames))
                    continue
                waiter = None
                if self._is_reading or self._connection.is_full:
                    waiter = self._effect.event()
                    self._waiting.append(waiter)
                else:
                    self._is_reading = True
            if waiter is not None:
                try:
                    await waiter.wait()
                finally:
                    with self._lock:
                        if waiter in self._waiting:
                            self._waiting.remove(waiter)
                continue
            try:
                await self._read()
            finally:
                with self._lock:
                    self._is_reading = False
                    self.wake()

    def wake(self) -> None:
        """Have all who wait look again."""
        wake(self._waiting)

    async def _read(self) -> None:
        if self._connection.holds_bytes:
            with self._lock:
                known = len(self._connection.frames)
                self._connection.receive(b"")
                self._on_read(known)
            return
        error = None
        try:
            data = await self._stream.read()
        except OSError as caught:
            data, error = b"", caught
        with self._lock:
            known = len(self._connection.frames)
            if data:
                self._connection.receive(data)
            else:
                self._connection.receive_end(error)
            self._on_read(known)


def wake(events: list[Event]) -> None:
    """Set events that are waited for, each once."""
    for event in events:
        event.set()
    events.clear()
