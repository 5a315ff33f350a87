"""Every test with a ``flavour`` runs once in every flavour, against servers that nobody here wrote."""

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
