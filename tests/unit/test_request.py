"""Requests: what their builders change, what they refuse, and that they are values."""

from __future__ import annotations

import base64
import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from polysocket._core.client_handshake import ClientHandshake
from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response, WebSocketResponse
from polysocket.url import WebSocketURL

URL = "ws://example.com/"
LONE = "\ud800"  # UTF-8 does not have lone surrogates


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


BUILDERS: dict[str, tuple[Callable[[Request], Request], dict[str, object]]] = {
    "get": (lambda request: request.get("ws://h/x"), {"url": WebSocketURL("ws", "h", 80, "/x")}),
    "header": (lambda request: request.header("X-A", "b"), {"headers": Headers([("X-A", "b")])}),
    "with_headers, pairs": (
        lambda request: request.with_headers([("X-A", "b"), ("X-A", "c")]),
        {"headers": Headers([("X-A", "b"), ("X-A", "c")])},
    ),
    "with_headers, mapping": (lambda request: request.with_headers({"X-A": "b"}), {"headers": Headers({"X-A": "b"})}),
    "subprotocol": (lambda request: request.subprotocol("b", "a"), {"subprotocols": ("b", "a")}),
    "origin": (lambda request: request.origin("https://h"), {"headers": Headers([("Origin", "https://h")])}),
    "basic_auth": (
        lambda request: request.basic_auth("Aladdin", "open sesame"),
        {"headers": Headers([("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")])},  # RFC 7617 §2
    ),
    "bearer_auth": (
        lambda request: request.bearer_auth("mF_9.B5f-4.1JqM"),
        {"headers": Headers([("Authorization", "Bearer mF_9.B5f-4.1JqM")])},  # RFC 6750 §2.1
    ),
    "cookie": (lambda request: request.cookie("a", "b"), {"headers": Headers([("Cookie", "a=b")])}),
    "compress": (lambda request: request.compress(Deflate(level=9)), {"compression": Deflate(level=9)}),
    "compress, none": (lambda request: request.compress(None), {"compression": None}),
    "follow_redirects": (lambda request: request.follow_redirects(0), {"max_redirects": 0}),
}


@pytest.mark.parametrize("case", BUILDERS)
def test_each_builder_returns_a_new_request_with_one_change(case: str) -> None:
    build, change = BUILDERS[case]
    request = Request()
    assert build(request) == dataclasses.replace(Request(), **change)  # type: ignore[arg-type]
    assert request == Request() == basic_request


@pytest.mark.parametrize("value", [basic_request, WebSocketURL.parse(URL), Deflate(), Response(404, Headers())])
def test_values_are_immutable(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    assert not hasattr(value, "__dict__")


def test_the_headers_of_a_request_are_immutable() -> None:
    """Requests share their headers and hash them."""
    headers: Any = Headers({"X-A": "b"})
    with pytest.raises(AttributeError):
        headers.pairs = ()
    assert headers.pairs == (("X-A", "b"),)


def test_the_basic_request_has_limits_by_default() -> None:
    assert basic_request == Request(
        url=None,
        headers=Headers(),
        subprotocols=(),
        compression=Deflate(),
        max_redirects=10,
        open_timeout=10,
        close_timeout=10,
        max_message_size=1024 * 1024,
    )
    assert basic_request.method == "GET"


def test_requests_are_equal_and_hashed_by_value() -> None:
    one = basic_request.get(URL).header("X-A", "b")
    assert one == basic_request.get(URL).header("x-a", "b")
    assert hash(one) == hash(basic_request.get(URL).header("x-a", "b"))
    assert one != basic_request.get(URL).header("X-A", "B")


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_values_survive_pickling_and_copying(way: Callable[[object], object]) -> None:
    request = basic_request.get(URL).header("X-A", "b").subprotocol("p")
    for value in (
        request,
        request.url,
        request.headers,
        Response(403, Headers({"a": "b"}), "Forbidden", body=b"x"),
        WebSocketResponse(101, Headers({"a": "b"}), "Switching Protocols", "p", ("x",), result=5),
    ):
        assert way(value) == value
        assert type(way(value)) is type(value)


def test_headers_are_added_in_order_and_may_repeat() -> None:
    request = basic_request.header("X-A", "1").header("X-B", "2").header("x-a", "3")
    assert request.headers.pairs == (("X-A", "1"), ("X-B", "2"), ("x-a", "3"))


def test_a_header_may_replace_all_with_its_name() -> None:
    request = basic_request.header("X-A", "1").header("X-B", "2").header("x-a", "3")
    assert request.header("X-a", "4", replace_existing=True).headers.pairs == (("X-B", "2"), ("X-a", "4"))


def test_origin_and_auth_replace_earlier_values() -> None:
    request = basic_request.origin("https://a").origin("https://b").basic_auth("a", "b").bearer_auth("c")
    assert request.headers.pairs == (("Origin", "https://b"), ("Authorization", "Bearer c"))


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("https://faß.example", "https://xn--fa-hia.example"),
        ("https://例え。テスト:8443", "https://xn--r8jz45g.xn--zckzah:8443"),
        ("null", "null"),
    ],
)
def test_an_origin_is_sent_in_ascii(origin: str, sent: str) -> None:
    """RFC 6454 §6.2: a server compares it with the origins that it allows, which browsers send so."""
    assert basic_request.origin(origin).headers["Origin"] == sent


