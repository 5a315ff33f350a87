"""The effect of trio: ``F[T]`` is a coroutine."""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from polysocket._logger import get_logger
from polysocket.effects.happy_eyeballs import SocketAttempts, family_of, first_connected
from polysocket.effects.interface import CoroutineEffect
from polysocket.effects.mutex import NoMutex
from polysocket.effects.names import known_addresses
from polysocket.effects.no_thread import no_thread
from polysocket.effects.poller import Poller
from polysocket.effects.send_buffer import SendBuffer, Watcher
from polysocket.effects.shutdown import shut_down
from polysocket.effects.sizes import READ_SIZE
from polysocket.effects.unix_sockets import connected_unix_socket

__all__ = ["TrioEffect"]

T = TypeVar("T")


class TimeLimit:
    """A time limit of trio.

    It is no ``asynccontextmanager``: in Python 3.13 that leaves the cancellation in a cycle with its own frame.
    """

    def __init__(self, seconds: float | None, /) -> None:
        self._seconds = seconds
        self._scope = trio.CancelScope()

    async def __aenter__(self) -> None:
        """Start the time."""
        self._scope.__enter__()
        if self._seconds is not None:  # only now: with a limit of 0, what is there can still be taken
            self._scope.deadline = trio.current_time() + self._seconds

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """End the scope. Raises TimeoutError if it was cancelled."""
        try:
            is_caught = self._scope.__exit__(kind, error, traceback)
            if self._scope.cancelled_caught:
                raise TimeoutError(f"{self._seconds} seconds have passed")
            return is_caught
        finally:
            del error, traceback


