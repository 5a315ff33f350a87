"""The effect of asyncio and uvloop: ``F[T]`` is a coroutine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from asyncio import selector_events
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polysocket.effects.addresses import addresses
from polysocket.effects.direct_future import DirectFuture
from polysocket.effects.happy_eyeballs import Address, attempt_failed, bind, family_of, first_connected
from polysocket.effects.interface import CoroutineEffect
from polysocket.effects.kept_errors import without_tracebacks
from polysocket.effects.mutex import NoMutex
from polysocket.effects.names import known_addresses
from polysocket.effects.no_thread import no_thread
from polysocket.effects.push_stream import MOST_CHUNKS, READ_AHEAD, WRITES_BEFORE_TURN, PushStream
from polysocket.effects.shutdown import drop, shut_down
from polysocket.effects.sizes import READ_SIZE
from polysocket.effects.unacknowledged import unacknowledged_bytes
from polysocket.effects.unix_sockets import connected_unix_socket

__all__ = ["AsyncioEffect"]

T = TypeVar("T")

_CAN_CONNECT_AGAIN: Final = sys.platform == "linux"
"""Whether ``connect()`` may be called again to ask for the result. A connection to the same machine is open by then, so
that no turn of the loop is needed. In other systems it may raise an error."""

_background: set[asyncio.Task[None]] = set()
"""The tasks of background programs: a loop itself keeps only weak references."""


class AsyncioEffect(CoroutineEffect):
    """The :class:`~polysocket.effects.Effect` of asyncio."""

    name: str = "polysocket.asyncio"

    def mutex(self) -> NoMutex:
        """Return a guard that takes no lock, for the tasks of the running loop; for those of any loop if none runs."""
        mutex, loop = NoMutex(), asyncio._get_running_loop()
        if loop is not None:
            mutex.loop, mutex.running_loop, mutex.has_loop_ended = loop, asyncio._get_running_loop, loop.is_closed
        return mutex

    async def next_turn(self) -> None:
        """Let the loop run other tasks."""
        await asyncio.sleep(0)

    def event(self) -> asyncio.Event:
        """Return a new event of asyncio."""
        return asyncio.Event()

    def time_limit(self, seconds: float | None, /) -> asyncio.Timeout:
        """Return a time limit of asyncio."""
        return asyncio.timeout(seconds)

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        """Return a time limit that passes when the function is called."""
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                yield lambda: timeout.reschedule(0)
        except TimeoutError:
            if not timeout.expired():
                raise

    def current_task(self) -> object:
        """Return the current task."""
        return asyncio.current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether the task was cancelled: awaiting a cancelled task or future raises the same exception."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            return task is None or task.cancelling() > 0
        return super().is_cancellation(error)

    if TYPE_CHECKING:

        def now(self) -> float:
            """Return the system's time: uvloop's own clock has milliseconds only."""
            ...

    else:
        now = staticmethod(time.monotonic)  # One call less for each websocket that is opened, and for each Ping.

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Have the running loop make the call."""
        return asyncio.get_running_loop().call_later(seconds, call).cancel

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Run the program in a task; the loop's exception handler reports its error."""

        async def run() -> None:
            await program()  # only now, so that a task that is cancelled before it starts leaves no coroutine

        def done(task: asyncio.Task[None]) -> None:
            _background.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is not None and not task.cancelled():
                message = f"a background program failed: {program.__qualname__}"
                task.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
            on_done(error)

        # Not via the loop's own task factory, which may start it at once.
        task = asyncio.Task(run(), loop=asyncio.get_running_loop(), name=f"polysocket {program.__name__}")
        _background.add(task)
        task.add_done_callback(done)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call the function in a thread of the loop's executor."""
        return await asyncio.to_thread(function)

    async def connect_tcp(
        self, host: str, port: int, local_address: tuple[str, int] | None = None, /
    ) -> TransportStream:
        """Connect via happy eyeballs (RFC 8305)."""
        family = socket.AF_UNSPEC if local_address is None else family_of(local_address)
        addresses = known_addresses(host, port, family)
        if addresses is None:
            loop = asyncio.get_running_loop()  # It needs a thread.
            try:
                addresses = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            except RuntimeError as error:
                raise no_thread(f"to look up {host}", error) from error
        if len(addresses) == 1:  # no race, and no task
            return await self.adopt(await _connected(addresses[0], local_address))
        return await self.adopt(await first_connected(host, addresses, ConnectingTasks(local_address)))

    async def connect_unix(self, path: str, /) -> TransportStream:
        """Connect to a Unix socket."""
        return await self.adopt(connected_unix_socket(path))

    async def adopt(self, sock: socket.socket, /) -> TransportStream:
        """Make a stream of a connected socket."""
        stream = TransportStream(sock)
        try:
            # pop() is in C: a lambda would cost another Python call.
            await asyncio.get_running_loop().create_connection([stream].pop, sock=sock)
        except BaseException:
            stream.transport = None  # uvloop's keeps the stream, and may never call connection_lost().
            drop(sock)  # asyncio leaves the socket open if setsockopt() fails, as in macOS after a reset.
            raise
        return stream


