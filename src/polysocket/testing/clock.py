"""Time that tests advance: a clock, and an effect whose time limits and ``now`` go by it, whatever the flavour.

Whoever waits under a time limit is woken when the clock passes it. That works for all that waits by the effect's own
events, as the streams in memory do; a socket knows nothing of this clock.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from polysocket.effects import ByteStream, Effect, Event
from polysocket.effects.sockets import DeadlinePassed, TimeLimit, unlimited

__all__ = ["VirtualClock", "VirtualEffect"]

P = ParamSpec("P")
T = TypeVar("T")


class VirtualClock:
    """Seconds from 0, which pass when :meth:`advance` is called.

    With ``autojump``, whoever has to wait advances it to the next moment for which somebody waits: for tests in which
    one task or thread does all, as in the blocking flavour. (``trio.testing.MockClock`` does so for many.)
    """

    def __init__(self, *, autojump: bool = False) -> None:
        self._now = 0.0
        self._autojump = autojump
        self._lock = threading.Lock()
        self._alarms: list[tuple[float, Event]] = []

    def now(self) -> float:
        """The seconds that have passed."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake who has waited for this."""
        if seconds < 0:
            raise ValueError(f"a clock can't be advanced by {seconds!r} seconds: time does not go back")
        with self._lock:
            self._now += seconds
            due = [event for time, event in self._alarms if time <= self._now]
        for event in due:
            event.set()

    @contextlib.contextmanager
    def alarm(self, time: float | None, event: Event) -> Generator[None]:
        """Set the event once it is that time, as long as the block goes on; None is never."""
        alarms = [] if time is None else [(time, event)]
        with self._lock:
            self._alarms += alarms
        try:
            self._jump()
            yield
        finally:
            with self._lock:
                for alarm in alarms:
                    self._alarms.remove(alarm)

    def _jump(self) -> None:
        times = [time for time, _ in self._alarms]
        if times and (self._autojump or min(times) <= self._now):
            self.advance(max(min(times) - self._now, 0))


class VirtualEffect:
    """An :class:`~polysocket.effects.Effect` like the one that it is made of, whose time is a clock's."""

    def __init__(self, effect: Effect, clock: VirtualClock) -> None:
        self._effect = effect
        self._clock = clock
        self.is_async: bool = effect.is_async
        self.mutex = effect.mutex
        self.checkpoint = effect.checkpoint

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """What the flavour's user calls."""
        return self._effect.lift(program)

    async def unlift(self, value: Any, /) -> Any:
        """The plain value of one in ``F``."""
        return await self._effect.unlift(value)

    def current_task(self) -> object:
        """The flavour's task, or thread."""
        return self._effect.current_task()

    def is_cancellation(self, error: BaseException, /) -> bool:
        """As the flavour's effect tells."""
        return self._effect.is_cancellation(error)

    def now(self) -> float:
        """The clock's time."""
        return self._clock.now()

    def event(self) -> VirtualEvent:
        """A new event, not set."""
        return VirtualEvent(self._effect.event, self._clock)

    def time_limit(self, seconds: float | None, /) -> TimeLimit:
        """Bound what is awaited inside, by the clock."""
        return TimeLimit(seconds, self._clock.now, _deadline)

    def interruptible(self) -> AbstractAsyncContextManager[Callable[[], None]]:
        """As the flavour does it."""
        return self._effect.interruptible()

    def spawn(self, program: Callable[[], Coroutine[Any, Any, None]], /) -> None:
        """Run a program in the background; it begins without a time limit."""
        self._effect.spawn(unlimited(program, _deadline))

    async def connect_tcp(self, host: str, port: int, /) -> ByteStream:
        """Connect as the flavour does."""
        return await self._effect.connect_tcp(host, port)

    async def connect_unix(self, path: str, /) -> ByteStream:
        """Connect as the flavour does."""
        return await self._effect.connect_unix(path)

    async def adopt(self, sock: socket.socket, /) -> ByteStream:
        """Use a connected socket as the flavour does."""
        return await self._effect.adopt(sock)


_deadline: ContextVar[float | None] = ContextVar("_deadline", default=None)
"""The time at which the calling program must stop waiting."""


class VirtualEvent:
    """An :class:`~polysocket.effects.Event` whose waiting ends by the time limit on the clock, too."""

    def __init__(self, make_event: Callable[[], Event], clock: VirtualClock) -> None:
        self._make_event = make_event
        self._clock = clock
        self._lock = threading.Lock()
        self._is_set = False
        self._turns: list[Event] = []

    def set(self) -> None:
        """Set it, and wake who waits."""
        with self._lock:
            self._is_set = True
            turns = list(self._turns)
        for turn in turns:
            turn.set()

    async def wait(self) -> None:
        """Wait until it is set, or the time limit has passed."""
        turn = self._make_event()
        deadline = _deadline.get()
        with self._lock:
            self._turns.append(turn)
            if self._is_set:
                turn.set()
        try:
            if self._is_set:
                await turn.wait()
            else:
                with self._clock.alarm(deadline, turn):
                    await turn.wait()
        finally:
            with self._lock:
                self._turns.remove(turn)
        if not self._is_set:
            raise DeadlinePassed
