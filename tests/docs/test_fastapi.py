"""The applications of FastAPI and Starlette in the documentation work under uvicorn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec

import pytest

from polysocket import Blocking, Close, OpeningFailed, UpgradeRejected, WebSocket, WebSocketClosed
from polysocket.blocking import connect
from polysocket.testing import EchoServer
from tests.docs.applications import get, loaded, under_uvicorn, wait_until
from tests.docs.programs import scripted

pytestmark = [
    pytest.mark.skipif(find_spec("fastapi") is None, reason="fastapi is not installed"),
    pytest.mark.skipif(find_spec("uvicorn") is None, reason="uvicorn is not installed"),
]


def serving(name: str, url: str) -> AbstractContextManager[int]:
    """Serve an application of the documentation, whose upstream is at a URL, and yield the port."""
    return under_uvicorn(loaded(f"frameworks/{name}.py", url).app)


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A check after each test that the application has raised nothing."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_feed_is_followed_in_the_background() -> None:
    is_asked = threading.Event()

    def send_prices(ws: WebSocket[Blocking]) -> None:
        ws.send_text("apples=2")
        assert is_asked.wait(20)
        ws.close(1012)

    def send_prices_after_a_restart(ws: WebSocket[Blocking]) -> None:
        ws.send_text("pears=3")
        assert isinstance(ws.receive(), Close)  # from the end of the application

    with scripted(send_prices, send_prices_after_a_restart) as url, serving("fastapi_feed", url) as port:
        wait_until(lambda: get(port, "/prices/apples") == (200, 2))
        is_asked.set()
        wait_until(lambda: get(port, "/prices/pears") == (200, 3))
        assert get(port, "/prices/apples") == (404, {"detail": "there is no price of apples"})


def test_a_relay_sends_messages_both_ways() -> None:
    with EchoServer() as upstream, serving("fastapi_relay", upstream.url) as port:
        with connect(f"ws://127.0.0.1:{port}/chat") as browser:
            for text in ("apples", "pears"):
                browser.send_text(text)
                assert browser.receive_text(timeout=20) == text
        assert browser.close_info is not None
        assert browser.close_info.is_normal


def test_a_relay_closes_when_the_upstream_fails() -> None:
    def fail(ws: WebSocket[Blocking]) -> None:
        ws.send_binary(b"\x00")
        ws.close(1011, "out of order")

    with (
        scripted(fail) as url,
        serving("fastapi_relay", url) as port,
        connect(f"ws://127.0.0.1:{port}/chat") as browser,
    ):
        assert browser.receive_binary(timeout=20) == b"\x00"
        with pytest.raises(WebSocketClosed) as caught:
            browser.receive_text(timeout=20)
    assert caught.value.close_info.code == 1014


def test_a_relay_closes_the_upstream_when_the_browser_leaves() -> None:
    closes: list[object] = []

    def wait(ws: WebSocket[Blocking]) -> None:
        closes.append(ws.receive())

    with scripted(wait) as url, serving("fastapi_relay", url) as port:
        with connect(f"ws://127.0.0.1:{port}/chat"):
            pass
        wait_until(lambda: closes == [Close(1000)])


def test_a_relay_refuses_if_there_is_no_upstream() -> None:
    with serving("fastapi_relay", "ws://127.0.0.1:1/") as port, pytest.raises(OpeningFailed) as caught:
        connect(f"ws://127.0.0.1:{port}/chat")
    assert isinstance(caught.value, UpgradeRejected)
    assert caught.value.response.status == 403


def test_views_share_a_backend() -> None:
    with EchoServer() as upstream, serving("starlette_backend", upstream.url) as port:
        assert get(port, "/translate?text=apples") == (200, "apples")
        assert get(port, "/translate?text=pears") == (200, "pears")


def test_a_view_answers_502_if_there_is_no_upstream() -> None:
    with serving("starlette_backend", "ws://127.0.0.1:1/") as port:
        status, answer = get(port, "/translate?text=apples")
    assert status == 502
    assert "could not connect to 127.0.0.1 port 1" in answer["error"]
