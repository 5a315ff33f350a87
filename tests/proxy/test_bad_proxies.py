"""Proxies that can't be reached, refuse, answer nonsense, or stay silent: an error of the right class, and no leaks.

The proxies are scripted; each checks that the client has closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from polysocket import (
    ConnectFailed,
    InvalidRequest,
    InvalidURL,
    OpeningFailed,
    OpenTimeout,
    Proxy,
    ProxyFailed,
    ProxyRejected,
    UpgradeRejected,
    WebSocketHandler,
    basic_request,
    system_proxy,
)
from tests.backends.flavours import ASYNC, Flavour, a_backend
from tests.backends.servers import Door
from tests.bad_input.judgement import says
from tests.bad_input.peer import Conversation, Peer, Script
from tests.bad_input.programs import nothing
from tests.interop import flavours as interop
from tests.proxy.proxies import TOO_LONG

in_async_flavours = pytest.mark.parametrize("flavour", ASYNC, indirect=True)

KIB = 1024
SHORT = 0.4  # seconds, for an open_timeout that expires
SERVER = "ws://server.example/chat?token=s3cret"
SECURE = "wss://server.example/"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def failing(flavour: Flavour, proxy: Any, url: str = SERVER, **timeouts: float | None) -> Exception:
    """Return the error of opening a websocket through a proxy."""
    request = basic_request.timeouts(open=timeouts.get("open", TOO_LONG), close=1).get(url)
    async with a_backend(flavour, proxy=proxy) as backend:
        with pytest.raises(OpeningFailed) as caught:
            await backend.open_websocket(request, WebSocketHandler())
    assert "s3cret" not in str(caught.value) + repr(caught.value)
    return caught.value


@contextlib.asynccontextmanager
async def a_proxy(flavour: Flavour, script: Script) -> AsyncIterator[Peer]:
    """Run a scripted proxy; at the end, wait until the client has closed."""
    peer = Peer(script).__enter__()
    try:
        yield peer
    finally:
        await flavour.call(peer.__exit__, None, None, None)


def url_of(peer: Peer, scheme: str = "http", user: str = "") -> str:
    return f"{scheme}://{user}localhost:{peer.port}"


def name_of(peer: Peer) -> str:
    return f"the proxy localhost port {peer.port}"


def answer_to(conversation: Conversation, answer: bytes) -> None:
    conversation.read_request()
    conversation.send(answer)


def answering(answer: bytes) -> Script:
    """Return a script that reads the CONNECT and sends this answer."""
    return lambda conversation: answer_to(conversation, answer)


# Unreachable proxies


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_a_proxy_that_cannot_be_reached_is_named(flavour: Flavour, scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await failing(flavour, f"{scheme}://me:s3cret@127.0.0.1:{port}")
    assert isinstance(error, ProxyFailed)
    assert not isinstance(error, ProxyRejected)
    says(error, f"could not connect to the proxy 127.0.0.1 port {port}: ", "refused")
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(("scheme", "variable"), [("ws", "http_proxy"), ("wss", "https_proxy")])
async def test_a_proxy_of_the_environment_that_cannot_be_reached_is_named_with_its_variable(
    flavour: Flavour, scheme: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ws_proxy", "wss_proxy", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, "me:s3cret@no-such-proxy.invalid")
    error = await failing(flavour, system_proxy, f"{scheme}://server.example/")
    assert isinstance(error, ProxyFailed)
    named = f"no-such-proxy.invalid port 80 (in the environment's variable {variable})"
    says(error, f"could not connect to the proxy {named}: ")


async def test_a_proxy_with_an_unknown_name_is_named(flavour: Flavour) -> None:
    error = await failing(flavour, "http://no-such-proxy.invalid:3128")
    assert isinstance(error, ProxyFailed)
    says(error, "could not connect to the proxy no-such-proxy.invalid port 3128: ")


# Rejections


PAGE = b"<!doctype html><title>Not from here</title>"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_rejection_by_a_proxy_that_reads_nothing_is_raised(
    flavour: Flavour, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write fails if the proxy has hung up by then, after its answer."""

    def send(sock: socket.socket, data: bytes) -> int:
        if sock.family == socket.AF_INET:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        return os.write(sock.fileno(), data)  # to wake an event loop

    answer = b"\x05\xff" if scheme == "socks5" else b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    monkeypatch.setattr(socket.socket, "send", send, raising=False)
    async with a_proxy(flavour, lambda conversation: conversation.send(answer)) as peer:
        error = await failing(flavour, url_of(peer, scheme))
    assert isinstance(error, ProxyRejected)


