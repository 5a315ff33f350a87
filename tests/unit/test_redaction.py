"""Secrets: no repr and no error of a request, a URL or a response shows them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, cast

import pytest

from polysocket.blocking import BlockingBackend
from polysocket.errors import InvalidRequest, InvalidURL, UpgradeRejected
from polysocket.headers import Headers
from polysocket.request import Request, basic_request
from polysocket.response import Response
from polysocket.url import WebSocketURL

SECRET = "s3cr3t"
SECRET_REQUESTS: dict[str, Callable[[], Request]] = {
    "password in the URL": lambda: basic_request.get(f"ws://user:{SECRET}@example.com/"),
    "user in the URL": lambda: basic_request.get(f"ws://{SECRET}@example.com/"),
    "query": lambda: basic_request.get(f"ws://example.com/?token={SECRET}"),
    "basic auth": lambda: basic_request.basic_auth("user", SECRET),
    "bearer auth": lambda: basic_request.bearer_auth(SECRET),
    "cookie": lambda: basic_request.cookie("session", SECRET),
    "header in any case": lambda: basic_request.header("pRoXy-AuThOrIzAtIoN", SECRET),
    "custom header": lambda: basic_request.header("X-Api-Key", SECRET).header("X-Auth-Token", SECRET),
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
        f"ftp://user:{SECRET}@example.com/",
        f"ws://user:{SECRET}@example.com:x/",
        f"ws://{SECRET}:@example.com:0/?{SECRET}",
        f"ws://example.com/ ?token={SECRET}",
        f"ws://example.com/?token={SECRET}#fragment",
        f"ws://user:{SECRET}@/",
        f"ws://user:a@{SECRET}@a..b/",
        f"ws://user:{SECRET}@\u2028/",
        f"ws://example.com:x/?mail=me@example.com&token={SECRET}",
        f"ws://user:pass@example.com:x/?mail=me@example.com&token={SECRET}",
        f"ws://example.com/#token={SECRET}",
        f"ws://example.com/#mail=me@example.com&token={SECRET}",
    ],
)
def test_the_error_about_a_url_does_not_show_its_secrets(url: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        basic_request.get(url)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("query", ["?mail=me@example.com", "?a", "#a@b"])
def test_the_error_about_a_url_names_its_host(query: str) -> None:
    with pytest.raises(InvalidURL, match=r"ws://example\.com:99999/chat[?#]…"):
        basic_request.get(f"ws://example.com:99999/chat{query}")


@pytest.mark.parametrize(
    "url",
    [
        f"user:{SECRET}@example.com/",  # the scheme is missing
        f"ws:user:{SECRET}@example.com/",  # the slashes are missing
        f"wss:/user:{SECRET}@example.com/",
        f"ws://user:{SECRET}/x@example.com/",  # a password that should have been percent-encoded
        f"ws://user:{SECRET}?x@example.com/",
        f"ws://user:x/{SECRET}@example.com/",
        f"ws://user:{SECRET}#x@example.com/",
        f"ws://example.com/?token=x#{SECRET}",  # a fragment may hold a token
    ],
)
def test_the_error_about_a_url_shows_no_secrets_even_if_they_are_misplaced(url: str) -> None:
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
        lambda: Request(url=cast("Any", f"ws://user:{SECRET}@example.com/")),
        lambda: BlockingBackend(request=cast("Any", f"ws://user:{SECRET}@example.com/")),
        lambda: BlockingBackend(proxy=cast("Any", {"http": f"http://user:{SECRET}@example.com"})),
        lambda: BlockingBackend(proxy=cast("Any", f"http://user:{SECRET}@example.com".encode())),
    ],
)
def test_the_error_about_a_value_does_not_show_it(build: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build()
    assert SECRET not in str(caught.value)


def test_no_repr_of_a_response_shows_a_cookie() -> None:
    response = Response(403, Headers([("Set-Cookie", f"session={SECRET}")]), "Forbidden")
    assert SECRET not in repr(response)
    assert SECRET not in repr(UpgradeRejected(response))


@pytest.mark.parametrize("name", ["Content-Location", "Link", "Location", "Referer", "Refresh"])
@pytest.mark.parametrize("value", ["<https://h/?token={}>", "0; url=https://h/?mail=me@h&x={}", "https://u:{}@h/"])
def test_no_repr_of_headers_shows_the_secrets_of_a_url(name: str, value: str) -> None:
    assert SECRET not in repr(Headers([(name, value.format(SECRET))]))


@pytest.mark.parametrize(
    "location",
    [
        f"wss://example.com/?token={SECRET}",
        f"wss://example.com/?mail=me@example.com&token={SECRET}",
        f"wss://example.com/#token={SECRET}",
        f"wss://user:{SECRET}@example.com/",
    ],
)
def test_no_repr_of_a_response_shows_the_query_the_fragment_or_the_credentials_of_its_location(location: str) -> None:
    response = Response(302, Headers([("Location", location)]), "Found")
    assert SECRET not in repr(response)
    assert SECRET not in repr(UpgradeRejected(response))


def test_a_url_is_shown_without_credentials_and_query() -> None:
    url = WebSocketURL.parse("ws://user:password@[::1]:81/chat?token=x")
    assert str(url) == "ws://[::1]:81/chat"
    assert repr(url) == "WebSocketURL('ws://[::1]:81/chat?…')"
    assert repr(WebSocketURL.parse("ws://h/@me?mail=me@h&token=x")) == "WebSocketURL('ws://h/@me?…')"


def test_a_request_is_shown_with_its_url_and_headers() -> None:
    request = basic_request.get("ws://example.com/chat?x=y").header("X-A", "b").bearer_auth("token").subprotocol("p")
    assert repr(basic_request) == "Request(GET ?, Headers([]))"
    assert repr(request) == (
        "Request(GET ws://example.com/chat, Headers([('X-A', 'b'), ('Authorization', '…')]), subprotocols=['p'])"
    )
