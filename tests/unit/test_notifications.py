"""Calls to observers: one at a time, in order, and none is blocked by an earlier one that was interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from polysocket._session.notifications import Notifications
from polysocket._session.reading import wake
from polysocket.effects import Event, run
from polysocket.effects.mutex import ThreadMutex
from polysocket.effects.sockets import ThreadEvent


class Interrupt(BaseException):
    """The error that a signal handler raises."""


class InterruptedMutex(ThreadMutex):
    """A mutex that a signal handler interrupts as it is left, once."""

    is_due = False

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.is_due:
            self.is_due = False
            raise Interrupt


def test_an_interrupted_delivery_does_not_block_later_ones() -> None:
    mutex = InterruptedMutex()
    notifications = Notifications(mutex)
    told: list[str] = []
    notifications.add(told.append, "a")
    notifications.add(told.append, "b")
    mutex.is_due = True
    with pytest.raises(Interrupt):
        notifications.deliver()
    notifications.deliver()
    assert told[-1:] == ["b"]


def test_a_call_that_adds_a_call_and_delivers_is_not_interrupted_by_it() -> None:
    notifications = Notifications(ThreadMutex())
    told: list[str] = []

    def nest(name: str) -> None:
        notifications.add(told.append, "inner")
        notifications.deliver()
        told.append(name)

    notifications.add(nest, "outer")
    notifications.deliver()
    assert told == ["outer", "inner"]


def test_calls_of_another_thread_are_made_after_the_one_that_runs() -> None:
    notifications = Notifications(ThreadMutex())
    told: list[str] = []

    def call(name: str) -> None:
        other = threading.Thread(target=add_and_deliver)
        other.start()
        other.join()
        told.append(name)

    def add_and_deliver() -> None:
        notifications.add(told.append, "second")
        notifications.deliver()

    notifications.add(call, "first")
    notifications.deliver()
    assert told == ["first", "second"]


def test_an_event_for_the_log_is_told_in_turn_if_the_log_is_on() -> None:
    notifications = Notifications(ThreadMutex())
    notifications.note("the log is off")
    assert not notifications.due
    told: list[str] = []
    notifications.log = told.append
    notifications.add(told.append, "a frame")
    notifications.note("no byte for 20 seconds: Ping")
    notifications.deliver()
    assert told == ["a frame", "no byte for 20 seconds: Ping"]


def test_a_caller_that_waits_for_another_thread_makes_its_calls_if_that_one_is_interrupted() -> None:
    notifications = Notifications(ThreadMutex())
    begun, goes_on, told = threading.Event(), threading.Event(), list[str]()

    def interrupt(_: str) -> None:
        begun.set()
        goes_on.wait(10)
        raise Interrupt

    def deliver() -> None:
        with pytest.raises(Interrupt):
            notifications.deliver()

    async def wait() -> None:
        waiter = asyncio.Event()
        waiting = asyncio.create_task(notifications.wait(waiter))
        await asyncio.sleep(0)
        goes_on.set()
        await asyncio.to_thread(thread.join)
        await asyncio.wait_for(waiting, 10)

    notifications.add(interrupt, "a")
    notifications.add(told.append, "b")
    thread = threading.Thread(target=deliver)
    thread.start()
    begun.wait(10)
    asyncio.run(wait())
    assert told == ["b"]


def test_a_caller_that_begins_to_wait_while_another_thread_is_interrupted_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notifications = Notifications(ThreadMutex())
    late = threading.Thread(target=lambda: run(notifications.wait(ThreadEvent())), daemon=True)

    def wake_and_begin(waiting: list[Event], wake: Callable[[list[Event]], None] = wake) -> None:
        wake(waiting)
        if late.ident is None:
            late.start()

    def interrupt(_: str) -> None:
        raise Interrupt

    monkeypatch.setattr("polysocket._session.notifications.wake", wake_and_begin)
    notifications.add(interrupt, "a")
    with pytest.raises(Interrupt):
        notifications.deliver()
    late.join(10)
    assert not late.is_alive()
