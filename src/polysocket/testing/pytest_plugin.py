"""Fixtures for pytest: an echo server, and stubs of backends that are closed when the test is over.

pytest imports this in every run where polysocket is installed, so it imports nothing by itself that a fixture may need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from polysocket.backend import SocketOpener
    from polysocket.testing import BackendStub, EchoServer

F = TypeVar("F")


class StubFactory:
    """Makes stubs of backends: ``polysocket_stub(Asyncio)``."""

    def __init__(self) -> None:
        self._openers: list[SocketOpener] = []

    def __call__(self, flavour: type[F]) -> BackendStub[F]:
        """A new stub in a flavour: ``Blocking``, ``Threaded``, ``Asyncio`` or ``Trio``."""
        from polysocket.testing import BackendStub  # noqa: PLC0415

        stub = BackendStub.of(flavour)
        self._openers.append(stub._opener)
        return stub

    def abort_all(self) -> None:
        """End what was opened, and not closed."""
        for opener in self._openers:
            opener.abort()


@pytest.fixture
def polysocket_echo_server() -> Iterator[EchoServer]:
    """A running :class:`~polysocket.testing.EchoServer`: connect to its ``url``."""
    from polysocket.testing import EchoServer  # noqa: PLC0415

    with EchoServer() as server:
        yield server


@pytest.fixture
def polysocket_stub() -> Iterator[StubFactory]:
    """Makes a :class:`~polysocket.testing.BackendStub` for a flavour; its websockets end with the test."""
    factory = StubFactory()
    yield factory
    factory.abort_all()
