"""WebSocket URLs: how they are parsed and encoded, and which are refused (RFC 6455 §3)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from polysocket._opening.transport import Transport
from polysocket.errors import InvalidRequest, InvalidURL
from polysocket.proxy import Proxy
from polysocket.request import basic_request
from polysocket.url import WebSocketURL, certificate_name

URL = "ws://example.com/"
LONE = "\ud800"  # UTF-8 does not have lone surrogates


def url_of(url: str) -> WebSocketURL:
    parsed = basic_request.get(url).url
    assert parsed is not None
    return parsed


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
        ("ws://[2001:0db8:0:0::0001]/x", ("ws", "2001:db8::1", 80, "/x")),
        ("ws://[FE80::1%25eth0]/", ("ws", "fe80::1%eth0", 80, "/")),
        ("ws://[fe80::1%25Eth0.1-x_]:81/", ("ws", "fe80::1%Eth0.1-x_", 81, "/")),
        ("ws://[fe80::1%eth0]/", ("ws", "fe80::1%eth0", 80, "/")),
        ("ws://[fe80::1%252]/", ("ws", "fe80::1%2", 80, "/")),
        ("ws://bücher.example/", ("ws", "xn--bcher-kva.example", 80, "/")),
        ("ws://例え。テスト/", ("ws", "xn--r8jz45g.xn--zckzah", 80, "/")),
        (f"ws://{'a' * 63}.example/", ("ws", f"{'a' * 63}.example", 80, "/")),
    ],
)
def test_a_url_is_parsed_into_its_parts(url: str, parts: tuple[str, str, int, str]) -> None:
    """RFC 6455 §3."""
    parsed = WebSocketURL.parse(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.target) == parts
    assert parsed.credentials is None


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("faß.example", "xn--fa-hia.example"),
        ("ς.example", "xn--3xa.example"),
        ("ΟΔΟΣ-24.example", "xn---24-zxc8cb2a.example"),  # str.lower() makes a ς of the last letter
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
        ("ex%61mple%2Ecom", "example.com"),
        ("EX%41MPLE.com", "example.com"),
        ("fa%C3%9F.example", "xn--fa-hia.example"),
        ("日本%E8%AA%9E。jp", "xn--wgv71a119e.jp"),
        ("%31%32%37.1", "127.0.0.1"),
    ],
)
def test_a_host_is_encoded_as_in_browsers(host: str, encoded: str) -> None:
    """UTS 46 §4, non-transitional: IDNA 2008, and the names in use that it refuses (``_``, ``--``, symbols).

    Before that, percent-encoding is decoded (RFC 3986 §3.2.2).
    """
    assert WebSocketURL.parse(f"ws://{host}/").host == encoded
    assert Proxy(f"http://{host}:3128").host == encoded


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("10.1.258", "10.1.1.2"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.0.0.0x1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("\uff11\uff12\uff17\u30021", "127.0.0.1"),  # in wide digits
        ("256.1", "256.1"),
        ("1.2.3.256", "1.2.3.256"),
        ("4294967296", "4294967296"),
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("08.0.0.1", "08.0.0.1"),
        ("127.1.example", "127.1.example"),
        ("0x.1", "0x.1"),
        ("127.1.", "127.1."),
    ],
)
def test_an_ipv4_address_in_another_notation_becomes_the_usual_one(host: str, address: str) -> None:
    """Resolvers and browsers read the notations of POSIX's ``inet_addr()``."""
    assert WebSocketURL.parse(f"ws://{host}/").host == address
    assert Proxy(f"http://{host}:3128").host == address


