"""Fixtures: each flavour in turn, proxies that run for the whole session, and servers.

anyio's backend has only one test here: it connects via the effect of asyncio or trio, whose flavours run all tests.
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
    """An http proxy that demands a user and password."""
    with http_proxy(tmp_path_factory.mktemp("http")) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProxy]:
    """An https proxy that demands a user and password."""
    with http_proxy(tmp_path_factory.mktemp("https"), tls=True) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def socks5() -> Iterator[RealProxy]:
    """A SOCKS proxy that demands a user and password."""
    with socks_proxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def open_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealProxy]:
    """An http proxy without authentication."""
    with http_proxy(tmp_path_factory.mktemp("http"), auth=False) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def open_socks5() -> Iterator[RealProxy]:
    """A SOCKS proxy without authentication."""
    with socks_proxy(auth=False) as proxy:
        yield proxy


@pytest.fixture(params=["http", "https", *(["socks5"] if HAS_SOCKS else [])])
def proxy(request: pytest.FixtureRequest) -> RealProxy:
    """Each kind of proxy in turn."""
    real: RealProxy = request.getfixturevalue(request.param)
    return real


@pytest.fixture(params=["open_http", *(["open_socks5"] if HAS_SOCKS else [])])
def open_proxy(request: pytest.FixtureRequest) -> RealProxy:
    """Each kind of proxy without authentication in turn."""
    real: RealProxy = request.getfixturevalue(request.param)
    return real


@pytest.fixture(autouse=True)
def leave_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a socket, a thread, or what is collected with a ResourceWarning."""
    for name in ("proxy", "open_proxy", "http", "https", "socks5"):
        if name in request.fixturenames:
            request.getfixturevalue(name)  # the proxy starts before the check, and outlives the test
    with nothing_left_behind():
        yield


@pytest.fixture(params=[name for name, flavour in FLAVOURS.items() if not issubclass(flavour, AnyioFlavour)])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour in turn."""
    name: str = request.param
    return FLAVOURS[name]()


@pytest.fixture(params=["ws", "wss"])
def server(request: pytest.FixtureRequest, leave_nothing: None) -> Iterator[Server]:
    """A server made with ``websockets``, without and with TLS."""
    with Server(server_context() if request.param == "wss" else None) as server:
        yield server


@pytest.fixture
def plain_server(leave_nothing: None) -> Iterator[Server]:
    """A server without TLS."""
    with Server() as server:
        yield server


@pytest.fixture
def door(leave_nothing: None) -> Iterator[Door]:
    """A port to which no connection may be made."""
    with Door() as door:
        yield door
