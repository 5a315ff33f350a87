"""Streams in memory: two ends of a connection without a network.

They wait only via an :class:`~polysocket.effects.Effect`, so they work in every flavour, and the time of their delays
may be a virtual clock's. The faults of the simulated network are a value, :class:`Faults`, for each direction.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from polysocket.effects import ByteStream, Effect, Event
from polysocket.effects.poller import TICK
from polysocket.testing.arguments import check_effect, check_kind, is_number

__all__ = ["Faults", "MemoryStream", "Wire", "faultless", "memory_streams"]


SMALL = 1024
"""Bytes up to which what is unread is joined with the next write: a write of two bytes takes CPython 150 bytes."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of the network in one direction; by default, there are no faults."""

    cut_after: int | None = None
    """The number of bytes after which the connection breaks, in both directions."""
    pieces: tuple[int, ...] = ()
    """The sizes of the pieces in which bytes arrive, used again and again: ``(1,)`` is one byte at a time."""
    delay: float = 0
    """The seconds from sending to arrival."""
    room: int | None = None
    """The number of unread bytes above which a sender waits; None for no limit."""

    def __post_init__(self) -> None:
        if type(self.pieces) is not tuple or any(type(size) is not int for size in self.pieces):
            raise TypeError(f"pieces is a tuple of sizes, not {self.pieces!r}")
        if not is_number(self.delay):
            raise TypeError(f"delay is a number of seconds, not {self.delay!r}")
        for name in ("cut_after", "room"):
            value = getattr(self, name)
            if value is not None and type(value) is not int:
                raise TypeError(f"{name} is a whole number or None, not {value!r}")
        if any(size < 1 for size in self.pieces):
            raise ValueError(f"pieces must be sizes of at least 1 byte, not {self.pieces!r}")
        for name in ("cut_after", "delay", "room"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, not {value!r}")


faultless: Faults = Faults()


class _Arrival(NamedTuple):
    """Bytes, or the end of the stream, and the time at which they can be read; None for at once."""

    time: float | None
    content: bytes | OSError


class Wire:
    """One direction of a connection. One thread may write while another reads."""

    def __init__(self, effect: Effect, faults: Faults = faultless) -> None:
        self._effect = effect
        self._faults = faults
        self._sizes = itertools.cycle(faults.pieces)
        self._lock = threading.RLock()  # A signal handler may use the peer.
        self._arrivals: deque[_Arrival] = deque()
        self._written = 0
        self._unread = 0
        self._is_closed = False  # by the writer
        self._is_aborted = False  # by the reader
        self._reader: Event | None = None
        self._watcher: Callable[[], object] | None = None
        self._is_watcher_called = False  # or about to be
        self._writers: list[Event] = []

    @property
    def is_cut(self) -> bool:
        """Whether the connection was cut because of ``Faults.cut_after``."""
        return self._faults.cut_after is not None and self._written >= self._faults.cut_after

    @property
    def written(self) -> int:
        """The number of bytes that were sent, as far as the faults let them through."""
        return self._written

    @property
    def is_closed(self) -> bool:
        """Whether the writer has sent EOF or an error."""
        return self._is_closed

    @property
    def excess(self) -> int:
        """The number of unread bytes for which there is no room."""
        return 0 if self._faults.room is None else max(self._unread - self._faults.room, 0)

    def write(self, data: bytes) -> None:
        """Send the bytes, as far as the faults let them through. Raise OSError if the connection is broken."""
        with self._lock:
            self._check_open()
            if self._faults.cut_after is not None:
                data = data[: self._faults.cut_after - self._written]
            self._written += len(data)
            self._unread += len(data)
            position = 0
            while position < len(data):
                size = next(self._sizes, len(data))
                self._put(data[position : position + size])
                position += size
        if self.is_cut:
            self.close(ConnectionResetError(f"the connection was cut after {self._written} bytes"))

    def close(self, error: OSError | None = None) -> None:
        """Send EOF, or an error, after the bytes that were written."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._put(b"" if error is None else error)

    def abort(self) -> None:
        """Drop the unread bytes, and accept no more: the reader has ended the connection."""
        with self._lock:
            self._is_aborted = True
            self._wake()

    async def read(self) -> bytes:
        """Wait for bytes; return ``b""`` at EOF and after :meth:`abort`. Raise OSError if the connection broke.

        A cancellation, or a time limit that passes, loses nothing.
        """
        while True:
            with self._lock:
                left = self._seconds_left()
                self._reader = reader = self._effect.event()
                if not left:
                    reader.set()  # The event is awaited in any case: in trio, a read is a checkpoint.
            try:
                with contextlib.suppress(TimeoutError):
                    async with self._effect.time_limit(None if left in (0, math.inf) else left):
                        await reader.wait()
            finally:
                self._reader = None
            with self._lock:
                if not self._seconds_left():
                    return self._take()

    def read_now(self) -> bytes | None:
        """Return what :meth:`read` would return at once; None if it would wait."""
        with self._lock:
            return None if self._seconds_left() else self._take()

    def watch(self, call: Callable[[], object] | None, /) -> None:
        """Make this call, in a later turn, when bytes or the end arrive that no caller of :meth:`read` waits for."""
        with self._lock:
            self._watcher = call
            self._call_watcher()

    def _call_watcher(self, seconds: float = 0) -> None:
        """Have the call made when what was sent arrives; the lock is held."""
        is_due = self._arrivals and self._reader is None and not self._is_watcher_called
        if is_due and self._watcher is not None:
            with contextlib.suppress(RuntimeError):  # The event loop has ended.
                self._effect.call_later(max(self._seconds_left(), seconds), self._make_call)
                self._is_watcher_called = True

    def _make_call(self) -> None:
        with self._lock:
            self._is_watcher_called = False
            call, unread = self._watcher, len(self._arrivals)
        if call is not None:
            call()
        with self._lock:
            self._call_watcher(0 if len(self._arrivals) < unread else TICK)

    @property
    def taken(self) -> int:
        """The number of bytes that the reader has taken."""
        return self._written - self._unread

    async def drain(self) -> None:
        """Wait until there is room. Raise OSError if the connection is broken."""
        while True:
            with self._lock:
                if not self.excess:
                    return
                self._check_open()
                writer = self._effect.event()
                self._writers.append(writer)
            await writer.wait()

    def _check_open(self) -> None:
        if self._is_closed or self._is_aborted:
            raise BrokenPipeError("the connection has ended")

    def _put(self, content: bytes | OSError) -> None:
        delay = self._faults.delay
        if isinstance(content, bytes) and content and self._arrivals and not delay and not self._faults.pieces:
            last = self._arrivals[-1].content
            if isinstance(last, bytes) and len(last) < SMALL:
                self._arrivals.pop()
                content = last + content
        self._arrivals.append(_Arrival(self._effect.now() + delay if delay else None, content))
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            self._reader.set()
        self._call_watcher()
        for writer in self._writers:
            writer.set()
        self._writers.clear()

    def _seconds_left(self) -> float:
        """Return how long the reader must wait: 0 if something has arrived, infinity if nothing was sent."""
        if self._is_aborted:
            return 0
        if not self._arrivals:
            return math.inf
        time = self._arrivals[0].time
        return 0 if time is None else max(time - self._effect.now(), 0)

    def _take(self) -> bytes:
        """Return the bytes that have arrived, or else the end of the stream."""
        if self._is_aborted:
            return b""
        pieces: list[bytes] = []
        while self._arrivals and not self._seconds_left():
            content = self._arrivals[0].content
            if not content or isinstance(content, OSError):
                break  # The end stays in the queue for the next read.
            pieces.append(content)
            self._arrivals.popleft()
            if self._faults.pieces:
                break
        if pieces:
            self._unread -= sum(map(len, pieces))
            self._wake()
            return b"".join(pieces)
        end = self._arrivals[0].content
        if isinstance(end, OSError):
            raise end
        return end


class MemoryStream:
    """A :class:`~polysocket.effects.ByteStream` over two wires."""

    def __init__(self, incoming: Wire, outgoing: Wire) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    @property
    def pending(self) -> int:
        """The number of bytes for which the network has no room."""
        return self._outgoing.excess

    async def read(self) -> bytes:
        """Wait for bytes."""
        return await self._incoming.read()

    def read_now(self) -> bytes | None:
        """Return what has arrived; None if nothing has."""
        return self._incoming.read_now()

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Make this call when something arrives."""
        self._incoming.watch(call)
        return 0

    def progress(self) -> tuple[int, int]:
        """Return how many bytes were written so far, and how many of them the peer has read."""
        return self._outgoing.written, self._outgoing.taken

    def write(self, data: bytes) -> None:
        """Send the bytes. If this cuts the connection, nothing more arrives either."""
        self._outgoing.write(data)
        if self._outgoing.is_cut:
            self._incoming.close(ConnectionResetError("the connection was cut"))

    async def drain(self) -> None:
        """Wait until there is room."""
        await self._outgoing.drain()

    async def close(self) -> None:
        """Wait until there is room, then end the connection."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """End the connection at once; bytes that were written still arrive."""
        self._outgoing.close()
        self._incoming.watch(None)
        self._incoming.abort()


def memory_streams(
    effect: Effect, to_server: Faults = faultless, to_client: Faults = faultless
) -> tuple[ByteStream, ByteStream]:
    """Return two joined streams: the client's and the server's."""
    check_effect(effect)
    check_kind("to_server", to_server, Faults)
    check_kind("to_client", to_client, Faults)
    upstream, downstream = Wire(effect, to_server), Wire(effect, to_client)
    return MemoryStream(downstream, upstream), MemoryStream(upstream, downstream)
