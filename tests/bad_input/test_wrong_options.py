"""Options of ``connect`` that can't be used, and requests that can't be made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import (
    ConnectOptions,
    Deflate,
    InvalidRequest,
    Request,
    basic_request,
    blocking,
)
from polysocket._opening.options import _HINTS
from tests.bad_input.judgement import says
from tests.bad_input.programs import nothing
from tests.interop.flavours import Flavour

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
    "ping_interval=0": ({"ping_interval": 0}, "ping_interval must be above 0 seconds, or None for no Pings; not 0"),
    "ping_interval=nan": (
        {"ping_interval": math.nan},
        "ping_interval is a number of seconds, or None for no Pings; not nan",
    ),
    "ping_interval=1e-9": (
        {"ping_interval": 1e-9},
        "ping_interval must be at least 0.001 seconds, or None for no Pings; not 1e-09",
    ),
    "ping_timeout=-1": ({"ping_timeout": -1}, f"ping_timeout {TIME} -1"),
    "compression=True": ({"compression": True}, f"{COMPRESSION} True"),
    "compression=False": ({"compression": False}, f"{COMPRESSION} False"),
    "compression='deflate'": ({"compression": "deflate"}, f"{COMPRESSION} 'deflate'"),
    "max_message_size=0": ({"max_message_size": 0}, "max_message_size must be at least 1 byte, not 0"),
    "max_message_size=-1": ({"max_message_size": -1}, "max_message_size must be at least 1 byte, not -1"),
}


@pytest.mark.parametrize(("options", "text"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_an_invalid_option_is_named_with_its_value(flavour: Flavour, options: dict[str, Any], text: str) -> None:
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
        ("ping_interval", "20"),
        ("ping_timeout", True),
        ("auto_pong", 1),
        ("buffer", 100),
        ("max_message_size", "1 MB"),
        ("max_message_size", 1.5),
        ("logger", "polysocket"),
        ("ssl", True),
        ("ssl", "certificate.pem"),
        ("sock", 5),
        ("sock", "socket"),
        ("unix_path", 5),
    ],
    ids=str,
)
def test_an_option_of_a_wrong_type_is_named_with_its_value(flavour: Flavour, name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InvalidRequest) as caught:
        flavour.open("wss://127.0.0.1:1/", nothing, **options)
    says(caught.value, name, repr(value))


@pytest.mark.parametrize(
    "name", ["max_size", "timeout", "header", "protocols", "cookie", "verify", "url", "extra_headers"]
)
def test_an_unknown_option_is_refused_with_its_name(flavour: Flavour, name: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    says(caught.value, "connect()", repr(name))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("additional_headers", "headers"),  # of websockets
        ("sslopt", "ssl, which takes an ssl.SSLContext"),  # of websocket-client
        ("protocols", "subprotocols"),  # of aiohttp
        ("keepalive_ping_interval_seconds", "ping_interval"),  # of httpx-ws
        ("disconnect_timeout", "close_timeout"),  # of trio-websocket
        ("verify", "ssl, which takes an ssl.SSLContext"),  # of httpx
        ("max_size", "max_message_size"),
        ("heartbeat", "ping_interval"),
        ("ping", "ping_interval"),
        ("process_exception", "reconnect(…, is_final=…)"),  # of websockets
        ("create_connection", "a class of your own"),  # of websockets
        ("write_limit", "backpressure"),  # of websockets
        ("extensions", "compression"),  # of websockets
        ("proxy_server_hostname", "proxy, whose URL"),  # of websockets
        ("on_open", "the code after connect"),  # of websocket-client, as the following ones
        ("on_message", "the loop over the websocket"),
        ("on_error", "the exception"),
        ("on_close", "ws.close_info"),
        ("on_ping", "ws.receive()"),
        ("on_pong", "ws.receive()"),
        ("reconnect", "reconnect(…)"),
        ("suppress_origin", "origin"),
        ("http_proxy_timeout", "open_timeout"),
        ("fingerprint", "ws.tls"),  # of aiohttp
        ("raise_for_status", "the UpgradeRejected"),  # of aiohttp
        ("cookie_jar", "cookies"),  # of aiohttp
        ("transport", "sock, unix_path or proxy"),  # of httpx
    ],
)
def test_an_option_of_other_libraries_is_refused_with_its_counterpart(flavour: Flavour, name: str, way: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    says(caught.value, f"{name!r}; for that there is {way}")


def test_a_misspelled_option_is_refused_with_the_right_one(flavour: Flavour) -> None:
    options: dict[str, Any] = {"open_timout": 5}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    says(caught.value, "'open_timout'; did you mean open_timeout?")


@pytest.mark.parametrize("name", ["on_text", "message", "close_code", "close_reason"])
def test_an_unknown_option_is_not_taken_for_one_of_another_meaning(flavour: Flavour, name: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError) as caught:
        flavour.open("ws://127.0.0.1:1/", nothing, **options)
    assert str(caught.value).endswith(f"unexpected keyword argument {name!r}")


@pytest.mark.parametrize("name", ["attempts", "retries", "max_retries", "backoff", "delay", "reconnect_delays"])
def test_an_option_of_other_reconnects_is_refused_with_its_counterpart(name: str) -> None:
    options: dict[str, Any] = {name: 3}
    with pytest.raises(TypeError) as caught:
        blocking.reconnect("ws://127.0.0.1:1/", **options)
    says(caught.value, f"reconnect() got an unexpected keyword argument {name!r}; ", "policy=Backoff(")


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("ssl", True, "the URL's scheme turns TLS on, and ssl=None trusts the system's authorities"),
        ("ssl", False, "the URL's scheme turns TLS off, and a context says what is checked"),
        ("proxy", True, "system_proxy, the default, is the system's"),
        ("proxy", False, "None is no proxy"),
    ],
)
def test_true_and_false_are_refused_with_what_to_write(flavour: Flavour, name: str, value: bool, remedy: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InvalidRequest) as caught:
        flavour.open("wss://127.0.0.1:1/", nothing, **options)
    says(caught.value, f"{name} is ", f"not {value}: {remedy}")


def test_hints_name_existing_options() -> None:
    for option, way in _HINTS.items():
        assert option not in ConnectOptions.__annotations__
        named = re.match(r"(\w+)(?=$|=|,)", way)
        assert named is None or named[1] in ConnectOptions.__annotations__ or named[1] == "timeout", way


# The request

BY_HAND = "header can't be set by hand:"
WRONG_REQUESTS: dict[str, tuple[Callable[[], object], str]] = {
    "a header name": (lambda: basic_request.header("X Y", "1"), "'X Y' is not a header name"),
    "a header value": (
        lambda: basic_request.header("X-A", "1\r\nX-B: 2"),
        "the value given for header X-A has a character that HTTP does not allow",
    ),
    "a header of the handshake": (
        lambda: basic_request.header("Sec-WebSocket-Key", "x"),
        f"the Sec-WebSocket-Key {BY_HAND} the handshake makes it",
    ),
    "the subprotocol's header": (
        lambda: basic_request.header("sec-websocket-protocol", "chat"),
        f"the sec-websocket-protocol {BY_HAND} name subprotocols with subprotocols=… or .subprotocol()",
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
def test_an_invalid_value_is_refused_when_the_request_is_made(make: Callable[[], object], text: str) -> None:
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
def test_a_value_of_a_wrong_type_is_refused_when_the_request_is_made(
    make: Callable[[], object], parts: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    says(caught.value, *parts)
