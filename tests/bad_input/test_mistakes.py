"""The caller's own mistakes: frames that may not be sent, options and arguments that can't be used, the wrong flavour.

Type checkers find most of them; who has none is told by the error's text. What is refused leaves no trace: nothing is
sent, and the websocket is as open as before.
"""

from __future__ import annotations

import asyncio
import importlib.util
import math
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from polysocket import (
    Async,
    Binary,
    Blocking,
    Close,
    ConnectOptions,
    Deflate,
    InvalidFrame,
    InvalidRequest,
    NoAsyncLibrary,
    Ping,
    PolymorphicClient,
    Pong,
    ReceiveTimeout,
    Request,
    Text,
    Threaded,
    WebSocket,
    WebSocketHandler,
    basic_request,
    blocking,
    polymorphic,
)
from polysocket import asyncio as polysocket_asyncio
from polysocket._opening.options import _HINTS
from polysocket.blocking import BlockingBackend
from polysocket.testing import EchoServer, WebSocketStub
from tests.bad_input.judgement import says
from tests.bad_input.peer import Peer, upgrading
from tests.bad_input.programs import Call, be_refused, nothing
from tests.interop.flavours import Flavour

# Frames


async def send_in_a_message(ws: WebSocket[Async], *args: Any) -> None:
    """Send something where a text message is open, and end that message."""
    await ws.send(Text("a", final=False))
    try:
        await ws.send(*args)
    finally:
        await ws.send(Text("b"), is_continuation=True)


