"""Freed by reference count: nothing of a websocket that has ended waits for the garbage collector.

These promises are no part of :mod:`~polysocket.testing.contract.promises`, since not every runtime can keep them: a
Deferred of Twisted's that fails is in a reference cycle with its error. A flavour that can imports this module, too.
"""

from __future__ import annotations

import gc
import time
import types
from typing import Final

import pytest

from polysocket.testing.contract.fixtures import tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, promise
from polysocket.testing.contract.lifetimes import SCENARIOS, Scenario
from polysocket.testing.contract.places import Place

__all__ = ["check_freed", "test_a_websocket_is_freed_with_its_last_reference"]

OWNERS: Final = ("polysocket.", "wsproto.", "h11.")
"""The packages whose objects are checked. A runtime's own objects, such as transports, may have cycles."""

OF_THE_PROCESS: Final = ("polysocket.effects.readiness", "polysocket.effects.workers")
"""The modules whose objects serve all websockets of the process, so that another one may keep them alive."""

PATIENCE = 5.0  # seconds until what the runtime still does after the end must be done


def _owned() -> dict[int, object]:
    """Return the objects of polysocket, and of the libraries below it, that are alive; not those of the contract."""
    return {id(thing): thing for thing in gc.get_objects() if _is_owned(thing)}


def _is_owned(thing: object) -> bool:
    module = str(thing.__module__ if isinstance(thing, types.FunctionType) else type(thing).__module__)
    return module.startswith(OWNERS) and not module.startswith(("polysocket.testing.contract", *OF_THE_PROCESS))


async def check_freed(flavour: Flavour, place: Place, scenario: Scenario) -> None:
    """Run a scenario without the garbage collector, and check that it leaves no object."""
    await scenario(flavour, place)  # It may import modules, and fill caches.
    gc.collect()
    gc.disable()
    try:
        before = set(_owned())
        await scenario(flavour, place)
        deadline = time.monotonic() + PATIENCE
        while left := [thing for key, thing in _owned().items() if key not in before]:
            # A thread or a transport may be about to end.
            assert time.monotonic() < deadline, f"{len(left)} objects wait for the garbage collector: {left}"
            del left
            await flavour.call(time.sleep, 0.01)
    finally:
        gc.enable()


@tcp_and_tls
@pytest.mark.parametrize("scenario", SCENARIOS)
@promise
async def test_a_websocket_is_freed_with_its_last_reference(flavour: Flavour, place: Place, scenario: str) -> None:
    await check_freed(flavour, place, SCENARIOS[scenario])