class TrioEffect(CoroutineEffect):
    """The :class:`~polysocket.effects.Effect` of trio."""

    name: str = "polysocket.trio"
    checkpoint: Callable[[], Awaitable[object]] | None = staticmethod(trio.lowlevel.checkpoint)
    """In trio, each call that may wait is a checkpoint."""

    def mutex(self) -> NoMutex:
        """Return a guard that takes no lock, for the tasks of this ``trio.run()``; for those of any if none runs."""
        mutex = NoMutex()
        if trio.lowlevel.in_trio_run():
            token = trio.lowlevel.current_trio_token()
            mutex.loop, mutex.running_loop = token, trio.lowlevel.current_trio_token
            mutex.has_loop_ended = partial(_has_ended, token, os.getpid())
        return mutex

    async def next_turn(self) -> None:
        """Let other tasks run."""
        await trio.lowlevel.checkpoint()

    def event(self) -> trio.Event:
        """Return a new event of trio."""
        return trio.Event()

    if TYPE_CHECKING:

        def current_task(self) -> object:
            """Return the current task."""
    else:
        current_task = staticmethod(trio.lowlevel.current_task)  # One call less for each websocket that is opened.

    if TYPE_CHECKING:

        def now(self) -> float:
            """Return the time of trio's clock."""
            ...

    else:
        now = staticmethod(trio.current_time)  # One call less for each websocket that is opened, and for each Ping.

    time_limit: type[TimeLimit] = TimeLimit
    """The time limit of trio."""

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        """Open a cancel scope."""
        with trio.CancelScope() as scope:
            yield scope.cancel

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Have the poller of this ``trio.run()`` make the call."""
        return _running_poller().call_later(seconds, call)

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Run the program in a system task: it ends with its stream, and there is no nursery of the user's for it.

        An error is logged, SystemExit and KeyboardInterrupt too: out of a system task it would end trio.run() with a
        TrioInternalError. (A real Ctrl-C is the main task's.)
        """
        try:
            trio.lowlevel.spawn_system_task(_logged, program, on_done, name=program, context=copy_context())
        except RuntimeError as error:  # trio.run() is about to end.
            on_done(error)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call the function in a worker thread, which a cancellation leaves to itself."""
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> SocketStream:
        """Connect via happy eyeballs (RFC 8305)."""
        family = socket.AF_UNSPEC if local_address is None else family_of(local_address)
        addresses = known_addresses(host, port, family)
        if addresses is None:  # It needs a thread.
            try:
                addresses = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            except RuntimeError as error:
                raise no_thread(f"to look up {host}", error) from error
        connected = await first_connected(host, addresses, ConnectingSockets(local_address))
        return SocketStream(trio.socket.from_stdlib_socket(connected))

    async def connect_unix(self, path: str, /) -> SocketStream:
        """Connect to a Unix socket."""
        await trio.lowlevel.checkpoint()
        return await self.adopt(connected_unix_socket(path))

    async def adopt(self, sock: socket.socket, /) -> SocketStream:
        """Make a stream of a connected socket."""
        if type(sock) is not socket.socket:  # trio takes no subclass, such as that of PySocks.
            sock = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        return SocketStream(trio.socket.from_stdlib_socket(sock))


class ConnectingSockets(SocketAttempts):
    """The :class:`~polysocket.effects.Attempts` of trio."""

    async def wait_until_connected(self, sockets: list[socket.socket], seconds: float | None) -> socket.socket | None:
        """Wait until one of the attempts has ended."""
        connected: socket.socket | None = None
        if len(sockets) == 1 and seconds is None:
            await trio.lowlevel.wait_writable(sockets[0])
            return sockets[0]

        async def wait(sock: socket.socket) -> None:
            nonlocal connected
            await trio.lowlevel.wait_writable(sock)
            connected = sock
            nursery.cancel_scope.cancel()

        with trio.move_on_after(math.inf if seconds is None else seconds):
            async with trio.open_nursery() as nursery:
                for sock in sockets:
                    nursery.start_soon(wait, sock)
        return connected


def _has_ended(token: trio.lowlevel.TrioToken, process: int) -> bool:
    """Return whether the ``trio.run()`` of this token has ended, or is that of the process that has forked this one."""
    if os.getpid() != process:  # There, another thread may have held the lock that the next call takes.
        return True
    try:
        token.run_sync_soon(_nothing, idempotent=True)
    except trio.RunFinishedError:
        return True
    return False


def _nothing() -> None: ...


async def _logged(
    program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object]
) -> None:
    message = "a background program failed: %s"
    error: BaseException | None = None
    try:
        await program()
    except (trio.Cancelled, GeneratorExit) as cancellation:
        error = cancellation
        raise
    except BaseExceptionGroup as group:
        error = group
        if group.split(trio.Cancelled)[1] is None:  # a nursery's cancellation
            raise
        get_logger().exception(message, program.__qualname__)
    except BaseException as raised:  # noqa: BLE001 - logged, and handed to on_done
        error = raised
        get_logger().exception(message, program.__qualname__)
    finally:
        on_done(error)


class _TrioPoller(Poller):
    """The poller of one ``trio.run()``: a system task, which ends when nothing is left to do."""

    now = staticmethod(trio.current_time)
    _news: trio.Event | None = None

    def __init__(self) -> None:
        super().__init__()
        self._token = trio.lowlevel.current_trio_token()

    def _wake(self) -> None:
        if self._news is None:
            return
        try:
            is_here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            is_here = False
        if is_here:
            self._news.set()
        else:  # The last reference to a websocket may go in another run of trio, or outside of any.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._news.set)

    def _start(self) -> None:
        with contextlib.suppress(RuntimeError):  # trio.run() is about to end.
            trio.lowlevel.spawn_system_task(self._run)
            self._is_running = True

    async def _run(self) -> None:
        try:
            while (seconds := self.look()) is not None:
                self._news = trio.Event()
                with trio.move_on_after(seconds):
                    await self._news.wait()
        finally:
            self._is_running = False
            self.close()


_poller: trio.lowlevel.RunVar[_TrioPoller] = trio.lowlevel.RunVar("polysocket poller")


def _running_poller() -> Poller:
    """Return the poller of this ``trio.run()``."""
    try:
        return _poller.get()
    except LookupError:
        poller = _TrioPoller()
        _poller.set(poller)
        return poller


class SocketStream(SendBuffer):
    """A :class:`~polysocket.effects.ByteStream` over a socket."""

    find_watcher: Callable[[], Watcher] = staticmethod(_running_poller)

    def __init__(self, sock: trio.socket.SocketType) -> None:
        # trio's own socket object can't send without waiting.
        plain = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        plain.setblocking(False)
        super().__init__(plain, NoMutex())
        self._sent: trio.Event | None = None
        self._aborted = False

    async def read(self, buffer: memoryview | None = None) -> Any:
        """Wait for bytes; return the number of those that a buffer has got."""
        while not self._aborted:
            try:
                self.has_taken: bool = False
                await trio.lowlevel.wait_readable(self._socket)
                self.has_taken = True
                return self._socket.recv(READ_SIZE) if buffer is None else self._socket.recv_into(buffer)
            except (BlockingIOError, trio.ClosedResourceError):
                continue
        await trio.lowlevel.checkpoint()
        return b""

    read_into = read

    def read_now(self) -> bytes | None:
        """Return what has arrived; None if nothing has."""
        if self._aborted:
            return b""
        self.has_taken = True
        try:
            return self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return None

    async def drain(self) -> None:
        """Wait until nothing is pending; a checkpoint in any case."""
        if self._sent is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._sent.wait()
        if self._unsent:
            self._check()
        else:
            self.pending = 0

    async def close(self) -> None:
        """Flush what is pending, then close the socket."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """Shut the connection down, close the socket and wake the tasks that wait for it."""
        if not self._aborted:
            self._aborted = True
            self._unwatch()
            self._error = ConnectionAbortedError("the connection was ended by this side")
            shut_down(self._socket)
            with contextlib.suppress(RuntimeError):  # Outside of trio no task waits.
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _send_later(self) -> None:
        if self._sent is None:
            self._sent = trio.Event()
            trio.lowlevel.spawn_system_task(self._send_pending)

    async def _send_pending(self) -> None:
        assert self._sent is not None
        try:
            while self._must_flush:
                await trio.lowlevel.wait_writable(self._socket)
                self._flush()
        except trio.ClosedResourceError:
            return
        finally:
            self._sent.set()
            self._sent = None
