"""Bad arguments are refused with an error that explains, before a connection is made."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from polysocket import (
    Buffer,
    InvalidHandler,
    InvalidRequest,
    InvalidURL,
    Listener,
    LoggingBackend,
    ObservedBackend,
    PipeHandler,
    Text,
    WebSocketError,
    WebSocketHandler,
    basic_request,
    from_message_pipe,
    from_text_pipe,
)
from polysocket.asyncio import AsyncioBackend
from polysocket.blocking import BlockingBackend
from polysocket.observers.logging import LoggingObserver
from polysocket.threaded import ThreadedBackend
from tests.backends.flavours import ASYNC, FLAVOURS, THREADS, Flavour, a_backend
from tests.backends.servers import Door

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)
in_threads = pytest.mark.parametrize("flavour", THREADS, indirect=True)


def named(given: object) -> str:
    return getattr(given, "__name__", repr(given))


class Deaf(Listener[Any]):
    on_text: Any = None


class Asynchronous(Listener[Any]):
    async def on_binary(self, frame: object) -> None: ...


def stage(incoming: Iterator[Any]) -> Iterator[Text]:
    yield from incoming


async def async_stage(incoming: AsyncIterator[Any]) -> AsyncIterator[Text]:
    async for frame in incoming:
        yield frame


def function(incoming: Any) -> Any:
    return incoming


async def async_function(message: Any) -> Any:
    return message


async def is_refused(flavour: Flavour, door: Door, handler: Any, text: str) -> None:
    """Check that both ways to open raise InvalidHandler with this text, before a connection is made."""
    async with a_backend(flavour) as backend:
        openings: list[Callable[[], Any]] = [
            lambda: backend.open_websocket(door.url, handler),
            lambda: backend.open_websocket_f(door.url, lambda: flavour.lifted(handler)),
        ]
        for opening in openings:
            with pytest.raises(InvalidHandler, match=text) as caught:
                await opening()
            assert isinstance(caught.value, TypeError)
            assert isinstance(caught.value, WebSocketError)
    assert not door.has_connection()


# Handlers


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "None"),
        ("listener", "'listener'"),
        (Listener, "<class 'polysocket.handlers.listener.Listener'>"),
        (WebSocketHandler, "<class 'polysocket.handlers.handler.WebSocketHandler'>"),
        (stage, "<function stage"),
        (Buffer.unbounded(), r"Buffer\(frames=None"),
    ],
    ids=["None", "a str", "the class Listener", "the class WebSocketHandler", "a stage", "a buffer"],
)
async def test_an_object_that_is_not_a_handler_is_refused(flavour: Flavour, door: Door, given: Any, shown: str) -> None:
    text = f"^a handler is a WebSocketHandler, Listener or PipeHandler, not {shown}"
    await is_refused(flavour, door, given, text)


async def test_a_listener_whose_method_is_not_callable_is_refused(flavour: Flavour, door: Door) -> None:
    await is_refused(flavour, door, Deaf(), r"^Deaf\.on_text is None, and can't be called$")


@in_threads
async def test_a_listener_with_an_async_method_is_refused_in_a_blocking_flavour(flavour: Flavour, door: Door) -> None:
    text = r"^Asynchronous\.on_binary is async, which this flavour can't await$"
    await is_refused(flavour, door, Asynchronous(), text)


@pytest.mark.parametrize("given", [None, 5, function, async_function, async_stage], ids=named)
@in_threads
async def test_a_stage_that_is_not_a_generator_function_is_refused(flavour: Flavour, door: Door, given: Any) -> None:
    text = "^in a blocking flavour a stage is a generator function, not "
    await is_refused(flavour, door, PipeHandler(given), text)


@pytest.mark.parametrize("given", [None, 5, function, async_function, stage], ids=named)
@in_async_flavours
async def test_a_stage_that_is_not_an_async_generator_function_is_refused(
    flavour: Flavour, door: Door, given: Any
) -> None:
    text = "^in an async flavour a stage is an async generator function, not "
    await is_refused(flavour, door, PipeHandler(given), text)


@pytest.mark.parametrize("lift", [from_text_pipe, from_message_pipe])
@in_threads
async def test_an_async_function_on_messages_is_refused_in_a_blocking_flavour(
    flavour: Flavour, door: Door, lift: Callable[[Any], Any]
) -> None:
    text = "^<function async_function.*> is async, which this flavour can't await$"
    await is_refused(flavour, door, PipeHandler(lift(async_function)), text)


@pytest.mark.parametrize("lift", [from_text_pipe, from_message_pipe])
@pytest.mark.parametrize("given", [None, 5, "upper"], ids=repr)
def test_a_pipe_is_made_from_a_function_only(lift: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(InvalidHandler) as caught:
        lift(given)
    assert str(caught.value) == f"a pipe is made of a function, not of {given!r}"


@pytest.mark.parametrize("given", [8, True, "unbounded"], ids=repr)
def test_a_handler_takes_a_buffer_only(given: Any) -> None:
    with pytest.raises(InvalidHandler) as caught:
        WebSocketHandler(given)
    assert str(caught.value) == f"buffer is a Buffer or None, not {given!r}"


# Handlers made by an effect


async def test_a_handler_instead_of_make_handler_is_refused(flavour: Flavour, door: Door) -> None:
    async with a_backend(flavour) as backend:
        with pytest.raises(InvalidHandler, match="WebSocketHandler"):
            await backend.open_websocket_f(door.url, WebSocketHandler())
    assert not door.has_connection()


@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "blocking"], indirect=True)
async def test_a_handler_that_is_not_in_f_is_refused(flavour: Flavour, door: Door) -> None:
    async with a_backend(flavour) as backend:
        with pytest.raises(InvalidHandler, match="WebSocketHandler"):
            await backend.open_websocket_f(door.url, WebSocketHandler)
    assert not door.has_connection()


@in_threads
async def test_an_async_make_handler_is_refused_in_a_blocking_flavour(flavour: Flavour, door: Door) -> None:
    async def make_handler() -> WebSocketHandler:
        return WebSocketHandler()

    async with a_backend(flavour) as backend:
        with pytest.raises(InvalidHandler, match="coroutine"):
            await backend.open_websocket_f(door.url, make_handler)
    assert not door.has_connection()


# Bounds


@pytest.mark.parametrize("bound", [0, -1], ids=str)
def test_a_bound_below_1_is_refused(bound: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Buffer.bounded(bound)
    assert str(caught.value) == f"a buffer's bound must be at least 1, not frames={bound}"
    with pytest.raises(InvalidRequest) as caught:
        Buffer.bounded(8, max_bytes=bound)
    assert str(caught.value) == f"a buffer's bound must be at least 1, not max_bytes={bound}"


def test_a_bound_in_bytes_needs_a_bound_in_frames() -> None:
    with pytest.raises(InvalidRequest, match=r"^a buffer with a bound in bytes has one in frames too"):
        Buffer(None, 1000, "fail")
    assert Buffer.bounded(3).max_bytes == 16 * 1024 * 1024


@pytest.mark.parametrize("bound", ["8", 1.5, [8]], ids=repr)
@pytest.mark.parametrize("name", ["frames", "max_bytes"])
def test_a_bound_of_another_type_is_refused(name: str, bound: Any) -> None:
    bounds: dict[str, Any] = {"frames": 8, name: bound}
    with pytest.raises(InvalidRequest) as caught:
        Buffer.bounded(**bounds)
    assert f"{name}={bound!r}" in str(caught.value)


@pytest.mark.parametrize("overflow", ["drop", None, True], ids=repr)
def test_an_unknown_overflow_is_refused(overflow: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Buffer.bounded(8, overflow=overflow)
    assert str(caught.value) == f"overflow is 'fail' or 'wait', not {overflow!r}"


# Requests and backends


async def test_a_request_without_a_url_is_refused(flavour: Flavour) -> None:
    async with a_backend(flavour) as backend:
        with pytest.raises(InvalidRequest) as caught:
            await backend.open_websocket(basic_request, WebSocketHandler())
    assert str(caught.value) == r"the request has no URL: add it with .get('wss://…')"


@pytest.mark.parametrize("given", [None, 5, b"ws://localhost/"], ids=repr)
async def test_an_object_that_is_neither_a_url_nor_a_request_is_refused(flavour: Flavour, given: Any) -> None:
    async with a_backend(flavour) as backend:
        openings: list[Callable[[], Any]] = [
            lambda: backend.open_websocket(given, WebSocketHandler()),
            lambda: backend.open_websocket_f(given, lambda: flavour.lifted(WebSocketHandler())),
        ]
        for opening in openings:
            with pytest.raises(InvalidURL) as caught:
                await opening()
            assert str(caught.value) == f"a WebSocket URL is a str, not {type(given).__name__}"


@pytest.mark.parametrize("given", [True, "certificate.pem"], ids=repr)
def test_an_ssl_argument_that_is_not_a_context_is_refused(flavour: Flavour, given: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        flavour.backend(ssl=given)
    assert str(caught.value).startswith(f"ssl is an ssl.SSLContext, not {given!r}")


def test_the_tls_context_of_a_server_is_refused(flavour: Flavour) -> None:
    with pytest.raises(InvalidRequest, match="ssl is a client's context, not a server's: "):
        flavour.backend(ssl=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))


@pytest.mark.parametrize("given", ["ws://localhost/", None], ids=repr)
def test_a_request_argument_that_is_not_a_request_is_refused(flavour: Flavour, given: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        flavour.backend(request=given)
    assert str(caught.value) == f"request is a Request, not {type(given).__name__}"


def test_an_async_backend_refuses_with(leave_nothing: None) -> None:
    backend: Any = AsyncioBackend()
    with pytest.raises(TypeError, match="'async with'"), backend:
        pass


@pytest.mark.parametrize("make", [BlockingBackend, ThreadedBackend])
def test_a_blocking_backend_refuses_async_with(leave_nothing: None, make: Callable[[], Any]) -> None:
    async def main() -> None:
        async with make():
            pass

    with pytest.raises(TypeError, match="'with'"):
        asyncio.run(main())


@pytest.mark.parametrize("given", ["polysocket", 5, logging], ids=["a name", "a number", "the module"])
def test_a_logger_that_is_not_one_is_refused(flavour: Flavour, given: Any) -> None:
    for wrap in (LoggingObserver, lambda given: LoggingBackend(flavour.backend(), given)):
        with pytest.raises(InvalidRequest, match=r"logger is a logging\.Logger or a LoggerAdapter, not "):
            wrap(given)


@pytest.mark.parametrize("wrap", [LoggingBackend, lambda given: ObservedBackend(given, LoggingObserver())])
@pytest.mark.parametrize("given", [None, BlockingBackend, LoggingObserver()], ids=["None", "a class", "an observer"])
def test_an_object_that_is_not_a_backend_is_not_wrapped(
    leave_nothing: None, wrap: Callable[[Any], Any], given: Any
) -> None:
    with pytest.raises(TypeError, match=r"takes a backend to wrap, not .*(None|BlockingBackend|LoggingObserver)"):
        wrap(given)


@pytest.mark.parametrize("given", [None, LoggingObserver, print], ids=["None", "a class", "a function"])
def test_an_object_that_is_not_an_observer_observes_nothing(leave_nothing: None, given: Any) -> None:
    with pytest.raises(TypeError, match=r"takes an observer, which has an opening\(\), not .*(None|Observer|print)"):
        ObservedBackend(BlockingBackend(), given)
