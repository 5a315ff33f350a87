"""The effect of asyncio and uvloop: ``F[T]`` is a coroutine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, cast

from polysocket.effects import CoroutineEffect
from polysocket.effects.happy_eyeballs import Address, first_connected

__all__ = ["AsyncioEffect"]


READ_AHEAD = 64 * 1024  # bytes received before anybody reads; then TCP holds the other side back


WRITES_BEFORE_YIELD = 32


_background: set[asyncio.Task[None]] = set()


class AsyncioEffect(CoroutineEffect):
    """The :class:`~polysocket.effects.Effect` of asyncio."""

    def event(self) -> asyncio.Event:
        """The runtime's own."""
        return asyncio.Event()

    def time_limit(self, seconds: float | None, /) -> asyncio.Timeout:
        """The runtime's own."""
        return asyncio.timeout(seconds)

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        """A time limit that is over when the function is called."""
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                yield lambda: timeout.reschedule(0)
        except TimeoutError:
            if not timeout.expired():
                raise

    def current_task(self) -> object:
        """The runtime's own."""
        return asyncio.current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Whether the task was cancelled: who awaits another one, or a future, that was, gets the same exception."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            return task is None or task.cancelling() > 0
        return super().is_cancellation(error)

    def now(self) -> float:
        """The system's clock: uvloop's own has milliseconds only."""
        return time.monotonic()

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run the program in a task."""
        # Not by the loop's own factory, which may begin it at once.
        task = asyncio.Task(Begun(program()), loop=asyncio.get_running_loop())
        _background.add(task)  # The loop itself keeps only a weak reference.
        task.add_done_callback(_background.discard)

    async def connect_tcp(self, host: str, port: int, /) -> TransportStream:
        """Connect by happy eyeballs (RFC 8305)."""
        addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        sock = await first_connected(host, addresses, ConnectingTasks())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await self.adopt(sock)

    async def connect_unix(self, path: str, /) -> TransportStream:
        """Connect to a Unix socket."""
        _, stream = await asyncio.get_running_loop().create_unix_connection(TransportStream, path)
        return stream

    async def adopt(self, sock: socket.socket, /) -> TransportStream:
        """Use a connected socket."""
        _, stream = await asyncio.get_running_loop().create_connection(TransportStream, sock=sock)
        return stream


class Begun(Coroutine[Any, Any, None]):
    """A program that begins in any case, so that its ``finally`` runs: a task may be cancelled before it has begun."""

    def __init__(self, program: Coroutine[Any, Any, None]) -> None:
        self._program = program
        self._has_begun = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self._program.__await__()

    def send(self, value: Any, /) -> Any:
        """Go on."""
        self._has_begun = True
        return self._program.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside."""
        if not self._has_begun:
            self.send(None)
        return self._program.throw(*error)

    def close(self) -> None:
        """End."""
        self._program.close()


class ConnectingTasks:
    """The :class:`~polysocket.effects.happy_eyeballs.Attempts` of asyncio."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[socket.socket]] = []

    def begin(self, address: Address) -> None:
        """Begin one more."""
        self._tasks.append(asyncio.create_task(_connected(address)))

    async def next_connected(self, seconds: float | None) -> socket.socket | None:
        """Wait for one of them."""
        await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done():
                self._tasks.remove(task)
                return task.result()
        return None

    async def end(self) -> None:
        """Cancel those that are left, and close what they have connected."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in self._tasks:
                if task.done() and not task.cancelled() and task.exception() is None:
                    task.result().close()


async def _connected(address: Address) -> socket.socket:
    family, kind, proto, _, where = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


class TransportStream(asyncio.Protocol):
    """A :class:`~polysocket.effects.ByteStream` over an asyncio transport, of which it is the protocol."""

    def __init__(self) -> None:
        self._writes = 0
        self._chunks: list[bytes] = []
        self._unread = 0
        self._is_reading = True
        self._is_writable = True
        self._has_ended = False
        self._is_lost = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def pending(self) -> int:
        """Bytes in the transport, once there are so many that it asks to wait."""
        return 0 if self._is_writable else self._transport.get_write_buffer_size()

    async def read(self) -> bytes:
        """What was received since the last call; where there is nothing, wait for it."""
        if not self._chunks and not self._has_ended:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if not self._chunks:
            self._check(self._error is not None)
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        if not self._is_reading and not self._is_lost:
            self._is_reading = True
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Hand the bytes to the transport, which sends them by itself."""
        self._check(self._is_lost)
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport asks to go on."""
        self._writes += 1
        if self._writes % WRITES_BEFORE_YIELD == 0:
            await asyncio.sleep(0)  # Who sends without ever waiting must let the loop see to others, and to the end.
        while not self._is_writable and not self._is_lost:
            await self._writable.wait()
        self._check(self._is_lost)

    async def close(self) -> None:
        """Let the transport send what it has, then close."""
        self._transport.close()
        await self._closed.wait()

    def abort(self) -> None:
        """Close the transport; it drops what it has not sent."""
        self._transport.abort()

    def _check(self, is_broken: bool) -> None:
        if is_broken:
            raise ConnectionResetError(str(self._error or "the connection was ended")) from self._error

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # The protocol's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep bytes until they are read; hold the other side back where they are many."""
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > READ_AHEAD and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """The other side sends nothing more; this side still may."""
        self._has_ended = True
        self._wake_reader()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: wake everybody."""
        self._has_ended = self._is_lost = True
        self._error = exc
        self._wake_reader()
        self._writable.set()
        self._closed.set()

    def pause_writing(self) -> None:
        """The transport has taken a lot."""
        self._is_writable = False
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport has sent most of it."""
        self._is_writable = True
        self._writable.set()
