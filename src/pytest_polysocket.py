"""Fixtures for pytest: an echo server, and stubbed backends whose websockets are aborted after the test.

pytest imports this module in every run if polysocket is installed. So the module is outside of the package, and each
fixture imports what it needs: a run that uses no fixture does not import polysocket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polysocket.testing import EchoServer, StubFactory

__all__ = ["polysocket_echo_server", "polysocket_stub"]

pytest.register_assert_rewrite("polysocket.testing")  # The promises of the contract are tests.


@pytest.fixture
def polysocket_echo_server() -> Iterator[EchoServer]:
    """A running :class:`~polysocket.testing.EchoServer`: connect to its ``url``."""
    from polysocket.testing import EchoServer  # noqa: PLC0415

    with EchoServer() as server:
        yield server


@pytest.fixture
def polysocket_stub() -> Iterator[StubFactory]:
    """A factory of :class:`~polysocket.testing.BackendStub`, whose websockets are aborted after the test."""
    from polysocket.testing import StubFactory  # noqa: PLC0415

    factory = StubFactory()
    yield factory
    factory.abort_all()
