from collections.abc import Iterator

import pytest

from polysocket import Blocking, WebSocket, WebSocketClosed
from polysocket.blocking import connect
from polysocket.testing import EchoServer


@pytest.fixture
def ws(polysocket_echo_server: EchoServer) -> Iterator[WebSocket[Blocking]]:
    with connect(polysocket_echo_server.url, open_timeout=5, close_timeout=1) as ws:
        yield ws


def test_messages_come_back_in_order(ws: WebSocket[Blocking]) -> None:
    for text in ("apples", "pears"):
        ws.send_text(text)
    assert [ws.receive_text(timeout=5) for _ in range(2)] == ["apples", "pears"]


def test_a_closed_websocket_says_so(ws: WebSocket[Blocking]) -> None:
    ws.close(4000, "enough")
    with pytest.raises(WebSocketClosed, match=r"4000.* 'enough'"):
        ws.send_text("more")