class ConnectingTasks:
    """The :class:`~polysocket.effects.Attempts` of asyncio."""

    def __init__(self, local_address: tuple[str, int] | None) -> None:
        self._local_address = local_address
        self._tasks: list[asyncio.Task[socket.socket]] = []

    def start(self, address: Address) -> None:
        """Start one more attempt."""
        self._tasks.append(asyncio.create_task(_connected(address, self._local_address)))

    async def next_connected(self, seconds: float | None) -> socket.socket | None:
        """Wait for one of the attempts."""
        await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done():
                self._tasks.remove(task)
                try:
                    return task.result()
                finally:
                    del task  # Its error has a traceback with this frame.
        return None

    async def abort(self) -> None:
        """Cancel the attempts that still run, and close the sockets that they have connected."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in self._tasks:
                if task.done() and not task.cancelled() and task.exception() is None:
                    drop(task.result())


async def _connected(address: Address, local_address: tuple[str, int] | None) -> socket.socket:
    family, kind, proto, _, where = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        if local_address is not None:
            bind(sock, local_address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2 if _CAN_CONNECT_AGAIN else 0):
            with contextlib.suppress(BlockingIOError):
                sock.connect(where)
                return sock
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException as error:
        drop(sock)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            raise attempt_failed(error.errno, where) from None  # asyncio leaves the reason out of its text
        raise
    return sock


LONG_TURN: Final = 0.001
"""Seconds from which on a reader leaves what fills the buffer to the next turn. It needs less for large messages."""

LEAST_VIEW: Final = 16 * 1024
"""Bytes of a read that are not copied if a reader waits: for fewer, the view takes longer than the copy."""


class _Buffers(threading.local):
    """The buffer into which all transports of a thread read, one after the other."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_SIZE))


_buffers: Final = _Buffers()

_SocketTransport: Final[Any] = getattr(selector_events, "_SelectorSocketTransport", ())
"""The transport of asyncio's own loops, but for Windows' default one. It writes nothing while its buffer is empty."""


