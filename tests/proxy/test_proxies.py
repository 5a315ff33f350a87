"""Websockets through real proxies of other projects, in every flavour, to servers with and without TLS."""

from __future__ import annotations

import base64
import http
import importlib.util
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from polysocket import (
    Async,
    ConnectFailed,
    LoggingBackend,
    Proxy,
    ProxyFailed,
    ProxyRejected,
    WebSocket,
    WebSocketHandler,
    WebSocketURL,
    basic_request,
    polymorphic,
    system_proxy,
)
from polysocket.blocking import BlockingBackend
from polysocket.testing.contract.places import client_context, server_context
from tests.backends.flavours import Flavour, a_backend, opened, seen
from tests.backends.servers import Door, Server
from tests.bad_input.judgement import says
from tests.interop import flavours as interop
from tests.proxy.proxies import HAS_SOCKS, PASSWORD, SECRETS, USER, RealProxy, Tap

has_trio = importlib.util.find_spec("trio") is not None


def settings(server: Server, proxy: Proxy | Callable[[WebSocketURL], Any] | str | None) -> Any:
    """Return the options of a backend that connects to the server via the proxy."""
    return {"proxy": proxy, "ssl": client_context() if server.url().startswith("wss") else None}


def value(proxy: RealProxy, port: int | None = None, **more: Any) -> Proxy:
    """Return the proxy as a value, with a context that trusts it if it speaks TLS."""
    return Proxy(proxy.url(port, **more), ssl=client_context() if proxy.scheme == "https" else None)


# Conversations


async def test_a_websocket_is_opened_through_a_proxy(flavour: Flavour, proxy: RealProxy, server: Server) -> None:
    with Tap(proxy.port) as tap:
        async with a_backend(flavour, **settings(server, value(proxy, tap.port))) as backend:
            for _ in range(2):
                ws = await opened(flavour, backend, server.url())
                await ws.send_text("Hello!")
                assert await ws.receive_text() == "echo: Hello!"
                await ws.send_binary(big := bytes(range(256)) * 2000)
                assert await ws.receive_binary() == big
                await ws.close()
                assert ws.close_info is not None
                assert ws.close_info.is_normal
        assert len(tap.received) == 2


async def test_a_proxy_without_authentication_needs_no_user(
    flavour: Flavour, open_proxy: RealProxy, server: Server
) -> None:
    proxy = open_proxy.url(credentials="")
    async with a_backend(flavour, **settings(server, proxy)) as backend:
        ws = await opened(flavour, backend, server.url())
        await ws.send_text("Hello!")
        assert await ws.receive_text() == "echo: Hello!"


@polymorphic
async def say_hello(ws: WebSocket[Async]) -> str:
    await ws.send_text("Hello!")
    return await ws.receive_text()


@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_connect_takes_a_proxy(name: str, proxy: RealProxy, server: Server) -> None:
    answer = interop.FLAVOURS[name].open(server.url(), say_hello, **settings(server, value(proxy)))
    assert answer == "echo: Hello!"


@pytest.mark.parametrize("library", ["asyncio", *(["trio"] if has_trio else [])])
def test_the_backend_for_anyio_takes_a_proxy(library: str, http: RealProxy, plain_server: Server) -> None:
    anyio = pytest.importorskip("anyio")
    from polysocket import anyio as polysocket_anyio

    async def main() -> None:
        async with polysocket_anyio.AnyioBackend(proxy=http.url()) as backend:
            response = await backend.open_websocket(plain_server.url(), WebSocketHandler())
            assert await say_hello(response.result) == "echo: Hello!"
        async with polysocket_anyio.connect(plain_server.url(), proxy=http.url()) as ws:
            assert await say_hello(ws) == "echo: Hello!"

    anyio.run(main, backend=library)


# Bytes that the proxy receives


async def test_the_proxy_receives_only_the_host_and_port_of_the_server(
    flavour: Flavour, open_http: RealProxy, plain_server: Server
) -> None:
    proxy_headers = {"User-Agent": "tests", "X-Tenant": "blue"}
    place = plain_server.url("").removeprefix("ws://")
    request = (
        basic_request.basic_auth("user", "s3cret")
        .cookie("session", "s3cret")
        .header("Proxy-Authorization", "s3cret")
        .get(plain_server.url("/ws/echo?token=s3cret"))
    )
    with Tap(open_http.port) as tap:
        proxy = Proxy(f"http://localhost:{tap.port}", headers=proxy_headers)
        async with a_backend(flavour, proxy=proxy) as backend:
            await opened(flavour, backend, request)
        head, _, _ = tap.received[0].partition(b"\r\n\r\n")
    fields = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: tests\r\nX-Tenant: blue"
    assert bytes(head) == fields.encode()


