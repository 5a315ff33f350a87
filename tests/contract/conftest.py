"""The fixtures of the contract; ``flavour`` is each of polysocket's own in turn."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from polysocket.testing.contract import Flavour
from polysocket.testing.contract.fixtures import *  # noqa: F403
from tests import leaks
from tests.contract.flavours import FLAVOURS


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaks a thread."""
    with leaks.no_thread_left_behind():
        yield


TRIO_KEEPS = {
    "called in F",
    "timed out",
    "hung up in the handshake",
    "silent",
    "a silent proxy",
    "a silent SOCKS proxy",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect that in Python 3.13 trio leaves what a passed time limit has ended to the garbage collector."""
    if sys.version_info < (3, 12):
        return
    for item in items:
        name, _, parameters = item.name.partition("[trio-")
        ending = parameters.removesuffix("]").removesuffix("-tcp").removesuffix("-tls")
        if name == "test_a_websocket_is_freed_with_its_last_reference" and ending in TRIO_KEEPS:
            item.add_marker(pytest.mark.xfail(reason="a cycle in trio's time limit, seen in 3.13", strict=False))
