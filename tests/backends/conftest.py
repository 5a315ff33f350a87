"""Fixtures: each flavour in turn, servers made with ``websockets``, and scripted peers."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import pytest

from polysocket.testing.contract.places import Peer, Place
from tests.backends.flavours import FLAVOURS, Flavour
from tests.backends.servers import Door, Server
from tests.leaks import *  # noqa: F403 - its fixture


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Return each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture
def server(leave_nothing: None) -> Iterator[Server]:
    """Run the server of sttp's tests, made with ``websockets``."""
    with Server() as server:
        yield server


@pytest.fixture
def peer(leave_nothing: None, tmp_path: pathlib.Path) -> Iterator[Peer]:
    """Run a peer that a test scripts byte by byte."""
    with Peer(Place("tcp", tmp_path)) as peer:
        yield peer


@pytest.fixture
def new_peer(leave_nothing: None, tmp_path: pathlib.Path) -> Iterator[Callable[..., Peer]]:
    """Return a function that runs more peers, with the given answers to the opening handshake."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(Peer(Place("tcp", tmp_path), *answers))


@pytest.fixture
def door(leave_nothing: None) -> Iterator[Door]:
    """Listen on a port to which no connection may be made."""
    with Door() as door:
        yield door