@pytest.mark.parametrize("status", ["403 Forbidden", "502 Bad Gateway", "404 Not Found", "301 Moved", "101 Hm"])
async def test_an_answer_other_than_2xx_is_a_rejection_with_its_response(flavour: Flavour, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nX-Why: policy\r\nContent-Length: {len(PAGE)}\r\n\r\n".encode() + PAGE
    async with a_proxy(flavour, answering(answer)) as peer:
        error = await failing(flavour, url_of(peer))
    if status.startswith("101"):  # the client asked for no switch of protocols
        assert isinstance(error, ProxyFailed)
        return
    assert isinstance(error, ProxyRejected)
    assert error.response is not None
    assert error.response.status_line == status
    assert error.response.headers["X-Why"] == "policy"
    assert error.response.body == PAGE
    says(error, f"{name_of(peer)} opened no tunnel to server.example:80: it answered {status}", ".response.body")


async def test_the_error_after_a_407_says_what_to_do(flavour: Flavour) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    async with a_proxy(flavour, answering(answer)) as peer:
        says(await failing(flavour, url_of(peer)), "407", "it wants a user and password: http://user:password@…")
    async with a_proxy(flavour, answering(answer)) as peer:
        says(await failing(flavour, url_of(peer, user="me:s3cret@")), "407", "it wants other credentials")


async def test_the_part_of_a_body_that_arrived_before_the_timeout_is_kept(flavour: Flavour) -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nwhy: "
    async with a_proxy(flavour, answering(answer)) as peer:
        error = await failing(flavour, url_of(peer), open=SHORT)
    assert isinstance(error, ProxyRejected)
    assert error.response is not None
    assert error.response.body == b"why: "
    assert error.__cause__ is None


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required"])
@pytest.mark.parametrize("end", ["stalls", "trickles", "is reset"])
async def test_a_rejection_is_raised_however_its_body_goes_on(flavour: Flavour, status: str, end: str) -> None:
    def script(conversation: Conversation) -> None:
        answer_to(conversation, f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\n".encode())
        if end == "is reset":
            conversation.reset()
        elif end == "trickles":
            with contextlib.suppress(OSError):
                while True:
                    conversation.send(b"x")
                    time.sleep(0.02)  # the pace of the proxy, not a wait

    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer), open=None)
    assert isinstance(error, ProxyRejected)
    assert error.response is not None
    assert error.response.status_line == status
    assert bool(error.response.body) is (end == "trickles")


async def test_at_most_64_kib_of_an_endless_body_are_kept(flavour: Flavour) -> None:
    def script(conversation: Conversation) -> None:
        answer_to(conversation, b"HTTP/1.1 403 Forbidden\r\n\r\n")
        conversation.send_until_refused(b"x" * KIB)

    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer))
    assert isinstance(error, ProxyRejected)
    assert error.response is not None
    assert error.response.body == b"x" * 64 * KIB


REPLIES = {
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
    9: "reply 9, which RFC 1928 does not know",
}


@pytest.mark.parametrize(("code", "words"), REPLIES.items())
async def test_a_socks_reply_is_explained_in_words(flavour: Flavour, code: int, words: str) -> None:
    async with a_proxy(flavour, socks(b"\x05\x00", bytes([5, code]))) as peer:
        error = await failing(flavour, url_of(peer, "socks5"))
    assert isinstance(error, ProxyRejected)
    assert error.response is None
    assert str(error) == f"{name_of(peer)} opened no tunnel to server.example:80: {words}"


def socks(*replies: bytes) -> Script:
    """Return a script that answers each message of the client with a reply, then stays silent."""

    def script(conversation: Conversation) -> None:
        for reply in replies:
            assert conversation._socket.recv(KIB)
            conversation.send(reply)

    return script


# Nonsense


def leaving(answer: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        answer_to(conversation, answer)
        conversation.end_sending()

    return script


def endless(header: bytes, piece: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        answer_to(conversation, header)
        conversation.send_until_refused(piece)

    return script


NONSENSE: dict[str, tuple[Script, str]] = {
    "an SSH server": (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), " answered with something that is not HTTP: b'SSH-2.0"),
    "a SOCKS proxy": (answering(b"\x05\xff"), " answered with something that is not HTTP: "),
    "TLS": (answering(bytes.fromhex("15 03 03 00 02 02 46")), "is it an https:// proxy?"),
    "a broken header": (answering(b"HTTP/1.1 200 OK\r\nX A: b\r\n\r\n"), "'s answer is not valid HTTP"),
    "an endless header": (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * KIB + b"\r\n"),
        "'s answer is over 65536 bytes",
    ),
    "endless 1xx answers": (
        endless(b"", b"HTTP/1.1 103 Hints\r\n\r\n"),
        "'s answer is over 512 lines long, with its 1xx answers",
    ),
    "an end without an answer": (leaving(b""), " closed the connection without an answer; is it an https:// proxy?"),
    "an end within the answer": (leaving(b"HTTP/1.1 200 "), " closed the connection before its answer was complete"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_an_answer_that_is_not_http_fails(flavour: Flavour, name: str) -> None:
    script, text = NONSENSE[name]
    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer, user="me:s3cret@"))
    assert type(error) is ProxyFailed
    says(error, name_of(peer), text)