def test_idna_and_urllib_request_are_imported_only_when_needed() -> None:
    """Importing them takes longer than importing all of polysocket's own modules."""
    program = """
import sys
from polysocket import Proxy, WebSocketURL, blocking, system_proxy

WebSocketURL.parse("ws://example.com/"), Proxy("http://proxy.example")
print("idna" in sys.modules, "urllib.request" in sys.modules)
system_proxy(WebSocketURL.parse("ws://bücher.example/"))
print("idna" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-X", "utf8", "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["False", "False", "True"], ran.stderr


@pytest.mark.parametrize(
    "host",
    [
        "\u0301a.example",  # a combining mark first
        "א1a.example",  # right to left, and left to right
        "👩\u200d💻.example",  # a joiner outside of its context
        "xn--ü.example",
        "⒈com.example",
        "a\ufffd.example",
        "\ud800.example",
        "ü" * 300,
    ],
    ids=ascii,
)
def test_a_host_that_browsers_refuse_is_refused(host: str) -> None:
    with pytest.raises(InvalidURL, match=r"IDNA does not allow it|is not a URL"):
        WebSocketURL.parse(f"ws://{host}/")


@pytest.mark.parametrize(
    "host", ["a%2Fb", "a%40b", "a%00b", "a%25b", "a%", "a%2", "a\uff0541b", "a%3A80", "%3A%3A1", "a%5B", "%FF", "%2E"]
)
def test_no_host_has_what_it_would_have_once_decoded(host: str) -> None:
    """The WHATWG's URL standard refuses it. Another program may decode it, and connect to another host."""
    for call in (lambda: WebSocketURL.parse(f"ws://{host}/"), lambda: Proxy(f"http://{host}:3128")):
        with pytest.raises(InvalidURL, match="host that is not "):
            call()


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
def test_characters_that_a_target_may_not_have_are_percent_encoded_once(path: str, target: str) -> None:
    """RFC 3986 §2.1, in UTF-8; escapes are kept."""
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
        ("ws://example.com./", "example.com."),
        ("ws://[fe80::1%25eth0]/", "[fe80::1]"),
        ("ws://[fe80::1%25eth0]:81/", "[fe80::1]:81"),
    ],
)
def test_the_authority_names_the_port_unless_it_is_the_default(url: str, authority: str) -> None:
    """RFC 6455 §4.1, item 4."""
    assert url_of(url).authority == authority


@pytest.mark.parametrize("text", ["ws://[fe80::1%25eth0]/a", "wss://[fe80::1%25eth0]:81/a"])
def test_a_zone_is_shown(text: str) -> None:
    url = url_of(text)
    assert str(url) == text
    assert repr(url) == f"WebSocketURL({text!r})"
    assert str(Proxy("http://[fe80::1%25eth0]:3128")) == "http://[fe80::1%25eth0]:3128"


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%25", "fe80::1%25"),
        ("fe80::1%251", "fe80::1%251"),
        ("[fe80::1%251]", "fe80::1%1"),
        ("[fe80::1%25eth0]", "fe80::1%eth0"),
        ("fe80::1%25eth0", "fe80::1%eth0"),
    ],
)
def test_the_zone_of_an_option_is_encoded_only_in_brackets(given: str, host: str) -> None:
    """Elsewhere the number of an interface may be 25, or begin with it. A name is read in each notation."""
    assert Transport(host=given).host == host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "example.com"),
        ("example.com.", "example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0.", "fe80::1"),
    ],
)
def test_the_name_in_a_certificate_has_no_trailing_dot_and_no_zone(host: str, name: str) -> None:
    """RFC 6066 §3, RFC 6874 §4."""
    assert certificate_name(host) == name


def test_only_wss_is_secure() -> None:
    assert url_of("wss://example.com").secure
    assert not url_of("ws://example.com").secure


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "'' is not a WebSocket URL: it must begin with ws://, wss://, http:// or https://"),
        ("example.com", "'example.com' is not a WebSocket URL: it must begin with ws://, wss://, http:// or https://"),
        (
            "//example.com/",
            "'//example.com/' is not a WebSocket URL: it must begin with ws://, wss://, http:// or https://",
        ),
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
        ("ws://[fe80::1%ü]/", "'ws://[fe80::1%ü]/' has a zone that can't be the name of a network interface"),
        ("ws://[fe80::1%25]/", None),
        ("ws://[fe80::1%25a%00]/", None),
        ("ws://[fe80::1%25a%2F]/", None),
        ("ws://[fe80::1%25a%25b]/", None),
        ("ws://example.com/#", "'ws://example.com/#…' has a fragment ('#…'), which a WebSocket URL may not have"),
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
def test_an_invalid_url_is_refused_with_the_reason(url: str, why: str | None) -> None:
    with pytest.raises(InvalidURL) as caught:
        basic_request.get(url)
    assert why is None or str(caught.value).startswith(why)


