"""Context variables: each callback sees those of the call that has opened the websocket, or that sends."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from polysocket import (
    Async,
    Buffer,
    Close,
    CloseInfo,
    DataFrame,
    Frame,
    Listener,
    ObservedBackend,
    OpeningFailed,
    PipeHandler,
    Request,
    Response,
    Text,
    WebSocket,
    WebSocketHandler,
    basic_request,
    from_text_pipe,
)
from polysocket.effects import Event
from polysocket.observers import Observation
from polysocket.testing.contract import wire
from polysocket.testing.contract.flavour import Flavour, connect, promise
from polysocket.testing.contract.places import Echo, Peer, Place, client_context

LIMITS = basic_request.timeouts(open=5, close=5)

setting: ContextVar[str] = ContextVar("setting", default="none")


@contextmanager
def set_to(value: str) -> Generator[None]:
    """Set the variable in the block."""
    token = setting.set(value)
    try:
        yield
    finally:
        setting.reset(token)


class Seen(dict[str, set[str]]):
    """The values of the variable that each kind of callback has seen."""

    def note(self, name: str) -> None:
        self.setdefault(name, set()).add(setting.get())


def of_the_opening(*names: str) -> dict[str, set[str]]:
    """Return what is seen if all these callbacks have seen the value that was set for the opening."""
    return {name: {"opening"} for name in names}


class NotingObserver:
    """An observer whose callbacks note the variable."""

    def __init__(self) -> None:
        self.seen: Seen = Seen()

    def opening(self, request: Request, /) -> Observation:
        self.seen.note("opening")
        return NotingObservation(self.seen)


class NotingObservation(Observation):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def opened(self, response: Response, /) -> None:
        self._seen.note("opened")

    def rejected(self, error: BaseException, /) -> None:
        self._seen.note("rejected")

    def received(self, frame: Frame | Close, /) -> None:
        self._seen.note("received")

    def sent(self, frame: Frame | Close, /) -> None:
        self._seen.note("sent")

    def closed(self, info: CloseInfo, /) -> None:
        self._seen.note("closed")


class NotingListener(Listener[Any]):
    """A listener whose methods note the variable."""

    def __init__(self, seen: Seen, has_ended: Event) -> None:
        self._seen = seen
        self._has_ended = has_ended

    def on_open(self, ws: WebSocket[Any]) -> None:
        self._seen.note("on_open")

    def on_text(self, frame: Text) -> None:
        self._seen.note("on_text")
        raise ZeroDivisionError

    def on_error(self, error: Exception) -> None:
        self._seen.note("on_error")

    def on_close(self, info: CloseInfo) -> None:
        self._seen.note("on_close")
        self._has_ended.set()


@promise
async def test_a_listener_and_its_observer_see_the_variables_of_the_call_that_opened(
    flavour: Flavour, peer: Peer
) -> None:
    observer, seen, has_ended = NotingObserver(), Seen(), flavour.event()
    backend = ObservedBackend(flavour.backend(request=LIMITS), observer)
    with set_to("opening"):
        await flavour.effect().unlift(backend.open_websocket(peer.url, NotingListener(seen, has_ended)))
    with set_to("later"):
        peer.send(wire.text("a"))
        await flavour.call(peer.finish)
        await has_ended.wait()
        await flavour.effect().unlift(backend.close())
    assert seen == of_the_opening("on_open", "on_text", "on_error", "on_close")
    assert observer.seen == of_the_opening("opening", "opened", "received", "sent", "closed")


@pytest.mark.parametrize("buffer", [None, Buffer.bounded(4)], ids=["on demand", "buffered"])
@promise
async def test_an_observer_sees_the_variables_of_the_call_that_sends(flavour: Flavour, peer: Peer, buffer: Any) -> None:
    """All that the peer causes belongs to the call that opened, since any caller may read it."""
    observer = NotingObserver()
    backend = ObservedBackend(flavour.backend(request=LIMITS), observer)
    unlift = flavour.effect().unlift
    with set_to("opening"):
        response = await unlift(backend.open_websocket(peer.url, WebSocketHandler(buffer)))
    ws = await flavour.seen(response.result)
    with set_to("sending"):
        await ws.send_text("a")
    with set_to("receiving"):
        peer.send(wire.text("b"))
        assert await ws.receive_text() == "b"
        assert observer.seen.pop("sent") == {"sending"}
        peer.hang_up()
        await ws.close()
    observer.seen.pop("sent", None)  # a Close, if the peer was not faster
    assert observer.seen == of_the_opening("opening", "opened", "received", "closed")
    await unlift(backend.close())


@promise
async def test_an_observer_sees_the_opening_calls_variables_in_a_thread_that_has_none(
    flavour: Flavour, peer: Peer
) -> None:
    """The context of a new thread is empty."""
    observer = NotingObserver()
    backend = ObservedBackend(flavour.backend(request=LIMITS), observer)
    unlift = flavour.effect().unlift
    with set_to("opening"):
        ws = await flavour.seen((await unlift(backend.open_websocket(peer.url, WebSocketHandler()))).result)

        async def talk(ws: WebSocket[Async]) -> None:
            await ws.send_text("a")
            await ws.receive_text()
            await ws.close()

        talking = flavour.spawn(talk, ws)
        peer.send(wire.text("b"))
        await flavour.call(peer.finish)
        await talking.result()
    assert observer.seen == of_the_opening("opening", "opened", "received", "sent", "closed")
    await unlift(backend.close())


class NotingHandler(logging.Handler):
    """A handler of log records that notes the variable, as a filter does that adds the number of a request."""

    def __init__(self, has_answered: Event) -> None:
        super().__init__()
        self.seen: Seen = Seen()
        self.has_answered: Event = has_answered

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.note("log")
        if "the peer has answered a Ping" in record.getMessage():
            self.has_answered.set()


@promise
async def test_the_log_sees_the_variables_of_the_call_that_opened(
    flavour: Flavour, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    """Keepalive has lines of its own, which no call of the user causes."""
    handler, logger = NotingHandler(flavour.event()), logging.getLogger("noted")
    caplog.set_level(logging.DEBUG, "noted")
    logger.addHandler(handler)
    try:
        with set_to("opening"):
            ws = await connect(flavour, echo, logger=logger, ping_interval=0.01)
        await handler.has_answered.wait()
        await ws.close()
    finally:
        logger.removeHandler(handler)
    assert handler.seen == of_the_opening("log")


@promise
async def test_an_observer_of_a_failed_opening_sees_the_callers_variables(flavour: Flavour, place: Place) -> None:
    observer = NotingObserver()
    backend = ObservedBackend(flavour.backend(request=LIMITS), observer)
    with set_to("opening"), pytest.raises(OpeningFailed):
        await flavour.effect().unlift(backend.open_websocket("ws://localhost:1/", WebSocketHandler()))
    assert observer.seen == of_the_opening("opening", "rejected")
    await flavour.effect().unlift(backend.close())


@pytest.mark.parametrize("kind", ["stage", "function"])
@promise
async def test_a_pipe_sees_the_variables_of_the_call_that_opened(flavour: Flavour, peer: Peer, kind: str) -> None:
    seen = Seen()

    def upper(text: str) -> str:
        seen.note("pipe")
        return text.upper()

    def blocking(incoming: Iterator[DataFrame]) -> Generator[Frame, None, None]:
        for frame in incoming:
            yield Text(upper(str(frame.payload)))

    async def asynchronous(incoming: AsyncIterator[DataFrame]) -> AsyncGenerator[Frame, None]:
        async for frame in incoming:
            yield Text(upper(str(frame.payload)))

    async def pipe() -> None:
        with set_to("opening"):
            await flavour.effect().unlift(backend.open_websocket(peer.url, handler))

    stage: Any = asynchronous if flavour.effect().is_async else blocking
    handler = PipeHandler(stage if kind == "stage" else from_text_pipe(upper))
    backend = flavour.backend(request=LIMITS)
    piping = flavour.spawn(pipe)
    await flavour.call(lambda: peer.stream)
    peer.send(wire.text("a"))
    assert (await flavour.call(peer.frame)).payload == b"A"
    peer.send(wire.close())
    await flavour.call(peer.finish)
    await piping.result()
    assert seen == {"pipe": {"opening"}}
    await flavour.effect().unlift(backend.close())


@promise
async def test_what_makes_a_handler_sees_the_callers_variables(flavour: Flavour, peer: Peer) -> None:
    seen = Seen()

    async def make_handler() -> WebSocketHandler:
        seen.note("make_handler")
        return WebSocketHandler()

    effect, backend = flavour.effect(), flavour.backend(request=LIMITS)
    with set_to("opening"):
        response = await effect.unlift(backend.open_websocket_f(peer.url, effect.lift(make_handler)))
    assert seen == {"make_handler": {"opening"}}
    peer.hang_up()
    await (await flavour.seen(response.result)).close()
    await effect.unlift(backend.close())


@promise
async def test_a_function_that_chooses_a_proxy_sees_the_callers_variables(flavour: Flavour, peer: Peer) -> None:
    seen = Seen()

    def proxy(_: object) -> None:
        seen.note("proxy")

    with set_to("opening"):
        ws = await connect(flavour, peer, proxy=proxy)
    assert seen == {"proxy": {"opening"}}
    peer.hang_up()
    await ws.close()


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_callbacks_of_tls_see_the_callers_variables(flavour: Flavour, place: Place) -> None:
    seen = Seen()

    class NotingContext(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            seen.note("wrap_bio")
            return super().wrap_bio(*args, **kwargs)

    context = NotingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(map(ssl.DER_cert_to_PEM_cert, client_context().get_ca_certs(True))))
    with Peer(place) as peer:
        with set_to("opening"):
            ws = await connect(flavour, peer, ssl=context)
        assert seen == {"wrap_bio": {"opening"}}
        peer.hang_up()
        await ws.close()


@promise
async def test_an_event_that_another_caller_reports_keeps_its_own_variables(flavour: Flavour, peer: Peer) -> None:
    """One caller at a time calls an observer, with the events of the others, too."""
    is_told, go_on = threading.Event(), threading.Event()
    if flavour.effect().is_async:
        go_on.set()  # No other task runs while an observer is called.

    class Slow(NotingObservation):
        def sent(self, frame: Frame | Close, /) -> None:
            if isinstance(frame, Text):
                values[frame.payload] = setting.get()
            is_told.set()
            assert go_on.wait(10)

    class Watcher(NotingObserver):
        def opening(self, request: Request, /) -> Observation:
            return Slow(self.seen)

    async def send(text: str) -> None:
        with set_to(text):
            await ws.send_text(text)

    values: dict[str, str] = {}
    backend = ObservedBackend(flavour.backend(request=LIMITS), Watcher())
    unlift = flavour.effect().unlift
    ws = await flavour.seen((await unlift(backend.open_websocket(peer.url, WebSocketHandler()))).result)
    sending = flavour.spawn(send, "first")
    assert await flavour.call(is_told.wait, 10)
    await send("second")
    go_on.set()
    await sending.result()
    assert values == {"first": "first", "second": "second"}
    peer.hang_up()
    await ws.close()
    await unlift(backend.close())
