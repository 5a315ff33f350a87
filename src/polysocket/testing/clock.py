"""Virtual time: a clock that a test advances, and an effect whose time limits and ``now`` use it.

The clock wakes a caller when the caller's time limit has passed. This works for everything that waits via the effect's
events, such as streams in memory. A socket does not use this clock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from operator import itemgetter
from typing import Any, ParamSpec, TypeVar

from polysocket.effects import DeadlinePassed, DelegatingEffect, Effect, Event, TimeLimit, unlimited
from polysocket.testing.arguments import check_effect, check_kind, is_number

__all__ = ["VirtualClock", "VirtualEffect"]

P = ParamSpec("P")
T = TypeVar("T")


class VirtualClock:
    """A clock that starts at 0 seconds and stands still until :meth:`advance` is called.

    With ``autojump``, a caller that has to wait advances the clock to the next time limit. Use it if one task or thread
    does everything, as in the blocking flavour. (For many tasks of trio, there is ``trio.testing.MockClock``.)
    """

    def __init__(self, *, autojump: bool = False) -> None:
        self._now = 0.0
        self._autojump = autojump
        self._lock = threading.Lock()
        self._alarms: list[tuple[float, Event]] = []
        self._timers: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        """Return the clock's time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, make the calls that are due meanwhile, and wake the callers whose time limit has passed.

        Raise ValueError for negative seconds, and TypeError for anything but a number.
        """
        if not is_number(seconds):
            raise TypeError(f"seconds is a number, not {seconds!r}")
        if seconds < 0:
            raise ValueError(f"a clock can't be advanced by {seconds!r} seconds: time does not go back")
        end = self._now + seconds
        while (timer := min(self._timers, key=itemgetter(0), default=None)) is not None and timer[0] <= end:
            self._timers.remove(timer)
            self._now = max(self._now, timer[0])
            timer[1]()
        with self._lock:
            self._now = end
            due = [event for time, event in self._alarms if time <= self._now]
        for event in due:
            event.set()

    def call_at(self, time: float, call: Callable[[], object]) -> Callable[[], object]:
        """Make a call when the clock reaches ``time``; return a function that revokes it."""
        timer = (time, call)
        self._timers.append(timer)

        def revoke() -> None:
            if timer in self._timers:
                self._timers.remove(timer)

        return revoke

    @contextlib.contextmanager
    def alarm(self, time: float | None, event: Event) -> Generator[None]:
        """Set the event if the clock reaches ``time`` before the block ends. None means never."""
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
        """Advance to the next alarm if it is due or the clock jumps."""
        times = [time for time, _ in (*self._alarms, *self._timers)] if self._alarms else []
        if times and (self._autojump or min(times) <= self._now):
            self.advance(max(min(times) - self._now, 0))


class VirtualEffect(DelegatingEffect):
    """An effect that wraps another one, and takes the time from a clock."""

    def __init__(self, effect: Effect, clock: VirtualClock) -> None:
        check_effect(effect)
        check_kind("clock", clock, VirtualClock)
        super().__init__(effect)
        self._clock = clock

    def now(self) -> float:
        """Return the clock's time."""
        return self._clock.now()

    def lift(self, program: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Any]:
        """Make the function that the user calls; it does not inherit the time limit of a call that it interrupts."""
        return self.inner.lift(program if self.is_async else unlimited(program, _deadline))

    def event(self) -> VirtualEvent:
        """Return a new event whose waiters the clock can wake."""
        return VirtualEvent(self.inner.event, self._clock)

    def time_limit(self, seconds: float | None, /) -> TimeLimit:
        """Bound what is awaited inside, on the clock."""
        return TimeLimit(seconds, self._clock.now, _deadline)

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        """Make a call when the clock has advanced by ``seconds``; soon for 0."""
        if seconds <= 0:
            return self.inner.call_later(0, call)
        return self._clock.call_at(self._clock.now() + seconds, call)

    def spawn(
        self, program: Callable[[], Coroutine[Any, Any, None]], on_done: Callable[[BaseException | None], object], /
    ) -> None:
        """Run a program in the background, without the caller's time limits."""
        self.inner.spawn(unlimited(program, _deadline), on_done)


_deadline: ContextVar[float | None] = ContextVar("_deadline", default=None)
"""The time on the clock at which the current program must stop waiting."""


class VirtualEvent:
    """An :class:`~polysocket.effects.Event` whose waiters also wake when their time limit on the clock has passed."""

    def __init__(self, make_event: Callable[[], Event], clock: VirtualClock) -> None:
        self._make_event = make_event
        self._clock = clock
        self._lock = threading.Lock()
        self._is_set = False
        self._waiters: list[Event] = []

    def set(self) -> None:
        """Set the flag and wake the waiters."""
        with self._lock:
            self._is_set = True
            waiters = list(self._waiters)
        for waiter in waiters:
            waiter.set()

    async def wait(self) -> None:
        """Wait until the flag is set. Raise DeadlinePassed if the time limit passes first."""
        waiter = self._make_event()
        deadline = _deadline.get()
        with self._lock:
            self._waiters.append(waiter)
            if self._is_set:
                waiter.set()
        try:
            if self._is_set:
                await waiter.wait()  # In trio, waiting for an event that is set is a checkpoint.
            else:
                with self._clock.alarm(deadline, waiter):
                    await waiter.wait()
        finally:
            with self._lock:
                self._waiters.remove(waiter)
        if not self._is_set:
            raise DeadlinePassed