@pytest.mark.parametrize("origin", ["faß.example", "https://faß.example/path", "https://ß:ß@a", "ß://a b"])
def test_an_origin_that_has_no_form_in_ascii_is_refused(origin: str) -> None:
    with pytest.raises(InvalidRequest, match="the origin can't be used: "):
        basic_request.origin(origin)


def test_a_url_of_a_host_that_is_not_in_ascii_is_refused() -> None:
    """Python would look it up by IDNA 2003, which makes another host of it."""
    url = dataclasses.replace(WebSocketURL.parse(URL), host="faß.example")
    with pytest.raises(InvalidRequest, match="not in ASCII: make the URL with"):
        ClientHandshake(dataclasses.replace(basic_request, url=url))


def test_cookies_share_one_header() -> None:
    """RFC 6265 §5.4: a client sends one Cookie header."""
    request = basic_request.cookie("a", "b").header("X-A", "1").cookie("c", '"d"').cookie("e", "")
    assert request.headers.get_all("Cookie") == ['a=b; c="d"; e=']


def test_subprotocols_are_offered_in_order() -> None:
    assert basic_request.subprotocol("b").subprotocol("c", "a").subprotocols == ("b", "c", "a")


INJECTIONS = ["\r\nX-B: c", "\n", "\r", "\x00", "\x0b", "\x1b", "\x7f", "\u2028", "€", LONE]


@pytest.mark.parametrize("bad", INJECTIONS, ids=ascii)
@pytest.mark.parametrize("value", ["{}", "a{}", "{}a", "a{}a"])
def test_a_header_value_with_a_character_that_http_does_not_allow_is_refused(value: str, bad: str) -> None:
    """RFC 9110 §5.5, for each method that takes a value."""
    text = value.format(bad)
    with pytest.raises(InvalidRequest, match=r"^the value given for header X-A has a character that HTTP does not"):
        basic_request.header("X-A", text)
    with pytest.raises(InvalidRequest):
        basic_request.with_headers({"X-A": text})
    with pytest.raises(InvalidRequest):
        basic_request.origin(text)
    with pytest.raises(InvalidRequest):
        basic_request.bearer_auth(text)
    with pytest.raises(InvalidRequest, match=r"^the cookie 'a' has a character that cookies do not allow$"):
        basic_request.cookie("a", text)


@pytest.mark.parametrize("name", ["", "X A", "X:", "X\r\n", "X\n", "\nX", "X\x00", "Ü", "X-A: b\r\nX-B", '"X"', "(X)"])
def test_a_header_subprotocol_or_cookie_whose_name_is_not_a_token_is_refused(name: str) -> None:
    """RFC 9110 §5.6.2."""
    with pytest.raises(InvalidRequest, match=r"is not a header name$"):
        basic_request.header(name, "b")
    with pytest.raises(InvalidRequest, match=r"is not a subprotocol name$"):
        basic_request.subprotocol("a", name)
    with pytest.raises(InvalidRequest, match=r"has a character that cookies do not allow$"):
        basic_request.cookie(name, "b")