async def test_the_user_and_password_are_sent_to_the_proxy_only(
    flavour: Flavour, http: RealProxy, plain_server: Server
) -> None:
    with Tap(http.port) as tap:
        async with a_backend(flavour, proxy=http.url(tap.port)) as backend:
            await opened(flavour, backend, plain_server.url())
        head, _, rest = tap.received[0].partition(b"\r\n\r\n")
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    assert b"\r\nProxy-Authorization: Basic " + token in head
    assert token not in rest
    assert "Proxy-Authorization" not in plain_server.requests[0]


async def test_the_proxy_resolves_the_name_of_the_server(flavour: Flavour, open_proxy: RealProxy) -> None:
    with Tap(open_proxy.port) as tap:
        async with a_backend(flavour, proxy=open_proxy.url(tap.port, credentials="")) as backend:
            with pytest.raises(ProxyRejected):
                await backend.open_websocket("ws://no-such-host.invalid/", WebSocketHandler())
        assert b"no-such-host.invalid" in tap.received[0]


async def test_everything_is_sent_to_an_https_proxy_over_tls(
    flavour: Flavour, https: RealProxy, server: Server
) -> None:
    with Tap(https.port) as tap:
        async with a_backend(flavour, **settings(server, value(https, tap.port))) as backend:
            await opened(flavour, backend, server.url())
        assert b"CONNECT" not in tap.received[0]
        assert bytes(tap.received[0]).startswith(b"\x16\x03")


