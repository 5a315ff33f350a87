import pytest
from shop import price_of

from polysocket import Blocking, Close, Text, WebSocketClosed
from polysocket.testing import WebSocketStub


def test_the_price_comes_from_the_server() -> None:
    peer = WebSocketStub().then_respond(lambda frame: [Text('{"price": 3}')])
    assert price_of(peer.build(Blocking), "pears") == 3


def test_a_server_that_restarts_is_an_error() -> None:
    peer = WebSocketStub.with_initial_incoming([Close(1012, "restart")])
    with pytest.raises(WebSocketClosed, match="restart"):
        price_of(peer.build(Blocking), "pears")
