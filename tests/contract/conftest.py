"""The fixtures of the contract; ``flavour`` is each of polysocket's own in turn."""

from __future__ import annotations

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
