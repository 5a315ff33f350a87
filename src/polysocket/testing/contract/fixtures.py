"""The fixtures of the promises, except ``flavour``, which the author of a flavour writes."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from polysocket.testing.contract import leaks
from polysocket.testing.contract.places import DEFLATE, TRANSPORTS, Echo, Listener, Peer, Place, upgrading

__all__ = [
    "compressed",
    "deflating_peer",
    "echo",
    "every_transport",
    "nothing_left_behind",
    "peer",
    "place",
    "refusing_proxy",
    "set_variable",
    "silent",
    "slow_deflating_peer",
    "slow_peer",
    "tcp_and_tls",
    "transport",
]

every_transport: Final[pytest.MarkDecorator] = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)
tcp_and_tls: Final[pytest.MarkDecorator] = pytest.mark.parametrize("transport", ["tcp", "tls"], indirect=True)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Check after each test that nothing leaks: no socket, no ResourceWarning."""
    with leaks.nothing_left_behind():
        yield


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """Return the transport between client and server: TCP, unless a test is parametrized."""
    name: str = getattr(request, "param", "tcp")
    return name


@pytest.fixture
def place(nothing_left_behind: None, transport: str, tmp_path: pathlib.Path) -> Place:
    """The place of the test's servers."""
    return Place(transport, tmp_path)


@pytest.fixture
def peer(place: Place) -> Iterator[Peer]:
    """A peer that upgrades, without compression."""
    with Peer(place) as peer:
        yield peer


@pytest.fixture
def slow_peer(place: Place) -> Iterator[Peer]:
    """A peer with a small buffer, without compression."""
    with Peer(place, receive_buffer=4096) as peer:
        yield peer


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def compressed(request: pytest.FixtureRequest) -> bool:
    """Return whether the peer agrees on compression."""
    answer: bool = request.param
    return answer


@pytest.fixture
def deflating_peer(place: Place, compressed: bool) -> Iterator[Peer]:
    """A peer that agrees on compression if ``compressed`` is true."""
    with Peer(place, upgrading(*[DEFLATE] * compressed)) as peer:
        yield peer


@pytest.fixture
def slow_deflating_peer(place: Place, compressed: bool) -> Iterator[Peer]:
    """A peer with a small buffer that agrees on compression if ``compressed`` is true."""
    with Peer(place, upgrading(*[DEFLATE] * compressed), receive_buffer=4096) as peer:
        yield peer


@pytest.fixture
def refusing_proxy(place: Place) -> str:
    """Return the URL of a proxy that refuses connections."""
    listener = Listener(place)
    listener.hang_up()
    return listener.url.replace("ws", "http", 1)


@pytest.fixture
def set_variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that sets a variable of the environment, which names no proxy before."""
    for scheme in ("ws", "wss", "http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_PROXY".upper(), raising=False)
    monkeypatch.setattr("polysocket.proxy.HAS_PROXY_SETTINGS", False)
    return monkeypatch.setenv


@pytest.fixture
def silent(place: Place) -> Iterator[Listener]:
    """A server that accepts connections and sends nothing."""
    listener = Listener(place)
    yield listener
    listener.hang_up()


@pytest.fixture
def echo(place: Place) -> Iterator[Echo]:
    """The embedded echo server."""
    with Echo(place) as echo:
        yield echo