SENDABLE_CODES = "1000 to 1014 as defined, or 3000 to 4999"
SURROGATE = "it has the lone surrogate '\\ud83d'"
WRONG_FRAMES: dict[str, tuple[Call, str]] = {
    "close with 1006": (
        lambda ws: ws.close(1006),
        f"1006 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with 1015": (
        lambda ws: ws.close(1015),
        f"1015 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with 999": (lambda ws: ws.close(999), f"999 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with 2000": (lambda ws: ws.close(2000), f"2000 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with 5000": (lambda ws: ws.close(5000), f"5000 is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with a str": (lambda ws: ws.close("1000"), f"'1000' is not a close code that may be sent: {SENDABLE_CODES}"),
    "close with a float": (
        lambda ws: ws.close(1000.0),
        f"1000.0 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with a list": (
        lambda ws: ws.close([1000]),
        f"[1000] is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "close with None": (lambda ws: ws.close(None), f"None is not a close code that may be sent: {SENDABLE_CODES}"),
    "a Close with 1006": (
        lambda ws: ws.send(Close(1006)),
        f"1006 is not a close code that may be sent: {SENDABLE_CODES}",
    ),
    "a reason of 124 bytes": (
        lambda ws: ws.close(1000, "é" * 62),
        "the reason of a Close holds at most 123 bytes in UTF-8, not 124",
    ),
    "a reason in bytes": (
        lambda ws: ws.close(1000, b"bye"),
        "the reason of a Close is a str, not bytes",
    ),
    "a reason with a lone surrogate": (
        lambda ws: ws.close(1000, "a\ud83d"),
        f"the reason of a Close can't be sent in UTF-8: {SURROGATE}",
    ),
    "a reason without a code": (
        lambda ws: ws.close(1005, "bye"),
        "a Close without a code can't have a reason (RFC 6455 §5.5.1)",
    ),
    "a ping of 126 bytes": (
        lambda ws: ws.ping(b"x" * 126),
        "a Ping holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a Ping of 126 bytes": (
        lambda ws: ws.send(Ping(b"x" * 126)),
        "a Ping holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a pong of 126 bytes": (
        lambda ws: ws.pong(b"x" * 126),
        "a Pong holds at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    "a ping of text": (lambda ws: ws.ping("hello"), "a Ping's payload is bytes, not str"),
    "a ping of an int": (lambda ws: ws.ping(5, timeout=1), "a Ping's payload is bytes, not int"),
    "a pong of text": (lambda ws: ws.pong("hello"), "a Pong's payload is bytes, not str"),
    "a Pong of an int": (lambda ws: ws.send(Pong(5)), "a Pong's payload is bytes, not int"),  # type: ignore[arg-type]
    "a continuation of nothing": (
        lambda ws: ws.send(Text("b"), is_continuation=True),
        "there is no message to continue: none was started with final=False",
    ),
    "a message within another": (
        lambda ws: send_in_a_message(ws, Text("b")),
        "a fragmented message is not finished yet: continue it with is_continuation=True",
    ),
    "text that goes on as binary": (
        lambda ws: send_in_a_message(ws, Binary(b"b"), True),
        "a message of Text frames can't be continued with a Binary frame",
    ),
    "text with a lone surrogate": (
        lambda ws: ws.send_text("a\ud83d"),
        f"the text can't be sent in UTF-8: {SURROGATE}",
    ),
    "text in bytes": (lambda ws: ws.send_text(b"a"), "a Text frame's payload is a str, not bytes"),
    "text that is None": (lambda ws: ws.send_text(None), "a Text frame's payload is a str, not NoneType"),
    "binary in a str": (lambda ws: ws.send_binary("a"), "a Binary frame's payload is bytes, not str"),
    "binary in an int": (lambda ws: ws.send_binary(5), "a Binary frame's payload is bytes, not int"),
    "binary in a list": (lambda ws: ws.send_binary([5]), "a Binary frame's payload is bytes, not list"),
    "a str as a frame": (
        lambda ws: ws.send("a"),
        "str is not a frame: send a Text, Binary, Ping, Pong or Close; send_text() takes a str",
    ),
    "None as a frame": (
        lambda ws: ws.send(None),
        "NoneType is not a frame: send a Text, Binary, Ping, Pong or Close",
    ),
}


@pytest.mark.parametrize(("call", "text"), WRONG_FRAMES.values(), ids=WRONG_FRAMES)
def test_a_frame_that_may_not_be_sent_is_refused_and_nothing_of_it_sent(
    flavour: Flavour, call: Call, text: str
) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, call, InvalidFrame)
    assert str(error) == text
    assert isinstance(error, ValueError)
    sent = peer.conversation.frames_received
    assert sent[-1] == (8, b"\x03\xe8")  # as the websocket was left
    assert b"".join(payload for _, payload in sent[:-1]) in (b"", b"ab")  # and what the mistake is about


@pytest.mark.parametrize("timeout", [math.nan, "1", True], ids=repr)
@pytest.mark.parametrize("method", ["receive", "receive_text", "ping"])
def test_a_timeout_that_is_no_time_is_refused(flavour: Flavour, method: str, timeout: float) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, lambda ws: getattr(ws, method)(timeout=timeout), Exception)
    says(error, "timeout", repr(timeout))
    assert isinstance(error, ValueError | TypeError)


@pytest.mark.parametrize("timeout", [0, -1])
@pytest.mark.parametrize("method", ["receive", "receive_text", "ping"])
def test_a_timeout_in_the_past_passes_at_once(flavour: Flavour, method: str, timeout: float) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, lambda ws: getattr(ws, method)(timeout=timeout), ReceiveTimeout)
    says(error, "received", f"within {timeout} seconds")


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda ws: ws.receive(time_out=1), ("WebSocket.receive()", "'time_out'")),
        (lambda ws: ws.send_text(), ("WebSocket.send_text()", "'text'")),
        (lambda ws: ws.close(1000, "a", "b"), ("WebSocket.close()", "positional argument")),
    ],
    ids=["unknown", "missing", "too many"],
)
def test_wrong_arguments_name_the_method(flavour: Flavour, call: Call, parts: tuple[str, ...]) -> None:
    with Peer(upgrading()) as peer:
        error = flavour.open(peer.url, be_refused, call, TypeError)
    assert all(part in str(error) for part in parts), str(error)


# The options of connect

TIME = "must be above 0 seconds, or None for no limit; not"
COMPRESSION = "compression is a Deflate or None, not"
WRONG_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "open_timeout=0": ({"open_timeout": 0}, f"open_timeout {TIME} 0"),
    "open_timeout=-1": ({"open_timeout": -1}, f"open_timeout {TIME} -1"),
    "open_timeout=nan": (
        {"open_timeout": math.nan},
        "open_timeout is a number of seconds, or None for no limit; not nan",
    ),
    "close_timeout=-0.5": ({"close_timeout": -0.5}, f"close_timeout {TIME} -0.5"),
    "compression=True": ({"compression": True}, f"{COMPRESSION} True"),
    "compression=False": ({"compression": False}, f"{COMPRESSION} False"),
    "compression='deflate'": ({"compression": "deflate"}, f"{COMPRESSION} 'deflate'"),
    "max_message_size=0": ({"max_message_size": 0}, "max_message_size must be at least 1 byte, not 0"),
    "max_message_size=-1": ({"max_message_size": -1}, "max_message_size must be at least 1 byte, not -1"),
}


@pytest.mark.parametrize(("options", "text"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_an_option_that_can_not_be_used_is_named_with_its_value(
    flavour: Flavour, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("open_timeout", "1"),
        ("open_timeout", True),
        ("close_timeout", "1"),
        ("max_message_size", "1 MB"),
        ("max_message_size", 1.5),
        ("ssl", True),
        ("ssl", "certificate.pem"),
        ("sock", 5),
        ("sock", "socket"),
        ("unix_path", 5),
    ],
    ids=str,
)
def test_an_option_of_another_type_is_named_with_its_value(flavour: Flavour, name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InvalidRequest) as caught:
        flavour.open("wss://127.0.0.1:1/", nothing, **options)
    says(caught.value, name, repr(value))


@pytest.mark.parametrize(
    "name", ["max_size", "timeout", "header", "headers", "subprotocols", "max_redirects", "url", "extra_headers"]
)
def test_an_unknown_option_is_refused_by_its_name_and_that_of_connect(flavour: Flavour, name: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    says(caught.value, "connect()", repr(name))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("headers", "basic_request.header("),
        ("additional_headers", "basic_request.header("),  # of websockets
        ("subprotocols", "basic_request.subprotocol("),
        ("max_size", "max_message_size"),
        ("ping_interval", "ping("),
    ],
)
def test_an_option_that_others_have_is_refused_with_what_there_is_for_it(flavour: Flavour, name: str, way: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    says(caught.value, f"{name!r}; for that there is {way}")


def test_hints_name_what_there_is() -> None:
    for option, way in _HINTS.items():
        assert option not in ConnectOptions.__annotations__
        named = re.match(r"basic_request\.(\w+)\(", way)
        assert named is None or hasattr(basic_request, named[1]), way


# The request

WRONG_REQUESTS: dict[str, tuple[Callable[[], object], str]] = {
    "a header name": (lambda: basic_request.header("X Y", "1"), "'X Y' is not a header name"),
    "a header value": (
        lambda: basic_request.header("X-A", "1\r\nX-B: 2"),
        "the value given for header X-A has a character that HTTP does not allow",
    ),
    "a header of the handshake": (
        lambda: basic_request.header("Sec-WebSocket-Key", "x"),
        "the Sec-WebSocket-Key header can't be set by hand: the handshake makes it",
    ),
    "the subprotocol's header": (
        lambda: basic_request.header("sec-websocket-protocol", "chat"),
        "the sec-websocket-protocol header can't be set by hand: name subprotocols with .subprotocol()",
    ),
    "a subprotocol": (lambda: basic_request.subprotocol("a b"), "'a b' is not a subprotocol name"),
    "a subprotocol twice": (lambda: basic_request.subprotocol("a", "a"), "subprotocol 'a' is offered twice"),
    "a user with a colon": (
        lambda: basic_request.basic_auth("a:b", "secret"),
        "a user name with ':' in it can't be sent by Basic auth",
    ),
    "a token": (
        lambda: basic_request.bearer_auth("secret\n"),
        "the value given for header Authorization has a character that HTTP does not allow",
    ),
    "a cookie": (
        lambda: basic_request.cookie("session", "secret;"),
        "the cookie 'session' has a character that cookies do not allow",
    ),
    "redirects": (lambda: basic_request.follow_redirects(-1), "max_redirects must be at least 0, not -1"),
    "compression": (
        lambda: basic_request.compress(True),  # type: ignore[arg-type]
        "compression is a Deflate or None, not True",
    ),
    "window bits": (
        lambda: Deflate(client_max_window_bits=16),
        "client_max_window_bits must be from 8 to 15, not 16",
    ),
    "a level": (lambda: Deflate(level=10), "level must be from -1 to 9, not 10"),
    "a memory level": (lambda: Deflate(memory_level=0), "memory_level must be from 1 to 9, not 0"),
}


@pytest.mark.parametrize(("make", "text"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
def test_what_can_not_be_in_a_request_is_refused_when_it_is_made(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert str(caught.value) == text
    assert "secret" not in str(caught.value)


any_request: Any = basic_request
any_maker: Any = Request
WRONG_TYPES: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "a header's value": (lambda: any_request.header("X-A", 5), ("X-A", "str", "int")),
    "a header's name": (lambda: any_request.header(5, "1"), ("header", "str", "int")),
    "subprotocols in a list": (lambda: any_request.subprotocol(["a"]), ("subprotocol", "str", "list")),
    "a token that is None": (lambda: any_request.bearer_auth(None), ("token", "str", "NoneType")),
    "a user that is None": (lambda: any_request.basic_auth(None, "secret"), ("user", "str", "NoneType")),
    "a password that is None": (lambda: any_request.basic_auth("me", None), ("password", "str", "NoneType")),
    "a cookie's value": (lambda: any_request.cookie("n", 5), ("cookie", "str", "int")),
    "redirects": (lambda: any_request.follow_redirects("1"), ("max_redirects", "'1'")),
    "a URL in a str": (lambda: any_maker(url="ws://localhost/"), ("url", ".get(")),
    "headers in a dict": (lambda: any_maker(headers={"A": "1"}), ("headers", "Headers")),
    "subprotocols in a str": (lambda: any_maker(subprotocols="chat"), ("subprotocols", "'chat'")),
}


@pytest.mark.parametrize(("make", "parts"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_what_is_of_another_type_is_refused_when_the_request_is_made(
    make: Callable[[], object], parts: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    says(caught.value, *parts)


# Polymorphic programs


@polymorphic
async def greet(ws: WebSocket[Async], name: str) -> None:
    await ws.send_text(f"Hello, {name}!")


class Greeter(PolymorphicClient[Blocking]):
    @polymorphic
    async def greet_loudly(self: Any, name: str) -> None:
        await greet(self.websocket, name.upper())


any_greet: Any = greet
any_greet_loudly: Any = Greeter.greet_loudly
websocket_stub: Any = WebSocketStub().build(Blocking)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda: any_greet("me"), "not str"),
        (lambda: any_greet(None, "me"), "not NoneType"),
        (any_greet, ""),
        (lambda: any_greet(name="me"), ""),
        (lambda: any_greet(ws="me", name="me"), "by position"),
        (lambda: any_greet(BlockingBackend(), "me"), "not BlockingBackend"),
        (lambda: any_greet(PolymorphicClient(websocket_stub), "me"), "not PolymorphicClient, whose .websocket is one"),
        (
            lambda: any_greet_loudly(websocket_stub, "me"),
            "greet_loudly() takes a Greeter first, not WebSocket",
        ),
    ],
    ids=["another", "None", "nothing", "only its own", "by name", "a backend", "a client", "a method's websocket"],
)
def test_a_program_without_a_websocket_names_itself_and_what_it_takes(call: Callable[[], object], given: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    says(caught.value, "takes a ", " first", given)


def plain() -> None: ...


async def generator() -> AsyncIterator[str]:
    yield ""


@pytest.mark.parametrize("program", [plain, generator, lambda _: None, 5])
def test_a_program_that_is_no_coroutine_function_is_refused_when_it_is_decorated(program: Any) -> None:
    with pytest.raises(TypeError, match="a polymorphic program is an async def"):
        polymorphic(program)


def test_a_program_without_its_arguments_names_itself_and_them(flavour: Flavour) -> None:
    with Peer(upgrading()) as peer, pytest.raises(TypeError) as caught:
        flavour.open(peer.url, greet)
    assert str(caught.value) == "greet() missing 1 required positional argument: 'name'"


@polymorphic
async def wait_for_another_library(_: WebSocket[Async], something: Awaitable[None]) -> None:
    await something


class Yielding:
    def __await__(self) -> Iterator[None]:
        yield


anything: Any = Yielding()


def test_a_program_that_awaits_something_else_is_told_so_in_the_blocking_flavour() -> None:
    with (
        Peer(upgrading()) as peer,
        blocking.connect(peer.url) as ws,
        pytest.raises(RuntimeError) as caught,
    ):
        wait_for_another_library(ws, anything)
    says(caught.value, "wait_for_another_library awaited", "may await only the websocket's methods")


# The wrong flavour


@pytest.mark.parametrize("way", ["with", "for"])
def test_an_asyncio_websocket_is_for_async_with_and_async_for(way: str) -> None:
    async def main() -> None:
        async with polysocket_asyncio.connect(peer.url) as ws:
            misused: Any = ws
            try:
                if way == "with":
                    misused.__enter__()
                else:
                    next(iter(misused)).close()
            finally:
                assert ws.is_open

    with Peer(upgrading()) as peer, pytest.raises(TypeError) as caught:
        asyncio.run(main())
    says(caught.value, "WebSocket", f"async {way}")


@pytest.mark.parametrize("way", ["with", "for"])
def test_a_blocking_websocket_is_for_with_and_for(way: str) -> None:
    async def main(misused: Any) -> None:
        if way == "with":
            await misused.__aenter__()
        else:
            await anext(aiter(misused))

    with Peer(upgrading(b"\x81\x01a")) as peer, blocking.connect(peer.url) as ws:
        with pytest.raises(TypeError) as caught:
            asyncio.run(main(ws))
        assert ws.is_open
    says(caught.value, "WebSocket", f"'{way}'")


def test_asyncios_connect_is_for_async_with() -> None:
    opening: Any = polysocket_asyncio.connect("ws://127.0.0.1:1/")
    with pytest.raises(TypeError, match="context manager"), opening:
        pass
    opening.close()


def test_a_threaded_websocket_has_no_iteration() -> None:
    ws: Any = WebSocketStub.with_initial_incoming([Text("a")]).build(Threaded)
    for way in (iter, aiter):
        with pytest.raises(TypeError, match=r"has no iteration: call receive_message\(\)"):
            way(ws)
    assert ws.receive_message().result() == "a"


ASYNC = [name for name in ("asyncio", "trio", "anyio") if importlib.util.find_spec(name)]


@pytest.mark.parametrize("name", ASYNC)
@pytest.mark.parametrize("first", ["await", "async with"])
@pytest.mark.parametrize("second", ["await", "async with"])
def test_a_connect_is_awaited_or_entered_once(name: str, first: str, second: str) -> None:
    connect = importlib.import_module(f"polysocket.{name}").connect

    async def use(opening: Any, way: str) -> None:
        if way == "await":
            await (await opening).close()
        else:
            async with opening:
                pass

    async def main() -> None:
        opening = connect(server.url)
        await use(opening, first)
        with pytest.raises(RuntimeError, match=r"this connect\(\) was awaited or entered already: call it again"):
            await use(opening, second)

    with EchoServer() as server:
        importlib.import_module("trio").run(main) if name == "trio" else asyncio.run(main())


@pytest.mark.parametrize("name", ASYNC)
def test_a_connect_that_is_forgotten_is_warned_of(name: str) -> None:
    with pytest.warns(RuntimeWarning, match="coroutine 'connect' was never awaited"):
        importlib.import_module(f"polysocket.{name}").connect("ws://127.0.0.1:1/")


# Where no library runs, or another one


@pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
@pytest.mark.parametrize(("called", "running"), [("asyncio", "trio"), ("trio", "asyncio")])
@pytest.mark.parametrize("way", ["connect", "backend"])
def test_a_flavour_where_another_library_runs_names_the_flavour_for_it(called: str, running: str, way: str) -> None:
    flavour = importlib.import_module(f"polysocket.{called}")

    async def main() -> None:
        if way == "connect":
            await flavour.connect("ws://127.0.0.1:1/")
        else:
            backend = getattr(flavour, f"{called.capitalize()}Backend")()
            await backend.open_websocket("ws://127.0.0.1:1/", WebSocketHandler())

    with pytest.raises(NoAsyncLibrary) as caught:
        importlib.import_module(running).run(main() if running == "asyncio" else main)
    says(caught.value, f"polysocket.{called} can't wait here: {running} runs, for which there is polysocket.{running}")
    assert isinstance(caught.value, RuntimeError)


def test_a_library_that_only_sniffio_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sniffio = pytest.importorskip("sniffio")
    monkeypatch.setattr(sniffio.thread_local, "name", "curio")
    with pytest.raises(NoAsyncLibrary) as caught:
        polysocket_asyncio.connect("ws://127.0.0.1:1/").__await__().send(None)
    assert str(caught.value) == "polysocket.asyncio can't wait here: curio runs"


def test_sniffio_is_not_needed_to_say_that_nothing_runs() -> None:
    program = """
import sys

sys.modules["sniffio"] = None  # as if it were not installed
from polysocket import NoAsyncLibrary, asyncio

try:
    asyncio.connect("ws://127.0.0.1:1/").__await__().send(None)
except NoAsyncLibrary as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("polysocket.asyncio can't wait here: no asynchronous library runs"), ran.stderr


@pytest.mark.parametrize("name", [name for name in ("asyncio", "trio") if importlib.util.find_spec(name)])
def test_a_flavour_where_no_library_runs_names_the_blocking_one(name: str) -> None:
    opening = importlib.import_module(f"polysocket.{name}").connect("ws://127.0.0.1:1/")
    with pytest.raises(NoAsyncLibrary) as caught:
        opening.__await__().send(None)
    says(caught.value, f"polysocket.{name} can't wait here: no asynchronous library runs", "polysocket.blocking")
