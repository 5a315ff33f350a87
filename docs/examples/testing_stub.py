from polysocket import Async, Blocking, Text, WebSocket, polymorphic
from polysocket.testing import WebSocketStub


@polymorphic
async def greet(ws: WebSocket[Async], name: str) -> str:
    assert await ws.receive_text() == "Who are you?"
    await ws.send_text(name)
    return await ws.receive_text()


def test_the_server_greets_by_name() -> None:
    stub = WebSocketStub.with_initial_incoming([Text("Who are you?")]).then_respond(
        lambda frame: [Text(f"Hello, {frame.payload!s}!")]
    )
    assert greet(stub.build(Blocking), "Ada") == "Hello, Ada!"