def leaving_socks(conversation: Conversation) -> None:
    conversation._socket.recv(KIB)
    conversation.end_sending()


NO_SOCKS: dict[str, tuple[Script, str]] = {
    "an http proxy": (socks(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is it an http:// proxy?"),
    "SOCKS4": (socks(b"\x00\x5b"), " does not speak SOCKS5: its answer begins with b'\\x00'"),
    "an unoffered method": (socks(b"\x05\x01"), " chose authentication method 1, which was not offered"),
    "another version later": (socks(b"\x05\x00", b"\x04\x00"), " does not speak SOCKS5"),
    "an unknown address": (socks(b"\x05\x00", b"\x05\x00\x00\x02"), " gave an address of type 2"),
    "an end": (leaving_socks, " closed the connection before it had opened a tunnel"),
}


@pytest.mark.parametrize("name", NO_SOCKS)
async def test_an_answer_that_is_not_socks_fails(flavour: Flavour, name: str) -> None:
    script, text = NO_SOCKS[name]
    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer, "socks5"))
    assert type(error) is ProxyFailed
    says(error, name_of(peer), text)


async def test_a_connection_that_is_reset_fails(flavour: Flavour) -> None:
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.reset()

    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer))
    assert type(error) is ProxyFailed
    says(error, f"the connection to {name_of(peer)} was lost", "reset")


async def test_the_error_suggests_an_http_url_if_an_https_proxy_does_not_speak_tls(flavour: Flavour) -> None:
    async with a_proxy(flavour, lambda conversation: conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        error = await failing(flavour, url_of(peer, "https"))
    assert type(error) is ProxyFailed
    says(error, f"no TLS with {name_of(peer)}", "is it an http:// proxy?")


async def test_bytes_of_the_server_that_arrive_with_the_answer_of_the_proxy_are_not_lost(flavour: Flavour) -> None:
    """RFC 9110 §9.3.6: the tunnel starts after the header, even if that has a length."""
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    opened = b"HTTP/1.0 299 Fine\r\nContent-Length: 100\r\n\r\n"
    async with a_proxy(flavour, answering(b"HTTP/1.1 102 Wait\r\n\r\n" + opened + busy)) as peer:
        error = await failing(flavour, url_of(peer))
    assert isinstance(error, UpgradeRejected)
    assert error.response.status_line == "503 Busy"


async def test_the_error_names_the_server_if_it_does_not_speak_tls(flavour: Flavour) -> None:
    async with a_proxy(flavour, answering(OPEN + b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        error = await failing(flavour, url_of(peer), SECURE)
    assert isinstance(error, ConnectFailed)
    assert not isinstance(error, ProxyFailed)
    says(
        error, "no TLS with server.example port 443 via " + name_of(peer), "b'HTTP/1.1 400 Bad Request'; is it a ws://"
    )


@pytest.mark.parametrize("answer", [bytes.fromhex("15 03 03 00 02 02 46"), b""], ids=["alert", "nothing"])
async def test_the_error_asks_for_wss_if_the_server_may_speak_tls(flavour: Flavour, answer: bytes) -> None:
    async with a_proxy(flavour, leaving(OPEN + answer)) as peer:
        error = await failing(flavour, url_of(peer))
    assert not isinstance(error, ProxyFailed)
    says(error, "is it a wss:// server?")


# Silence


def read_and_wait(conversation: Conversation) -> None:
    assert conversation._socket.recv(KIB)


def open_and_wait(conversation: Conversation) -> None:
    answer_to(conversation, OPEN)


@pytest.mark.parametrize("url", [SERVER, SECURE])
@pytest.mark.parametrize(
    ("scheme", "script"),
    [("http", read_and_wait), ("https", read_and_wait), ("socks5", read_and_wait), ("http", open_and_wait)],
)
async def test_open_timeout_ends_waiting_for_a_silent_proxy_or_server(
    flavour: Flavour, scheme: str, script: Script, url: str
) -> None:
    async with a_proxy(flavour, script) as peer:
        error = await failing(flavour, url_of(peer, scheme), url, open=SHORT)
    assert isinstance(error, OpenTimeout)
    says(error, f"via {name_of(peer)} was not open within {SHORT} seconds: still {error.step}")
    assert error.timeout == SHORT
    assert error.step in ("connecting", "in the TLS handshake", "in the opening handshake")


@in_async_flavours
@pytest.mark.parametrize("url", [SERVER, SECURE])
@pytest.mark.parametrize(
    ("scheme", "answers"),
    [
        ("http", []),
        ("https", []),
        ("socks5", []),
        ("socks5", [b"\x05\x00"]),
        ("http", [OPEN]),
        ("socks5", [b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6)]),
    ],
    ids=["http", "https", "greeting", "socks5", "http tunnel", "socks5 tunnel"],
)
async def test_opening_may_be_cancelled_while_it_waits_for_the_proxy(
    flavour: Flavour, scheme: str, answers: list[bytes], url: str
) -> None:
    reached = threading.Event()

    def script(conversation: Conversation) -> None:
        for answer in answers:
            assert conversation._socket.recv(KIB)
            conversation.send(answer)
        assert conversation._socket.recv(KIB)
        reached.set()

    async with a_proxy(flavour, script) as peer, a_backend(flavour, proxy=url_of(peer, scheme)) as backend:
        task = flavour.spawn(backend.open_websocket, url, WebSocketHandler())
        assert await flavour.call(reached.wait, TOO_LONG)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, TimeoutError)) as caught:  # a cancelled task of trio has no result
            await task.result()
        assert not isinstance(caught.value, OpenTimeout)


