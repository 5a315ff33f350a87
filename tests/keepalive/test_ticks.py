"""The timers of keepalive: many idle websockets share a few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from polysocket import asyncio as polysocket_asyncio
from polysocket import blocking
from polysocket._session.pings import PendingPing
from polysocket._session.ticks import Slot, Ticking, Ticks
from polysocket.effects import DelegatingEffect
from polysocket.effects.blocking import BlockingEffect
from polysocket.testing import EchoServer


class ManualEffect(DelegatingEffect):
    """An effect whose time passes in :meth:`pass_time`, and whose timers are counted."""

    def __init__(self) -> None:
        super().__init__(BlockingEffect())
        self.time = 0.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.started = 0

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, call: Callable[[], object], /) -> Callable[[], object]:
        timer = (self.time + seconds, call)
        self.timers.append(timer)
        self.started += 1
        return lambda: self.timers.remove(timer) if timer in self.timers else None

    def pass_time(self, seconds: float) -> None:
        end = self.time + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= end), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.time = due[0][0]
            due[0][1]()
        self.time = end


class Member(Ticking):
    """One that counts its ticks, and may raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ticks = 0
        self.error = error

    def tick(self) -> None:
        self.ticks += 1
        if self.error is not None:
            raise self.error


def test_ticks_of_one_moment_share_a_timer() -> None:
    effect = ManualEffect()
    ticks, members = Ticks(effect, None), [Member() for _ in range(100)]
    for number, member in enumerate(members):
        ticks.add(member, 1.0 + number % 2, effect.now())
    assert effect.started == 2
    effect.pass_time(1)
    assert [member.ticks for member in members] == [1, 0] * 50
    effect.pass_time(1)
    assert [member.ticks for member in members] == [1, 1] * 50
    effect.pass_time(10)
    assert sum(member.ticks for member in members) == 100


def test_the_last_one_that_leaves_revokes_the_timer() -> None:
    effect = ManualEffect()
    ticks, members = Ticks(effect, None), [Member(), Member()]
    slots = [ticks.add(member, 1.0, effect.now()) for member in members]
    ticks.discard(members[0], slots[0])
    assert len(effect.timers) == 1
    ticks.discard(members[1], slots[1])
    assert not effect.timers
    slot = ticks.add(members[0], 1.0, effect.now())  # the same moment once more
    effect.pass_time(1)
    assert [member.ticks for member in members] == [1, 0]
    ticks.discard(members[0], slot)


def test_one_that_is_added_while_the_last_one_leaves_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    effect = ManualEffect()
    ticks, leaving, added = Ticks(effect, None), Member(), Member()
    slot = ticks.add(leaving, 1.0, effect.now())
    remove = ticks._remove

    def remove_late(slot: Slot) -> None:
        monkeypatch.undo()
        ticks.add(added, 1.0, effect.now())  # in another thread
        remove(slot)

    monkeypatch.setattr(ticks, "_remove", remove_late)
    ticks.discard(leaving, slot)
    effect.pass_time(1)
    assert leaving.ticks == 0
    assert added.ticks > 0
    assert not effect.timers


def test_a_tick_that_raises_holds_up_no_other() -> None:
    effect = ManualEffect()
    ticks, members = Ticks(effect, None), [Member(ValueError("a bug")) if n == 1 else Member() for n in range(3)]
    for member in members:
        ticks.add(member, 1.0, effect.now())
    with pytest.raises(ValueError, match="a bug"):
        effect.pass_time(1)
    effect.pass_time(0)
    assert [member.ticks for member in members] == [1, 1, 1]


def test_a_timer_keeps_no_member_alive() -> None:
    effect = ManualEffect()
    ticks, member = Ticks(effect, None), Member()
    ticks.add(member, 1.0, effect.now())
    left = ref(member)
    del member
    assert left() is None
    effect.pass_time(1)
    assert not effect.timers


def test_one_chain_of_looks_serves_all_pings_until_their_pongs_have_come() -> None:
    effect = ManualEffect()
    ticks = Ticks(effect, None)
    pings = [PendingPing(bytes([number])) for number in range(50)]
    for ping in pings:
        ticks.look_for(ping, 0.25)
    effect.pass_time(0.1)
    assert effect.started < 15
    assert max(time for time, _ in effect.timers) <= 0.15  # half as long again
    for ping in pings:
        ping.seconds = 0.1
    effect.pass_time(0.1)
    assert not effect.timers
    ticks.look_for(PendingPing(b"never answered"), 0.25)
    effect.pass_time(1)
    assert not effect.timers


def test_the_websockets_of_a_flavour_have_the_same_timers() -> None:
    def ticks_of(ws: Any) -> Ticks:
        ticks: Ticks = ws._session._ticks
        return ticks

    async def main(url: str) -> Ticks:
        backend = polysocket_asyncio.AsyncioBackend()
        async with polysocket_asyncio.connect(url) as one, backend, backend.connect(url) as two:
            assert ticks_of(one) is ticks_of(two)
            return ticks_of(one)

    with EchoServer() as server:
        first, second = asyncio.run(main(server.url)), asyncio.run(main(server.url))
        assert first is not second  # Each loop has its own.
        backend = blocking.BlockingBackend()
        with blocking.connect(server.url) as one, backend, backend.connect(server.url) as two:
            assert ticks_of(one) is ticks_of(two)
