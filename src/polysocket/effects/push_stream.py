"""A byte stream over a transport that calls back when data arrives: asyncio's, Twisted's, or another event loop's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from polysocket.effects.interface import Event, run
from polysocket.effects.kept_errors import without_tracebacks

__all__ = ["PushStream"]


READ_AHEAD = 128 * 1024
"""Bytes received and not read after which TCP holds the peer back: the read size of most loops, a few messages."""

MOST_CHUNKS = 64
"""Chunks after which they are joined: one of a byte takes CPython 50 bytes. At most ``READ_AHEAD`` bytes are copied."""

WRITE_AHEAD = 64 * 1024
"""Bytes that are pending, at least, once a transport asks for a pause: the default of asyncio and of Twisted."""

WRITES_BEFORE_TURN = 32
"""Writes after which a sender that never waits lets the loop run other tasks: a turn costs about as much as a write."""


class PushStream(ABC):
    """The base of a :class:`~polysocket.effects.ByteStream` over a transport with callbacks.

    A subclass sets ``transport``, whose ``write`` never waits, and connects the transport's callbacks:
    :meth:`data_received`, :meth:`eof_received`, :meth:`connection_lost`, :meth:`pause_writing` and
    :meth:`resume_writing`. They have asyncio's names; another runtime's are assigned to them
    (``dataReceived = PushStream.data_received``).
    """

    transport: Any
    remote_address: Any = None
    """The peer's address; a subclass sets it if its transport knows it, and likewise ``local_address``."""
    local_address: Any = None

    def __init__(self, new_event: Callable[[], Event]) -> None:
        self.pending: int = 0
        self._new_event = new_event
        self.has_taken: bool = False
        self._chunks: list[bytes | memoryview] = []
        self._unread = 0
        self._writes = 0  # since the loop had its last turn
        self._is_reading = True
        self._has_ended = False
        self._is_lost = False
        self._error: BaseException | None = None
        self._news: Event | None = None
        self._watcher: Callable[[], object] | None = None
        self._written = 0
        self._writable: Event | None = None  # None while the transport takes more
        self._closed = new_event()

    # What a subclass knows of its transport

    @abstractmethod
    def pause_reading(self) -> None:
        """Have the transport read no more, so that TCP holds the peer back."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Have the transport read again."""

    @abstractmethod
    def close_transport(self) -> None:
        """Have the transport send what it has, then close; called before :meth:`connection_lost` only."""

    @abstractmethod
    def abort_transport(self) -> None:
        """Have the transport drop the connection; called before :meth:`connection_lost` only."""

    @abstractmethod
    def let_others_run(self) -> Awaitable[object]:
        """Return what is awaited to let the loop run other tasks once."""

    def unsent(self) -> int:
        """Return how many bytes the peer has not got, as far as the transport and the system tell.

        If they can't tell, peers that read slowly may seem dead.
        """
        return 0

    def wait_for_data(self) -> Awaitable[object]:
        """Return what the reader awaits until :meth:`wake_reader`; override both if the runtime has a faster way."""
        self._news = self._new_event()
        return self._news.wait()

    def wake_reader(self) -> None:
        """Wake the reader, if there is one; an override may make the watcher's call only if there is none."""
        if self._news is not None:
            self._news.set()
        self.call_watcher()

    def call_watcher_soon(self) -> None:
        """Make the call in a later turn; override this if the runtime can: this caller may be about to read again."""
        self.call_watcher()

    def call_watcher(self) -> None:
        """Make the call of the one who watches, if any."""
        if self._watcher is not None:
            self._watcher()

    # The stream

    async def read(self) -> bytes:
        """Return what has arrived since the last call; wait if nothing has."""
        return bytes(await self.read_view())

    async def read_view(self) -> bytes | memoryview:
        """Do the same, and perhaps return a view of a buffer, which others use once the caller waits again."""
        while not self._chunks and not self._has_ended:
            self.has_taken = False
            try:
                await self.wait_for_data()
            except BaseException:
                if (self._chunks or self._has_ended) and self._watcher is not None:
                    self.call_watcher_soon()  # They came in the turn of the cancellation.
                raise
        if not self._chunks:
            if self._error is not None:
                self._raise_error()
            return b""
        self.has_taken = True
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        if not self._is_reading and not self._has_ended:
            self._is_reading = True
            self.resume_reading()
        return data

    def read_now(self) -> bytes | None:
        """Return what has arrived since the last call; None if nothing has."""
        if len(self._chunks) == 1 and self._is_reading:  # the short way for a single frame
            self._unread = 0
            return bytes(self._chunks.pop())
        return bytes(run(self.read_view())) if self._chunks or self._has_ended else None

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Make this call when bytes or the end arrive."""
        self._watcher = call
        return 0

    def progress(self) -> tuple[int, int]:
        """Return how many bytes were written so far, and how many of them the transport has got rid of."""
        return self._written, self._written - self.unsent()

    def write(self, data: bytes) -> None:
        """Hand the bytes to the transport, which sends them on its own."""
        if self._is_lost:
            self._raise_error()
        self._writes += 1
        self._written += len(data)
        if self._writable is not None:
            self.pending += len(data)
        elif self._writes >= WRITES_BEFORE_TURN:
            self.pending = 1  # A sender that never waits must let the loop run other tasks, and meet the end.
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport takes more; let the loop run after many writes."""
        if self._writes >= WRITES_BEFORE_TURN:
            self._writes = 0
            if self._writable is None:
                self.pending = 0  # before the turn, which a time limit may end
            await self.let_others_run()
        while self._writable is not None and not self._is_lost:
            await self._writable.wait()
        if self._is_lost:
            self._raise_error()
        if self._writable is None and self._writes < WRITES_BEFORE_TURN:
            self.pending = 0

    async def close(self) -> None:
        """Let the transport send what it has, then close."""
        if not self._is_lost:
            self.close_transport()
        await self._closed.wait()

    def abort(self) -> None:
        """Drop the connection, and what the transport has not sent."""
        self._watcher = None
        if not self._is_lost:
            self.abort_transport()

    def _raise_error(self) -> NoReturn:
        if isinstance(self._error, OSError):
            raise ConnectionResetError(*self._error.args) from None  # anew each time, and without a chain
        raise ConnectionResetError(str(self._error or "the connection was ended")) from self._error

    # The transport's callbacks

    def data_received(self, data: bytes) -> None:
        """Keep bytes until they are read; hold the peer back if they are many."""
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > READ_AHEAD or len(self._chunks) >= MOST_CHUNKS:
            self._hold_back()
        self.wake_reader()

    def _hold_back(self) -> None:
        """Join many chunks, and hold the peer back if they are large."""
        if len(self._chunks) >= MOST_CHUNKS:
            self._chunks[:] = [b"".join(self._chunks)]
        if self._unread > READ_AHEAD and self._is_reading:
            self._is_reading = False
            self.pause_reading()

    def eof_received(self) -> bool:
        """Note that the peer sends nothing more; return True, since this side still may."""
        self._has_ended = True
        self.wake_reader()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the end of the connection and wake all callers; ``exc`` is None if it was no error."""
        self._has_ended = True
        self.writing_failed(exc)
        self.wake_reader()

    def writing_failed(self, exc: BaseException | None) -> None:
        """Note that the transport has ended, although what had arrived is still to be received."""
        self._is_lost = True
        self._error = None if exc is None else without_tracebacks(exc)
        if self._writable is not None:
            self._writable.set()
        self._closed.set()
        self.transport = None  # The transport may keep this stream.

    def pause_writing(self) -> None:
        """Have senders wait: the transport has taken much that the network has not."""
        if self._writable is None:
            self._writable = self._new_event()
            self.pending = max(self.pending, WRITE_AHEAD)

    def resume_writing(self) -> None:
        """Let senders go on: the network has taken most of it."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None
            self.pending = 0
