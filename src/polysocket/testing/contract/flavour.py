"""The author's side of the contract: a flavour, which runs promises.

A promise is an ``async def`` that is written once. asyncio and trio run it in their loop. If ``F`` is no coroutine, a
promise is driven as a program is, and what it awaits never suspends.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, ParamSpec, Protocol, TypeVar, Unpack

from polysocket import Async, Backend, ConnectOptions, Request, WebSocket, polymorphic
from polysocket.effects import Effect, Event
from polysocket.testing.contract.places import Target

__all__ = ["INTERRUPTED", "TURNS", "Body", "Flavour", "Interrupted", "Task", "connect", "connected", "promise"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Body = Callable[[], Coroutine[Any, Any, None]]
"""A promise with its fixtures."""

TURNS: Final = 8
"""Turns of an event loop in which a new task reaches its first wait: more than any program here needs."""


class Interrupted(enum.Enum):
    """The result of :meth:`Flavour.interrupt` for a call that did not end by itself."""

    INTERRUPTED = enum.auto()


INTERRUPTED: Final = Interrupted.INTERRUPTED


class Task(Protocol[T_co]):
    """A program that runs beside the body."""

    async def result(self) -> T_co:
        """Wait for its end; return its result or raise its error."""
        ...

    async def waiting(self) -> None:
        """Return when the program waits for something, or has ended."""
        ...


class Flavour(ABC):
    """One way to wait; made anew for each test. Each method bounds its waits in time."""

    @abstractmethod
    def run(self, body: Body) -> None:
        """Run a body to its end, bounded in time; a task that is left running is an error."""

    @abstractmethod
    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        """Call the flavour's public ``connect`` and return the websocket that is in its ``F``."""

    @abstractmethod
    def backend(self, *, request: Request) -> Backend[Any]:
        """Make the flavour's public backend, with a request that has its limits."""

    @abstractmethod
    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        """Run a program beside the body, in a task or a thread."""

    @abstractmethod
    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        """Run a program, and end it from outside after so many turns, via the flavour's cancellation.

        In a flavour without one, an exception (as Ctrl-C brings one) comes out of what the program waits in.
        """

    @abstractmethod
    def effect(self) -> Effect:
        """Return the flavour's effect."""

    @abstractmethod
    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that blocks, such as a peer's, without blocking the flavour's tasks."""

    def event(self) -> Event:
        """Return a new event, not set."""
        return self.effect().event()

    async def open(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Async]:
        """Open a websocket via :meth:`connect`, and return it as programs see it."""
        return await self.seen(await self.connect(url_or_request, **options))

    async def seen(self, ws: WebSocket[Any]) -> WebSocket[Async]:
        """Return a websocket of the flavour's as programs see it."""
        seen: WebSocket[Async] = await self.effect().unlift(_seen(ws))
        return seen


@polymorphic
async def _seen(ws: WebSocket[Async]) -> WebSocket[Async]:
    return ws


def promise(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test for pytest from an ``async def`` with a fixture ``flavour``, which runs it."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        flavour = kwargs["flavour"]
        if not isinstance(flavour, Flavour):
            raise TypeError(f"the fixture flavour returns a Flavour of the contract, not {flavour!r}")
        flavour.run(lambda: test(*args, **kwargs))

    return run


async def connect(flavour: Flavour, target: Target, **options: Unpack[ConnectOptions]) -> WebSocket[Async]:
    """Open a websocket to a server of the test."""
    settings: ConnectOptions = {**target.options(), **options}
    return await flavour.open(target.url, **settings)


@contextlib.asynccontextmanager
async def connected(
    flavour: Flavour, target: Target, **options: Unpack[ConnectOptions]
) -> AsyncGenerator[WebSocket[Async]]:
    """Open a websocket; at the end of the block the server hangs up first, so that closing does not wait for it."""
    ws = await connect(flavour, target, **options)
    try:
        yield ws
    finally:
        target.hang_up()
        await ws.close()
