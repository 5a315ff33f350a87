"""A stubbed backend: it opens websockets according to its rules, and names requests that match no rule."""

from __future__ import annotations

from typing import Any, cast

import pytest

from polysocket import (
    Async,
    Backend,
    BackendClosed,
    Binary,
    Buffer,
    BufferFull,
    Close,
    CloseInfo,
    ConnectFailed,
    ConnectionLost,
    DataFrame,
    Frame,
    InvalidHandler,
    InvalidRequest,
    Listener,
    Observation,
    ObservedBackend,
    Ping,
    PipeHandler,
    RedirectRefused,
    Request,
    Response,
    Text,
    UpgradeRejected,
    WebSocket,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.testing import BackendStub, EchoServer, Incoming, NothingPrepared, UnmatchedRequest, WebSocketStub
from polysocket.testing.effect_of import effect_of
from tests.backends.flavours import Flavour, Inbox, seen
from tests.backends.stages import raw_stage

URL = "wss://example.com/chat?token=secret"

greeting = WebSocketStub.with_initial_incoming([Text("hello")])


async def opened(flavour: Flavour, backend: Backend[Any], request: str | Request = URL, handler: Any = None) -> Any:
    """Open a websocket, and return the response."""
    opening: Any = backend.open_websocket(request, handler or WebSocketHandler())
    return await flavour.value(opening)


async def first_text(flavour: Flavour, backend: Backend[Any], request: str | Request = URL) -> Any:
    """Open a websocket, and return the first text that is received."""
    response = await opened(flavour, backend, request)
    return await flavour.value(response.result.receive_text())


def is_chat(request: Request) -> bool:
    return str(request.url).endswith("/chat")


def saying(text: str) -> WebSocketStub:
    return WebSocketStub.with_initial_incoming([Text(text)])


def test_each_flavour_has_a_factory_method(flavour: Flavour, tag: type[Any]) -> None:
    name = "anyio" if tag is Async else tag.__name__.lower()
    stub: BackendStub[Any] = getattr(BackendStub, name)()
    assert type(stub._effect) is type(flavour.backend()._effect)


async def test_a_rule_for_any_request_opens_every_websocket(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    async with flavour.entered(backend):
        websockets = [seen(flavour, (await opened(flavour, backend)).result) for _ in range(2)]
        for ws in websockets:
            assert await ws.receive_text() == "hello"
            assert ws.is_open
    assert not any(ws.is_open for ws in websockets)


async def test_the_response_has_the_headers_and_the_subprotocol_of_the_rule(flavour: Flavour, tag: type[Any]) -> None:
    headers = [("X-Served-By", "a"), ("X-Served-By", "b")]
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(headers=headers, subprotocol="chat")
    async with flavour.entered(backend):
        response = await opened(flavour, backend, basic_request.get(URL).subprotocol("news", "chat"))
        assert (response.status, response.reason) == (101, "Switching Protocols")
        assert response.headers.get_all("X-Served-By") == ["a", "b"]
        assert response.subprotocol == response.result.subprotocol == "chat"
        assert response.result.response.headers == response.headers


async def test_a_subprotocol_that_was_not_offered_is_refused(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(subprotocol="chat")
    with pytest.raises(ValueError, match="'chat' was not offered"):
        await opened(flavour, backend)


async def test_the_first_rule_that_matches_decides(flavour: Flavour, tag: type[Any]) -> None:
    backend = (
        BackendStub.of(tag)
        .when_request_matches(lambda request: request.headers.get("X-Kind") == "news")
        .then_respond_web_socket(saying("news"))
        .when_request_matches(is_chat)
        .then_respond_web_socket(saying("chat"))
        .when_any_request()
        .then_respond_web_socket(saying("any"))
    )
    async with flavour.entered(backend):
        assert await first_text(flavour, backend) == "chat"
        assert await first_text(flavour, backend, basic_request.header("X-Kind", "news").get(URL)) == "news"
        assert await first_text(flavour, backend, "ws://example.com/") == "any"


async def test_adding_a_rule_does_not_change_the_stub(flavour: Flavour, tag: type[Any]) -> None:
    bare: BackendStub[Any] = BackendStub.of(tag)
    backend = bare.when_any_request().then_respond_web_socket(greeting)
    with pytest.raises(UnmatchedRequest, match="it has no rules"):
        await opened(flavour, bare)
    async with flavour.entered(backend):
        assert await first_text(flavour, backend) == "hello"


async def test_an_unmatched_request_is_named_without_its_secrets(flavour: Flavour, tag: type[Any]) -> None:
    backend = (
        BackendStub.of(tag)
        .when_request_matches(is_chat)
        .then_reject(404)
        .when_request_matches(lambda request: "X-Kind" in request.headers)
        .then_reject(404)
    )
    request = basic_request.bearer_auth("hunter2").cookie("session", "hunter2").header("X-Shown", "yes")
    with pytest.raises(UnmatchedRequest) as caught:
        await opened(flavour, backend, request.get("ws://user:hunter2@example.com/news?token=hunter2"))
    text = str(caught.value)
    assert "GET ws://example.com/news" in text
    assert "'X-Shown', 'yes'" in text
    assert "\n  1. requests that match is_chat (test_backend_stub.py:" in text
    assert "\n  2. requests that match " in text
    assert "<lambda> (test_backend_stub.py:" in text
    assert "hunter2" not in text


async def test_a_rejection_raises_upgrade_rejected(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_reject(404, {"X-Why": "gone"}, b"nothing here")
    with pytest.raises(UpgradeRejected, match="404 Not Found") as caught:
        await opened(flavour, backend)
    assert caught.value.response.status == 404
    assert caught.value.response.headers["X-Why"] == "gone"
    assert caught.value.response.body == b"nothing here"


async def test_a_redirect_is_followed_and_matched_with_the_rules(flavour: Flavour, tag: type[Any]) -> None:
    backend = (
        BackendStub.of(tag)
        .when_request_matches(is_chat)
        .then_reject(307, {"Location": "/elsewhere"})
        .when_any_request()
        .then_respond_web_socket(greeting)
    )
    async with flavour.entered(backend):
        assert await first_text(flavour, backend) == "hello"
        with pytest.raises(RedirectRefused):
            await opened(flavour, backend, basic_request.follow_redirects(0).get(URL))


async def test_the_opening_raises_the_error_of_the_rule(flavour: Flavour, tag: type[Any]) -> None:
    error = ConnectFailed("no route to host")
    backend = BackendStub.of(tag).when_any_request().then_raise(error)
    with pytest.raises(ConnectFailed) as caught:
        await opened(flavour, backend)
    assert caught.value is error


async def test_a_request_that_a_server_can_not_accept_is_rejected(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    with pytest.raises(UpgradeRejected, match="400"):
        await opened(flavour, backend, basic_request.get(URL).header("Host", "two hosts"))
    with pytest.raises(InvalidRequest, match="no URL"):
        await opened(flavour, backend, basic_request)


@pytest.mark.parametrize("result", [7, None])
async def test_a_function_makes_the_result_of_the_handler(flavour: Flavour, tag: type[Any], result: Any) -> None:
    handlers: list[object] = []

    def handle(handler: object) -> Any:
        handlers.append(handler)
        return flavour.lifted(result)

    handler = WebSocketHandler(Buffer.unbounded())
    headers = {"X-Made": "up"}
    backend = BackendStub.of(tag).when_any_request().then_handle_open_web_socket(handle, headers=headers)
    response = await opened(flavour, backend, handler=handler)
    assert response.result == result
    assert response.headers["X-Made"] == "up"
    assert handlers == [handler]


async def test_a_function_may_return_a_plain_result(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_handle_open_web_socket(lambda _: "plain")
    assert (await opened(flavour, backend)).result == "plain"


async def test_the_fallback_opens_websockets_that_no_rule_matches(flavour: Flavour, tag: type[Any]) -> None:
    with EchoServer() as server:
        real = flavour.backend()
        backend = (
            BackendStub.of(tag)
            .when_request_matches(is_chat)
            .then_respond_web_socket(saying("stub"))
            .with_fallback(real)
        )
        async with flavour.entered(real), flavour.entered(backend):
            assert await first_text(flavour, backend) == "stub"
            response = await opened(flavour, backend, server.url)
            ws = seen(flavour, response.result)
            await ws.send_text("real")
            assert await ws.receive_text() == "real"


async def test_invalid_handlers_are_refused(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    for handler in ("no handler", PipeHandler(cast("Any", lambda incoming: incoming))):
        with pytest.raises(InvalidHandler):
            await opened(flavour, backend, handler=handler)


async def test_a_closed_backend_opens_nothing(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    async with flavour.entered(backend):
        ws = (await opened(flavour, backend)).result
    assert not ws.is_open
    with pytest.raises(BackendClosed):
        await opened(flavour, backend)


async def test_a_url_starts_with_the_request_of_the_backend(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag, request=basic_request.header("X-Kind", "news"))
    backend = backend.when_request_matches(lambda request: "X-Kind" in request.headers).then_respond_web_socket(
        greeting
    )
    async with flavour.entered(backend):
        assert await first_text(flavour, backend) == "hello"


async def test_a_handler_may_be_made_by_an_effect(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    async with flavour.entered(backend):
        opening: Any = cast("Any", backend).open_websocket_f(URL, lambda: flavour.lifted(WebSocketHandler()))
        response = await flavour.value(opening)
        assert await flavour.value(response.result.receive_text()) == "hello"


# Buffers


@pytest.mark.parametrize("buffer", [Buffer.unbounded(), Buffer.bounded(1, overflow="wait")])
async def test_a_websocket_that_reads_ahead_raises_nothing_prepared(
    flavour: Flavour, tag: type[Any], buffer: Buffer
) -> None:
    frames: list[Incoming] = [Text("a"), Ping(b"answered automatically"), Text("b"), KeyError("c"), Text("d")]
    stub = WebSocketStub.with_initial_incoming(frames).then_respond(lambda frame: [Ping(b""), frame])
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        ws = seen(flavour, (await opened(flavour, backend, handler=WebSocketHandler(buffer))).result)
        assert [await ws.receive(), await ws.receive()] == [Text("a"), Text("b")]
        with pytest.raises(KeyError, match="c"):
            await ws.receive()
        assert await ws.receive() == Text("d")
        for _ in range(3):
            with pytest.raises(NothingPrepared):
                await ws.receive(timeout=1000)
            await ws.send_text("e")
            assert await ws.receive() == Text("e")


async def test_a_buffer_that_is_full_fails_the_websocket(flavour: Flavour, tag: type[Any]) -> None:
    stub = WebSocketStub.with_initial_incoming([Text(str(number)) for number in range(5)])
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        handler = WebSocketHandler(Buffer.bounded(3))
        ws = seen(flavour, (await opened(flavour, backend, handler=handler)).result)
        assert [await ws.receive_text() for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(BufferFull):
            await ws.receive_text()


# Listeners


class InboxListener(Listener[Any]):
    """A listener that puts its calls into an inbox, and sends a text when the websocket opens."""

    def __init__(self, inbox: Inbox[Any], flavour: Flavour) -> None:
        self.inbox = inbox
        self.flavour = flavour

    def on_open(self, ws: WebSocket[Any]) -> Any:
        return self.flavour.finished(ws.send_text("hello"))

    def on_text(self, frame: Text) -> None:
        self.inbox.put(frame)

    def on_close(self, info: CloseInfo) -> None:
        self.inbox.put(info)

    def on_error(self, error: Exception) -> None:
        self.inbox.put(error)


async def test_a_listener_receives_the_prepared_frames_and_waits_for_more(flavour: Flavour, tag: type[Any]) -> None:
    stub = greeting.then_respond(lambda frame: [frame])
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        listener = InboxListener(flavour.inbox(), flavour)
        ws = seen(flavour, (await opened(flavour, backend, handler=listener)).result)
        assert [await listener.inbox.get(), await listener.inbox.get()] == [Text("hello"), Text("hello")]
        await ws.send_text("later")
        assert await listener.inbox.get() == Text("later")
        await ws.close()
        info = await listener.inbox.get()
        assert info.is_normal


@pytest.mark.parametrize("error", [KeyError("a"), ConnectionResetError("a")])
async def test_a_prepared_exception_ends_the_websocket_of_a_listener(
    flavour: Flavour, tag: type[Any], error: Exception
) -> None:
    stub = WebSocketStub.with_initial_incoming([Text("before"), error])
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        listener = InboxListener(flavour.inbox(), flavour)
        await opened(flavour, backend, handler=listener)
        assert await listener.inbox.get() == Text("before")
        lost = await listener.inbox.get()
        assert isinstance(lost, ConnectionLost)
        assert lost.__cause__ is error
        assert await listener.inbox.get() == lost.close_info


# Pipes


async def test_a_pipe_answers_the_prepared_frames(flavour: Flavour, tag: type[Any]) -> None:
    received: list[DataFrame] = []

    def respond(frame: DataFrame) -> list[Incoming]:
        received.append(frame)
        return [Close(1000, "enough")] if len(received) == 2 else []

    stub = WebSocketStub.with_initial_incoming([Text("a"), Text("b", final=False), Text("c")]).then_respond(respond)
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(stub)
    async with flavour.entered(backend):
        response = await opened(flavour, backend, handler=PipeHandler(from_text_pipe(str.upper)))
        assert received == [Text("A"), Text("BC")]
        assert response.result.received == Close(1000, "enough")


async def test_a_pipe_that_would_wait_forever_raises_nothing_prepared(flavour: Flavour, tag: type[Any]) -> None:
    backend = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)

    def stage(frame: DataFrame) -> list[Frame]:
        return [Binary(b"answer")]

    async with flavour.entered(backend):
        with pytest.raises(NothingPrepared):
            await opened(flavour, backend, handler=PipeHandler(raw_stage(flavour, stage)))


# Observers


class Notes(Observation):
    """An observation that records its calls."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def opening(self, request: Request, /) -> Observation:
        self.notes.append(str(request.url))
        return self

    def opened(self, response: Response, /) -> None:
        self.notes.append(response.status)

    def rejected(self, error: BaseException, /) -> None:
        self.notes.append(type(error))

    def received(self, frame: Frame | Close, /) -> None:
        self.notes.append(frame)

    def sent(self, frame: Frame | Close, /) -> None:
        self.notes.append(frame)

    def closed(self, info: CloseInfo, /) -> None:
        self.notes.append(info.code)


async def test_observers_are_told_about_stubbed_websockets(flavour: Flavour, tag: type[Any]) -> None:
    notes = Notes()
    rule = BackendStub.of(tag).when_request_matches(is_chat)
    stub = rule.then_respond_web_socket(greeting).with_fallback(BackendStub.of(tag).when_any_request().then_reject(404))
    backend: Backend[Any] = ObservedBackend(stub, notes)
    async with flavour.entered(backend):
        assert await first_text(flavour, backend) == "hello"
    assert notes.notes == ["wss://example.com/chat", 101, Text("hello"), Close(1000), Close(1000), 1000]
    notes.notes.clear()
    with pytest.raises(UpgradeRejected):
        await opened(flavour, ObservedBackend(stub.when_any_request().then_reject(403), notes), "ws://example.com/")
    assert notes.notes == ["ws://example.com/", UpgradeRejected]


async def test_a_backend_that_wraps_a_stub_can_be_a_fallback(flavour: Flavour, tag: type[Any]) -> None:
    notes = Notes()
    answering = BackendStub.of(tag).when_any_request().then_respond_web_socket(greeting)
    backend = BackendStub.of(tag).with_fallback(ObservedBackend(answering, notes))
    async with flavour.entered(answering):
        assert await first_text(flavour, backend) == "hello"
    assert notes.notes[:2] == ["wss://example.com/chat", 101]


async def test_a_flavour_of_your_own_is_given_with_its_effect(flavour: Flavour, tag: type[Any]) -> None:
    class Own:
        """The tag of a flavour that polysocket does not know."""

    stub = BackendStub.of(Own, effect=effect_of(tag)).when_any_request().then_respond_web_socket(greeting)
    assert await first_text(flavour, cast("Backend[Any]", stub)) == "hello"
    ws = seen(flavour, greeting.build(Own, effect=effect_of(tag)))
    assert await ws.receive_text() == "hello"
