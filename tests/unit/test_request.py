"""Requests, URLs and headers as values: how they are built, what they refuse, and that they show no secrets."""

from __future__ import annotations

import base64
import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from polysocket.compression import Deflate
from polysocket.errors import InvalidRequest, InvalidURL, UpgradeRejected
from polysocket.headers import Headers
from polysocket.proxy import Proxy
from polysocket.request import Request, basic_request
from polysocket.response import Response, WebSocketResponse
from polysocket.url import WebSocketURL

URL = "ws://example.com/"
LONE = "\ud800"  # a surrogate alone, which UTF-8 does not have


def url_of(url: str) -> WebSocketURL:
    parsed = basic_request.get(url).url
    assert parsed is not None
    return parsed


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


# URLs


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("ws://example.com", ("ws", "example.com", 80, "/")),
        ("wss://example.com", ("wss", "example.com", 443, "/")),
        ("ws://example.com:8080/chat", ("ws", "example.com", 8080, "/chat")),
        ("ws://example.com:/chat", ("ws", "example.com", 80, "/chat")),
        ("WSS://EXAMPLE.com/Chat", ("wss", "example.com", 443, "/Chat")),
        ("ws://example.com./", ("ws", "example.com.", 80, "/")),
        ("ws://example.com?x=y", ("ws", "example.com", 80, "/?x=y")),
        ("ws://example.com/?", ("ws", "example.com", 80, "/")),
        ("ws://example.com/a//b/../c;d=e", ("ws", "example.com", 80, "/a//b/../c;d=e")),
        ("ws://127.0.0.1:65535/", ("ws", "127.0.0.1", 65535, "/")),
        ("ws://[::1]:9000/x", ("ws", "::1", 9000, "/x")),
        ("wss://[2001:DB8::1]/x", ("wss", "2001:db8::1", 443, "/x")),
        ("ws://bücher.example/", ("ws", "xn--bcher-kva.example", 80, "/")),
        ("ws://例え。テスト/", ("ws", "xn--r8jz45g.xn--zckzah", 80, "/")),
        (f"ws://{'a' * 63}.example/", ("ws", f"{'a' * 63}.example", 80, "/")),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int, str]) -> None:
    """RFC 6455 §3."""
    parsed = WebSocketURL.parse(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.target) == parts
    assert parsed.credentials is None


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("faß.example", "xn--fa-hia.example"),
        ("ς.example", "xn--3xa.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("日本語。jp．", "xn--wgv71a119e.jp."),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("b\u00adücher.example", "xn--bcher-kva.example"),
        ("א.example", "xn--4db.example"),
        ("क्\u200dष.example", "xn--11b2ezcw70k.example"),
        ("my_service", "my_service"),
        ("my_service.bücher.example", "my_service.xn--bcher-kva.example"),
        ("mein_büro.example", "xn--mein_bro-c6a.example"),
        ("r3---sn-xyz.example", "r3---sn-xyz.example"),
        ("r3---sn-bücher.example", "xn--r3---sn-bcher-4ob.example"),
        ("-ü.example", "xn----eha.example"),
        ("☕.example", "xn--53h.example"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("xn--fa-hia.example", "xn--fa-hia.example"),
        ("xn--a.example", "xn--a.example"),
    ],
)
def test_a_host_is_encoded_as_browsers_do(host: str, encoded: str) -> None:
    """UTS 46 §4, non-transitional: IDNA 2008, and the names in use that it refuses (``_``, ``--``, symbols)."""
    assert WebSocketURL.parse(f"ws://{host}/").host == encoded
    assert Proxy(f"http://{host}:3128").host == encoded


