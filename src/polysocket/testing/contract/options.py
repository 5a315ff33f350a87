"""The options of ``connect``: the request that is sent, credentials for each attempt, the server's place, proxies."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from polysocket import (
    Buffer,
    BufferFull,
    ConnectFailed,
    InvalidRequest,
    InvalidURL,
    ProxyFailed,
    RedirectRefused,
    basic_request,
)
from polysocket.testing.contract import wire
from polysocket.testing.contract.fixtures import every_transport, tcp_and_tls
from polysocket.testing.contract.flavour import Flavour, connect, connected, promise
from polysocket.testing.contract.places import Listener, Peer, Place, answering, client_context, upgrading

MOVED = "302 Found"
BASIC = b"Authorization: Basic bWU6c2VjcmV0"  # me:secret


def _port(url: str) -> int:
    found = re.search(r":(\d+)", url)
    assert found is not None
    return int(found[1])


def _values(request: bytes, name: str) -> list[str]:
    """Return the values of a header in a request."""
    pairs = (line.partition(": ") for line in request.decode().split("\r\n")[1:])
    return [value for each, _, value in pairs if each.lower() == name.lower()]


# The request


@every_transport
@promise
async def test_the_options_are_in_the_request(flavour: Flavour, place: Place) -> None:
    with Peer(place, upgrading("Sec-WebSocket-Protocol: two")) as peer:
        ws = await connect(
            flavour,
            peer,
            headers=[("X-A", "1"), ("X-A", "2")],
            subprotocols=["one", "two"],
            origin="https://page.example",
            auth=("me", "secret"),
            cookies={"a": "1", "b": "2"},
            user_agent="test/1",
        )
        (request,) = peer.requests
        assert BASIC in request
        for name, values in {
            "X-A": ["1", "2"],
            "Sec-WebSocket-Protocol": ["one, two"],
            "Origin": ["https://page.example"],
            "Cookie": ["a=1; b=2"],
            "User-Agent": ["test/1"],
        }.items():
            assert _values(request, name) == values
        assert ws.subprotocol == "two"
        peer.hang_up()
        await ws.close()


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, [basic_request.user_agent]),
        ({"user_agent": None}, []),
        ({"user_agent": "test/1"}, ["test/1"]),
        ({"headers": {"user-agent": "test/1"}}, ["test/1"]),
    ],
    ids=["default", "none", "option", "header"],
)
@promise
async def test_one_user_agent_is_sent_or_none(flavour: Flavour, peer: Peer, options: Any, sent: list[str]) -> None:
    async with connected(flavour, peer, **options):
        assert _values(peer.requests[0], "User-Agent") == sent


@promise
async def test_an_option_overrides_the_request(flavour: Flavour, peer: Peer) -> None:
    request = basic_request.header("X-A", "1").header("X-B", "1").cookie("a", "1").cookie("b", "1").bearer_auth("token")
    request = request.origin("https://one.example").identify("one").subprotocol("one").authenticate(dict)
    ws = await flavour.open(
        request.get(peer.url),
        headers={"x-a": "2"},
        cookies={"b": "2"},
        auth=("me", "secret"),
        origin="https://two.example",
        user_agent="two",
        subprotocols=["two"],
    )
    (sent,) = peer.requests
    assert _values(sent, "X-A") == ["2"]
    assert _values(sent, "X-B") == ["1"]
    assert _values(sent, "Cookie") == ["a=1; b=2"]
    assert _values(sent, "Origin") == ["https://two.example"]
    assert _values(sent, "User-Agent") == ["two"]
    assert _values(sent, "Sec-WebSocket-Protocol") == ["two"]
    assert BASIC in sent
    assert b"token" not in sent
    peer.hang_up()
    await ws.close()


@promise
async def test_an_option_that_is_none_keeps_the_request(flavour: Flavour, peer: Peer) -> None:
    request = basic_request.header("X-A", "1").cookie("a", "1").origin("https://one.example").subprotocol("one")
    url = peer.url.replace("//", "//me:secret@")
    ws = await flavour.open(request.get(url), headers=None, cookies=None, auth=None, origin=None, subprotocols=None)
    (sent,) = peer.requests
    assert _values(sent, "X-A") == ["1"]
    assert _values(sent, "Cookie") == ["a=1"]
    assert _values(sent, "Origin") == ["https://one.example"]
    assert _values(sent, "Sec-WebSocket-Protocol") == ["one"]
    assert BASIC in sent
    peer.hang_up()
    await ws.close()


@tcp_and_tls
@promise
async def test_an_http_url_means_ws_and_https_means_wss(flavour: Flavour, place: Place, peer: Peer) -> None:
    ws = await flavour.open(peer.url.replace("ws", "http", 1), **peer.options())
    assert ws.url == peer.url
    peer.hang_up()
    await ws.close()


@promise
async def test_max_redirects_is_the_number_of_redirects_to_follow(flavour: Flavour, place: Place) -> None:
    with Peer(place, *[answering(MOVED, "Location: /again")] * 2) as peer:
        with pytest.raises(RedirectRefused, match="after 1 redirects"):
            await connect(flavour, peer, max_redirects=1)
        assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("headers", 5, "headers has names with values, such as {'X-Name': 'value'}; not int"),
        ("headers", "secret", "headers has names with values, such as {'X-Name': 'value'}; not str"),
        ("headers", {"X-A": 1}, "the value given for header X-A is a str, not int"),
        ("headers", {"Upgrade": "h2c"}, "the Upgrade header can't be set by hand"),
        ("subprotocols", "chat", "subprotocols is a list of names, not 'chat'"),
        ("subprotocols", ["a b"], "'a b' is not a subprotocol name"),
        ("origin", 5, "the value given for header Origin is a str, not int"),
        ("auth", "secret", "auth is a tuple of user and password, or a function that returns headers, not str"),
        ("auth", ("me", "secret", "x"), "auth is a tuple of user and password, or a function that returns headers"),
        ("auth", ("me", 5), "the password is a str, not int"),
        ("cookies", [("a", "secret")], "cookies is a mapping of names to values, not list"),
        ("cookies", {"a": "secret;"}, "the cookie 'a' has a character that cookies do not allow"),
        ("user_agent", 5, "the value given for header User-Agent is a str, not int"),
        ("user_agent", "a\r\nb", "the value given for header User-Agent has a character that HTTP does not allow"),
        ("max_redirects", None, "max_redirects is a whole number, not None"),
        ("host", 5, "host is a str, not 5"),
        ("host", "a b", "host can't be used: "),
        ("host", "", "host can't be used: "),
        ("host", "example.com:80", "host can't be used: 'example.com:80' has a host with ':' in it that"),
        ("host", "example.com\uff1a80", "host can't be used: "),  # ":" in its wide form
        ("server_hostname", "example.com:443", "server_hostname can't be used: "),
        ("port", "80", "port is a number from 1 to 65535, not '80'"),
        ("port", 0, "port is a number from 1 to 65535, not 0"),
        ("server_hostname", 5, "server_hostname is a str, not 5"),
        ("server_hostname", "a", "server_hostname is for wss URLs, and this is a ws URL"),
        ("local_address", "localhost", "local_address is an IP address, or a tuple of one and a port"),
        ("local_address", ("127.0.0.1", 65536), "local_address is an IP address, or a tuple of one and a port"),
        ("local_address", 5, "local_address is an IP address, or a tuple of one and a port, not 5"),
    ],
)
@promise
async def test_an_option_that_can_not_be_used_is_refused(flavour: Flavour, name: str, value: object, text: str) -> None:
    options: Any = {name: value}
    with pytest.raises(InvalidRequest) as caught:
        await flavour.open("ws://host.invalid/", **options)
    assert str(caught.value).startswith(text)
    assert "secret" not in str(caught.value)


# Credentials for each attempt


@promise
async def test_a_function_returns_headers_for_each_attempt(flavour: Flavour, place: Place) -> None:
    tokens = (f"Bearer {number}" for number in range(1, 10))

    def auth() -> dict[str, str]:
        return {"authorization": next(tokens)}

    sent: list[str] = []
    for _ in range(2):
        with Peer(place, answering(MOVED, "Location: /there"), upgrading()) as peer:
            ws = await flavour.open(peer.url.replace("//", "//me:old@"), auth=auth)
            for request in peer.requests:
                sent += _values(request, "Authorization")
            assert "Bearer" not in repr(ws.request)
            peer.hang_up()
            await ws.close()
    assert sent == ["Bearer 1", "Bearer 2", "Bearer 3", "Bearer 4"]


@promise
async def test_credentials_cookies_and_headers_stay_with_their_origin(flavour: Flavour, place: Place) -> None:
    calls: list[str] = []

    def auth() -> Iterable[tuple[str, str]]:
        calls.append("called")
        return [("X-Token", "secret")]

    with Peer(place) as there, Peer(place, answering(MOVED, f"Location: {there.url}")) as here:
        ws = await connect(
            flavour,
            here,
            auth=auth,
            cookies={"session": "secret"},
            headers={"X-API-Key": "secret"},
            origin="https://page.example",
            user_agent="test/1",
            subprotocols=["chat"],
        )
        assert here.requests[0].count(b"secret") == 3
        assert b"secret" not in there.requests[0]
        assert _values(there.requests[0], "Origin") == ["https://page.example"]
        assert _values(there.requests[0], "User-Agent") == ["test/1"]
        assert _values(there.requests[0], "Sec-WebSocket-Protocol") == ["chat"]
        assert calls == ["called"]
        there.hang_up()
        await ws.close()


@promise
async def test_an_error_of_the_function_for_credentials_is_raised(flavour: Flavour) -> None:
    def auth() -> dict[str, str]:
        raise LookupError("no token")

    with pytest.raises(LookupError, match="no token"):
        await flavour.open("ws://host.invalid/", auth=auth)


async def _async_auth() -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (_async_auth, "auth is a plain function that returns headers, and this one returned a coroutine"),
        (lambda: "secret", r"the result of auth\(\) has names with values, .*; not str"),
        (lambda: None, r"the result of auth\(\) has names with values, .*; not NoneType"),
        (lambda: {"Authorization": "secret\n"}, "the value given for header Authorization has a character"),
    ],
    ids=["coroutine", "str", "None", "line break"],
)
@promise
async def test_a_function_that_returns_no_headers_is_refused(flavour: Flavour, auth: Any, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text) as caught:
        await flavour.open("ws://host.invalid/", auth=auth)
    assert "secret" not in str(caught.value)


# The server's place


@promise
async def test_host_and_port_name_the_server_to_connect_to(flavour: Flavour, peer: Peer) -> None:
    port = _port(peer.url)
    ws = await flavour.open("ws://server.invalid:81/chat", host="localhost", port=port)
    assert peer.requests[0].startswith(b"GET /chat HTTP/1.1\r\n")
    assert _values(peer.requests[0], "Host") == ["server.invalid:81"]
    assert ws.url == "ws://server.invalid:81/chat"
    assert ws.remote_address[1] == port
    peer.hang_up()
    await ws.close()


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_the_certificate_is_for_the_urls_host_wherever_the_server_is(flavour: Flavour, peer: Peer) -> None:
    with pytest.raises(ConnectFailed, match=r"no TLS with server\.invalid over localhost port .*certificate"):
        await flavour.open("wss://server.invalid/", host="localhost", port=_port(peer.url), ssl=client_context())


@pytest.mark.parametrize("transport", ["tls"], indirect=True)
@promise
async def test_server_hostname_is_the_name_in_the_certificate(flavour: Flavour, peer: Peer) -> None:
    ws = await flavour.open(
        "wss://server.invalid/",
        host="localhost",
        port=_port(peer.url),
        ssl=client_context(),
        server_hostname="localhost",
    )
    assert _values(peer.requests[0], "Host") == ["server.invalid"]
    peer.hang_up()
    await ws.close()


@promise
async def test_host_and_port_are_for_one_origin(flavour: Flavour, place: Place) -> None:
    with Peer(place, answering(MOVED, "Location: /there"), upgrading()) as peer:
        ws = await flavour.open("ws://server.invalid/", host="localhost", port=_port(peer.url))
        assert len(peer.requests) == 2
        peer.hang_up()
        await ws.close()
    text = "to another origin, but host, port and server_hostname name the server of ws://server.invalid/"
    with (
        Peer(place, answering(MOVED, "Location: http://other.invalid/")) as peer,
        pytest.raises(RedirectRefused, match=text),
    ):
        await flavour.open("ws://server.invalid/", host="localhost", port=_port(peer.url))


@promise
async def test_the_error_names_the_place_to_connect_to(flavour: Flavour, place: Place) -> None:
    listener = Listener(place)
    listener.hang_up()
    port = _port(listener.url)
    with pytest.raises(ConnectFailed, match=f"could not connect to localhost port {port}"):
        await flavour.open("ws://server.invalid/", host="localhost", port=port)


@promise
async def test_local_address_is_the_address_to_connect_from(flavour: Flavour, peer: Peer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with connected(flavour, peer, local_address=("127.0.0.1", port)) as ws:
        assert ws.local_address == ("127.0.0.1", port)


@pytest.mark.parametrize("name", ["host", "port", "local_address", "proxy"])
@promise
async def test_a_given_socket_has_no_other_place(flavour: Flavour, name: str) -> None:
    options: Any = {"host": "a", "port": 80, "local_address": "127.0.0.1", "proxy": "http://a"}
    left, right = socket.socketpair()
    with left, right, pytest.raises(InvalidRequest, match=f"{name} and sock exclude each other"):
        await flavour.open("ws://localhost/", sock=left, **{name: options[name]})


# The system's proxy


@pytest.mark.parametrize("variable", ["ws_proxy", "HTTP_PROXY", "all_proxy"])
@promise
async def test_the_proxy_is_the_systems_by_default(
    flavour: Flavour, set_variable: Callable[[str, str], None], refusing_proxy: str, variable: str
) -> None:
    set_variable(variable, refusing_proxy)
    with pytest.raises(ProxyFailed, match="could not connect to the proxy localhost"):
        await flavour.open("ws://server.invalid/")
    with pytest.raises(ConnectFailed, match=r"could not connect to server\.invalid port 80: "):
        await flavour.open("ws://server.invalid/", proxy=None)
    set_variable("no_proxy", ".invalid")
    with pytest.raises(ConnectFailed, match=r"could not connect to server\.invalid port 80: "):
        await flavour.open("ws://server.invalid/")


@promise
async def test_loopback_has_no_proxy_of_the_system(
    flavour: Flavour, set_variable: Callable[[str, str], None], peer: Peer, refusing_proxy: str
) -> None:
    set_variable("all_proxy", refusing_proxy)
    ws = await flavour.open("ws://server.invalid/", host="localhost", port=_port(peer.url))
    peer.hang_up()
    await ws.close()


@pytest.mark.parametrize("transport", ["unix", "sock"], indirect=True)
@promise
async def test_a_given_socket_has_no_proxy_of_the_system(
    flavour: Flavour, set_variable: Callable[[str, str], None], peer: Peer
) -> None:
    set_variable("all_proxy", "http://proxy.invalid")
    ws = await flavour.open("ws://server.invalid/", **peer.options())
    peer.hang_up()
    await ws.close()


@promise
async def test_the_error_about_an_unusable_proxy_names_its_variable(
    flavour: Flavour, set_variable: Callable[[str, str], None]
) -> None:
    set_variable("HTTP_PROXY", "socks4://me:secret@proxy.invalid")
    with pytest.raises(InvalidURL, match="the proxy in the environment's variable HTTP_PROXY can't be used") as caught:
        await flavour.open("ws://server.invalid/")
    assert "secret" not in str(caught.value)


# Reading ahead


@every_transport
@promise
async def test_a_websocket_with_a_buffer_reads_ahead(flavour: Flavour, peer: Peer) -> None:
    async with connected(flavour, peer, buffer=Buffer.bounded(2), ping_interval=None) as ws:
        peer.send(wire.text("a") + wire.encode(wire.PING, b"1") + wire.text("b") + wire.text("c"))
        assert (await flavour.call(peer.frames, 2))[1].opcode == wire.CLOSE
        assert [await ws.receive_text() for _ in range(2)] == ["a", "b"]
        with pytest.raises(BufferFull):
            await ws.receive_text()
