"""A proxy as a value: its URL, its options, no secrets in its repr; and the proxy that the system names."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import ssl
import sys
import urllib.request
from typing import Any

import pytest

from polysocket import Headers, InvalidRequest, InvalidURL, Proxy, WebSocketURL, system_proxy
from polysocket._opening.transport import Transport

LONE = "\ud800"  # UTF-8 does not have lone surrogates
CONTEXT = ssl.create_default_context()
SERVER_CONTEXT = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://proxy.example", ("http", "proxy.example", 80, None)),
        ("http://proxy.example:3128/", ("http", "proxy.example", 3128, None)),
        ("https://proxy.example", ("https", "proxy.example", 443, None)),
        ("socks5://proxy.example", ("socks5", "proxy.example", 1080, None)),
        ("socks5h://proxy.example:9050", ("socks5", "proxy.example", 9050, None)),
        ("HTTP://PROXY.example:3128", ("http", "proxy.example", 3128, None)),
        ("http://[::1]:3128", ("http", "::1", 3128, None)),
        ("http://bücher.example", ("http", "xn--bcher-kva.example", 80, None)),
        ("http://me:p%40ss@proxy.example", ("http", "proxy.example", 80, ("me", "p@ss"))),
        ("socks5://m%C3%A9@proxy.example", ("socks5", "proxy.example", 1080, ("mé", ""))),
        ("socks5://me:a:b@proxy.example", ("socks5", "proxy.example", 1080, ("me", "a:b"))),
    ],
)
def test_a_url_is_parsed_into_its_parts(url: str, parts: tuple[Any, ...]) -> None:
    proxy = Proxy(url)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == parts
    assert proxy.url == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            "ftp://proxy",
            "'ftp://proxy' is not a proxy URL: it must begin with http://, https://, socks5:// or socks5h://",
        ),
        ("socks4://proxy", "'socks4://proxy' is not a proxy URL: it must begin with"),
        ("proxy.example:3128", "'proxy.example:3128' is not a proxy URL: it must begin with"),
        ("", "'' is not a proxy URL: it must begin with"),
        ("http://", "'http://' names no host"),
        ("http://me@:3128", "'http://…@:3128' names no host"),
        ("http://proxy:0", "'http://proxy:0' names port 0, to which nothing can connect"),
        ("http://proxy:abc", "'http://proxy:abc' names the port 'abc', but a port is a number from 1 to 65535"),
        ("http://pro xy", "'http://pro xy' has a space or control character in it"),
        ("http://proxy/path", "'http://proxy/path' has a path or a query, but a proxy is a host with a port"),
        ("http://proxy?a=s3cret", "'http://proxy?…' has a path or a query, but a proxy is a host with a port"),
        ("http://proxy#a", "'http://proxy#…' has a fragment ('#…'), which a proxy URL may not have"),
        ("http://me:s3cret@[::1", "'http://…@[::1' is not a URL: its host is malformed"),
        ("ftp://me:s3cret@proxy", "'//…@proxy' is not a proxy URL: it must begin with"),
        ("socks5://:s3cret@proxy", "the user of socks5://proxy:1080 has from 1 to 255 bytes"),
        (f"socks5://me:{'s3cret' * 43}@proxy", "the user of socks5://proxy:1080 has from 1 to 255 bytes"),
        (f"socks5://me{LONE}:s3cret@proxy", "the proxy's user or password has a character that UTF-8 can't encode"),
    ],
)
def test_an_invalid_url_is_refused_without_showing_its_secrets(url: str, text: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        Proxy(url)
    assert str(caught.value).startswith(text)
    assert "s3cret" not in str(caught.value)


def test_the_error_names_the_type_of_a_url_that_is_not_a_str() -> None:
    wrong: Any = 3128
    with pytest.raises(InvalidURL, match=r"^a proxy URL is a str, not int$"):
        Proxy(wrong)


@pytest.mark.parametrize(
    ("url", "options", "text"),
    [
        ("http://proxy", {"ssl": CONTEXT}, "ssl of a Proxy is for https proxies, and this is http://proxy:80"),
        ("https://proxy", {"ssl": True}, "ssl is an ssl.SSLContext, not True"),
        ("https://proxy", {"ssl": SERVER_CONTEXT}, "ssl is a client's context, not a server's: make it by ssl.create"),
        ("socks5://proxy", {"headers": {"A": "b"}}, "a SOCKS proxy takes no headers"),
        ("http://proxy", {"headers": {"Host": "b"}}, "the Host header of a Proxy can't be set by hand"),
        ("http://proxy", {"headers": {"Upgrade": "b"}}, "the Upgrade header can't be set by hand"),
        ("http://proxy", {"headers": {"A b": "c"}}, "'A b' is not a header name"),
        ("http://proxy", {"headers": {"A": "b\r\nC: d"}}, "the value given for header A has a character"),
        ("http://me:s3cret@proxy", {"headers": {"Proxy-Authorization": "s3cret"}}, "http://proxy:80 has a user in its"),
        ("http://m%3Ae:s3cret@proxy", {}, "a user name with ':' in it can't be sent by Basic auth"),
        (f"http://me:s3cret{LONE}@proxy", {}, "the user or the password has a character that UTF-8 can't encode"),
    ],
)
def test_an_option_that_does_not_fit_the_proxy_is_refused(url: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Proxy(url, **options)
    assert str(caught.value).startswith(text)
    assert "s3cret" not in str(caught.value)


def test_a_proxy_is_shown_without_its_secrets() -> None:
    proxy = Proxy("http://me:s3cret@proxy.example:3128", headers=[("X-Tenant", "blue")])
    assert str(proxy) == "http://proxy.example:3128"
    assert repr(proxy) == "Proxy('http://…@proxy.example:3128', headers=Headers([('X-Tenant', 'blue')]))"
    token = Proxy("https://proxy.example", headers={"Proxy-Authorization": "Bearer s3cret"}, ssl=CONTEXT)
    assert "s3cret" not in repr(token)
    assert "ssl=<ssl.SSLContext" in repr(token)
    assert "s3cret" not in repr(Transport(proxy="http://me:s3cret@proxy.example:3128"))


def test_a_proxy_is_a_value() -> None:
    proxy = Proxy("http://me:s3cret@proxy.example", headers={"A": "b"})
    assert proxy == Proxy("http://me:s3cret@proxy.example", headers=Headers([("A", "b")]))
    assert proxy != Proxy("http://me:another@proxy.example", headers={"A": "b"})
    assert len({proxy, copy.copy(proxy), pickle.loads(pickle.dumps(proxy))}) == 1
    assert pickle.loads(pickle.dumps(proxy)).credentials == ("me", "s3cret")
    assert dataclasses.replace(proxy, headers=Headers()) == Proxy("http://me:s3cret@proxy.example")
    wrong: Any = proxy
    with pytest.raises(dataclasses.FrozenInstanceError):
        wrong.url = "http://another.example"
    assert not hasattr(proxy, "__dict__")


# The system's proxy


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies."""
    for name in (
        "ws_proxy",
        "wss_proxy",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUEST_METHOD",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def asked(url: str) -> str | None:
    proxy = system_proxy(WebSocketURL.parse(url))
    return None if proxy is None else proxy.url


def test_https_proxy_is_for_wss_urls_and_http_proxy_for_ws_urls(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", "http://one.example:3128")
    environment.setenv("HTTPS_PROXY", "http://two.example:3128")
    environment.setenv("ALL_PROXY", "socks5://three.example")
    assert asked("ws://server.example/") == "http://one.example:3128"
    assert asked("wss://server.example/") == "http://two.example:3128"


def test_the_variables_of_websockets_precede_those_of_http(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ws_proxy", "http://one.example:3128")
    environment.setenv("WSS_PROXY", "http://two.example:3128")
    environment.setenv("HTTP_PROXY", "http://three.example")
    environment.setenv("HTTPS_PROXY", "http://three.example")
    assert asked("ws://server.example/") == "http://one.example:3128"
    assert asked("wss://server.example/") == "http://two.example:3128"


def test_all_proxy_is_for_schemes_without_a_proxy_of_their_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "http://two.example:3128")
    environment.setenv("ALL_PROXY", "socks5h://three.example")
    assert asked("ws://server.example/") == "socks5h://three.example"
    assert asked("wss://server.example/") == "http://two.example:3128"


def test_without_environment_variables_there_is_no_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("polysocket.proxy.HAS_PROXY_SETTINGS", False)
    assert asked("ws://server.example/") is None
    assert asked("wss://server.example/") is None


def test_no_proxy_makes_exceptions(environment: pytest.MonkeyPatch) -> None:
    """``test_no_proxy.py`` has the rules."""
    environment.setenv("ALL_PROXY", "http://proxy.example")
    environment.setenv("NO_PROXY", "10.0.0.0/8, server.example:8000")
    assert asked("ws://10.1.2.3/") is None
    assert asked("wss://server.example:8000/") is None
    assert asked("wss://server.example/") == "http://proxy.example"
    assert asked("ws://localhost/") is None


@pytest.mark.skipif(sys.platform == "win32", reason="the names of variables have no case")
def test_a_variable_in_lower_case_precedes_one_in_upper_case(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALL_PROXY", "http://upper.example")
    environment.setenv("ALL_PROXY", " http://lower.example ")
    assert asked("ws://server.example/") == "http://lower.example"
    environment.setenv("ALL_PROXY", "")
    assert asked("ws://server.example/") is None


@pytest.mark.skipif(sys.platform == "win32", reason="the names of variables have no case")
def test_http_proxy_is_ignored_in_cgi_if_it_may_be_a_header(environment: pytest.MonkeyPatch) -> None:
    """CVE-2016-5385."""
    environment.setenv("REQUEST_METHOD", "GET")
    environment.setenv("HTTP_PROXY", "http://evil.example")
    assert asked("ws://server.example/") is None
    environment.setenv("http_proxy", "http://proxy.example")
    assert asked("ws://server.example/") == "http://proxy.example"


@pytest.fixture
def settings(environment: pytest.MonkeyPatch) -> dict[str, str]:
    """The proxies of a system that has settings, as macOS and Windows have; ``excepted.example`` needs none."""
    proxies: dict[str, str] = {}
    environment.setattr("polysocket.proxy.HAS_PROXY_SETTINGS", True)
    environment.setattr(urllib.request, "getproxies", lambda: proxies)
    environment.setattr(urllib.request, "proxy_bypass", lambda host: host.startswith("excepted.example:"))
    return proxies


def test_the_settings_of_macos_and_windows_are_used(settings: dict[str, str]) -> None:
    settings["https"] = "http://one.example"
    assert asked("wss://server.example/") == "http://one.example"
    assert asked("ws://server.example/") is None
    settings["all"] = "http://two.example"
    assert asked("ws://server.example/") == "http://two.example"
    assert asked("ws://excepted.example/") is None
    assert asked("ws://localhost/") is None


def test_the_environment_precedes_the_settings(settings: dict[str, str], environment: pytest.MonkeyPatch) -> None:
    settings["https"] = settings["http"] = "http://one.example"
    environment.setenv("https_proxy", "http://two.example")
    assert asked("wss://server.example/") == "http://two.example"
    assert asked("ws://server.example/") is None


def test_a_proxy_without_a_scheme_is_an_http_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PROXY", "me:s3cret@proxy.example:3128")
    proxy = system_proxy(WebSocketURL.parse("ws://server.example/"))
    assert proxy == Proxy("http://me:s3cret@proxy.example:3128")


def test_the_error_about_an_invalid_proxy_names_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "socks4://me:s3cret@proxy.example")
    with pytest.raises(InvalidURL) as caught:
        asked("wss://server.example/")
    assert str(caught.value).startswith(
        "the proxy in the environment's variable HTTPS_PROXY can't be used: '//…@proxy.example' is not a proxy URL"
    )


def test_errors_about_a_proxy_of_the_system_name_its_setting(
    settings: dict[str, str], environment: pytest.MonkeyPatch
) -> None:
    settings["http"] = "proxy.example:3128"
    proxy = system_proxy(WebSocketURL.parse("ws://server.example/"))
    assert proxy is not None
    assert proxy.place == "the proxy proxy.example port 3128 (in the system's settings for http)"
    environment.setenv("all_proxy", "proxy.example:3128")
    proxy = system_proxy(WebSocketURL.parse("ws://server.example/"))
    assert proxy is not None
    for each in (proxy, copy.copy(proxy), pickle.loads(pickle.dumps(proxy))):
        assert each.place == "the proxy proxy.example port 3128 (in the environment's variable all_proxy)"
        assert each == Proxy("http://proxy.example:3128")
    assert Proxy("http://proxy.example:3128").place == "the proxy proxy.example port 3128"


def test_the_error_about_an_invalid_proxy_in_the_settings_says_that_the_system_names_it(
    settings: dict[str, str],
) -> None:
    settings["https"] = "socks4://proxy.example"
    with pytest.raises(
        InvalidURL, match=r"^the proxy in the system's settings for https can't be used: 'socks4://proxy\.example' is"
    ):
        asked("wss://server.example/")


def test_the_systems_proxy_is_that_of_a_parsed_url() -> None:
    url: Any = "ws://server.example/"
    with pytest.raises(InvalidURL, match="url is a WebSocketURL, not str: "):
        system_proxy(url)