@pytest.mark.parametrize("value", [" ", "a b", "a,b", "a;b", "a\\b", 'a"b', "ä", "a\r\nb"])
def test_a_cookie_value_that_servers_would_parse_differently_is_refused(value: str) -> None:
    """RFC 6265 §4.1.1."""
    with pytest.raises(InvalidRequest):
        basic_request.cookie("a", value)


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "!~", "é\xff", "a: b; c=d, e"])
def test_a_header_value_that_http_allows_is_kept_unchanged(value: str) -> None:
    assert basic_request.header("X-A", value).headers["X-A"] == value


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Sec-WebSocket-Protocol", "name subprotocols with subprotocols=… or .subprotocol()"),
        ("sec-websocket-extensions", "choose compression with compression=… or .compress()"),
        ("SEC-WEBSOCKET-KEY", "the handshake makes it"),
        ("Sec-WebSocket-Version", "the handshake sets it"),
        ("Sec-WebSocket-Accept", "only a server sends it"),
        ("Connection", "the handshake sets it"),
        ("Upgrade", "the handshake sets it"),
        ("Content-Length", "an upgrade has no body"),
        ("Transfer-Encoding", "an upgrade has no body"),
    ],
)
def test_the_headers_of_the_handshake_cannot_be_set_by_hand(name: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        basic_request.header(name, "x")
    assert str(caught.value) == f"the {name} header can't be set by hand: {why}"


def test_offering_a_subprotocol_twice_is_refused() -> None:
    """RFC 6455 §4.1, item 10."""
    with pytest.raises(InvalidRequest, match=r"^subprotocol 'a' is offered twice$"):
        basic_request.subprotocol("a", "b", "a")
    with pytest.raises(InvalidRequest, match=r"^subprotocol 'b' is offered twice$"):
        basic_request.subprotocol("b").subprotocol("a", "b")


def test_a_user_name_with_a_colon_is_refused_for_basic_auth() -> None:
    """RFC 7617 §2."""
    with pytest.raises(InvalidRequest, match=r"^a user name with ':' in it can't be sent by Basic auth$"):
        basic_request.basic_auth("a:b", "c")


LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"open_timeout": 0}, "open_timeout must be above 0 seconds, or None for no limit; not 0"),
    ({"open_timeout": -1}, "open_timeout must be above 0 seconds, or None for no limit; not -1"),
    ({"close_timeout": 0.0}, "close_timeout must be above 0 seconds, or None for no limit; not 0.0"),
    ({"close_timeout": float("nan")}, "close_timeout is a number of seconds, or None for no limit; not nan"),
    ({"max_message_size": 0}, "max_message_size must be at least 1 byte, not 0"),
    ({"max_message_size": -1}, "max_message_size must be at least 1 byte, not -1"),
    ({"max_redirects": -1}, "max_redirects must be at least 0, not -1"),
    ({"compression": "deflate"}, "compression is a Deflate or None, not 'deflate'"),
    ({"compression": True}, "compression is a Deflate or None, not True"),
]


@pytest.mark.parametrize(("limits", "why"), LIMITS, ids=[why for _, why in LIMITS])
def test_an_invalid_limit_is_refused(limits: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Request(**limits)
    assert str(caught.value) == why
    with pytest.raises(InvalidRequest):
        dataclasses.replace(basic_request, **limits)


def test_timeouts_changes_only_the_given_limits() -> None:
    request = basic_request.timeouts(open=1, close=2)
    assert request.timeouts(open=3) == basic_request.timeouts(open=3, close=2)
    assert request.timeouts(close=None) == basic_request.timeouts(open=1, close=None)
    assert request.timeouts() == request
    with pytest.raises(InvalidRequest, match="open_timeout"):
        request.timeouts(open=0)


def test_every_limit_except_that_on_redirects_can_be_lifted() -> None:
    request = Request(open_timeout=None, close_timeout=None, max_message_size=None, compression=None)
    assert (request.open_timeout, request.close_timeout, request.max_message_size) == (None, None, None)


# Credentials in URLs


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("user:password", "user:password"),
        ("user", "user:"),
        ("user:", "user:"),
        (":password", ":password"),
        ("user:a:b", "user:a:b"),
        ("us%40er:p%3Ass%2Fw%20rd", "us@er:p:ss/w rd"),
        ("jürgen:pässwörd", "jürgen:pässwörd"),
        ("%C3%BC:%F0%9D%84%9E", "ü:𝄞"),
    ],
)
def test_credentials_in_a_url_become_basic_auth(userinfo: str, credentials: str) -> None:
    """RFC 7617 §2, percent-decoded first and then in UTF-8; no URL keeps them."""
    request = basic_request.get(f"ws://{userinfo}@example.com/")
    assert request.headers["Authorization"] == basic(credentials)
    assert request.url == WebSocketURL("ws", "example.com", 80, "/")


def test_credentials_in_a_url_replace_earlier_ones() -> None:
    request = basic_request.bearer_auth("token").get("ws://user:password@example.com/")
    assert request.headers.get_all("Authorization") == [basic("user:password")]


def test_a_url_without_credentials_keeps_earlier_ones() -> None:
    assert basic_request.bearer_auth("token").get(URL).headers["Authorization"] == "Bearer token"
