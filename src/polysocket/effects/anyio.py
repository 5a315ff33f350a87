"""The effect of the running library, asyncio or trio: ``F[T]`` is a coroutine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import cache

import sniffio

from polysocket.effects.asyncio import AsyncioEffect
from polysocket.effects.delegating import DelegatingEffect
from polysocket.effects.interface import CoroutineEffect, Effect
from polysocket.effects.mutex import Mutex
from polysocket.errors import NoAsyncLibrary

__all__ = ["AnyioEffect", "running_effect"]


if "trio" in sys.modules:  # Then it may run, and the import in _effect_of() would block its loop for milliseconds.
    from polysocket.effects import trio as _  # noqa: F401


@cache
def _effect_of(library: str) -> Effect:
    if library == "asyncio":
        return AsyncioEffect()
    if library == "trio":
        from polysocket.effects.trio import TrioEffect  # noqa: PLC0415 - it is installed, since it runs

        return TrioEffect()
    raise NoAsyncLibrary(f"asyncio and trio are known here, and what runs is {library}")


def running_effect() -> Effect:
    """Return the effect of the library that runs. Raises :class:`NoAsyncLibrary`."""
    try:
        return _effect_of(sniffio.current_async_library())
    except sniffio.AsyncLibraryNotFoundError as error:
        if asyncio._get_running_loop() is not None:  # in a call of the loop's, and not in a task
            return _effect_of("asyncio")
        raise NoAsyncLibrary("no asynchronous library runs here: call this from a task of asyncio or trio") from error


class AnyioEffect(CoroutineEffect, DelegatingEffect):  # pyright: ignore[reportIncompatibleVariableOverride]  # deadline
    """The :class:`~polysocket.effects.Effect` that is asyncio's or trio's, call by call."""

    def __init__(self) -> None:
        """Begin without an inner effect: a backend may be made before a library runs."""

    @property
    def name(self) -> str:
        """The flavour's name."""
        return "polysocket.anyio"

    @property
    def inner(self) -> Effect:
        """The effect of the library that runs."""
        return running_effect()

    def mutex(self) -> Mutex:
        """Return a guard of the library that runs; one for any if none runs, as for a stub that is made in advance."""
        try:
            return self.inner.mutex()
        except NoAsyncLibrary:
            return super().mutex()

    @property
    def checkpoint(self) -> Callable[[], Awaitable[object]] | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The checkpoint of the library that runs."""
        try:
            return self.inner.checkpoint
        except NoAsyncLibrary:  # for a stub that is made before the library runs
            return self._checkpoint_later

    async def _checkpoint_later(self) -> None:
        if (checkpoint := self.inner.checkpoint) is not None:
            await checkpoint()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """Return whether the error ends the task from outside; GeneratorExit may come while no library runs."""
        return isinstance(error, GeneratorExit) or self.inner.is_cancellation(error)
