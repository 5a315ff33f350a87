"""The effect of the library that runs, asyncio or trio: ``F[T]`` is a coroutine."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import sniffio

from polysocket.effects import ByteStream, CoroutineEffect, Effect, Event
from polysocket.effects.asyncio import AsyncioEffect
from polysocket.errors import NoAsyncLibrary

__all__ = ["AnyioEffect", "running_effect"]


def running_effect() -> Effect:
    """The effect of the library that runs; raises :class:`NoAsyncLibrary`."""
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError as error:
        raise NoAsyncLibrary("no asynchronous library runs here: call this from a task of asyncio or trio") from error
    if library == "asyncio":
        return AsyncioEffect()
    if library == "trio":
        from polysocket.effects.trio import TrioEffect  # noqa: PLC0415 - it is there, since it runs

        return TrioEffect()
    raise NoAsyncLibrary(f"asyncio and trio are known here, and what runs is {library}")


class AnyioEffect(CoroutineEffect):
    """The :class:`~polysocket.effects.Effect` that is asyncio's or trio's, call by call."""

    def event(self) -> Event:
        """That of the library that runs; so are all others."""
        return running_effect().event()

    @property
    def checkpoint(self) -> Callable[[], Awaitable[object]] | None:  # type: ignore[override]
        """That of the library that runs."""
        return running_effect().checkpoint

    def time_limit(self, seconds: float | None, /) -> AbstractAsyncContextManager[Any]:
        """Bound what is awaited inside."""
        return running_effect().time_limit(seconds)

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """A block that can be ended from outside."""
        return running_effect().interruptible()

    def current_task(self) -> object:
        """The task that calls."""
        return running_effect().current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """What ends the task from outside; so does the collection of one that was left behind, where nothing runs."""
        return isinstance(error, GeneratorExit) or running_effect().is_cancellation(error)

    def now(self) -> float:
        """The clock."""
        return running_effect().now()

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run the program in the background."""
        running_effect().spawn(program)

    async def connect_tcp(self, host: str, port: int, /) -> ByteStream:
        """Connect to a host."""
        return await running_effect().connect_tcp(host, port)

    async def connect_unix(self, path: str, /) -> ByteStream:
        """Connect to a Unix socket."""
        return await running_effect().connect_unix(path)

    async def adopt(self, sock: socket.socket, /) -> ByteStream:
        """Use a connected socket."""
        return await running_effect().adopt(sock)