# Invalid proxies


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "another scheme": (
        "ftp://localhost",
        InvalidURL,
        "is not a proxy URL: it must begin with http://, https://, socks5://",
    ),
    "no scheme": ("localhost:3128", InvalidURL, "is not a proxy URL"),
    "no host": ("http://", InvalidURL, "names no host"),
    "a wrong port": ("http://localhost:70000", InvalidURL, "a port is a number from 1 to 65535"),
    "a number": (3128, InvalidRequest, "proxy is a URL, a Proxy or None, not int"),
    "bytes": (b"http://localhost", InvalidRequest, "proxy is a URL"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_an_invalid_proxy_is_refused_before_a_connection_is_made(name: str, case: str, door: Door) -> None:
    proxy, kind, text = BAD[case]
    with pytest.raises(kind) as caught:
        interop.FLAVOURS[name].open(door.url, nothing, proxy=proxy)
    says(caught.value, text)
    assert not door.has_connection()


@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_a_function_that_does_not_return_a_proxy_is_refused(name: str, door: Door) -> None:
    wrong: Callable[[Any], Any] = lambda url: url  # noqa: E731
    with pytest.raises(InvalidRequest) as caught:
        interop.FLAVOURS[name].open(door.url, nothing, proxy=wrong)
    says(caught.value, "the result of proxy() is a URL, a Proxy or None, not WebSocketURL")
    assert not door.has_connection()


@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_an_async_function_for_a_proxy_is_refused(name: str, door: Door, recwarn: pytest.WarningsRecorder) -> None:
    async def choose(_: Any) -> None: ...

    wrong: Any = choose
    with pytest.raises(InvalidRequest) as caught:
        interop.FLAVOURS[name].open(door.url, nothing, proxy=wrong)
    says(caught.value, "not coroutine: the function is a plain one in every flavour")
    del caught
    gc.collect()
    assert not recwarn.list  # a coroutine that was never awaited
    assert not door.has_connection()


@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_an_exception_of_the_proxy_function_is_raised(name: str, door: Door) -> None:
    def choose(url: Any) -> str:
        raise TimeoutError("no answer from the directory")

    with pytest.raises(TimeoutError, match=r"^no answer from the directory$"):
        interop.FLAVOURS[name].open(door.url, nothing, proxy=choose)
    assert not door.has_connection()


@pytest.mark.parametrize("name", interop.FLAVOURS)
def test_a_proxy_excludes_a_socket_and_a_path(name: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(InvalidRequest) as caught:
            interop.FLAVOURS[name].open("ws://localhost/", nothing, sock=ours, proxy="http://localhost")
        assert str(caught.value) == "proxy and sock exclude each other"
        ours.sendall(b"still ours")
        assert theirs.recv(100) == b"still ours"
    with pytest.raises(InvalidRequest) as caught:
        interop.FLAVOURS[name].open("ws://localhost/", nothing, unix_path="/x", proxy=Proxy("http://localhost"))
    assert str(caught.value) == "proxy and unix_path exclude each other"


async def test_a_host_name_too_long_for_socks_is_refused(flavour: Flavour, door: Door) -> None:
    name = ".".join(["a" * 60] * 5)
    error = await failing(flavour, door.url.replace("ws://", "socks5://"), f"ws://{name}/")
    says(error, name, "too long", "255 bytes")
    assert not door.has_connection()
