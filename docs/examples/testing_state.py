from polysocket import Blocking, Close, DataFrame, Text
from polysocket.testing import Incoming, WebSocketStub


def count_down(left: int, frame: DataFrame) -> tuple[int, list[Incoming]]:
    if left == 0:
        return 0, [Close(1000, "enough")]
    return left - 1, [Text(f"{left} left")]


def test_the_server_counts_down() -> None:
    ws = WebSocketStub().then_respond_with_state(1, count_down).build(Blocking)
    ws.send_text("one")
    assert ws.receive() == Text("1 left")
    ws.send_text("another one")
    assert ws.receive() == Close(1000, "enough")