async def test_nothing_secret_is_logged(
    flavour: Flavour, proxy: RealProxy, plain_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = LoggingBackend(flavour.backend(proxy=value(proxy)))
    async with flavour.entered(backend):
        await opened(flavour, seen(flavour, backend), plain_server.url())
    assert "open" in caplog.text
    assert not any(secret.decode() in caplog.text for secret in SECRETS)


async def test_tls_is_that_of_the_tunnel_and_the_address_is_the_proxys(
    flavour: Flavour, proxy: RealProxy, server: Server, plain_server: Server
) -> None:
    async with a_backend(flavour, **settings(server, value(proxy))) as backend:
        ws = await opened(flavour, backend, server.url())
        assert (ws.tls is not None) == server.url().startswith("wss:")
        assert ws.remote_address[1] == proxy.port
    async with a_backend(flavour, **settings(plain_server, value(proxy))) as backend:
        ws = await opened(flavour, backend, plain_server.url())
        assert ws.tls is None  # with an https proxy, too
        assert ws.remote_address[1] == proxy.port


# The choice of a proxy


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_the_proxy_of_the_system_is_used_if_there_is_one(
    flavour: Flavour, open_http: RealProxy, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no proxy for localhost, so no server can be reached."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Tap(open_http.port) as tap:
        monkeypatch.setenv("https_proxy" if scheme == "wss" else "http_proxy", f"localhost:{tap.port}")
        async with a_backend(flavour, proxy=system_proxy) as backend:
            with pytest.raises(ProxyFailed):
                await opened(flavour, backend, f"{scheme}://server.invalid/")
            assert tap.received[0].startswith(b"CONNECT server.invalid:")
            monkeypatch.setenv("no_proxy", "*.server.invalid, server.invalid")
            with pytest.raises(ConnectFailed) as caught:
                await opened(flavour, backend, f"{scheme}://server.invalid/")
            assert not isinstance(caught.value, ProxyFailed)
            assert len(tap.received) == 1


@pytest.mark.skipif(not HAS_SOCKS, reason="tiny-proxy is not installed")
async def test_the_proxy_function_is_called_for_each_redirect(
    flavour: Flavour, http: RealProxy, open_socks5: RealProxy, leave_nothing: None
) -> None:
    asked: list[str] = []
    with RedirectingServer() as end, RedirectingServer(end.url()) as middle, RedirectingServer(middle.url()) as first:

        def choose(url: WebSocketURL) -> str | Proxy | None:
            asked.append(str(url))
            return {first.port: http.url(), middle.port: None, end.port: value(open_socks5, credentials="")}[url.port]

        async with a_backend(flavour, proxy=choose) as backend:
            ws = await opened(flavour, backend, first.url())
            await ws.send_text("Hello!")
            assert await ws.receive_text() == "echo: Hello!"
        assert asked == [first.url(), middle.url(), end.url()]


async def test_the_error_names_the_redirect_if_the_proxy_refuses_its_target(flavour: Flavour, http: RealProxy) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"localhost:{unused.getsockname()[1]}"
        with RedirectingServer(f"ws://{place}/there") as first:
            async with a_backend(flavour, proxy=http.url()) as backend:
                with pytest.raises(ProxyRejected) as caught:
                    await backend.open_websocket(first.url(), WebSocketHandler())
    says(caught.value, place, "502", f"after a redirect from {first.url()}")
    assert caught.value.response is not None
    assert caught.value.response.status == 502


class RedirectingServer(Server):
    """A server that redirects to another URL, if it has one."""

    def __init__(self, target: str | None = None) -> None:
        super().__init__()
        self._target = target

    @property
    def port(self) -> int:
        return self._port.result()

    def _judge(self, connection: Any, request: Any) -> Any:
        if self._target is None:
            return None
        response = connection.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = self._target
        return response


# Rejections


WRONG = ["", "me:wrong", "you:s%40cret%3A%2F"]


@pytest.mark.parametrize("credentials", WRONG, ids=["no user", "a wrong password", "another user"])
async def test_the_error_about_wrong_credentials_says_what_to_do(
    flavour: Flavour, proxy: RealProxy, door: Door, credentials: str
) -> None:
    async with a_backend(flavour, proxy=value(proxy, credentials=credentials)) as backend:
        with pytest.raises(ProxyRejected) as caught:
            await backend.open_websocket(door.url, WebSocketHandler())
    error = caught.value
    says(error, f"the proxy localhost port {proxy.port}", "user", "password")
    assert "wrong" not in str(error)
    assert isinstance(error, ConnectFailed)
    if proxy.scheme == "socks5":
        assert error.response is None
    else:
        assert error.response is not None
        assert error.response.status == 407
        says(error, "407 Proxy Authentication Required", f"{proxy.scheme}://user:password@")
    assert not door.has_connection()


async def test_a_server_that_the_proxy_cannot_reach_is_a_rejection(flavour: Flavour, open_proxy: RealProxy) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        async with a_backend(flavour, proxy=open_proxy.url(credentials="")) as backend:
            with pytest.raises(ProxyRejected) as caught:
                await backend.open_websocket(f"ws://{place}/", WebSocketHandler())
    text = "502 Bad Gateway" if open_proxy.scheme == "http" else "connection refused"
    says(caught.value, f"the proxy localhost port {open_proxy.port} opened no tunnel to {place}", text)


async def test_an_https_proxy_with_an_untrusted_certificate_is_refused(
    flavour: Flavour, https: RealProxy, door: Door
) -> None:
    async with a_backend(flavour, proxy=https.url()) as backend:
        with pytest.raises(ProxyFailed) as caught:
            await backend.open_websocket(door.url, WebSocketHandler())
    says(
        caught.value, f"no TLS with the proxy localhost port {https.port}", "the proxy's certificate", "Proxy(…, ssl=…)"
    )
    assert not door.has_connection()


async def test_the_certificates_of_proxy_and_server_must_each_be_for_their_own_name(
    flavour: Flavour, https: RealProxy
) -> None:
    with Server(server_context()) as server:
        named, numbered = value(https), Proxy(https.url().replace("localhost", "127.0.0.1"), ssl=client_context())
        urls = [
            (numbered, server.url(), ProxyFailed),
            (named, server.url().replace("localhost", "127.0.0.1"), ConnectFailed),
        ]
        for proxy, url, kind in urls:
            async with a_backend(flavour, **settings(server, proxy)) as backend:
                with pytest.raises(ConnectFailed) as caught:
                    await backend.open_websocket(url, WebSocketHandler())
            assert type(caught.value) is kind
            says(caught.value, "certificate", "not valid for '127.0.0.1'")


async def test_a_server_with_an_untrusted_certificate_is_refused_through_a_proxy(
    flavour: Flavour, http: RealProxy
) -> None:
    with Server(server_context()) as server:
        async with a_backend(flavour, proxy=http.url()) as backend:
            with pytest.raises(ConnectFailed) as caught:
                await backend.open_websocket(server.url(), WebSocketHandler())
    says(caught.value, "the server's certificate", f"via the proxy localhost port {http.port}", "; ssl=")
    assert not isinstance(caught.value, ProxyFailed)


def test_a_backend_with_an_invalid_proxy_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a proxy URL"):
        BlockingBackend(proxy="ftp://localhost")
