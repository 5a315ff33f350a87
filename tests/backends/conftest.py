"""Runs each ``async def`` test with a ``flavour`` once in every flavour, against servers that nobody here wrote."""

from __future__ import annotations

import contextlib
import inspect
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from polysocket.testing.contract.places import Peer, Place
from tests.backends.flavours import FLAVOURS, Flavour
from tests.backends.servers import Door, Server
from tests.interop.leaks import nothing_left_behind


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
def server(leave_nothing: None) -> Iterator[Server]:
    """The server of sttp's tests, made of ``websockets``."""
    with Server() as server:
        yield server


@pytest.fixture
def peer(leave_nothing: None, tmp_path: pathlib.Path) -> Iterator[Peer]:
    """A server that does what a test says, byte by byte."""
    with Peer(Place("tcp", tmp_path)) as peer:
        yield peer


@pytest.fixture
def new_peer(leave_nothing: None, tmp_path: pathlib.Path) -> Iterator[Callable[..., Peer]]:
    """More of them, which take the answers to the opening handshake."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(Peer(Place("tcp", tmp_path), *answers))


@pytest.fixture
def door(leave_nothing: None) -> Iterator[Door]:
    """Where nobody must come."""
    with Door() as door:
        yield door


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test's body in its flavour."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "flavour" not in pyfuncitem.funcargs:
        return None
    flavour: Any = pyfuncitem.funcargs["flavour"]
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    flavour.run(lambda: pyfuncitem.obj(**arguments))
    return True
