import asyncio
from collections.abc import Generator, Iterator
from concurrent.futures import Future

from polysocket import (
    Binary,
    Blocking,
    Buffer,
    BufferFull,
    Close,
    ConnectFailed,
    DataFrame,
    Frame,
    Listener,
    LoggingBackend,
    LoggingObserver,
    ObservedBackend,
    Ping,
    PipeHandler,
    Pong,
    Proxy,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.asyncio import AsyncioBackend
from polysocket.blocking import BlockingBackend, connect
from polysocket.testing import BackendStub, RecordingBackend, WebSocketStub
from polysocket.threaded import ThreadedBackend

# The lines are short enough for the documentation's table.
# fmt: off

#: Requests

#: ``basicRequest.get(uri"wss://…")`` | polysocket.basic_request
request = basic_request.get(
    "wss://echo.example.com/"
)

#: ``.header("X", "y")`` | polysocket.Request.header
request = request.header("X-Client", "demo")

#: ``.auth.basic("me", "secret")`` | polysocket.Request.basic_auth
request = request.basic_auth("me", "secret")

#: ``.auth.bearer("token")`` | polysocket.Request.bearer_auth
request = request.bearer_auth("token")

#: ``.cookie("a", "b")`` | polysocket.Request.cookie
request = request.cookie("session", "a1b2")

#: ``.header("Sec-WebSocket-Protocol", …)`` | polysocket.Request.subprotocol
request = request.subprotocol(
    "chat.v2", "chat.v1"
)

#: ``.readTimeout(…)`` | polysocket.Request.timeouts
request = request.timeouts(open=5, close=2)

#: ``.maxRedirects(3)`` | polysocket.Request.follow_redirects
request = request.follow_redirects(3)

#: ``.followRedirects(false)`` | polysocket.Request.follow_redirects
request = request.follow_redirects(0)

#: Backends

#: a backend of ``Identity`` | polysocket.blocking.BlockingBackend
backend = BlockingBackend()

#: a backend of ``Future`` | polysocket.threaded.ThreadedBackend
with ThreadedBackend() as in_threads:
    opening = in_threads.open_websocket(
        request, WebSocketHandler()
    )
    assert isinstance(opening, Future)
    ws_of_futures = opening.result().result

#: a backend of ``IO``, ``Task``, ``ZIO`` | polysocket.asyncio.AsyncioBackend, polysocket.trio.TrioBackend
async def greet() -> str:
    async with AsyncioBackend() as backend:
        response = await backend.open_websocket(
            request, WebSocketHandler()
        )
        ws = response.result
        await ws.send_text("Hello!")
        return await ws.receive_text()

assert asyncio.run(greet()) == "Hello!"

#: ``SttpBackendOptions.httpProxy(…)`` | polysocket.Proxy
behind_a_proxy = BlockingBackend(
    proxy=Proxy("http://localhost:3128")
)

#: ``request.openWebsocket(handler)`` | polysocket.Backend.open_websocket
response = backend.open_websocket(
    request, WebSocketHandler()
)

#: ``WebSocketResponse(headers, result)`` | polysocket.WebSocketResponse
assert "Upgrade" in response.headers
assert response.subprotocol == "chat.v2"
ws = response.result

#: ``request.openWebsocketF(makeHandler)`` | polysocket.Backend.open_websocket_f
def make_handler() -> WebSocketHandler:
    return WebSocketHandler(Buffer.unbounded())

other = backend.open_websocket_f(request, make_handler)

#: ``asWebSocket(ws => …)`` | polysocket.blocking.connect
with connect(request) as one:
    one.send_text("Hello!")
    assert one.receive_text() == "Hello!"

#: ``backend.close()`` | polysocket.Backend.close
with BlockingBackend() as closed_at_the_end:
    closed_at_the_end.open_websocket(
        request, WebSocketHandler()
    )

#: ``NotAWebSocketException`` | polysocket.UpgradeRejected
handler = WebSocketHandler()
rejecting = (
    BackendStub.blocking()
    .when_any_request()
    .then_reject(404)
)
try:
    rejecting.open_websocket(request, handler)
except UpgradeRejected as error:
    print(error.response.status)

#: ``SttpClientException.ConnectException`` | polysocket.ConnectFailed
try:
    connect("ws://localhost:1/")
except ConnectFailed as error:
    print(error)

#: The websocket

#: ``sendText``, ``sendBinary`` | polysocket.WebSocket.send_text, polysocket.WebSocket.send_binary
ws.send_text("Hello!")
ws.send_binary(b"Hello!")

#: ``receiveText``, ``receiveBinary`` | polysocket.WebSocket.receive_text, polysocket.WebSocket.receive_binary
assert ws.receive_text() == "Hello!"
assert ws.receive_binary() == b"Hello!"

#: ``send(WebSocketFrame.text("a"))`` | polysocket.WebSocket.send
ws.send(Text("a"))

#: ``receiveTextFrame`` | polysocket.WebSocket.receive_text_frame
assert ws.receive_text_frame() == Text("a")

#: ``receiveBinaryFrame`` | polysocket.WebSocket.receive_binary_frame
ws.send(Binary(b"b"))
assert ws.receive_binary_frame() == Binary(b"b")

#: ``send(frame, isContinuation)`` | polysocket.WebSocket.send
ws.send(Binary(b"a", final=False))
ws.send(Binary(b"b"), is_continuation=True)

#: ``receiveDataFrame(pongOnPing)`` | polysocket.WebSocket.receive_data_frame
frame = ws.receive_data_frame(pong_on_ping=True)
assert frame == Binary(b"ab")

#: ``send(Ping(…))`` | polysocket.Ping, polysocket.Pong, polysocket.WebSocket.ping
ws.send(Ping(b"?"))

#: ``receive`` | polysocket.WebSocket.receive
match ws.receive():
    case Pong(payload):
        assert payload == b"?"
    case Close(code, reason):
        print("closed:", code, reason)

#: ``isOpen`` | polysocket.WebSocket.is_open
assert ws.is_open

#: ``upgradeHeaders`` | polysocket.WebSocket.response
assert "Upgrade" in ws.response.headers

#: ``close`` | polysocket.WebSocket.close
ws.close(1000, "done")

#: ``eitherClose(ws.receiveText())`` | polysocket.WebSocket.either_close
assert ws.either_close(ws.receive_text) == Close(1000, "")

#: ``either(ws.receiveText())`` | polysocket.WebSocket.either
assert ws.either(ws.receive_text) == Close(1000, "")

#: ``WebSocketClosed(frame)`` | polysocket.WebSocketClosed
try:
    ws.receive_text()
except WebSocketClosed as error:
    print(error.close)

#: Handlers

#: ``WebSocketHandler()`` of an effect, with a buffer's size | polysocket.WebSocketHandler, polysocket.Buffer
handler = WebSocketHandler(Buffer.bounded(1000))
ws = backend.open_websocket(request, handler).result

#: ``WebSocketBufferFull`` | polysocket.BufferFull
try:
    ws.receive_text(timeout=0.01)
except BufferFull as error:
    print(error.close_info)
except TimeoutError:
    assert ws.is_open

#: a low-level listener | polysocket.Listener
class Printer(Listener[Blocking]):
    def on_text(self, frame: Text) -> None:
        print(frame.payload)

ws = backend.open_websocket(request, Printer()).result

#: a ``Flow`` or ``Pipe`` of frames; ``asWebSocketStream`` | polysocket.PipeHandler
def answer_one(
    incoming: Iterator[DataFrame],
) -> Generator[Frame, None, None]:
    yield Text("Hello!")
    assert next(incoming) == Text("Hello!")

piped = backend.open_websocket(
    request, PipeHandler(answer_one)
)
assert piped.result.is_normal

#: ``fromTextPipe(f)`` | polysocket.from_text_pipe
shouting = PipeHandler(from_text_pipe(str.upper))
news = WebSocketStub.with_initial_incoming(
    [Text("Hello!"), Close(1000)]
)
stubbed = (
    BackendStub.blocking()
    .when_any_request()
    .then_respond_web_socket(news)
)
info = stubbed.open_websocket(request, shouting).result
assert info.received == Close(1000)

#: Wrapping backends

#: a logging backend | polysocket.LoggingBackend
logged = LoggingBackend(BlockingBackend())

#: ``ListenerBackend`` | polysocket.ObservedBackend
observed = ObservedBackend(
    BlockingBackend(), LoggingObserver()
)

#: ``RecordingSttpBackend`` | polysocket.testing.RecordingBackend
recording = RecordingBackend(BlockingBackend())

#: Stubs

#: ``withInitialIncoming(…)``, ``initialReceive(…)`` | polysocket.testing.WebSocketStub.with_initial_incoming
stub = WebSocketStub.with_initial_incoming(
    [Text("Hi!")]
)

#: ``.thenRespond(f)`` | polysocket.testing.WebSocketStub.then_respond
echoing = stub.then_respond(lambda frame: [frame])

#: ``.thenRespondS(initial)(f)`` | polysocket.testing.WebSocketStub.then_respond_with_state
counting = stub.then_respond_with_state(
    0, lambda n, frame: (n + 1, [Text(str(n + 1))])
)

#: ``stub.build(monad)`` | polysocket.testing.WebSocketStub.build
built = counting.build(Blocking)
assert built.receive_text() == "Hi!"
built.send_text("one more")
assert built.receive_text() == "1"

#: ``SttpBackendStub(monad)`` | polysocket.testing.BackendStub
stubbed = BackendStub.blocking()

#: ``whenRequestMatches(p)`` | polysocket.testing.BackendStub.when_request_matches
rule = stubbed.when_request_matches(
    lambda request: "Cookie" not in request.headers
)

#: ``thenRespondNotFound()``, ``thenRespondWithCode(401)`` | polysocket.testing.When.then_reject
stubbed = rule.then_reject(401)

#: ``whenAnyRequest`` | polysocket.testing.BackendStub.when_any_request
any_other = stubbed.when_any_request()

#: ``thenRespondWebSocket(stub)`` | polysocket.testing.When.then_respond_web_socket
stubbed = any_other.then_respond_web_socket(echoing)
ws = stubbed.open_websocket(
    request, WebSocketHandler()
).result
assert ws.receive_text() == "Hi!"

#: ``thenHandleOpenWebSocket(f)`` | polysocket.testing.When.then_handle_open_web_socket
handling = any_other.then_handle_open_web_socket(
    lambda handler: "no websocket"
)

#: ``SttpBackendStub.withFallback(backend)`` | polysocket.testing.BackendStub.with_fallback
stubbed = BackendStub.blocking().with_fallback(backend)
ws = stubbed.open_websocket(
    request, WebSocketHandler()
).result
ws.send_text("from the real server")
assert ws.receive_text() == "from the real server"

#: The end

backend.close()
print("all of it works")
