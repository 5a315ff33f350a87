"""Runs the contract's tests: each ``async def`` with a ``flavour`` once in every flavour, and looks what it leaves."""

from __future__ import annotations

import gc
import inspect
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.flavours import FLAVOURS, Flavour
from tests.contract.places import Echo, Peer, Place


@pytest.fixture(scope="session", autouse=True)
def what_is_there_already() -> Iterator[None]:
    """Leave what the tests do not make out of the garbage collections behind each of them: they take a tenth then."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(what_is_there_already: None) -> Iterator[None]:
    """Hold the promise that nothing leaks, whatever a test is about: no socket, no thread, no ResourceWarning."""
    sockets, threads = _open_sockets(), set(threading.enumerate())
    yield
    for thread in threading.enumerate():
        if thread not in threads and not thread.name.startswith("Trio thread"):
            thread.join(1)  # It may have given its result, and be about to end.
            assert not thread.is_alive(), f"a thread is left behind: {thread}"
    assert _open_sockets() <= sockets, "sockets are left behind"
    gc.collect()  # What is collected with a ResourceWarning fails the test.


def _open_sockets() -> set[str]:
    folder = pathlib.Path("/proc/self/fd")
    if not folder.exists():
        return set()
    names = set()
    for path in folder.iterdir():
        try:
            names.add(f"{path.name} {os.readlink(path)}")  # noqa: PTH115 - not a path that exists
        except OSError:
            continue  # the one by which the folder was read
    return {name for name in names if "socket:" in name}


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """The flavour that a test is run in."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """How client and server are connected; TCP unless a test is for more."""
    name: str = getattr(request, "param", "tcp")
    return name


@pytest.fixture
def place(transport: str, tmp_path: pathlib.Path) -> Place:
    """Where servers are."""
    return Place(transport, tmp_path)


@pytest.fixture
def peer(place: Place) -> Iterator[Peer]:
    """A peer that upgrades, without compression."""
    with Peer(place) as peer:
        yield peer


@pytest.fixture
def echo(place: Place) -> Iterator[Echo]:
    """The embedded echo server."""
    with Echo(place) as echo:
        yield echo


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test's body in its flavour."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or "flavour" not in pyfuncitem.funcargs:
        return None
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    flavour: Flavour = arguments["flavour"]
    flavour.run(lambda: pyfuncitem.obj(**arguments))
    return True