class _Target:
    """The buffer into which a transport reads next."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


class TransportStream(PushStream, asyncio.BufferedProtocol):
    """A :class:`~polysocket.effects.ByteStream` over an asyncio transport, of which it is the protocol.

    A transport stops reading and closes its socket once a write fails, although the system still holds what the peer
    sent before. The stream then reads the rest from a duplicate of the socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(asyncio.Event)
        self.remote_address: Any
        self.local_address: Any
        self.remote_address, self.local_address = addresses(sock)
        self._socket = sock  # the transport's own: the one that uvloop shows can't be shut down
        self._loop = asyncio.get_running_loop()
        self._reader: DirectFuture | None = None
        self._shared = _buffers.view
        self._target = _Target(self._shared)
        self._filled = 0  # bytes that the buffer of read_into() has got
        if not TYPE_CHECKING:
            self.get_buffer = partial(getattr, self._target, "view")  # "sizehint" is its default: no call of Python.
        self._is_of_asyncio = False  # whether the transport is one of asyncio's own event loops
        self._turn_seconds: float = 0  # that the reader has needed in this turn of another loop, for full buffers
        self._is_left = False  # whether it takes one in the next turn
        self._is_direct = False  # whether writes go past the transport, which has nothing to send
        self._send_error: OSError | None = None  # of a write past the transport, which then has met one, too
        self._unread_socket: socket.socket | None = None  # after a failed write, until all was read
        self._is_ending = False  # by this side

    if TYPE_CHECKING:

        def get_buffer(self, sizehint: int) -> memoryview:
            """Return the buffer to read into: it is free again after :meth:`buffer_updated`, before the next read."""
            ...

    def buffer_updated(self, nbytes: int) -> None:
        """Do what :meth:`data_received` does with what was read: written out, to spare each message a call."""
        target = self._target
        reader = None if self._reader is None or self._reader.done() else self._reader
        has_filled = False
        if target.view is not self._shared:
            target.view = self._shared
            self._filled = nbytes
        elif reader is not None and nbytes >= LEAST_VIEW:
            # The reader takes what it needs within its call.
            self._chunks.append(self._shared[:nbytes])
            has_filled = nbytes == len(self._shared) and not self._is_of_asyncio
        else:
            self._chunks.append(bytes(self._shared[:nbytes]))
            self._unread += nbytes
            if self._unread > READ_AHEAD or len(self._chunks) >= MOST_CHUNKS:
                self._hold_back()
        if reader is not None:
            try:
                if has_filled:
                    self._let_take(reader)
                else:
                    reader.set_directly()
            except (SystemExit, KeyboardInterrupt) as error:
                if self._is_of_asyncio:
                    raise
                self._loop.call_soon(_raise, error)  # uvloop would take it for an error of the transport.
            finally:
                if self._chunks and type(self._chunks[-1]) is memoryview:
                    self._keep_view()
        elif self._watcher is not None:
            # libuv reads on, up to 32 times, before other tasks have a turn.
            reads_on = nbytes == len(self._shared) and not self._is_of_asyncio
            (self.call_watcher_soon if reads_on else self._watcher)()

    def _let_take(self, reader: DirectFuture) -> None:
        """Let the reader take what has filled the buffer; in the next turn, if it has needed long in this one.

        libuv reads on then, up to 32 times. If the reader took all of that at once, other tasks would have no turn.
        """
        if self._turn_seconds >= LONG_TURN:
            self._is_left = True
            reader.set_result(None)
            self._is_reading = False
            self.pause_reading()
            return
        if not self._turn_seconds:
            self._loop.call_soon(self._begin_turn)
        begin = time.perf_counter()
        try:
            reader.set_directly()
        finally:
            self._turn_seconds += time.perf_counter() - begin

    def _begin_turn(self) -> None:
        if self._is_left:  # The reader takes that in this turn, and no more.
            self._is_left = False
            self._loop.call_soon(self._begin_turn)
        else:
            self._turn_seconds = 0

    def _keep_view(self) -> None:
        """Copy what the reader has not taken at once."""
        view = self._chunks.pop()
        self._chunks.append(bytes(view))
        self._unread += len(view)

    async def read_into(self, buffer: memoryview) -> bytes | memoryview | int:
        """Wait for bytes, and receive them into the buffer; return their number, or what was here before.

        After a cancellation, what the buffer has got is read again.
        """
        if self._chunks or self._has_ended:
            return await self.read_view()
        self._target.view, self._filled = buffer, 0
        self.has_taken: bool = False
        try:
            await self.wait_for_data()
            self.has_taken = True
        except BaseException:
            if self._filled:
                self._chunks.insert(0, bytes(buffer[: self._filled]))  # More may have come since.
                self._unread += self._filled
                self.call_watcher_soon()
            raise
        finally:
            self._target.view = self._shared
        return self._filled or await self.read_view()

    def wait_for_data(self) -> Awaitable[None]:
        """Return a future: an Event of asyncio would be another coroutine on the way of each message."""
        self._reader = DirectFuture(loop=self._loop)
        return self._reader

    def wake_reader(self) -> None:
        """Wake the reader, if there is one that was not cancelled just now."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        elif self._watcher is not None:
            self._watcher()

    def call_watcher_soon(self) -> None:
        """Make the call in the next turn."""
        if not self._loop.is_closed():
            self._loop.call_soon(self.call_watcher)

    def write(self, data: bytes) -> None:
        """Send at once what the system takes, and hand the rest to the transport.

        The transport would do the same, but its own ``write`` takes about as long as all else that sends a small frame.
        """
        rest: Any = data
        if self._send_error is not None:
            self._raise_error()  # The transport would log each write after its end.
        if self._is_direct:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:  # The transport meets an error, too, and ends.
                self._send_error = without_tracebacks(error)
            else:
                self._written += sent
                if sent == len(data) and self._writes < WRITES_BEFORE_TURN - 1:
                    self._writes += 1
                    return
                rest = memoryview(data)[sent:]
        super().write(rest)
        self._is_direct = self._is_of_asyncio and not self.transport.get_write_buffer_size()
        if self._send_error is not None:
            if self.transport.is_closing():
                self._error = self._send_error
                self._raise_error()  # now, as in the other flavours; connection_lost() is called in the next turn
            self._send_error = None

    def pause_writing(self) -> None:
        """Have senders wait."""
        super().pause_writing()
        self.pending: int = self.transport.get_write_buffer_size()

    def unsent(self) -> int:
        """Return how many bytes the transport has not sent, or the peer's system not acknowledged."""
        if self.transport is None:
            return 0
        return int(self.transport.get_write_buffer_size()) + unacknowledged_bytes(self._socket)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport
        self._is_of_asyncio = self._is_direct = isinstance(transport, _SocketTransport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the end of the transport, whose socket is still open during this call."""
        self._is_direct = False
        if isinstance(exc, OSError) and self._send_error is not None:
            exc = self._send_error
        if isinstance(exc, OSError) and not (self._is_ending or self._has_ended):
            self._duplicate_socket()
        if self._unread_socket is None:
            super().connection_lost(exc)
            return
        self.writing_failed(exc)
        if self._is_reading:
            self._read_rest()

    def _duplicate_socket(self) -> None:
        original = self.transport.get_extra_info("socket")
        try:
            sock = socket.fromfd(original.fileno(), original.family, original.type)
        except OSError:  # There are no more descriptors: then the rest is lost.
            return
        try:
            sock.setblocking(False)
            self._watch_rest(sock)
        except (OSError, NotImplementedError):  # The default loop in Windows can't watch a socket.
            sock.close()
            return
        self._unread_socket = sock
        if not self._is_reading:
            self._loop.remove_reader(sock)

    def _watch_rest(self, sock: socket.socket) -> None:
        """Have the rest be read, until the reader is removed."""
        # libuv's poll ends at an error of the socket: the peer of a Unix socket closes with something unread. The call
        # clears it.
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._loop.add_reader(sock, self._read_rest)

    def _read_rest(self) -> None:
        sock = self._unread_socket
        assert sock is not None, "the reader was removed before"
        try:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # It has come meanwhile.
                self._loop.remove_reader(sock)
                self._watch_rest(sock)
            data = sock.recv(READ_AHEAD)
        except BlockingIOError:
            return
        except OSError:  # The failed write has already told of it.
            data = b""
        if data:
            self.data_received(data)
        else:
            self._end_rest()

    def _end_rest(self) -> None:
        sock, self._unread_socket = self._unread_socket, None
        if sock is not None:
            self._loop.remove_reader(sock)
            drop(sock)  # The transport has closed its own without a shutdown.
            if not self._loop.is_closed():  # else no task of it can be woken
                self.eof_received()

    def abort(self) -> None:
        """Drop the connection, and what the transport has not sent."""
        self._is_ending = True
        self._end_rest()
        super().abort()

    def pause_reading(self) -> None:
        """Pause the transport, or the reading of what it has left."""
        if self._unread_socket is None:
            self.transport.pause_reading()
        else:
            self._loop.remove_reader(self._unread_socket)

    def resume_reading(self) -> None:
        """Resume the transport, or the reading of what it has left."""
        if self._unread_socket is None:
            self.transport.resume_reading()
        else:
            self._watch_rest(self._unread_socket)

    async def close(self) -> None:
        """Let the transport send what it has, shut the connection down, and close the transport."""
        self._is_ending = True
        self._end_rest()
        if not self._is_lost and self.transport.get_write_buffer_size():
            self.transport.set_write_buffer_limits(0)  # Then it calls back once it has sent all.
            while self._writable is not None and not self._is_lost:
                await self._writable.wait()
        await super().close()

    def close_transport(self) -> None:
        """Shut the connection down, and close the transport."""
        shut_down(self._socket)
        self.transport.close()

    def abort_transport(self) -> None:
        """Shut the connection down, and abort the transport."""
        shut_down(self._socket)
        if self._loop.is_closed():
            self._close_without_loop()
        else:
            self.transport.abort()

    def _close_without_loop(self) -> None:
        """Close the socket of a loop that has ended, and wake no task of it."""
        self._is_direct = False
        self._has_ended = self._is_lost = True
        # uvloop closes its sockets with the loop. asyncio's transport does so in a later turn of the loop, which never
        # comes (CPython 3.11 to 3.14), and then warns of an open socket when it is collected.
        if (finish := getattr(self.transport, "_call_connection_lost", None)) is not None:
            self.transport.set_protocol(asyncio.Protocol())
            finish(None)
        self._socket.close()

    def let_others_run(self) -> Awaitable[None]:
        """Sleep for one turn of the loop."""
        return asyncio.sleep(0)


def _raise(error: BaseException) -> None:
    raise error
