"""Names that the system's resolver takes long to look up, in the flavours that wait for it in a thread."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from polysocket import ConnectFailed, OpenTimeout, blocking, threaded
from polysocket.effects.names import is_address
from polysocket.testing.contract.flavour import Flavour, promise
from tests.contract.test_blocking import ctrl_c, in_the_main_thread

SHORT = 0.2  # seconds, for an open_timeout that passes

with_threads = pytest.mark.parametrize("flavour", ["blocking", "threaded"], indirect=True)
bounded_here = pytest.mark.parametrize("flavour", ["blocking", "threaded", "asyncio"], indirect=True)


@pytest.fixture
def silent_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that does not answer until the event is set, which is set at the end of the test."""
    answers = threading.Event()

    def look_up(*_: Any, **__: Any) -> Any:
        assert answers.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield answers
        answers.set()


@bounded_here
@pytest.mark.parametrize("proxy", [None, "http://slow.example:8080", "socks5://slow.example"])
@promise
async def test_looking_up_a_name_is_bounded_by_open_timeout(
    flavour: Flavour, silent_resolver: threading.Event, proxy: str | None
) -> None:
    with pytest.raises(OpenTimeout, match=rf"was not open within {SHORT} seconds: still connecting$") as caught:
        await flavour.open("ws://slow.example/", open_timeout=SHORT, proxy=proxy)
    assert caught.value.step == "connecting"
    silent_resolver.set()  # asyncio waits for its threads at the end of the loop


@with_threads
@promise
async def test_a_late_answer_of_the_resolver_disturbs_nothing(
    flavour: Flavour, silent_resolver: threading.Event
) -> None:
    with pytest.raises(OpenTimeout):
        await flavour.open("ws://slow.example/", open_timeout=SHORT)
    silent_resolver.set()
    with pytest.raises(ConnectFailed, match="Name or service not known"):
        await flavour.open("ws://slow.example/", open_timeout=None)


@in_the_main_thread
def test_ctrl_c_ends_a_lookup_without_a_time_limit(silent_resolver: threading.Event) -> None:
    with ctrl_c("wait_until_rung"):
        blocking.connect("ws://slow.example/", open_timeout=None)


@pytest.mark.parametrize("connect", [blocking.connect, lambda *args: threaded.connect(*args).result()])
def test_an_address_is_used_without_a_thread(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        mock.patch("polysocket.effects.sockets.Lookup", side_effect=AssertionError),
        pytest.raises(ConnectFailed) as caught,
    ):
        connect(f"ws://127.0.0.1:{port}/")
    assert caught.value.errno == errno.ECONNREFUSED


def test_a_lookup_for_which_no_thread_can_be_started_is_an_error() -> None:
    with (
        mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")),
        pytest.raises(ConnectFailed, match=r"no thread could be started to look up slow\.example") as caught,
    ):
        blocking.connect("ws://slow.example/")
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "::ffff:1.2.3.4"])
def test_addresses_are_told_from_names(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize("host", ["localhost", "1.example", "a:b", "127.0.0.1.example", ""])
def test_names_are_told_from_addresses(host: str) -> None:
    assert not is_address(host)
