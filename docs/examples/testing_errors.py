import pytest

from polysocket import Blocking, ConnectionLost, ReceiveTimeout, Text
from polysocket.testing import NothingPrepared, WebSocketStub


def test_errors_are_raised_in_order() -> None:
    stub = WebSocketStub.with_initial_incoming(
        [ReceiveTimeout("nothing came"), Text("news"), ConnectionResetError("gone")],
    )
    ws = stub.build(Blocking)
    with pytest.raises(ReceiveTimeout):
        ws.receive_text()
    assert ws.receive_text() == "news"
    with pytest.raises(ConnectionLost, match="gone"):
        ws.receive_text()


def test_receiving_more_than_was_prepared_is_an_error() -> None:
    ws = WebSocketStub().build(Blocking)
    with pytest.raises(NothingPrepared):
        ws.receive_text()
