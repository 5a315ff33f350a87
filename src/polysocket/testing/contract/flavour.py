"""The interface that the author of a flavour implements, so that promises can run in the flavour.

A promise is an ``async def`` that is written once. asyncio and trio run it in their event loop. If ``F`` is not a
coroutine, a promise is driven as a program is: whatever it awaits blocks the thread and never suspends.
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
"""A promise whose fixtures are bound."""

TURNS: Final = 8
"""Turns of an event loop after which a new task has reached its first wait: more than any promise needs."""


class Interrupted(enum.Enum):
    """The result of :meth:`Flavour.interrupt` if the program was interrupted before its end."""

    INTERRUPTED = enum.auto()


INTERRUPTED: Final = Interrupted.INTERRUPTED


class Task(Protocol[T_co]):
    """A program that runs beside the body."""

    async def result(self) -> T_co:
        """Wait for the end of the program; return its result or raise its error."""
        ...

    async def waiting(self) -> None:
        """Wait until the program waits for something or has ended."""
        ...


class Flavour(ABC):
    """A flavour, made anew for each test. Each method bounds its waits in time."""

    @abstractmethod
    def run(self, body: Body) -> None:
        """Run a body to its end, bounded in time. Raise an error if a task is still running afterwards."""

    @abstractmethod
    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        """Call the flavour's public ``connect``, wait for its ``F``, and return the websocket."""

    @abstractmethod
    def backend(self, *, request: Request) -> Backend[Any]:
        """Make the flavour's public backend. ``request`` has the limits of its websockets."""

    @abstractmethod
    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        """Run a program beside the body, in a task or a thread."""

    @abstractmethod
    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        """Run a program, and cancel it after this number of turns of the event loop.

        In a flavour without cancellation, raise an exception from a wait of the program, as Ctrl-C does.
        """

    @abstractmethod
    def effect(self) -> Effect:
        """Return the flavour's effect."""

    @abstractmethod
    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that blocks, such as a method of the peer, without blocking the flavour's tasks."""

    def event(self) -> Event:
        """Return a new event, not set."""
        return self.effect().event()

    async def open(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Async]:
        """Open a websocket via :meth:`connect`, and return it with methods that a program can await."""
        return await self.seen(await self.connect(url_or_request, **options))

    async def seen(self, ws: WebSocket[Any]) -> WebSocket[Async]:
        """Return a websocket of the flavour with methods that a program can await."""
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
            raise TypeError(f"the fixture flavour must return a Flavour of the contract, not {flavour!r}")
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
    """Open a websocket. At the end of the block the server hangs up first, so that closing does not wait."""
    ws = await connect(flavour, target, **options)
    try:
        yield ws
    finally:
        target.hang_up()
        await ws.close()
