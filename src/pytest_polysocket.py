"""Fixtures for pytest: an echo server, and stubs of backends that are closed when the test is over.

pytest imports this in every run where polysocket is installed. So it is no part of the package, which would be imported
with it, and imports nothing by itself that a fixture may need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polysocket.testing import EchoServer, StubFactory

__all__ = ["polysocket_echo_server", "polysocket_stub"]

pytest.register_assert_rewrite("polysocket.testing")  # the contract's promises are tests


@pytest.fixture
def polysocket_echo_server() -> Iterator[EchoServer]:
    """A running :class:`~polysocket.testing.EchoServer`: connect to its ``url``."""
    from polysocket.testing import EchoServer  # noqa: PLC0415

    with EchoServer() as server:
        yield server


@pytest.fixture
def polysocket_stub() -> Iterator[StubFactory]:
    """Makes a :class:`~polysocket.testing.BackendStub` for a flavour; its websockets end with the test."""
    from polysocket.testing import StubFactory  # noqa: PLC0415

    factory = StubFactory()
    yield factory
    factory.abort_all()
