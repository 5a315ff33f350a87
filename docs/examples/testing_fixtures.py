from polysocket import Blocking, WebSocketHandler
from polysocket.blocking import connect
from polysocket.testing import EchoServer, StubFactory, WebSocketStub


def test_against_a_real_server(polysocket_echo_server: EchoServer) -> None:
    with connect(polysocket_echo_server.url) as ws:
        ws.send_text("Hello!")
        assert ws.receive_text() == "Hello!"


def test_against_a_stub(polysocket_stub: StubFactory) -> None:
    echo = WebSocketStub().then_respond(lambda frame: [frame])
    backend = polysocket_stub(Blocking).when_any_request().then_respond_web_socket(echo)
    ws = backend.open_websocket("wss://echo.example.com/", WebSocketHandler()).result
    ws.send_text("Hello!")
    assert ws.receive_text() == "Hello!"
