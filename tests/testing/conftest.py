"""Runs each ``async def`` test with a ``flavour`` once in every flavour, and looks that it leaves nothing behind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, cast

import pytest

from polysocket import Asyncio, Blocking, Threaded, Trio
from polysocket.testing import VirtualClock
from tests.backends import flavours
from tests.backends.flavours import FLAVOURS, Flavour
from tests.interop.leaks import nothing_left_behind

TAGS: dict[type[Flavour], type[Any]] = {
    flavours.BlockingFlavour: Blocking,
    flavours.ThreadedFlavour: Threaded,
    flavours.AsyncioFlavour: Asyncio,
    flavours.UvloopFlavour: Asyncio,
    flavours.TrioFlavour: Trio,
}


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    with nothing_left_behind():
        yield


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
    """A clock that the test advances; in the blocking flavour, where nobody else could, whoever waits does."""
    return VirtualClock(autojump=tag is Blocking)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test's body in its flavour."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "flavour" not in pyfuncitem.funcargs:
        return None
    flavour = cast("Flavour", pyfuncitem.funcargs["flavour"])
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    flavour.run(lambda: pyfuncitem.obj(**arguments))
    return True
