"""Effects and streams that wrap another one: subclass, and override what differs."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from polysocket.effects.interface import ByteStream, Effect, Event
from polysocket.effects.mutex import Mutex

__all__ = ["DelegatingEffect", "DelegatingStream"]

P = ParamSpec("P")
T = TypeVar("T")


class DelegatingEffect:
    """An :class:`~polysocket.effects.Effect` that leaves everything to ``inner``."""

    def __init__(self, inner: Effect) -> None:
        self._inner = inner

    @property
    def inner(self) -> Effect:
        """The effect to which each call goes."""
        return self._inner

    @property
    def name(self) -> str:
        """The inner effect's name."""
        return self.inner.name

    @property
    def is_async(self) -> bool:
        """Whether the inner effect is asynchronous."""
        return self.inner.is_async

    @property
    def leaves_caller(self) -> bool:
        """Whether a program of the inner effect leaves the caller's thread before it waits."""
        return bool(getattr(self.inner, "leaves_caller", False))

    @property
    def deadline(self) -> ContextVar[float | None] | None:
        """The deadline of the calling program, if the inner effect has one."""
        return getattr(self.inner, "deadline", None)

    @property
    def checkpoint(self) -> Callable[[], Awaitable[object]] | None:
        """The inner effect's checkpoint."""
        return self.inner.checkpoint

    @property
    def next_turn(self) -> Callable[[], Awaitable[object]]:
        """The inner effect's way to let other tasks run."""
        return self.inner.next_turn

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """Make the function that the user calls."""
        return self.inner.lift(program)

    async def unlift(self, value: Any, /) -> Any:
        """Wait for the result in ``F`` and return it plain."""
        return await self.inner.unlift(value)

    def event(self) -> Event:
        """Return a new event."""
        return self.inner.event()

    def mutex(self) -> Mutex:
        """Return a new guard for code that never waits."""
        return self.inner.mutex()

    def time_limit(self, seconds: float | None, /) -> AbstractAsyncContextManager[Any]:
        """Bound what is awaited inside."""
        return self.inner.time_limit(seconds)

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Return a block that can be ended from outside."""
        return self.inner.interruptible()

    def current_task(self) -> object:
        """Return the calling task or thread."""
        return self.inner.current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether an error ends the program from outside."""
        return self.inner.is_cancellation(error)

    def now(self) -> float:
        """Return the time of the inner effect's clock."""
        return self.inner.now()

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Make a call after ``seconds``."""
        return self.inner.call_later(seconds, call)

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Run a program in the background."""
        self.inner.spawn(program, on_done)

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Call a function that blocks."""
        return await self.inner.run_blocking(function)

    async def connect_tcp(self, host: str, port: int, local_address: tuple[str, int] | None = None, /) -> ByteStream:
        """Connect to a host."""
        return await self.inner.connect_tcp(host, port, local_address)

    async def connect_unix(self, path: str, /) -> ByteStream:
        """Connect to a Unix socket."""
        return await self.inner.connect_unix(path)

    async def adopt(self, sock: socket.socket, /) -> ByteStream:
        """Make a stream of a connected socket."""
        return await self.inner.adopt(sock)


class DelegatingStream:
    """A :class:`~polysocket.effects.ByteStream` that leaves everything to ``inner``."""

    def __init__(self, inner: ByteStream) -> None:
        self.inner = inner

    @property
    def pending(self) -> int:
        """How many bytes wait in the inner stream."""
        return self.inner.pending

    @property
    def remote_address(self) -> Any:
        """The address of the inner stream's peer; None if it has none."""
        return getattr(self.inner, "remote_address", None)

    @property
    def local_address(self) -> Any:
        """The inner stream's own address; None if it has none."""
        return getattr(self.inner, "local_address", None)

    @property
    def mutex(self) -> Mutex | None:
        """The guard of the inner stream; None if it has none."""
        return getattr(self.inner, "mutex", None)

    @property
    def is_torn(self) -> bool:
        """Whether an interruption has torn what the inner stream sends."""
        return bool(getattr(self.inner, "is_torn", False))

    @property
    def has_taken(self) -> bool:
        """Whether an interruption may lose bytes that the inner stream has taken."""
        return bool(getattr(self.inner, "has_taken", False))

    async def read(self) -> bytes:
        """Read from the inner stream."""
        return await self.inner.read()

    def read_now(self) -> bytes | None:
        """Read from the inner stream what is there."""
        return self.inner.read_now()

    def watch(self, call: Callable[[], object] | None, /) -> float:
        """Watch the inner stream."""
        return self.inner.watch(call)

    def progress(self) -> tuple[int, int]:
        """Return the bytes that the inner stream has written, and those that the peer has taken."""
        return self.inner.progress()

    def write(self, data: bytes) -> None:
        """Write to the inner stream."""
        self.inner.write(data)

    async def drain(self) -> None:
        """Wait until more can be written to the inner stream."""
        await self.inner.drain()

    async def close(self) -> None:
        """Flush the inner stream, then end its connection."""
        await self.inner.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        self.inner.abort()