@pytest.mark.parametrize("place", ["[::1].evil.example", "[::1]x", "[::1].", "x[::1]", "[::1]]", "[::1%25eth0]x:80"])
def test_only_a_port_may_stand_beside_an_address_in_brackets(place: str) -> None:
    """RFC 3986 §3.2.2; ``urlsplit`` of Python 3.11 ignores the rest."""
    for url in (f"ws://{place}/", f"wss://user:secret@{place}/?token"):
        with pytest.raises(InvalidURL) as caught:
            url_of(url)
        assert "is not a URL: " in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidURL, match="is not a URL: "):
        Proxy(f"http://{place}")


@pytest.mark.parametrize("place", [r"good.example\@evil.example", r"user\:secret@host", r"host\path", r"[::1]\x"])
def test_no_backslash_may_stand_before_the_path(place: str) -> None:
    """RFC 3986 allows none anywhere. Browsers read it as ``/``, and connect to the host before it."""
    for call in (lambda: url_of(f"wss://{place}/"), lambda: Proxy(f"http://{place}")):
        with pytest.raises(InvalidURL, match="no backslash may stand before its path") as caught:
            call()
        assert "secret" not in str(caught.value)
    assert url_of(r"ws://host/a\b").path == "/a%5Cb"


@pytest.mark.parametrize("name", ["v1.example.com", "v6.::1"])
def test_only_an_ipv6_address_may_stand_in_brackets(name: str) -> None:
    """RFC 3986 §3.2.2 keeps ``v1.…`` for later versions of IP, of which there are none. It is no name for DNS."""
    for url in (f"ws://[{name}]/", f"wss://user:secret@[{name}]:8443/?token"):
        with pytest.raises(InvalidURL, match="only an IPv6 address may stand in brackets") as caught:
            url_of(url)
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidURL, match="only an IPv6 address may stand in brackets"):
        Proxy(f"http://[{name}]")


@pytest.mark.parametrize("url", [None, b"ws://example.com/", 80])
def test_a_url_must_be_a_str(url: Any) -> None:
    with pytest.raises(InvalidURL, match=f"^a WebSocket URL is a str, not {type(url).__name__}$"):
        basic_request.get(url)


@pytest.mark.parametrize("place", ["/{}", "/?{}", "/?a={}&b"])
def test_a_url_with_a_lone_surrogate_is_refused(place: str) -> None:
    """The error is InvalidURL, as for a host, not UnicodeEncodeError."""
    with pytest.raises(InvalidURL):
        basic_request.get("ws://example.com" + place.format(LONE))


@pytest.mark.parametrize("userinfo", [f"{LONE}:x", f"x:{LONE}"])
def test_credentials_with_a_lone_surrogate_are_refused(userinfo: str) -> None:
    with pytest.raises((InvalidURL, InvalidRequest)):
        basic_request.get(f"ws://{userinfo}@example.com/")
    with pytest.raises(InvalidRequest):
        basic_request.basic_auth(*userinfo.split(":"))


@pytest.mark.parametrize("userinfo", ["%e9:x", "x:secret%e9"])
def test_credentials_that_are_not_utf8_are_refused(userinfo: str) -> None:
    """Another password than the one in the URL must not be sent."""
    for call in (basic_request.get, Proxy):
        with pytest.raises(InvalidURL, match="not percent-encoded UTF-8") as caught:
            call(f"http://{userinfo}@example.com/")
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


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
