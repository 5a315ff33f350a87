"""Fixtures: each flavour in turn, certificates, and a check that each test leaks nothing."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.interop.flavours import FLAVOURS, Flavour
from tests.leaks import *  # noqa: F403 - its fixture


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """An authority that the system does not trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the authority."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def localhost(ca: trustme.CA) -> ssl.SSLContext:
    """The context of a server whose certificate is for ``localhost`` and 127.0.0.1."""
    return serving(ca, "localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def elsewhere(ca: trustme.CA) -> ssl.SSLContext:
    """The context of a server whose certificate is for another name."""
    return serving(ca, "elsewhere.example")


def serving(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context
