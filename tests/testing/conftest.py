"""Fixtures: each test with a ``flavour`` runs once in every flavour, and must leak nothing."""

from __future__ import annotations

from typing import Any

import pytest

from polysocket import Async, Asyncio, Blocking, Threaded, Trio
from polysocket.testing import VirtualClock
from tests.backends import flavours
from tests.backends.flavours import FLAVOURS, Flavour
from tests.leaks import *  # noqa: F403 - an autouse fixture

TAGS: dict[type[Flavour], type[Any]] = {
    flavours.BlockingFlavour: Blocking,
    flavours.ThreadedFlavour: Threaded,
    flavours.AsyncioFlavour: Asyncio,
    flavours.UvloopFlavour: Asyncio,
    flavours.TrioFlavour: Trio,
    flavours.AnyioAsyncioFlavour: Async,
    flavours.AnyioTrioFlavour: Async,
}


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Every flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture
def tag(flavour: Flavour) -> type[Any]:
    """The flavour's tag."""
    return TAGS[type(flavour)]


@pytest.fixture
def clock(tag: type[Any]) -> VirtualClock:
    """A clock that the test advances; in the blocking flavour, the waiting caller advances it."""
    return VirtualClock(autojump=tag is Blocking)
