"""Redirects: which answers are followed, to which URL, and with which headers (RFC 9110 §15.4)."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace

import pytest

from polysocket._core.redirect import is_redirect, redirected
from polysocket.errors import InvalidURL, RedirectRefused, UpgradeRejected
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.url import WebSocketURL
from tests.handshakes import (
    REQUEST,
)


def moved(*locations: str, status: int = 302) -> Response:
    return Response(status, Headers([("Location", location) for location in locations]), "Found")


@pytest.mark.parametrize("status", range(300, 310))
def test_five_statuses_are_redirects(status: int) -> None:
    assert is_redirect(moved("/", status=status)) == (status in (301, 302, 303, 307, 308))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("ws://other.example:81/x?y=z", "ws://other.example:81/x?y=z"),
        ("http://other.example/x", "ws://other.example/x"),
        ("HTTPS://other.example/x", "wss://other.example/x"),
        ("wss://h", "wss://h/"),
        ("//other.example/x", "ws://other.example/x"),
        ("/x/y?z", "ws://h:9/x/y?z"),
        ("x", "ws://h:9/a/x"),
        ("../x", "ws://h:9/x"),
        ("?x=y", "ws://h:9/a/b?x=y"),
        ("/x#part", "ws://h:9/x"),
        ("/caf\xe9", "ws://h:9/caf%C3%A9"),
        ("/caf\xc3\xa9", "ws://h:9/caf%C3%A9"),  # as most servers send it: UTF-8, read as Latin-1
        ("/caf€", "ws://h:9/caf%E2%82%AC"),
        ("//fa\xc3\x9f.example/", "ws://xn--fa-hia.example/"),
        ("http://\xe2\x98\x95.example/", "ws://xn--53h.example/"),
    ],
)
def test_a_location_is_resolved_against_the_url_of_the_request(location: str, url: str) -> None:
    request = basic_request.get("ws://h:9/a/b?token=secret")
    assert redirected(request, moved(location)).url == WebSocketURL.parse(url)


def test_a_redirect_keeps_the_request_and_allows_one_redirect_fewer() -> None:
    request = REQUEST.bearer_auth("t").cookie("a", "b").header("Host", "x").header("X", "y").follow_redirects(3)
    again = redirected(request, moved("/other"))
    assert again == replace(request, url=WebSocketURL.parse("ws://example.com/other"), max_redirects=2)


@pytest.mark.parametrize("location", ["ws://other.example/", "ws://example.com:81/", "wss://example.com:80/"])
def test_a_redirect_to_another_origin_drops_the_headers_and_the_credentials(location: str) -> None:
    request = REQUEST.bearer_auth("t").cookie("a", "b").header("host", "x").header("X-API-Key", "y")
    request = request.header("Proxy-Authorization", "z").authenticate(dict)
    request = request.origin("https://page.example").header("user-agent", "me").subprotocol("chat")
    again = redirected(request, moved(location))
    assert again.headers == Headers([("Origin", "https://page.example"), ("user-agent", "me")])
    assert again.auth is None
    assert again.subprotocols == ("a", "b", "chat")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("ws://[2001:db8::1]/", "http://[2001:DB8:0:0::0001]/other"),
        ("ws://[2001:0db8::0.0.0.1]:80/", "//[2001:db8::1]/other"),
        ("ws://[fe80::1%25eth0]/", "http://[FE80:0::1]/other"),
        ("ws://127.1/", "http://127.0.0.1:80/other"),
        ("ws://faß.example/", "http://fa%c3%9f.EXAMPLE/other"),
    ],
)
def test_an_origin_is_the_same_in_each_notation_of_its_host(url: str, location: str) -> None:
    request = basic_request.get(url).bearer_auth("t")
    again = redirected(request, moved(location))
    assert request.url is not None
    assert again.url == replace(request.url, target="/other")
    assert again.headers == request.headers


def test_a_redirect_to_the_same_origin_keeps_the_function_for_credentials() -> None:
    assert redirected(REQUEST.authenticate(dict), moved("/other")).auth is dict


@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        (REQUEST.follow_redirects(0), moved("/"), "answered 302 Found, but no more redirects may be followed"),
        (REQUEST, moved(), "the server answered 302 Found, which needs one Location, but it has none"),
        (REQUEST, moved(""), "which needs one Location, but it has none"),
        (REQUEST, moved("/a", "/b"), "which needs one Location, but it has 2"),
        (basic_request.get("wss://h/"), moved("http://h/x?secret"), "from wss to ws, which is not encrypted: ws://h/x"),
        (REQUEST, moved("http://user:secret@h/"), "to a Location with a user name in it: ws://h/"),
        (REQUEST, moved("ftp://h/?secret"), "a Location that can't be used: 'ftp://h/?…' is not a WebSocket URL"),
        (REQUEST, moved("http://h:99999/"), "a Location that can't be used: "),
        (REQUEST, moved("http://[::1/?secret"), "a Location that can't be used: "),
        (REQUEST, moved("http://[::1].evil.example/"), "a Location that can't be used: "),
        (REQUEST, moved("http://a b/"), "a Location that can't be used: "),
        (basic_request.get("wss://h/"), moved("http:///x"), "a Location that can't be used: "),
    ],
)
def test_a_redirect_that_may_not_be_followed_is_refused(request_: Request, response: Response, why: str) -> None:
    with pytest.raises(RedirectRefused, match=re.escape(why)) as caught:
        redirected(request_, response)
    assert caught.value.response is response
    assert isinstance(caught.value, UpgradeRejected)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    if "can't be used" in why:
        assert isinstance(caught.value.__cause__, InvalidURL)
