"""What runs a promise: a flavour, as its author tells it to the contract.

A promise is an ``async def`` that is written once. asyncio and trio run it in their loop; where ``F`` is no coroutine
it is driven as a program is, and what it awaits never suspends. What a promise is, is not known here.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, ParamSpec, Protocol, TypeVar, Unpack

from polysocket._opening.options import ConnectOptions
from polysocket.effects import Async, Effect, Event
from polysocket.request import Request
from polysocket.testing.contract.places import Target
from polysocket.websocket import WebSocket

__all__ = ["INTERRUPTED", "TURNS", "Body", "Flavour", "Interrupted", "Task", "connect", "connected", "promise"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Body = Callable[[], Coroutine[Any, Any, None]]
"""A promise with its fixtures."""

TURNS: Final = 8
"""Turns of a loop in which a task that was begun comes to its first wait."""


class Interrupted(enum.Enum):
    """What :meth:`Flavour.interrupt` gives for a call that did not end by itself."""

    INTERRUPTED = enum.auto()


INTERRUPTED: Final = Interrupted.INTERRUPTED


class Task(Protocol[T_co]):
    """A program that runs beside the body."""

    async def result(self) -> T_co:
        """Wait for its end: its result or its error."""
        ...

    async def waiting(self) -> None:
        """Come back when the program waits for something, or has ended."""
        ...


class Flavour(ABC):
    """One way to wait; made anew for each test. No method waits without a bound."""

    @abstractmethod
    def run(self, body: Body) -> None:
        """Run a body to its end, bounded in time; a task that is left behind is an error."""

    @abstractmethod
    async def connect(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Any]:
        """The flavour's public ``connect``, and what is in its ``F``."""

    @abstractmethod
    def spawn(self, program: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Task[T]:
        """Run a program beside the body, in a task or a thread."""

    @abstractmethod
    async def interrupt(self, program: Callable[[], Coroutine[Any, Any, T]], turns: int = TURNS) -> T | Interrupted:
        """Run a program, and end it from outside after so many turns: by what cancels in this flavour.

        Where nothing cancels, an exception (as Ctrl-C brings one) comes out of what the program waits in.
        """

    @abstractmethod
    def effect(self) -> Effect:
        """The flavour's effect."""

    @abstractmethod
    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that blocks, such as a peer's, beside what is going on."""

    def event(self) -> Event:
        """A new event, not set."""
        return self.effect().event()

    async def open(self, url_or_request: str | Request, **options: Unpack[ConnectOptions]) -> WebSocket[Async]:
        """A websocket by :meth:`connect`, as programs see it."""
        return (await self.connect(url_or_request, **options))._for_programs()


def promise(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test for pytest of an ``async def`` with a fixture ``flavour``, which runs it."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        flavour = kwargs["flavour"]
        if not isinstance(flavour, Flavour):
            raise TypeError(f"the fixture flavour gives a Flavour of the contract's, not {flavour!r}")
        flavour.run(lambda: test(*args, **kwargs))

    return run


async def connect(flavour: Flavour, target: Target, **options: Unpack[ConnectOptions]) -> WebSocket[Async]:
    """Open a websocket to a server of the test's."""
    settings: ConnectOptions = {**target.options(), **options}
    return await flavour.open(target.url, **settings)


@contextlib.asynccontextmanager
async def connected(
    flavour: Flavour, target: Target, **options: Unpack[ConnectOptions]
) -> AsyncGenerator[WebSocket[Async]]:
    """Open a websocket; at the end of the block the server hangs up first, so that no closing waits for it."""
    ws = await connect(flavour, target, **options)
    try:
        yield ws
    finally:
        target.hang_up()
        await ws.close()
