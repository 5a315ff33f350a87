"""The views, the consumer and the command of the documentation work in Django, under daphne."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

import polysocket
from polysocket import Blocking, Close, UpgradeRejected, WebSocket, WebSocketClosed
from polysocket.blocking import connect
from polysocket.testing import EchoServer
from tests.docs.applications import PATIENCE, get, wait_until
from tests.docs.pages import EXAMPLES, shown_in
from tests.docs.programs import scripted

pytestmark = [
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("channels", "daphne", "django")), reason="Django is not installed"
    ),
    pytest.mark.skipif(sys.platform == "win32", reason="a listening socket is passed to a process"),
]

NOWHERE = "ws://127.0.0.1:1/"
REPOSITORY = EXAMPLES.parents[1]


def start(*arguments: str, descriptors: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """Run the project in a process of its own."""
    path = os.pathsep.join([str(Path(polysocket.__file__).parents[1]), str(REPOSITORY)])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.docs.django_project", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=REPOSITORY,
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(upstream: str, folder: Path) -> Iterator[int]:
    """Serve the project, yield the port, and look for tracebacks at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        with start("serve", upstream, str(folder), str(descriptor), descriptors=(descriptor,)) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process.terminate()
                out, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in out, out


@pytest.mark.parametrize("view", ["translate", "translate-async"])
def test_a_view_asks_another_server(view: str, tmp_path: Path) -> None:
    with EchoServer() as upstream, serving(upstream.url, tmp_path) as port:
        assert get(port, f"/{view}/?text=apples") == (200, {"translation": "apples"})


@pytest.mark.parametrize("view", ["translate", "translate-async"])
def test_a_view_answers_502_if_there_is_no_other_server(view: str, tmp_path: Path) -> None:
    with serving(NOWHERE, tmp_path) as port:
        status, answer = get(port, f"/{view}/?text=apples")
    assert status == 502
    assert "could not connect to 127.0.0.1 port 1" in answer["error"]


def test_a_command_follows_a_feed(tmp_path: Path) -> None:
    is_stored = threading.Event()

    def send_prices(ws: WebSocket[Blocking]) -> None:
        ws.send_text("apples=2")
        ws.close(1012)

    def send_prices_after_a_restart(ws: WebSocket[Blocking]) -> None:
        ws.send_text("pears=3")
        assert is_stored.wait(PATIENCE)

    with (
        scripted(send_prices, send_prices_after_a_restart) as url,
        start("follow_prices", url, str(tmp_path)) as command,
        serving(NOWHERE, tmp_path) as port,
    ):
        wait_until(lambda: get(port, "/prices/pears/") == (200, {"price": 3}))
        assert get(port, "/prices/apples/") == (200, {"price": 2})
        command.terminate()
        is_stored.set()
        assert command.communicate(timeout=PATIENCE)[0] == "no prices for 0 seconds\n"


def test_a_consumer_relays_messages_both_ways(tmp_path: Path) -> None:
    with (
        EchoServer() as upstream,
        serving(upstream.url, tmp_path) as port,
        connect(f"ws://127.0.0.1:{port}/chat/") as browser,
    ):
        browser.send_text("apples")
        assert browser.receive_text(timeout=PATIENCE) == "apples"
        browser.send_binary(b"\x00")
        assert browser.receive_binary(timeout=PATIENCE) == b"\x00"


def test_a_consumer_closes_when_the_upstream_fails(tmp_path: Path) -> None:
    def fail(ws: WebSocket[Blocking]) -> None:
        ws.close(1011, "out of order")

    with (
        scripted(fail) as url,
        serving(url, tmp_path) as port,
        connect(f"ws://127.0.0.1:{port}/chat/") as browser,
    ):
        with pytest.raises(WebSocketClosed) as caught:
            browser.receive_text(timeout=PATIENCE)
        assert caught.value.close_info.code == 4502


def test_a_consumer_closes_the_upstream_when_the_browser_leaves(tmp_path: Path) -> None:
    closes: list[object] = []

    def wait(ws: WebSocket[Blocking]) -> None:
        closes.append(ws.receive())

    with scripted(wait) as url, serving(url, tmp_path) as port:
        with connect(f"ws://127.0.0.1:{port}/chat/"):
            pass
        wait_until(lambda: closes == [Close(1000)])


def test_a_consumer_refuses_if_there_is_no_upstream(tmp_path: Path) -> None:
    with serving(NOWHERE, tmp_path) as port, pytest.raises(UpgradeRejected) as caught:
        connect(f"ws://127.0.0.1:{port}/chat/")
    assert caught.value.response.status == 403


def test_every_example_is_shown() -> None:
    assert {path.name for path in (EXAMPLES / "django").glob("*.py")} == shown_in("django")
