"""A host with many addresses: the first that answers wins, however long the others are silent (RFC 8305)."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import pickle
import socket
from collections.abc import Iterator
from unittest import mock

import pytest

from polysocket import ConnectFailed, OpenTimeout, blocking
from polysocket.effects import Effect
from polysocket.effects.asyncio import AsyncioEffect, ConnectingTasks
from polysocket.effects.happy_eyeballs import Address, Attempts, interleaved
from polysocket.effects.sockets import SocketEffect
from polysocket.testing.contract import INTERRUPTED, Flavour, promise
from polysocket.testing.contract.forking import forked_child
from polysocket.testing.contract.places import Echo
from polysocket.testing.contract.refusals import check_short
from tests.contract.test_blocking import ctrl_c, in_the_main_thread


def address(port: int, host: str = "127.0.0.1") -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


@contextlib.contextmanager
def resolved(*addresses: Address) -> Iterator[None]:
    """Resolve every host to these addresses."""

    async def looked_up(loop: object, host: str, port: int, **_: object) -> list[Address]:
        return list(addresses) if host.endswith(".example") else [address(port, host)]  # uvloop resolves addresses too

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", return_value=list(addresses)))
        if importlib.util.find_spec("uvloop") is not None:
            import uvloop

            stack.enter_context(mock.patch.object(uvloop.Loop, "getaddrinfo", looked_up))
        yield


@pytest.fixture
def hole(nothing_left_behind: None) -> Iterator[int]:
    """A port of the loopback that doesn't answer, because its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def refused() -> int:
    """A port of the loopback that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def port_of(echo: Echo) -> int:
    return int(echo.url.split(":")[2].strip("/"))


@promise
async def test_a_second_address_wins_while_the_first_is_silent(flavour: Flavour, echo: Echo, hole: int) -> None:
    with resolved(address(hole), address(port_of(echo))):
        ws = await flavour.open("ws://many.example/", open_timeout=5)
    await ws.send_text("a")
    assert await ws.receive_text() == "a"
    await ws.close()


@promise
async def test_a_second_address_is_tried_if_the_first_fails(flavour: Flavour, echo: Echo, refused: int) -> None:
    with resolved(address(refused), address(port_of(echo))):
        ws = await flavour.open("ws://many.example/", open_timeout=5)
    await ws.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@promise
async def test_the_error_names_a_local_address_of_another_machine(flavour: Flavour, refused: int, host: str) -> None:
    with pytest.raises(ConnectFailed, match=r"\(local_address 192\.0\.2\.1:0\)$"):
        await flavour.open(f"ws://{host}:{refused}/", local_address="192.0.2.1")


@promise
async def test_the_zone_of_a_local_address_is_used(
    flavour: Flavour, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bind() takes the zone of a link-local address as a number, and ignores one that is in the text."""
    bound: list[tuple[str, int, int, int]] = []

    def note(_: socket.socket, where: tuple[str, int, int, int]) -> None:
        bound.append(where)
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    number, name = socket.if_nameindex()[0]
    monkeypatch.setattr(socket.socket, "bind", note)
    for zone in (name, str(number)):
        with pytest.raises(ConnectFailed, match=rf"\(local_address \[fe80::1%25{zone}\]:0\)$"):
            await flavour.open(f"ws://[::1]:{refused}/", local_address=f"fe80::1%{zone}")
        assert bound.pop()[3] == number


@promise
async def test_only_the_family_of_the_local_address_is_used(flavour: Flavour, echo: Echo) -> None:
    ws = await flavour.open(f"ws://localhost:{port_of(echo)}/", local_address="127.0.0.1")
    assert ws.local_address[0] == "127.0.0.1"
    await ws.close()
    with pytest.raises(ConnectFailed, match="could not connect to 127"):
        await flavour.open(f"ws://127.0.0.1:{port_of(echo)}/", local_address="::1")


@promise
async def test_the_error_says_how_each_address_failed(flavour: Flavour, refused: int) -> None:
    broadcast = address(refused, "255.255.255.255")  # TCP can't connect to it
    refusal = rf"\[Errno {errno.ECONNREFUSED}\] {os.strerror(errno.ECONNREFUSED)}"
    with (
        resolved(address(refused), broadcast, address(refused, "127.0.0.2"), address(refused)),
        pytest.raises(
            ConnectFailed,
            match=rf"^could not connect to many\.example port 80: 127\.0\.0\.1, 127\.0\.0\.2: {refusal}; "
            r"255\.255\.255\.255: \[Errno \d+\] [^;:]+$",
        ) as caught,
    ):
        await flavour.open("ws://many.example/")
    causes = caught.value.causes
    assert sorted(cause.filename for cause in causes) == ["127.0.0.1", "127.0.0.1", "127.0.0.2", "255.255.255.255"]
    assert caught.value.__cause__ is causes[0]
    assert caught.value.errno == causes[0].errno
    check_short(caught.value)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert list(map(str, copied.causes)) == list(map(str, causes))
    assert [(type(each), each.errno, each.filename) for each in copied.causes] == [
        (type(each), each.errno, each.filename) for each in causes
    ]


@promise
async def test_open_timeout_ends_connecting_to_silent_addresses(flavour: Flavour, hole: int) -> None:
    with resolved(address(hole), address(hole)), pytest.raises(OpenTimeout):
        await flavour.open("ws://many.example/", open_timeout=0.3)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 30])
@promise
async def test_connecting_may_be_cancelled_while_addresses_are_silent(flavour: Flavour, hole: int, turns: int) -> None:
    with resolved(address(hole), address(hole)):
        opening = await flavour.interrupt(lambda: flavour.open("ws://many.example/", open_timeout=0.5), turns)
    assert opening is INTERRUPTED


@in_the_main_thread
def test_ctrl_c_while_addresses_are_silent_leaks_nothing(hole: int) -> None:
    with resolved(address(hole), address(hole)), ctrl_c("wait_until_connected"):
        blocking.connect("ws://many.example/")


def attempts_of(effect: Effect) -> Attempts:
    if isinstance(effect, SocketEffect):
        return effect.attempts()
    if isinstance(effect, AsyncioEffect):
        return ConnectingTasks(None)
    from polysocket.effects.trio import ConnectingSockets

    return ConnectingSockets()


@promise
async def test_attempts_that_are_aborted_end_although_a_forked_process_has_their_sockets(flavour: Flavour) -> None:
    attempts = attempts_of(flavour.effect())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempts.start(address(listener.getsockname()[1]))
        server, _ = await flavour.call(listener.accept)
        with server, forked_child():
            await attempts.abort()
            server.settimeout(5)
            assert server.recv(1) == b""


def test_address_families_alternate() -> None:
    four = [address(port) for port in (1, 2)]
    six = [address(port, "::1") for port in (1, 2, 3)]
    assert interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert interleaved([*four, *six]) == [four[0], six[0], four[1], six[1], six[2]]
    assert interleaved([]) == []
