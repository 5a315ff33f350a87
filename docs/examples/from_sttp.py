import asyncio
import socket
from collections.abc import Generator, Iterator
from concurrent.futures import Future

from prometheus_client import CollectorRegistry, generate_latest

from polysocket import (
    Binary,
    Blocking,
    Buffer,
    BufferFull,
    Close,
    ConnectFailed,
    ConnectionLost,
    DataFrame,
    Frame,
    Handler,
    Listener,
    LoggingBackend,
    LoggingObserver,
    ObservedBackend,
    OpenTimeout,
    Ping,
    PipeHandler,
    Pong,
    Proxy,
    RedirectRefused,
    Text,
    UpgradeRejected,
    WebSocketClosed,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.asyncio import AsyncioBackend
from polysocket.blocking import BlockingBackend, connect
from polysocket.observers.opentelemetry import OpenTelemetryObserver
from polysocket.observers.prometheus import PrometheusObserver
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

#: ``.readTimeout(…)``, ``SttpBackendOptions.connectionTimeout(…)`` | polysocket.Request.timeouts
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
with behind_a_proxy:
    behind_a_proxy.open_websocket(
        request, WebSocketHandler()
    )

#: ``SttpBackendOptions.socksProxy(…)`` | polysocket.Proxy
behind_socks = BlockingBackend(
    proxy=Proxy("socks5://localhost:1080")
)
with behind_socks:
    behind_socks.open_websocket(
        request, WebSocketHandler()
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

#: ``ResponseAs`` | polysocket.Handler
handler = WebSocketHandler()
assert isinstance(handler, Handler)
other = backend.open_websocket(request, handler)

#: ``asWebSocketAlways(ws => …)``, ``asWebSocketOrFail(ws => …)`` | polysocket.blocking.connect
with connect(request) as one:
    one.send_text("Hello!")
    assert one.receive_text() == "Hello!"

#: ``asWebSocket(ws => …)``, which may be a ``Left`` | polysocket.UpgradeRejected
try:
    with connect(request) as one:
        one.send_text("Hello!")
except UpgradeRejected as error:
    print(error.response.body)

#: ``asWebSocketWithMetadata((ws, metadata) => …)`` | polysocket.WebSocket.response
with connect(request) as one:
    assert one.response.status == 101

#: ``asWebSocketUnsafe``, ``asWebSocketAlwaysUnsafe`` | polysocket.blocking.connect
open_until_closed = connect(request)
open_until_closed.close()

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

#: ``SttpClientException.TimeoutException`` | polysocket.OpenTimeout
with socket.create_server(("localhost", 0)) as mute:
    port = mute.getsockname()[1]
    url = f"ws://localhost:{port}/"
    try:
        connect(url, open_timeout=0.01)
    except OpenTimeout as error:
        print(error)

#: ``SttpClientException.TooManyRedirectsException`` | polysocket.RedirectRefused
in_a_circle = (
    BackendStub.blocking()
    .when_any_request()
    .then_reject(302, {"Location": "/"})
)
try:
    in_a_circle.open_websocket(
        request.follow_redirects(3), handler
    )
except RedirectRefused as error:
    print(error.response.status)

#: ``SttpClientException.ReadException`` | polysocket.ConnectionLost
dropped = WebSocketStub.with_initial_incoming(
    [ConnectionResetError("reset by peer")]
).build(Blocking)
try:
    dropped.receive()
except ConnectionLost as error:
    print(error)

#: Frames

#: ``WebSocketFrame.Text``, ``WebSocketFrame.Binary`` | polysocket.Text, polysocket.Binary
frames: list[Frame] = [Text("a"), Binary(b"b")]

#: ``WebSocketFrame.Ping``, ``WebSocketFrame.Pong`` | polysocket.Ping, polysocket.Pong
frames += [Ping(b"c"), Pong(b"c")]

#: ``WebSocketFrame.Close``, its ``statusCode`` and ``reasonText`` | polysocket.Close
bye = Close(1001, "restart")
assert bye.code == 1001
assert bye.reason == "restart"

#: ``WebSocketFrame.Data``; ``.Control`` is every other one | polysocket.DataFrame
data = [
    frame
    for frame in frames
    if isinstance(frame, DataFrame)
]
assert data == [Text("a"), Binary(b"b")]

#: ``finalFragment`` | polysocket.Text, polysocket.Binary
assert Text("a").final
assert not Binary(b"b", final=False).final

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
    case other_frame:
        print("unexpected:", other_frame)

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
too_many = WebSocketStub.with_initial_incoming(
    [Text("one"), Text("two")]
)
flooding = (
    BackendStub.blocking()
    .when_any_request()
    .then_respond_web_socket(too_many)
)
ws = flooding.open_websocket(
    request, WebSocketHandler(Buffer.bounded(1))
).result
assert ws.receive_text() == "one"
try:
    ws.receive_text()
except BufferFull as error:
    print(error)

#: a low-level listener | polysocket.Listener
class Printer(Listener[Blocking]):
    def on_text(self, frame: Text) -> None:
        print(frame.payload)

ws = backend.open_websocket(request, Printer()).result

#: a ``Flow`` or ``Pipe`` of frames; ``asWebSocketStream``, ``asWebSocketStreamAlways`` | polysocket.PipeHandler
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

#: ``fromTextPipeF(f)`` | polysocket.from_text_pipe
async def shout(text: str) -> str:
    return text.upper()

async def shout_back() -> None:
    stubbed = (
        BackendStub.asyncio()
        .when_any_request()
        .then_respond_web_socket(news)
    )
    shouting = PipeHandler(from_text_pipe(shout))
    response = await stubbed.open_websocket(
        request, shouting
    )
    assert response.result.received == Close(1000)

asyncio.run(shout_back())

#: Wrapping backends

#: a logging backend | polysocket.LoggingBackend
with LoggingBackend(BlockingBackend()) as logged:
    logged.open_websocket(request, handler)

#: ``ListenerBackend`` | polysocket.ObservedBackend
with ObservedBackend(
    BlockingBackend(), LoggingObserver()
) as observed:
    observed.open_websocket(request, handler)

#: ``PrometheusBackend`` | polysocket.observers.prometheus.PrometheusObserver
registry = CollectorRegistry()
with ObservedBackend(
    BlockingBackend(), PrometheusObserver(registry)
) as measured:
    measured.open_websocket(request, handler)
assert b"polysocket_" in generate_latest(registry)

#: the OpenTelemetry backends | polysocket.observers.opentelemetry.OpenTelemetryObserver
with ObservedBackend(
    BlockingBackend(), OpenTelemetryObserver()
) as traced:
    traced.open_websocket(request, handler)

#: ``RecordingSttpBackend`` | polysocket.testing.RecordingBackend
with RecordingBackend(BlockingBackend()) as recording:
    recording.open_websocket(request, handler)
(recorded,) = recording.recordings
assert recorded.frames[0].sender == "client"

#: Stubs

#: ``withInitialIncoming(…)``, ``initialReceive(…)`` | polysocket.testing.WebSocketStub.with_initial_incoming
stub = WebSocketStub.with_initial_incoming(
    [Text("Hi!")]
)

#: ``initialReceiveWith(…)``, with failures | polysocket.testing.WebSocketStub.with_initial_incoming
failing = WebSocketStub.with_initial_incoming(
    [ValueError("not today")]
).build(Blocking)
try:
    failing.receive_text()
except ValueError as error:
    print(error)

#: ``noInitialReceive`` | polysocket.testing.WebSocketStub
polite = WebSocketStub().then_respond(
    lambda frame: ["thank you"]
).build(Blocking)
polite.send_text("Hello!")
assert polite.receive_text() == "thank you"

#: ``.thenRespond(f)`` | polysocket.testing.WebSocketStub.then_respond
echoing = stub.then_respond(lambda frame: [frame])
echo = echoing.build(Blocking)
assert echo.receive_text() == "Hi!"
echo.send_text("and again")
assert echo.receive_text() == "and again"

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

#: ``whenRequestMatchesPartial {…}``, case by case | polysocket.testing.BackendStub.when_request_matches
by_case = (
    stubbed.when_request_matches(
        lambda request: "Cookie" in request.headers
    )
    .then_respond_web_socket(stub)
    .when_request_matches(
        lambda request: "X-Client" in request.headers
    )
    .then_reject(403)
)
ws = by_case.open_websocket(request, handler).result
assert ws.receive_text() == "Hi!"

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
given: object = handling.open_websocket(
    request, handler
).result
assert given == "no websocket"

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