def test_idna_and_urllib_request_are_imported_only_when_needed() -> None:
    """Their import takes longer than that of all of polysocket's own modules."""
    program = """
import sys
from polysocket import Proxy, WebSocketURL, blocking, system_proxy

WebSocketURL.parse("ws://example.com/"), Proxy("http://proxy.example")
print("idna" in sys.modules, "urllib.request" in sys.modules)
system_proxy(WebSocketURL.parse("ws://bücher.example/"))
print("idna" in sys.modules, "urllib.request" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-X", "utf8", "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["False", "False", "True", "True"], ran.stderr


@pytest.mark.parametrize(
    "host",
    [
        "\u0301a.example",  # a combining mark first
        "א1a.example",  # right to left, and left to right
        "👩\u200d💻.example",  # a joiner out of its context
        "xn--ü.example",
        "⒈com.example",
        "a\ufffd.example",
        "\ud800.example",
        "[fe80::1%ü]",
        "ü" * 300,
    ],
    ids=ascii,
)
def test_a_host_that_browsers_refuse_is_refused(host: str) -> None:
    with pytest.raises(InvalidURL, match=r"IDNA does not allow it|is not a URL"):
        WebSocketURL.parse(f"ws://{host}/")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/é", "/%C3%A9"),
        ("/𝄞", "/%F0%9D%84%9E"),
        ("/a%20b", "/a%20b"),
        ("/%c3%a9", "/%c3%a9"),
        ("/100%", "/100%"),
        ('/"<>\\^`{|}[]', "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"),
        ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"),
        ("/\x85\u2028", "/%C2%85%E2%80%A8"),
        ("?q=ü&r=a/b?c", "/?q=%C3%BC&r=a/b?c"),
        ("?q=a%26b+c", "/?q=a%26b+c"),
    ],
)
def test_what_may_not_stand_in_a_target_is_percent_encoded_once(path: str, target: str) -> None:
    """RFC 3986 §2.1, in UTF-8; what is encoded already stays."""
    assert url_of(f"ws://example.com{path}").target == target


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("ws://example.com:80/", "example.com"),
        ("wss://example.com:443/", "example.com"),
        ("ws://example.com:443/", "example.com:443"),
        ("wss://example.com:80/", "example.com:80"),
        ("ws://[::1]/", "[::1]"),
        ("ws://[::1]:81/", "[::1]:81"),
    ],
)
def test_the_authority_names_a_port_that_is_not_the_schemes_own(url: str, authority: str) -> None:
    """RFC 6455 §4.1, item 4."""
    assert url_of(url).authority == authority


def test_only_wss_is_secure() -> None:
    assert url_of("wss://example.com").secure
    assert not url_of("ws://example.com").secure


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "'' is not a WebSocket URL: it must begin with ws:// or wss://"),
        ("example.com", "'example.com' is not a WebSocket URL: it must begin with ws:// or wss://"),
        ("http://example.com/", "'http://example.com/' is not a WebSocket URL: it must begin with ws:// or wss://"),
        ("https://example.com/", "'https://example.com/' is not a WebSocket URL: it must begin with ws:// or wss://"),
        ("//example.com/", "'//example.com/' is not a WebSocket URL: it must begin with ws:// or wss://"),
        ("ws:example.com", "'ws:example.com' names no host"),
        ("ws://", "'ws://' names no host"),
        ("ws:///chat", "'ws:///chat' names no host"),
        ("ws://:80/", "'ws://:80/' names no host"),
        ("ws://example.com:0/", "'ws://example.com:0/' names port 0, to which nothing can connect"),
        ("ws://example.com:65536/", "'ws://example.com:65536/' "),
        ("ws://example.com:x/", "'ws://example.com:x/' "),
        ("ws://example.com:-1/", None),
        ("ws://example.com:٨٠/", None),
        ("ws://[::1/", "'ws://[::1/' is not a URL: "),
        ("ws://example.com/#", "'ws://example.com/#' has a fragment ('#…'), which a WebSocket URL may not have"),
        ("ws://example.com/a#b", None),
        ("ws://example.com/a?b#c", None),
        (" ws://example.com/", "' ws://example.com/' has a space or control character in it"),
        ("ws://example.com/a b", "'ws://example.com/a b' has a space or control character in it"),
        ("ws://example.com/\r\nX: y", "'ws://example.com/\\r\\nX: y' has a space or control character in it"),
        ("ws://example.com\x00/", "'ws://example.com\\x00/' has a space or control character in it"),
        ("ws://example.com/\x7f", "'ws://example.com/\\x7f' has a space or control character in it"),
        ("ws://exa\tmple.com/", "'ws://exa\\tmple.com/' has a space or control character in it"),
        ("ws://a..b/", "'ws://a..b/' has a host that is not a domain name: each part has from 1 to 63 characters"),
        ("ws://./", "'ws://./' has a host that is not a domain name: each part has from 1 to 63 characters"),
        (
            f"ws://{'a' * 64}/",
            f"'ws://{'a' * 64}/' has a host that is not a domain name: each part has from 1 to 63 char",
        ),
        (f"ws://{'ü' * 64}/", f"'ws://{'ü' * 64}/' has a host that is not a domain name: "),
        ("ws://ex\u2028ample/", "'ws://ex\\u2028ample/' has a host that is not a domain name: "),
        ("ws://good.example\uff0f.evil.example/", None),  # "/" in its wide form
        (f"ws://{LONE}/", None),
    ],
)
def test_what_is_no_websocket_url_is_refused_with_the_reason(url: str, why: str | None) -> None:
    with pytest.raises(InvalidURL) as caught:
        basic_request.get(url)
    assert why is None or str(caught.value).startswith(why)


@pytest.mark.parametrize("url", [None, b"ws://example.com/", 80])
def test_a_url_is_a_str(url: Any) -> None:
    with pytest.raises(InvalidURL, match=f"^a WebSocket URL is a str, not {type(url).__name__}$"):
        basic_request.get(url)


@pytest.mark.parametrize("place", ["/{}", "/?{}", "/?a={}&b"])
def test_a_lone_surrogate_in_a_url_is_an_invalid_url(place: str) -> None:
    """It has no bytes in UTF-8; as in a host, the error is InvalidURL, not UnicodeEncodeError."""
    with pytest.raises(InvalidURL):
        basic_request.get("ws://example.com" + place.format(LONE))


@pytest.mark.parametrize("userinfo", [f"{LONE}:x", f"x:{LONE}"])
def test_a_lone_surrogate_in_credentials_is_refused_as_such(userinfo: str) -> None:
    with pytest.raises((InvalidURL, InvalidRequest)):
        basic_request.get(f"ws://{userinfo}@example.com/")
    with pytest.raises(InvalidRequest):
        basic_request.basic_auth(*userinfo.split(":"))


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
    """RFC 7617 §2, decoded first and then in UTF-8; they stay in no URL."""
    request = basic_request.get(f"ws://{userinfo}@example.com/")
    assert request.headers["Authorization"] == basic(credentials)
    assert request.url == WebSocketURL("ws", "example.com", 80, "/")


def test_credentials_in_a_url_go_before_earlier_ones() -> None:
    request = basic_request.bearer_auth("token").get("ws://user:password@example.com/")
    assert request.headers.get_all("Authorization") == [basic("user:password")]


def test_a_url_without_credentials_leaves_earlier_ones() -> None:
    assert basic_request.bearer_auth("token").get(URL).headers["Authorization"] == "Bearer token"


# Secrets

SECRET = "s3cr3t"
SECRET_REQUESTS: dict[str, Callable[[], Request]] = {
    "password in the URL": lambda: basic_request.get(f"ws://user:{SECRET}@example.com/"),
    "user in the URL": lambda: basic_request.get(f"ws://{SECRET}@example.com/"),
    "query": lambda: basic_request.get(f"ws://example.com/?token={SECRET}"),
    "basic auth": lambda: basic_request.basic_auth("user", SECRET),
    "bearer auth": lambda: basic_request.bearer_auth(SECRET),
    "cookie": lambda: basic_request.cookie("session", SECRET),
    "header in any case": lambda: basic_request.header("pRoXy-AuThOrIzAtIoN", SECRET),
    "header of one's own": lambda: basic_request.header("X-Api-Key", SECRET).header("X-Auth-Token", SECRET),
}


@pytest.mark.parametrize("case", SECRET_REQUESTS)
def test_no_repr_of_a_request_or_of_its_parts_shows_a_secret(case: str) -> None:
    request = SECRET_REQUESTS[case]()
    encoded = base64.b64encode(f"user:{SECRET}".encode()).decode()
    url = request.url or WebSocketURL("ws", "example.com", 80, f"/?{SECRET}", ("user", SECRET))
    for shown in (repr(request), str(request), repr(request.headers), str(request.headers), repr(url), str(url)):
        assert SECRET not in shown
        assert encoded not in shown
        assert f"{request!r}" == repr(request)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@example.com/",
        f"ws://user:{SECRET}@example.com:x/",
        f"ws://{SECRET}:@example.com:0/?{SECRET}",
        f"ws://example.com/ ?token={SECRET}",
        f"ws://example.com/?token={SECRET}#fragment",
        f"ws://user:{SECRET}@/",
        f"ws://user:a@{SECRET}@a..b/",
        f"ws://user:{SECRET}@\u2028/",
    ],
)
def test_the_error_about_a_url_does_not_show_its_secrets(url: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        basic_request.get(url)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"user:{SECRET}@example.com/",  # the scheme is forgotten
        f"ws:user:{SECRET}@example.com/",  # the slashes are
        f"wss:/user:{SECRET}@example.com/",
        f"ws://user:{SECRET}/x@example.com/",  # a password that should have been percent-encoded
        f"ws://user:{SECRET}?x@example.com/",
        f"ws://user:x/{SECRET}@example.com/",
        f"ws://user:{SECRET}#x@example.com/",
        f"ws://example.com/?token=x#{SECRET}",  # a token, too
    ],
)
def test_the_error_about_a_url_shows_no_secrets_where_they_are_what_is_wrong_with_it(url: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        basic_request.get(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: basic_request.header("Authorization", f"{SECRET}\n"),
        lambda: basic_request.header("X-Api-Key", f"{SECRET}\n"),
        lambda: basic_request.bearer_auth(f"{SECRET}\n"),
        lambda: basic_request.cookie("session", f"{SECRET};"),
        lambda: basic_request.basic_auth(f"a:{SECRET}", SECRET),
    ],
)
def test_the_error_about_a_value_does_not_show_it(build: Callable[[], Request]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build()
    assert SECRET not in str(caught.value)


def test_no_repr_of_a_response_shows_a_cookie() -> None:
    response = Response(403, Headers([("Set-Cookie", f"session={SECRET}")]), "Forbidden")
    assert SECRET not in repr(response)
    assert SECRET not in repr(UpgradeRejected(response))


@pytest.mark.parametrize("location", [f"wss://example.com/?token={SECRET}", f"wss://user:{SECRET}@example.com/"])
def test_no_repr_of_a_response_shows_the_query_or_the_credentials_of_its_location(location: str) -> None:
    response = Response(302, Headers([("Location", location)]), "Found")
    assert SECRET not in repr(response)
    assert SECRET not in repr(UpgradeRejected(response))


def test_a_url_reads_without_credentials_and_query() -> None:
    url = WebSocketURL.parse("ws://user:password@[::1]:81/chat?token=x")
    assert str(url) == "ws://[::1]:81/chat"
    assert repr(url) == "WebSocketURL('ws://[::1]:81/chat?…')"


def test_a_request_reads_with_its_url_and_headers() -> None:
    request = basic_request.get("ws://example.com/chat?x=y").header("X-A", "b").bearer_auth("token").subprotocol("p")
    assert repr(basic_request) == "Request(GET ?, Headers([]))"
    assert repr(request) == (
        "Request(GET ws://example.com/chat, Headers([('X-A', 'b'), ('Authorization', '…')]), subprotocols=['p'])"
    )


# Requests

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
def test_each_builder_gives_a_new_request_that_differs_in_its_one_point(case: str) -> None:
    build, change = BUILDERS[case]
    request = Request()
    assert build(request) == dataclasses.replace(Request(), **change)  # type: ignore[arg-type]
    assert request == Request() == basic_request


@pytest.mark.parametrize("value", [basic_request, WebSocketURL.parse(URL), Deflate(), Response(404, Headers())])
def test_values_can_not_be_changed(value: Any) -> None:
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)
    assert not hasattr(value, "__dict__")


def test_headers_can_not_be_changed() -> None:
    """They are shared between requests and hashable."""
    headers: Any = Headers({"X-A": "b"})
    with pytest.raises(AttributeError):
        headers.pairs = ()
    assert headers.pairs == (("X-A", "b"),)


def test_the_basic_request_has_limits() -> None:
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


def test_a_header_may_replace_all_of_its_name() -> None:
    request = basic_request.header("X-A", "1").header("X-B", "2").header("x-a", "3")
    assert request.header("X-a", "4", replace_existing=True).headers.pairs == (("X-B", "2"), ("X-a", "4"))


def test_origin_and_auth_replace_what_was_set_before() -> None:
    request = basic_request.origin("https://a").origin("https://b").basic_auth("a", "b").bearer_auth("c")
    assert request.headers.pairs == (("Origin", "https://b"), ("Authorization", "Bearer c"))


def test_cookies_share_one_header() -> None:
    """RFC 6265 §5.4: a client sends one Cookie header."""
    request = basic_request.cookie("a", "b").header("X-A", "1").cookie("c", '"d"').cookie("e", "")
    assert request.headers.get_all("Cookie") == ['a=b; c="d"; e=']


def test_subprotocols_are_offered_in_order() -> None:
    assert basic_request.subprotocol("b").subprotocol("c", "a").subprotocols == ("b", "c", "a")


INJECTIONS = ["\r\nX-B: c", "\n", "\r", "\x00", "\x0b", "\x1b", "\x7f", "\u2028", "€", LONE]


@pytest.mark.parametrize("bad", INJECTIONS, ids=ascii)
@pytest.mark.parametrize("value", ["{}", "a{}", "{}a", "a{}a"])
def test_no_header_value_carries_a_line_break_or_another_character_that_http_does_not_allow(
    value: str, bad: str
) -> None:
    """RFC 9110 §5.5; each method that takes a value is a way in."""
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
def test_no_header_subprotocol_or_cookie_has_a_name_that_is_no_token(name: str) -> None:
    """RFC 9110 §5.6.2."""
    with pytest.raises(InvalidRequest, match=r"is not a header name$"):
        basic_request.header(name, "b")
    with pytest.raises(InvalidRequest, match=r"is not a subprotocol name$"):
        basic_request.subprotocol("a", name)
    with pytest.raises(InvalidRequest, match=r"has a character that cookies do not allow$"):
        basic_request.cookie(name, "b")


@pytest.mark.parametrize("value", [" ", "a b", "a,b", "a;b", "a\\b", 'a"b', "ä", "a\r\nb"])
def test_no_cookie_has_a_value_that_would_be_read_as_another(value: str) -> None:
    """RFC 6265 §4.1.1."""
    with pytest.raises(InvalidRequest):
        basic_request.cookie("a", value)


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "!~", "é\xff", "a: b; c=d, e"])
def test_header_values_that_http_allows_are_taken_as_they_are(value: str) -> None:
    assert basic_request.header("X-A", value).headers["X-A"] == value


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Sec-WebSocket-Protocol", "name subprotocols with .subprotocol()"),
        ("sec-websocket-extensions", "choose compression with .compress()"),
        ("SEC-WEBSOCKET-KEY", "the handshake makes it"),
        ("Sec-WebSocket-Version", "the handshake sets it"),
        ("Sec-WebSocket-Accept", "only a server sends it"),
        ("Connection", "the handshake sets it"),
        ("Upgrade", "the handshake sets it"),
        ("Content-Length", "an upgrade has no body"),
        ("Transfer-Encoding", "an upgrade has no body"),
    ],
)
def test_the_handshakes_own_headers_can_not_be_set_by_hand(name: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        basic_request.header(name, "x")
    assert str(caught.value) == f"the {name} header can't be set by hand: {why}"


def test_no_subprotocol_is_offered_twice() -> None:
    """RFC 6455 §4.1, item 10."""
    with pytest.raises(InvalidRequest, match=r"^subprotocol 'a' is offered twice$"):
        basic_request.subprotocol("a", "b", "a")
    with pytest.raises(InvalidRequest, match=r"^subprotocol 'b' is offered twice$"):
        basic_request.subprotocol("b").subprotocol("a", "b")


def test_a_user_with_a_colon_can_not_be_sent_by_basic_auth() -> None:
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
def test_a_limit_that_is_none_is_refused(limits: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Request(**limits)
    assert str(caught.value) == why
    with pytest.raises(InvalidRequest):
        dataclasses.replace(basic_request, **limits)


def test_a_time_limit_that_is_not_given_stays() -> None:
    request = basic_request.timeouts(open=1, close=2)
    assert request.timeouts(open=3) == basic_request.timeouts(open=3, close=2)
    assert request.timeouts(close=None) == basic_request.timeouts(open=1, close=None)
    assert request.timeouts() == request
    with pytest.raises(InvalidRequest, match="open_timeout"):
        request.timeouts(open=0)


def test_every_limit_but_that_of_redirects_can_be_lifted() -> None:
    request = Request(open_timeout=None, close_timeout=None, max_message_size=None, compression=None)
    assert (request.open_timeout, request.close_timeout, request.max_message_size) == (None, None, None)


DEFLATES: list[tuple[dict[str, Any], str]] = [
    ({"server_max_window_bits": 7}, "server_max_window_bits must be from 8 to 15, not 7"),
    ({"server_max_window_bits": 16}, "server_max_window_bits must be from 8 to 15, not 16"),
    ({"client_max_window_bits": 0}, "client_max_window_bits must be from 8 to 15, not 0"),
    ({"level": -2}, "level must be from -1 to 9, not -2"),
    ({"level": 10}, "level must be from -1 to 9, not 10"),
    ({"memory_level": 0}, "memory_level must be from 1 to 9, not 0"),
    ({"memory_level": 10}, "memory_level must be from 1 to 9, not 10"),
]


@pytest.mark.parametrize(("settings", "why"), DEFLATES, ids=[why for _, why in DEFLATES])
def test_settings_of_compression_that_zlib_does_not_have_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Deflate(**settings)
    assert str(caught.value) == why


@pytest.mark.parametrize("value", [8, 15, None])
def test_window_bits_of_rfc_7692_are_taken(value: int | None) -> None:
    assert Deflate(server_max_window_bits=value, client_max_window_bits=value).client_max_window_bits == value


# Headers

SOME = Headers([("Set-Cookie", "a=b"), ("X-A", "1"), ("set-cookie", "c=d"), ("X-B", "2")])


def test_headers_are_a_mapping_by_name_in_any_case() -> None:
    assert SOME["x-a"] == SOME["X-A"] == "1"
    assert "x-b" in SOME
    assert "X-C" not in SOME
    assert SOME.get("X-C") is None
    assert SOME.get("X-C", "?") == "?"
    with pytest.raises(KeyError, match="X-C"):
        SOME["X-C"]


def test_repeated_fields_are_joined_or_given_one_by_one() -> None:
    """RFC 9110 §5.3."""
    assert SOME["Set-Cookie"] == "a=b, c=d"
    assert SOME.get_all("SET-COOKIE") == ["a=b", "c=d"]
    assert SOME.get_all("X-C") == []


def test_a_mapping_of_headers_has_each_name_once_in_order() -> None:
    assert list(SOME) == ["set-cookie", "x-a", "x-b"]
    assert len(SOME) == 3
    assert dict(SOME) == {"set-cookie": "a=b, c=d", "x-a": "1", "x-b": "2"}
    assert list(SOME.values()) == ["a=b, c=d", "1", "2"]
    assert not Headers()


def test_headers_are_immutable_and_can_be_pickled() -> None:
    headers = Headers([("X", "a"), ("x", "b")])
    with pytest.raises(AttributeError, match="Headers are immutable"):
        headers.pairs = ()
    with pytest.raises(AttributeError, match="Headers are immutable"):
        del headers.pairs
    assert pickle.loads(pickle.dumps(headers)).pairs == copy.copy(headers).pairs == headers.pairs


def test_pairs_are_the_fields_as_they_were_given() -> None:
    assert SOME.pairs == (("Set-Cookie", "a=b"), ("X-A", "1"), ("set-cookie", "c=d"), ("X-B", "2"))


def test_headers_are_made_of_pairs_of_a_mapping_or_of_headers() -> None:
    assert Headers({"X-A": "1"}) == Headers([("X-A", "1")]) == Headers(iter([("X-A", "1")]))
    assert Headers(SOME).pairs == SOME.pairs


def test_headers_without_some() -> None:
    assert SOME.without("SET-COOKIE", "x-b", "X-C").pairs == (("X-A", "1"),)
    assert len(SOME.pairs) == 4


def test_headers_are_equal_by_value_order_and_name_in_any_case() -> None:
    same = Headers([(name.upper(), value) for name, value in SOME.pairs])
    assert same == SOME
    assert hash(same) == hash(SOME)
    assert Headers(reversed(SOME.pairs)) != SOME
    assert Headers({"X-A": "a"}) != Headers({"X-A": "A"})
    assert Headers({"x-a": "1"}) != {"x-a": "1"}


def test_repr_of_headers_hides_secrets_and_shows_the_rest() -> None:
    headers = Headers([("X-A", "1"), ("AUTHORIZATION", "x"), ("cookie", "x"), ("Set-Cookie", "x"), ("x-b", "2")])
    assert repr(headers) == (
        "Headers([('X-A', '1'), ('AUTHORIZATION', '…'), ('cookie', '…'), ('Set-Cookie', '…'), ('x-b', '2')])"
    )


# Responses


def test_a_response_has_a_status_line() -> None:
    assert Response(404, Headers(), "Not Found").status_line == "404 Not Found"
    assert Response(599, Headers()).status_line == "599"


def test_an_opened_websockets_response_has_the_handlers_result() -> None:
    response = WebSocketResponse(101, Headers(), "Switching Protocols", "p", ("x",), result=[1])
    assert isinstance(response, Response)
    assert response.result == [1]
    assert response.subprotocol == "p"
    assert response.extensions == ("x",)


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("ws://localhost", "/", ""),
        ("ws://localhost?a=1", "/", "a=1"),
        ("ws://localhost/a/ü?b=?&c=é", "/a/%C3%BC", "b=?&c=%C3%A9"),
    ],
)
def test_the_target_is_path_and_query(url: str, path: str, query: str) -> None:
    parsed = url_of(url)
    assert (parsed.path, parsed.query) == (path, query)
    assert parsed.target == path + ("?" + query if query else "")
    assert "c=" not in repr(parsed)
