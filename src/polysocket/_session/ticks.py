"""The ticks of websockets: those that are due at the same moment share one timer of their runtime.

A timer for each of 10,000 idle websockets would cost more than their Pings: it has objects, which the garbage
collector visits, and a place in a heap.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import ref

from polysocket._session.pings import PendingPing
from polysocket.effects import Effect

__all__ = ["Slot", "Ticking", "Ticks", "ticks_of"]


SHORTEST_WAIT: Final = 0.001
"""Seconds from a Ping to the first look for its Pong."""


class Ticking(ABC):
    """The base of what has something to do at its times."""

    @abstractmethod
    def tick(self) -> None:
        """Do what is due, without waiting."""


class Slot:
    """Those whose tick is due at one moment, by their ids. They are not kept alive."""

    def __init__(self, time: float) -> None:
        self.time: float = time
        self.members: dict[int, ref[Ticking]] = {}
        self.is_over: bool = False
        """Whether its members are taken, or are about to be. One that was added before this was set is among them."""
        self.revoke: Callable[[], object] | None = None
        """Revokes the timer, and refers to it: None once the timer is over, so that nothing is left in a cycle."""


class Ticks:
    """The slots of one runtime, by their times on the effect's clock.

    No call takes a lock, since its caller may hold others. Any thread may call :meth:`add` and :meth:`discard`.
    """

    def __init__(self, effect: Effect, loop: object) -> None:
        self.owners: tuple[Effect, object] = (effect, loop)
        """The effect and the event loop, which are not freed before this."""
        self._effect = effect
        self._slots: dict[float, Slot] = {}
        self._expected: list[PendingPing] = []
        self._revoke_look: Callable[[], object] | None = None

    def add(self, member: Ticking, time: float, now: float) -> Slot:
        """Call ``member.tick()`` once at this time; return its slot, for :meth:`discard`."""
        while True:
            slot = self._slots.get(time) or self._slots.setdefault(time, Slot(time))
            slot.members[id(member)] = ref(member)
            if slot.revoke is None and not slot.is_over:  # It is new, or a signal handler has raised here.
                slot.revoke = self._effect.call_later(max(time - now, 0), partial(self._make, slot))
            if not slot.is_over:
                return slot
            self._remove(slot)

    def discard(self, member: Ticking, slot: Slot) -> None:
        """Call no more; revoke the timer if no other member needs it."""
        slot.members.pop(id(member), None)
        if slot.members or slot.is_over:
            return
        slot.is_over = True
        self._remove(slot)
        if slot.members:  # Another thread has added one meanwhile. The timer is still there for it.
            return
        revoke, slot.revoke = slot.revoke, None
        if revoke is not None:
            revoke()

    def _remove(self, slot: Slot) -> None:
        """Let a slot be made anew for its time. A newer one may go, too: its timer knows its members."""
        if self._slots.get(slot.time) is slot:
            self._slots.pop(slot.time, None)

    def _make(self, slot: Slot) -> None:
        slot.is_over = True
        self._remove(slot)
        slot.revoke = None
        self._tick(list(slot.members.values()))

    def _tick(self, members: list[ref[Ticking]]) -> None:
        try:
            while members:
                if (member := members.pop()()) is not None:
                    member.tick()
        finally:
            if members:  # One has raised, which the runtime reports.
                self._effect.call_later(0, partial(self._tick, members))

    def look_for(self, ping: PendingPing, seconds: float) -> None:
        """Have the runtime's poller look soon after the Pong has come, so that its time is right.

        It looks at most half as long again as the Pong takes, and for these seconds if none comes. A member calls this
        in its tick.
        """
        self._expected.append(ping)
        if self._revoke_look is None:
            self._revoke_look = self._effect.call_later(SHORTEST_WAIT, partial(self._look, seconds))

    def look_no_more_for(self, ping: PendingPing) -> None:
        """Forget a Ping of :meth:`look_for`, if it still waits."""
        if ping in self._expected:
            self._expected.remove(ping)
        if not self._expected and self._revoke_look is not None:
            self._revoke_look()
            self._revoke_look = None

    def _look(self, seconds: float) -> None:
        """Note which Pongs have come: a poller looks at all sockets before it calls back."""
        now = self._effect.now()
        self._expected = [ping for ping in self._expected if ping.seconds is None and now - ping.sent_at < seconds]
        self._revoke_look = None
        if self._expected:
            wait = max((now - self._expected[-1].sent_at) / 2, SHORTEST_WAIT)
            self._revoke_look = self._effect.call_later(wait, partial(self._look, seconds))


_all: dict[tuple[int, int], ref[Ticks]] = {}  # not a WeakValueDictionary, which takes a call more for each websocket


def ticks_of(effect: Effect, loop: object) -> Ticks:
    """Return the ticks of an effect in an event loop: the same ones for all websockets there."""
    key = id(effect), id(loop)
    reference = _all.get(key)
    ticks = None if reference is None else reference()
    if ticks is None:
        ticks = Ticks(effect, loop)
        _all[key] = ref(ticks, partial(_forget, key))
    return ticks


def _forget(key: tuple[int, int], reference: ref[Ticks]) -> None:
    if _all.get(key) is reference:
        del _all[key]


if hasattr(os, "register_at_fork"):  # not in Windows
    os.register_at_fork(after_in_child=_all.clear)  # The timers of the parent are the parent's.
