"""The effect of trio: ``F[T]`` is a coroutine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import trio

from polysocket._logger import logger
from polysocket.effects import CoroutineEffect
from polysocket.effects.send_buffer import SendBuffer

__all__ = ["TrioEffect"]


READ_SIZE = 120 * 1024  # bytes: room for a frame of 64 KiB, and less than what malloc has from the system each time


class TrioEffect(CoroutineEffect):
    """The :class:`~polysocket.effects.Effect` of trio."""

    checkpoint: Callable[[], Awaitable[object]] | None = staticmethod(trio.lowlevel.checkpoint)

    def event(self) -> trio.Event:
        """The runtime's own."""
        return trio.Event()

    def current_task(self) -> object:
        """The runtime's own."""
        return trio.lowlevel.current_task()

    def now(self) -> float:
        """The runtime's own."""
        return trio.current_time()

    @contextlib.asynccontextmanager
    async def time_limit(self, seconds: float | None, /) -> AsyncGenerator[None]:
        """A cancel scope with a deadline."""
        with trio.CancelScope() as scope:
            if seconds is not None:
                scope.deadline = trio.current_time() + seconds
            yield
        if scope.cancelled_caught:
            raise TimeoutError(f"{seconds} seconds have passed")

    @contextlib.asynccontextmanager
    async def interruptible(self) -> AsyncGenerator[Callable[[], None]]:
        """A cancel scope."""
        with trio.CancelScope() as scope:
            yield scope.cancel

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run the program in a system task: it ends with its stream, and no nursery of the user's is at hand for it.

        What it raises, SystemExit and KeyboardInterrupt too, is logged: in a system task it would be trio's own end, by
        a TrioInternalError. (A real Ctrl-C is the main task's.)
        """
        trio.lowlevel.spawn_system_task(_logged, program, name=program)

    async def connect_tcp(self, host: str, port: int, /) -> SocketStream:
        """Connect by happy eyeballs (RFC 8305)."""
        stream = await trio.open_tcp_stream(host, port)
        return SocketStream(stream.socket)

    async def connect_unix(self, path: str, /) -> SocketStream:
        """Connect to a Unix socket."""
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        try:
            await sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return SocketStream(sock)

    async def adopt(self, sock: socket.socket, /) -> SocketStream:
        """Use a connected socket."""
        return SocketStream(trio.socket.from_stdlib_socket(sock))


async def _logged(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    message = "a program in the background failed: %s"
    try:
        await program()
    except (trio.Cancelled, GeneratorExit):
        raise
    except BaseExceptionGroup as errors:
        if errors.split(trio.Cancelled)[1] is None:  # a nursery's cancellation
            raise
        logger.exception(message, program.__qualname__)
    except BaseException:
        logger.exception(message, program.__qualname__)


class SocketStream:
    """A :class:`~polysocket.effects.ByteStream` over a socket."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        # trio's own socket object can't send without waiting.
        self._socket = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._socket.setblocking(False)
        self._outgoing = SendBuffer(self._socket)
        self._sent: trio.Event | None = None
        self._aborted = False

    @property
    def pending(self) -> int:
        """Bytes that the system has not taken."""
        return len(self._outgoing)

    async def read(self) -> bytes:
        """Wait for bytes."""
        while not self._aborted:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(READ_SIZE)
            except (BlockingIOError, trio.ClosedResourceError):
                continue
        await trio.lowlevel.checkpoint()
        return b""

    def write(self, data: bytes) -> None:
        """Send at once what the system takes; the rest is pending."""
        self._check()
        self._outgoing.write(data)
        if self._outgoing and self._sent is None:
            self._sent = trio.Event()
            trio.lowlevel.spawn_system_task(self._send_pending)

    async def drain(self) -> None:
        """Wait until nothing is pending; a checkpoint in any case."""
        if self._sent is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._sent.wait()
        if self._outgoing:
            self._check()

    async def close(self) -> None:
        """Send what is pending, then close the socket."""
        await self.drain()
        self.abort()

    def abort(self) -> None:
        """Close the socket; who waits for it is woken."""
        if not self._aborted:
            self._aborted = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _check(self) -> None:
        if self._aborted:
            raise ConnectionAbortedError("the connection was ended by this side")
        self._outgoing.check()

    async def _send_pending(self) -> None:
        assert self._sent is not None
        try:
            while self._outgoing.is_waiting and not self._aborted:
                await trio.lowlevel.wait_writable(self._socket)
                self._outgoing.send()
        except trio.ClosedResourceError:
            return
        finally:
            self._sent.set()
            self._sent = None
