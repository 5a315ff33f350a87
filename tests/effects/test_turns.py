"""The turns of a flood that one thread receives: others have the websocket between two of them."""

from __future__ import annotations

import threading
import time

import pytest

from polysocket import Blocking
from polysocket.effects import DelegatingEffect, run
from polysocket.effects.blocking import BlockingEffect
from polysocket.effects.sockets import SocketEffect
from polysocket.effects.threaded import ThreadedEffect
from polysocket.testing import memory_pair
from polysocket.testing.contract.programs import send_often

TURN = 0.001  # seconds for which a turn holds the mutex
MOST_TURNS = 50  # that another thread waits; without breaks, 100 and more


@pytest.mark.parametrize("effect", [BlockingEffect(), ThreadedEffect()], ids=lambda effect: effect.name)
def test_a_flood_leaves_other_threads_the_mutex(effect: SocketEffect) -> None:
    mutex, has_entered, turns = effect.mutex(), threading.Event(), 0

    def enter_late() -> None:
        # A busy system wakes the thread that waits for a lock only after the lock was free.
        while not mutex.acquire(timeout=0):
            time.sleep(TURN / 100)
        has_entered.set()
        mutex.release()

    other = threading.Thread(target=enter_late, daemon=True)
    with mutex:
        other.start()
    while not has_entered.is_set() and turns < 4 * MOST_TURNS:
        with mutex:
            end = time.monotonic() + TURN
            while time.monotonic() < end:
                pass
        run(effect.next_turn())
        turns += 1
    other.join()
    assert turns < MOST_TURNS


def test_a_time_limit_of_a_wrapped_effect_ends_a_program_that_only_sends() -> None:
    client, _ = memory_pair(Blocking, effect=DelegatingEffect(BlockingEffect()))
    with pytest.raises(TimeoutError):
        send_often(client, 0.05)
