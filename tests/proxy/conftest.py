"""Every test with a ``flavour`` runs once in every flavour; the proxies run as long as the tests do.

anyio's backend has a test of its own here: it connects by asyncio's or trio's effect, whose flavours run them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polysocket.testing.contract.places import server_context
from tests.backends.flavours import FLAVOURS, AnyioFlavour, Flavour
from tests.backends.servers import Door, Server
from tests.leaks import nothing_left_behind
from tests.proxy.proxies import HAS_SOCKS, RealProxy, http_proxy, socks_proxy


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProxy]:
    """An http proxy that wants a user and password."""
    with http_proxy(tmp_path_factory.mktemp("http")) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProxy]:
    """The same by TLS."""
    with http_proxy(tmp_path_factory.mktemp("https"), tls=True) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def socks5() -> Iterator[RealProxy]:
    """A SOCKS proxy that wants a user and password."""
    with socks_proxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def open_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProxy]:
    """An http proxy for everybody."""
    with http_proxy(tmp_path_factory.mktemp("http"), auth=False) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def open_socks5() -> Iterator[RealProxy]:
    """A SOCKS proxy for everybody."""
    with socks_proxy(auth=False) as proxy:
        yield proxy


@pytest.fixture(params=["http", "https", *(["socks5"] if HAS_SOCKS else [])])
def proxy(request: pytest.FixtureRequest) -> RealProxy:
    """Every kind of proxy in turn."""
    real: RealProxy = request.getfixturevalue(request.param)
    return real


@pytest.fixture(params=["open_http", *(["open_socks5"] if HAS_SOCKS else [])])
def open_proxy(request: pytest.FixtureRequest) -> RealProxy:
    """Those that want no user."""
    real: RealProxy = request.getfixturevalue(request.param)
    return real


@pytest.fixture(autouse=True)
def leave_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    for name in ("proxy", "open_proxy", "http", "https", "socks5"):
        if name in request.fixturenames:
            request.getfixturevalue(name)  # it is there before, and stays
    with nothing_left_behind():
        yield


@pytest.fixture(params=[name for name, flavour in FLAVOURS.items() if not issubclass(flavour, AnyioFlavour)])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Every flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture(params=["ws", "wss"])
def server(request: pytest.FixtureRequest, leave_nothing: None) -> Iterator[Server]:
    """A server made of ``websockets``, without and with TLS."""
    with Server(server_context() if request.param == "wss" else None) as server:
        yield server


@pytest.fixture
def plain_server(leave_nothing: None) -> Iterator[Server]:
    """One without TLS."""
    with Server() as server:
        yield server


@pytest.fixture
def door(leave_nothing: None) -> Iterator[Door]:
    """Where nobody must come."""
    with Door() as door:
        yield door
