"""Runs each ``async def`` test with anyio's own plugin on every event loop, and checks that it leaks nothing."""

from __future__ import annotations

import importlib.util
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from polysocket.testing import EchoServer
from polysocket.testing.contract.places import Peer, Place
from tests.leaks import nothing_left_behind

collect_ignore_glob = [] if importlib.util.find_spec("anyio") is not None else ["test_*.py"]

PATIENCE = 10  # seconds to wait before a test fails

LIBRARIES: dict[str, tuple[str, dict[str, Any]]] = {"asyncio": ("asyncio", {"use_uvloop": False})}
if importlib.util.find_spec("uvloop") is not None:
    LIBRARIES["uvloop"] = ("asyncio", {"use_uvloop": True})
if importlib.util.find_spec("trio") is not None:
    LIBRARIES["trio"] = ("trio", {})


@pytest.fixture(params=LIBRARIES)
def anyio_backend(request: pytest.FixtureRequest, leave_nothing: None) -> tuple[str, dict[str, Any]]:
    """The event loop of a test, for anyio's plugin."""
    return LIBRARIES[request.param]


@pytest.fixture(autouse=True)
def leave_nothing() -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    with nothing_left_behind():
        yield
        for thread in threading.enumerate():
            if thread.name.startswith("AnyIO worker"):
                thread.join(PATIENCE)  # anyio ends its workers with the loop, but does not wait for them.


@pytest.fixture
def url(leave_nothing: None) -> Iterator[str]:
    """The URL of an echo server."""
    with EchoServer() as server:
        yield server.url


@pytest.fixture
def peer(leave_nothing: None, tmp_path: pathlib.Path) -> Iterator[Peer]:
    """A peer that the test scripts byte by byte."""
    with Peer(Place("tcp", tmp_path)) as peer:
        yield peer
